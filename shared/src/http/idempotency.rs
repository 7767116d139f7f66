//! `Idempotency-Key`: a request that is sent again is answered as the first time.

use jiff::Timestamp;
use lambda_http::RequestExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, Call};
use crate::aws::dynamo::Write;
use crate::base::error::{Error, Result};
use crate::crypto::HashKey;
use crate::domain::app::App;
use crate::domain::idempotency::{Earlier, IdempotencyKey};
use crate::http::routes::Access;

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    location: Option<String>,
    body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl Kept {
    fn of(answer: &Answer) -> Vec<u8> {
        let body = answer.kept.as_ref().unwrap_or(&answer.body);
        let location = answer.headers.iter().find(|(name, _)| *name == "location");
        let kept = Kept {
            location: location.map(|(_, value)| value.clone()),
            body: String::from_utf8_lossy(body).into_owned(),
            until: answer.until,
        };
        serde_json::to_vec(&kept).expect("two texts are always JSON")
    }

    fn answer(self, status: u16) -> Answer {
        let answer = Answer::text("application/json", self.body).status(status);
        match self.location {
            Some(location) => answer.header("location", location),
            None => answer,
        }
    }
}

impl Call {
    /// Reserves the request's idempotency key, if it has one; the kept answer, if it was
    /// carried out before.
    pub(super) async fn check_once(&mut self, app: &App) -> Result<Option<Answer>> {
        let name = self.request.headers().get("idempotency-key");
        let (true, Some(name)) = (self.route.once, name) else {
            return Ok(None);
        };
        let name = name.as_bytes();
        if !(1..=255).contains(&name.len()) || !name.iter().all(|byte| matches!(byte, b' '..=b'~'))
        {
            return Err(Error::field(
                "Idempotency-Key",
                "format",
                "must be 1 to 255 printable ASCII characters",
            ));
        }
        let once = self.once_of(app, name).await?;
        let earlier = app.store.reserve(&once, app.clock.now()).await?;
        match earlier {
            Earlier::None => {
                self.once = Some(once);
                Ok(None)
            }
            Earlier::Other => Err(Error::field(
                "Idempotency-Key",
                "reused",
                "was already used for a different request",
            )),
            Earlier::Running => Err(Error::Conflict {
                code: "running",
                detail: "A request with this Idempotency-Key is still in progress.",
            }),
            Earlier::Answered(status, kept) => {
                let kept: Kept = serde_json::from_slice(&kept)
                    .map_err(|_| Error::Corrupt("a kept answer is not as it was written".into()))?;
                if kept.until.is_some_and(|until| until <= app.clock.now()) {
                    self.earlier = serde_json::from_str(&kept.body).ok();
                    return Ok(None);
                }
                Ok(Some(kept.answer(status)))
            }
        }
    }

    /// This request under an idempotency key: who asks for what, where and how.
    async fn once_of(&self, app: &App, name: &[u8]) -> Result<IdempotencyKey> {
        let (_, path) = self.asked();
        let query = self.request.query_string_parameters_ref();
        let mut query: Vec<_> = query.iter().flat_map(|query| query.iter()).collect();
        query.sort_unstable();
        let (query, body) = (json!(query).to_string(), self.body.to_string());
        let request = [self.route.key, path, &query, &body].map(str::as_bytes);
        Ok(match self.route.access {
            Access::Key(_) => {
                let keys = app.keyring.tenant(self.tenant()).await?;
                IdempotencyKey::new(&keys.hash, &self.by(), name, &request)
            }
            Access::Operator | Access::Public => {
                IdempotencyKey::new(&HashKey::of_operator(), "operator", name, &request)
            }
        })
    }

    /// The request under its idempotency key, once that is reserved.
    pub fn once(&self) -> Option<&IdempotencyKey> {
        self.once.as_ref()
    }

    /// What the same request was answered before, where that has run out since.
    pub fn earlier(&self) -> Option<&Value> {
        self.earlier.as_ref()
    }

    /// Adds to a transaction that its answer is kept for a repetition. So a request that
    /// took effect is never carried out again, whatever became of its answer.
    pub fn kept_with<W: From<Write>>(&self, mut answer: Answer, writes: &mut Vec<W>) -> Answer {
        if let Some(once) = &self.once {
            writes.push(once.answer_write(answer.status, &Kept::of(&answer)).into());
            answer.stands = true;
        }
        answer
    }

    /// Keeps an answer for a repetition.
    pub(super) async fn keep(app: &App, once: &IdempotencyKey, answer: Answer) -> Result<Answer> {
        let kept = Kept::of(&answer);
        app.store.keep_answer(once, answer.status, &kept).await?;
        Ok(answer)
    }

    /// Frees the key of a request that changed nothing. Should that fail as well, it frees
    /// itself after half a minute.
    pub(super) async fn release(app: &App, once: &IdempotencyKey) {
        let _busy = app.store.release(once).await;
    }
}
