//! Lists: limits, and cursors that mean nothing to whoever holds them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Answer, Call};
use crate::base::error::{Error, Result};
use crate::crypto::{Aad, Purpose, Sealed};
use crate::domain::app::App;

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
        data: Vec<Value>,
        next: Option<T>,
    ) -> Result<Answer> {
        let next_cursor = match next {
            None => Value::Null,
            Some(next) => {
                let keys = app.keyring.tenant(self.tenant()).await?;
                let tenant = self.tenant().to_string();
                let plain = serde_json::to_vec(&next).expect("a place in a list is plain data");
                let place = self.cursor_place(&tenant);
                let sealed = keys.seal(Purpose::Cursor, place, &plain);
                URL_SAFE_NO_PAD.encode(sealed.0).into()
            }
        };
        Ok(Answer::ok(
            json!({"data": data, "next_cursor": next_cursor}),
        ))
    }

    fn cursor_place<'a>(&'a self, tenant: &'a str) -> Aad<'a> {
        Aad {
            partition: tenant,
            row: self.path("subject").unwrap_or_default(),
            part: self.route(),
        }
    }
}
