//! Until when something deleted can still be had, and the delays that every such bound allows
//! for. The only place that names them.

use jiff::{SignedDuration, Timestamp};

use crate::base::config::Config;

/// How long a tombstone and a finished job are kept: as long as a backup could bring back
/// anything of the life.
pub const KEPT: SignedDuration = days(35);
/// How late TTL may delete a row (Amazon DynamoDB Developer Guide, "Using time to live").
pub const TTL_DELAY: SignedDuration = days(2);
/// How late AWS Backup may delete a recovery point: some hours.
pub const BACKUP_DELAY: SignedDuration = days(1);
/// How late a job that names a life may finish after the life's erasure. A re-keying is
/// the last to notice: its turn may be a day ahead.
pub const LATE_JOBS: SignedDuration = days(2);

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Until when backups could bring back what an erasure removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearBy {
    /// What was sealed: until the keyring can no longer be recovered with its key in it.
    pub sealed: Timestamp,
    /// Rows that name the pseudonym: until the last job that names it has left the table,
    /// and the records can no longer be recovered with it.
    pub pseudonymous: Timestamp,
}

impl Config {
    /// By the recovery windows in force. `unreadable_at`: when the last key was deleted;
    /// `erased_at`: when the last row was.
    pub fn backups_clear_by(&self, unreadable_at: Timestamp, erased_at: Timestamp) -> ClearBy {
        let records = days(self.records_recovery_days.into()) + BACKUP_DELAY;
        ClearBy {
            sealed: unreadable_at + days(self.keyring_recovery_days.into()),
            pseudonymous: erased_at + LATE_JOBS + KEPT + TTL_DELAY + records,
        }
    }
}
