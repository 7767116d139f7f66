//! A person's row as it becomes another: by a correction, or by the withdrawal of a consent.

use jiff::Timestamp;

use crate::crypto::HashKey;
use crate::domain::keyring::Living;
use crate::domain::life::door::LifeWrite;
use crate::domain::life::rekey::rekey_writes;
use crate::domain::people::lookups;
use crate::domain::records::rows::Person;

/// The writes that bring a person from one state to another: their row, the lookups that find
/// them and, where something is lost, the re-keying that takes it out of the backups.
pub fn writes(
    living: &Living,
    hash: &HashKey,
    before: &Person,
    after: &Person,
    now: Timestamp,
) -> Vec<LifeWrite> {
    let mut writes = vec![after.replace(living, before.rev)];
    writes.extend(lookups::change_writes(hash, &living.key, before, after));
    if before.loses(after) {
        writes.extend(rekey_writes(living, now));
    }
    writes
}
