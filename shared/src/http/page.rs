//! Lists: limits, and cursors that mean nothing to whoever holds them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Call};
use crate::base::error::{Error, Result};
use crate::crypto::{Aad, Purpose, Sealed};
use crate::domain::app::App;

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub data: Vec<T>,
    /// The cursor of the next page. `null` on the last page.
    pub next_cursor: Option<String>,
}

impl Call {
    /// `?limit=`: 1 to 100, 50 unless asked.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming it.
    pub fn limit(&self) -> Result<usize> {
        match self.query("limit").map(str::parse) {
            None => Ok(50),
            Some(Ok(limit @ 1..=100)) => Ok(limit),
            Some(_) => Err(Error::field(
                "limit",
                "range",
                "must be an integer from 1 to 100",
            )),
        }
    }

    /// Where `?cursor=` says to go on. Bound to the tenant, the route and the subject in
    /// the path: a cursor of another list is refused.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming it.
    pub async fn cursor<T: DeserializeOwned>(&self, app: &App) -> Result<Option<T>> {
        let Some(text) = self.query("cursor") else {
            return Ok(None);
        };
        let refused = || Error::field("cursor", "cursor", "must be a cursor of this list");
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?);
        let keys = app.keyring.tenant(self.tenant()).await?;
        let tenant = self.tenant().to_string();
        let plain = keys
            .open(Purpose::Cursor, self.cursor_place(&tenant), &sealed)
            .map_err(|_| refused())?;
        serde_json::from_slice(&plain)
            .map(Some)
            .map_err(|_| refused())
    }

    /// A page, with the cursor to the next.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the tenant's key cannot be had.
    pub async fn page<T: Serialize>(
        &self,
        app: &App,
        data: Vec<T>,
        next: Option<impl Serialize>,
    ) -> Result<Answer> {
        let next_cursor = match next {
            None => None,
            Some(next) => {
                let keys = app.keyring.tenant(self.tenant()).await?;
                let tenant = self.tenant().to_string();
                let plain = serde_json::to_vec(&next).expect("a place in a list is plain data");
                let place = self.cursor_place(&tenant);
                let sealed = keys.seal(Purpose::Cursor, place, &plain);
                Some(URL_SAFE_NO_PAD.encode(sealed.0))
            }
        };
        Ok(Answer::ok(&Page { data, next_cursor }))
    }

    fn cursor_place<'a>(&'a self, tenant: &'a str) -> Aad<'a> {
        Aad {
            partition: tenant,
            row: self.path("subject").unwrap_or_default(),
            part: self.route(),
        }
    }
}
