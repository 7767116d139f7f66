//! Answers kept for `Idempotency-Key`: a day, sealed, since an answer may name people.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

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

/// Keeps the answer to a request, as part of the transaction that the answer is about: what
/// has happened is then never done again.
pub fn answer_write(tenant: Tenant, key: KeyedHash, status: u16, answer: Sealed) -> Write {
    let expression = "SET answer = :answer, #status = :status";
    Write::update(&keys::once(tenant, key), ONCE, expression)
        .only_if("attribute_exists(PK) AND attribute_not_exists(answer)")
        .name("#status", "status")
        .value(":answer", answer)
        .value(":status", u64::from(status))
        .or_fault("the same request was answered meanwhile")
}

/// Notes that a part of a request is done, and what came of it, in the transaction that does
/// it. Refused when it was done before.
pub fn part_write(
    tenant: Tenant,
    key: KeyedHash,
    part: &str,
    outcome: &str,
    now: Timestamp,
) -> Write {
    let row = Item::new(&keys::once(tenant, key), &keys::part(part))
        .with("outcome", outcome)
        .with("expires_at", (now + KEPT).as_second());
    Write::put(row)
        .only_if("attribute_not_exists(PK) OR expires_at <= :second")
        .value(":second", now.as_second())
}

impl Store {
    /// What came of a part of a request that was done before.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`], as everywhere below.
    pub async fn part(
        &self,
        tenant: Tenant,
        key: KeyedHash,
        part: &str,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let row = self
            .get(&keys::once(tenant, key), &keys::part(part))
            .await?;
        let kept = |row: &Item| row.try_number("expires_at") > Some(now.as_second());
        let row = row.filter(kept);
        row.map(|row| Ok(row.text("outcome")?.to_owned()))
            .transpose()
    }

    /// Reserves an idempotency key for a request, or says what it led to before.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub async fn reserve(
        &self,
        tenant: Tenant,
        key: KeyedHash,
        request: KeyedHash,
        now: Timestamp,
    ) -> Result<Earlier> {
        let row = Item::new(&keys::once(tenant, key), ONCE)
            // Tells two of the same millisecond apart.
            .with("holder", Uuid::new_v4().to_string())
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

    /// Keeps the answer to a request that changed nothing in one transaction.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub async fn keep_answer(
        &self,
        tenant: Tenant,
        key: KeyedHash,
        status: u16,
        answer: Sealed,
    ) -> Result<()> {
        // Refused: it was answered meanwhile, or a day has passed and the row with it.
        let _gone = self
            .write(answer_write(tenant, key, status, answer))
            .await?;
        Ok(())
    }

    /// Gives an idempotency key free again: its request changed nothing.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub async fn release(&self, tenant: Tenant, key: KeyedHash) -> Result<()> {
        let write =
            Write::delete(&keys::once(tenant, key), ONCE).only_if("attribute_not_exists(answer)");
        let _answered = self.write(write).await?;
        Ok(())
    }
}
