//! What is kept of requests for `Idempotency-Key`, for a day. Owns its rows, and that nobody
//! reads them but who sends the same request again.
//!
//! An answer may repeat the caller's words and outlives the person that it is about. So it
//! is sealed under a key made of the request itself and its idempotency key, neither of
//! which is kept: the tenant's keys alone open nothing of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::aws::dynamo::{Item, Refusal, Store, Write};
use crate::base::error::{Error, Result};
use crate::crypto::{Aad, HashKey, Sealed};
use crate::domain::keys::{self, ONCE};

const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long a request that never ended keeps others out.
const RUNNING: SignedDuration = SignedDuration::from_secs(30);

/// A request under its idempotency key.
#[derive(Clone)]
pub struct IdempotencyKey {
    partition: String,
    /// Made of the whole request: names and seals what is kept of it.
    hash: Arc<HashKey>,
}

/// What is kept under an idempotency key.
pub enum Earlier {
    /// Nothing: it is now reserved for this request.
    None,
    /// The same key came with another request.
    Other,
    /// The same request still runs.
    Running,
    /// The same request was answered: status and answer.
    Answered(u16, Zeroizing<Vec<u8>>),
}

impl IdempotencyKey {
    /// `by`: who asks; `name`: the idempotency key; `request`: all that makes a request
    /// another one.
    pub fn new(hash: &HashKey, by: &str, name: &[u8], request: &[&[u8]]) -> IdempotencyKey {
        let whole = [&[by.as_bytes(), name], request].concat();
        IdempotencyKey {
            partition: keys::once(hash.owner(), hash.hash("once", &[by.as_bytes(), name])),
            hash: Arc::new(hash.within("request", &whole)),
        }
    }

    fn place<'a>(&'a self, row: &'a str) -> Aad<'a> {
        Aad {
            partition: &self.partition,
            row,
            part: "answer",
        }
    }

    fn seal(&self, row: &str, plain: &[u8]) -> Sealed {
        self.hash.sealing().seal(self.place(row), plain)
    }

    fn open(&self, row: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        Ok(self.hash.sealing().open(self.place(row), sealed)?)
    }

    /// Tells this request from others under the same idempotency key.
    fn fingerprint(&self) -> String {
        self.hash.hash("fingerprint", &[]).to_string()
    }

    fn part(&self, part: &str) -> String {
        keys::part(self.hash.hash("part", &[part.as_bytes()]))
    }

    /// Keeps the answer to the request, as part of the transaction that the answer is about:
    /// what has happened is then never done again.
    pub fn answer_write(&self, status: u16, answer: &[u8]) -> Write {
        Write::update(&self.partition, ONCE)
            .set("answer", self.seal(ONCE, answer))
            .set("status", u64::from(status))
            .if_there()
            .if_none("answer")
            .or_fault("the same request was answered meanwhile")
    }

    /// Notes that a part of the request is done, and what came of it, in the transaction
    /// that does it. Refused when it was done before.
    pub fn part_write(&self, part: &str, outcome: &str, now: Timestamp) -> Write {
        let sort = self.part(part);
        let row = Item::new(&self.partition, &sort)
            .with("answer", self.seal(&sort, outcome.as_bytes()))
            .with("expires_at", (now + KEPT).as_second());
        Write::put(row)
            .only_if("attribute_not_exists(PK) OR expires_at <= :second")
            .value(":second", now.as_second())
    }
}

fn broken() -> Error {
    Error::Corrupt("what is kept of a request is not as it was written".into())
}

impl Store {
    /// What came of a part of a request that was done before.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`], as everywhere below.
    pub async fn part(
        &self,
        once: &IdempotencyKey,
        part: &str,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let sort = once.part(part);
        let row = self.get(&once.partition, &sort).await?;
        let kept = |row: &Item| row.try_number("expires_at") > Some(now.as_second());
        let Some(row) = row.filter(kept) else {
            return Ok(None);
        };
        let outcome = once.open(&sort, &row.sealed("answer").ok_or_else(broken)?)?;
        let outcome = std::str::from_utf8(&outcome).map_err(|_| broken())?;
        Ok(Some(outcome.to_owned()))
    }

    /// Reserves an idempotency key for a request, or says what it led to before.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub async fn reserve(&self, once: &IdempotencyKey, now: Timestamp) -> Result<Earlier> {
        let request = once.fingerprint();
        let row = Item::new(&once.partition, ONCE)
            // Tells two of the same millisecond apart.
            .with("holder", Uuid::new_v4().to_string())
            .with("fingerprint", request.as_str())
            .with("held_until", now + RUNNING)
            .with("expires_at", (now + KEPT).as_second());
        let write = Write::put(row)
            .only_if("attribute_not_exists(PK) OR expires_at <= :second OR (attribute_not_exists(answer) AND held_until <= :now AND fingerprint = :request)")
            .value(":second", now.as_second())
            .value(":now", now)
            .value(":request", request.as_str());
        let Err(Refusal::Condition { row, .. }) = self.write(write).await? else {
            return Ok(Earlier::None);
        };
        let row = row.unwrap_or_default();
        if row.text("fingerprint")? != request {
            return Ok(Earlier::Other);
        }
        let Some(answer) = row.sealed("answer") else {
            return Ok(Earlier::Running);
        };
        let status = u16::try_from(row.count("status")).map_err(|_| broken())?;
        Ok(Earlier::Answered(status, once.open(ONCE, &answer)?))
    }

    /// Keeps the answer to a request that changed nothing in one transaction.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub async fn keep_answer(
        &self,
        once: &IdempotencyKey,
        status: u16,
        answer: &[u8],
    ) -> Result<()> {
        // Refused: it was answered meanwhile, or a day has passed and the row with it.
        let _gone = self.write(once.answer_write(status, answer)).await?;
        Ok(())
    }

    /// Gives an idempotency key free again: its request changed nothing.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub async fn release(&self, once: &IdempotencyKey) -> Result<()> {
        let write = Write::delete(&once.partition, ONCE).only_if("attribute_not_exists(answer)");
        let _answered = self.write(write).await?;
        Ok(())
    }
}
