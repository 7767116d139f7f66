//! `Idempotency-Key`: a request that is sent again is answered as the first time.

use serde::{Deserialize, Serialize};

use super::{Answer, Call};
use crate::app::App;
use crate::error::{Error, Result};
use crate::id::KeyedHash;
use crate::store::Write;
use crate::store::keys::{self, ONCE};
use crate::store::once::{Earlier, answer_write};
use crate::vault::{Place, Sealed};

/// What is kept of an answer, sealed: it may name people.
#[derive(Serialize, Deserialize)]
struct Kept {
    location: Option<String>,
    body: String,
}

impl Call {
    /// Reserves the request's idempotency key, if it has one; the kept answer, if it was
    /// carried out before.
    pub(super) async fn check_once(&mut self, app: &App) -> Result<Option<Answer>> {
        let (true, Some(name), Some(caller)) = (
            self.route.once,
            self.request.headers().get("idempotency-key"),
            &self.caller,
        ) else {
            return Ok(None);
        };
        let name = name.as_bytes();
        if !(1..=255).contains(&name.len()) || !name.iter().all(|byte| matches!(byte, b' '..=b'~'))
        {
            return Err(Error::field(
                "Idempotency-Key",
                "format",
                "must be 1 to 255 characters of printable ASCII",
            ));
        }
        let (tenant, now) = (caller.tenant, app.clock.now());
        let keys = app.keyring.tenant(tenant).await?;
        let by = caller.key.to_string();
        let key = keys.hash.hash("once", &[by.as_bytes(), name]);
        let body = self.body.to_string();
        let request = keys
            .hash
            .hash("request", &[self.route.key.as_bytes(), body.as_bytes()]);
        match app.store.reserve(tenant, key, request, now).await? {
            Earlier::None => {
                self.once = Some(key);
                Ok(None)
            }
            Earlier::Other => Err(Error::field(
                "Idempotency-Key",
                "reused",
                "was sent with another request",
            )),
            Earlier::Running => Err(Error::Conflict {
                code: "running",
                detail: "The same request is still being carried out.",
            }),
            Earlier::Answered(status, sealed) => {
                let partition = keys::once(tenant, key);
                let plain = keys.wrapping.open(place(&partition), &sealed)?;
                let kept: Kept = serde_json::from_slice(&plain)
                    .map_err(|_| Error::Corrupt("a kept answer is not as it was written".into()))?;
                let answer = Answer::text("application/json", kept.body).status(status);
                Ok(Some(match kept.location {
                    Some(location) => answer.header("location", location),
                    None => answer,
                }))
            }
        }
    }

    /// The request's idempotency key, once it is reserved.
    pub fn once(&self) -> Option<KeyedHash> {
        self.once
    }

    /// Adds to a transaction that its answer is kept for a repetition. So a request that
    /// took effect is never carried out again, whatever became of its answer.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the tenant's key cannot be had.
    pub async fn kept_with(
        &self,
        app: &App,
        mut answer: Answer,
        writes: &mut Vec<Write>,
    ) -> Result<Answer> {
        if let Some(once) = self.once {
            let sealed = self.sealed(app, once, &answer).await?;
            writes.push(answer_write(self.tenant(), once, answer.status, sealed));
            answer.stands = true;
        }
        Ok(answer)
    }

    /// Keeps an answer for a repetition.
    pub(super) async fn keep(&self, app: &App, once: KeyedHash, answer: Answer) -> Result<Answer> {
        let sealed = self.sealed(app, once, &answer).await?;
        app.store
            .keep_answer(self.tenant(), once, answer.status, sealed)
            .await?;
        Ok(answer)
    }

    /// What is kept of an answer.
    async fn sealed(&self, app: &App, once: KeyedHash, answer: &Answer) -> Result<Sealed> {
        let tenant = self.tenant();
        let body = answer.kept.as_ref().unwrap_or(&answer.body);
        let location = answer.headers.iter().find(|(name, _)| *name == "location");
        let kept = Kept {
            location: location.map(|(_, value)| value.clone()),
            body: String::from_utf8_lossy(body).into_owned(),
        };
        let plain = serde_json::to_vec(&kept).expect("two texts are always JSON");
        let partition = keys::once(tenant, once);
        let keys = app.keyring.tenant(tenant).await?;
        Ok(keys.wrapping.seal(place(&partition), &plain))
    }

    /// Frees the key of a request that changed nothing. Should that fail as well, it frees
    /// itself after half a minute.
    pub(super) async fn release(&self, app: &App, once: KeyedHash) {
        let _busy = app.store.release(self.tenant(), once).await;
    }
}

/// Where a kept answer is bound.
fn place(partition: &str) -> Place<'_> {
    Place {
        partition,
        row: ONCE,
        part: "answer",
    }
}
