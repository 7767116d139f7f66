//! The counters of a replay, for what it found and for what it did.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Rows and objects read.
    pub seen: u64,
    /// Surviving lives, as far as either table knows, before any change.
    pub lives: u64,
    /// Those of them that end.
    pub erased: u64,
    /// Those of them that were held: nothing is left that a hold could preserve.
    pub holds_lost: u64,
    /// Ended lives with remaining data.
    pub orphans_removed: u64,
    /// Rows of surviving lives that are sealed under a deleted key.
    pub unreadable_removed: u64,
    /// Lookups of ended lives.
    pub lookups_removed: u64,
    /// Doors whose rules version differed from the keyring's.
    pub rules_versions_repaired: u64,
    /// Rules that one of the tables did not have, or had no longer.
    pub rules_reapplied: u64,
    /// Doors that gained or lost an expiry.
    pub ends_repaired: u64,
    pub expiry_entries_repaired: u64,
    /// People whose own row cannot be read any more: their life survives without a name.
    pub people_repaired: u64,
    /// Re-keyings that were completed, or that got another job.
    pub rekeyings_repaired: u64,
    /// Lives with redacted files that were not purged yet.
    pub purges_repaired: u64,
    /// Keys of tenants that have left.
    pub tenant_keys_removed: u64,
    /// Tenants that have left, and are offboarded again.
    pub tenants_left: u64,
    /// Tenants that one of the tables does not know: they have to be re-created.
    pub tenants_unknown: u64,
}

impl Tally {
    /// The share of all lives that end.
    pub fn share(&self) -> f64 {
        match self.lives {
            0 => 0.0,
            // Precise enough for any number of people.
            lives => self.erased as f64 / lives as f64,
        }
    }
}
