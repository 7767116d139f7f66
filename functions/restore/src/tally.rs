//! What a replay has found, or done: the same numbers for both.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Rows and objects looked at.
    pub seen: u64,
    /// Lives that go on, as far as either table may know, before anything is changed.
    pub lives: u64,
    /// Those of them that end.
    pub erased: u64,
    /// Those of them that were held: there is nothing left that a hold could keep.
    pub holds_lost: u64,
    /// Lives that are over already, and that something is left of.
    pub orphans_removed: u64,
    /// Rows sealed under a key that is gone, of lives that go on.
    pub unreadable_removed: u64,
    /// Lookups that lead to lives that are over.
    pub lookups_removed: u64,
    /// Doors whose rules version was another than the keyring's.
    pub rules_versions_repaired: u64,
    /// Rules that one of the tables did not know, or knew no longer.
    pub rules_reapplied: u64,
    /// Doors that had no end and get one, or the other way round.
    pub ends_repaired: u64,
    pub expiry_entries_repaired: u64,
    /// People of whom nothing can be read any more but what lies beside: they go on without
    /// a name.
    pub people_repaired: u64,
    /// Re-keyings that were under way and are brought to their end, or were to come and get
    /// another job.
    pub rekeyings_repaired: u64,
    /// Lives with redacted files that had yet to go.
    pub purges_repaired: u64,
    /// Keys of tenants that have left.
    pub tenant_keys_removed: u64,
    /// Tenants that have left, and leave again.
    pub tenants_left: u64,
    /// Tenants that one of the tables knows nothing of: they have to be made anew.
    pub tenants_unknown: u64,
}

impl Tally {
    /// Which part of all lives ends.
    pub fn share(&self) -> f64 {
        match self.lives {
            0 => 0.0,
            // As exact as it needs to be for any number of people.
            lives => self.erased as f64 / lives as f64,
        }
    }
}
