//! Answers kept for `Idempotency-Key`: a day, sealed, since an answer may name people.

use jiff::{SignedDuration, Timestamp};

use super::keys::{self, ONCE};
use super::{Item, Refusal, Store, Write};
use crate::error::Result;
use crate::id::{KeyedHash, Tenant};
use crate::vault::Sealed;

const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long a request that never ended keeps others out.
const RUNNING: SignedDuration = SignedDuration::from_secs(30);

/// What stands under an idempotency key.
pub enum Earlier {
    /// Nothing: it is now reserved for this request.
    None,
    /// The same key came with another request.
    Other,
    /// The same request still runs.
    Running,
    /// The same request was answered: status and sealed answer.
    Answered(u16, Sealed),
}

impl Store {
    /// Reserves an idempotency key for a request, or says what it led to before.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], as everywhere below.
    pub async fn reserve(
        &self,
        tenant: Tenant,
        key: KeyedHash,
        request: KeyedHash,
        now: Timestamp,
    ) -> Result<Earlier> {
        let row = Item::new(&keys::once(tenant, key), ONCE)
            .with("fingerprint", request.to_string())
            .with("held_until", now + RUNNING)
            .with("expires_at", (now + KEPT).as_second());
        let write = Write::put(row)
            .only_if("attribute_not_exists(PK) OR expires_at <= :second OR (attribute_not_exists(answer) AND held_until <= :now AND fingerprint = :request)")
            .value(":second", now.as_second())
            .value(":now", now)
            .value(":request", request.to_string());
        let Err(Refusal::Condition { row, .. }) = self.write(write).await? else {
            return Ok(Earlier::None);
        };
        let row = row.unwrap_or_default();
        Ok(
            match (
                row.text("fingerprint")? == request.to_string(),
                row.sealed("answer"),
            ) {
                (false, _) => Earlier::Other,
                (true, None) => Earlier::Running,
                (true, Some(answer)) => {
                    Earlier::Answered(u16::try_from(row.count("status")).unwrap_or(200), answer)
                }
            },
        )
    }

    /// Keeps the answer to a request.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    pub async fn keep_answer(
        &self,
        tenant: Tenant,
        key: KeyedHash,
        status: u16,
        answer: Sealed,
    ) -> Result<()> {
        let expression = "SET answer = :answer, #status = :status";
        let write = Write::update(&keys::once(tenant, key), ONCE, expression)
            .only_if("attribute_exists(PK)")
            .name("#status", "status")
            .value(":answer", answer)
            .value(":status", u64::from(status));
        // Refused: a day has passed meanwhile, and the row with it.
        let _gone = self.write(write).await?;
        Ok(())
    }

    /// Gives an idempotency key free again: its request changed nothing.
    ///
    /// # Errors
    /// As [`Store::reserve`].
    pub async fn release(&self, tenant: Tenant, key: KeyedHash) -> Result<()> {
        let write =
            Write::delete(&keys::once(tenant, key), ONCE).only_if("attribute_not_exists(answer)");
        let _answered = self.write(write).await?;
        Ok(())
    }
}
