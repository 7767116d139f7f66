//! How long deleted data remains recoverable, and the delays that every such bound includes.
//! The only place that defines them.

use jiff::{SignedDuration, Timestamp};

use crate::base::config::Config;

/// How long a tombstone and a finished job are kept: as long as a backup could restore
/// anything of the life.
pub const KEPT: SignedDuration = days(35);
/// How late TTL may delete a row (Amazon DynamoDB Developer Guide, "Using time to live").
pub const TTL_DELAY: SignedDuration = days(2);
/// How late AWS Backup may delete a recovery point: some hours.
pub const BACKUP_DELAY: SignedDuration = days(1);
/// How late a job that names a life may finish after the life's erasure. A re-keying notices
/// last: its turn may be a day ahead.
pub const LATE_JOBS: SignedDuration = days(2);

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// Until when backups could restore erased data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearBy {
    /// For sealed data: until the keyring cannot be recovered with its key any more.
    pub sealed: Timestamp,
    /// For rows that name the pseudonym: until the last job that names it has left the table
    /// and `records` cannot be recovered with it any more.
    pub pseudonymous: Timestamp,
}

impl Config {
    /// From the recovery windows in force. `unreadable_at`: when the last key was deleted;
    /// `erased_at`: when the last row was deleted.
    pub fn backups_clear_by(&self, unreadable_at: Timestamp, erased_at: Timestamp) -> ClearBy {
        let records = days(self.records_recovery_days.into()) + BACKUP_DELAY;
        ClearBy {
            sealed: unreadable_at + days(self.keyring_recovery_days.into()),
            pseudonymous: erased_at + LATE_JOBS + KEPT + TTL_DELAY + records,
        }
    }
}
