//! How far an erasure is, as its job keeps it from turn to turn. Pure: counts and names, no
//! steps.

use crate::proof::merkle::Tree;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far an erasure is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The lives that have ended are noted outside of the tables.
    #[serde(default)]
    pub in_ledger: bool,
    /// How often everything has been gone through.
    pub pass: u32,
    /// When this pass began.
    pub began: Option<Timestamp>,
    /// What this pass has found so far: one that found nothing is the last.
    pub found: u64,
    /// Which life it is at.
    pub life: usize,
    /// The bucket may hold something of these lives: it is asked about each.
    #[serde(default)]
    pub objects: bool,
    pub within: Within,
    /// Since when a store has not done what it should.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// How far the erasure of a whole tenant is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
}

/// What is removed from, in this order: rows last, since they lead to everything else.
pub const STORES: [&str; 3] = ["attachments", "exports", "records"];

/// How far the removal is within one life, or within all of a tenant's objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Within {
    /// Which of the [`STORES`].
    pub store: usize,
    /// Up to and including which key everything is counted.
    pub counted: Option<String>,
}

impl Within {
    pub fn store(&self) -> &'static str {
        STORES.get(self.store).copied().unwrap_or("records")
    }

    pub fn next_store(&mut self) {
        self.store += 1;
        self.counted = None;
    }

    /// How many of these sorted keys have not been counted yet. Marks them as counted.
    pub fn count(&mut self, keys: &[&str]) -> u64 {
        let counted = self.counted.as_deref();
        let new = keys.iter().filter(|key| Some(**key) > counted).count();
        if let Some(last) = keys.last().filter(|last| Some(**last) > counted) {
            self.counted = Some((*last).to_owned());
        }
        new as u64
    }
}

/// How far the leaving is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Leaving {
    pub stage: Stage,
    /// The shard of `due` that is gone through.
    pub shard: u8,
    /// Which life it is at, and whether that one is counted already.
    #[serde(default)]
    pub at: Option<String>,
    #[serde(default)]
    pub counted: bool,
    /// The lives erased so far, as the receipt will name them.
    pub lives: Tree,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody is held, or can be from here on. Until then it can be taken back.
    #[default]
    Holds,
    /// Nobody may call any more.
    Keys,
    /// What was sealed cannot be opened any more.
    TenantKey,
    People,
    Rest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_before_a_crash_is_not_counted_again() {
        let mut place = Within::default();
        assert_eq!(place.count(&["a", "b", "c"]), 3);
        // The crash left "c", and the page holds more now.
        assert_eq!(place.count(&["c", "d", "e"]), 2);
        assert_eq!(place.count(&["b"]), 0);
        assert_eq!(place.counted.as_deref(), Some("e"));
        place.next_store();
        assert_eq!(place.count(&["a"]), 1);
    }
}
