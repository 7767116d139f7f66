//! Why what is redacted goes from backups too, and when. A redaction sees to it that its
//! life is re-keyed: all that is left is sealed anew, and the key that the redacted was
//! sealed under is deleted. So does a correction that takes a value away, and a consent's
//! withdrawal; what events replace goes with the life. Owns when; the worker in `delete`
//! does the work.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::id::TenantId;
use crate::domain::app::App;
use crate::domain::jobs::{Job, JobKind, Work};
use crate::domain::keyring::{self, Entry, Living, Rekey};
use crate::domain::keys::LifeKey;
use crate::domain::life::door::LifeWrite;

/// What is redacted in one sitting, or by the turns of one job, goes with one re-keying.
const SITTING: SignedDuration = SignedDuration::from_mins(15);
/// From the beginning of one re-keying to that of the next: each rewrites a whole life.
const APART: SignedDuration = SignedDuration::from_hours(24);
/// A re-keying that begins is done by then, whatever may hold it up.
const DONE_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// A re-keying, as its job keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rekeying {
    /// The life's partition.
    life: String,
}

/// How far a re-keying is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The row to go on after.
    pub after: Option<String>,
    /// Rows under an old key were found since the first of them was looked at.
    pub found: bool,
}

impl Work for Rekeying {
    type Progress = Progress;
    type Outcome = ();
}

impl Rekeying {
    pub fn job(life: &LifeKey, now: Timestamp) -> Job<Rekeying> {
        let (kind, subjects) = (JobKind::Rekey, vec![life.subject]);
        let spec = Rekeying {
            life: life.partition(),
        };
        Job::new(life.tenant, kind, subjects, spec, now)
    }

    /// # Errors
    /// [`Error::Corrupt`] when the job is not as it was written.
    pub fn life(&self) -> Result<LifeKey> {
        let broken = || Error::Corrupt("a re-keying is not as it was written".into());
        LifeKey::parse(&self.life).ok_or_else(broken)
    }
}

/// The writes that schedule a re-keying of a life after data was removed from it. Part of the
/// transaction that removes the data, which passes the door. Empty if a re-keying is already
/// scheduled: once that begins, the rules version differs, and the transaction is refused.
pub fn rekey_writes(living: &Living, now: Timestamp) -> Vec<LifeWrite> {
    if living.rekey.is_some() {
        return Vec::new();
    }
    let life = &living.key;
    let earliest = living.rekeyed_at.map_or(now, |at| at + APART);
    let at = earliest.max(now + SITTING);
    let mut job = Rekeying::job(life, now);
    let rekey = Rekey {
        job: job.key.id,
        at,
    };
    vec![
        keyring::rekey_later_write(living, rekey).into(),
        job.begin_later(at).into(),
    ]
}

/// From when on no backup can be read for data redacted so far in these lives; `None` without
/// lives.
///
/// # Errors
/// [`crate::base::error::Error::Unavailable`] when a store does not answer.
pub async fn clear_by(app: &App, tenant: TenantId, lives: &[LifeKey]) -> Result<Option<Timestamp>> {
    let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
    let entries = app.keyring.entries(tenant, &subjects).await?;
    let now = app.clock.now();
    let gone_by = |life: &LifeKey| {
        let entry = entries.get(&life.subject).filter(|it| it.key == *life);
        let gone = key_gone_by(entry, now);
        app.config.backups_clear_by(gone, gone).sealed
    };
    Ok(lives.iter().map(gone_by).max())
}

/// When the keyring has deleted every key under which redacted data is sealed.
fn key_gone_by(entry: Option<&Entry>, now: Timestamp) -> Timestamp {
    let Some(entry) = entry else {
        // All keys were deleted with their life.
        return now;
    };
    let begun = entry.rekeyed_at.filter(|_| entry.rekeying());
    match (entry.rekey, begun) {
        (Some(rekey), _) => rekey.at.max(now) + DONE_WITHIN,
        (None, Some(begun)) if begun + DONE_WITHIN > now => begun + DONE_WITHIN,
        // Delayed for longer than expected.
        (None, Some(_)) => now + DONE_WITHIN,
        (None, None) => entry.retired_at.unwrap_or(now),
    }
}
