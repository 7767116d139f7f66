//! An in-memory cache with expiry. Its times bound how long a change takes to be in force
//! everywhere, and how long a tenant's keys stay in memory. Pure, except for its lock and its
//! randomness.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, RwLock};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How long an API key and a tenant's settings are cached. A revoked key works for up to this
/// long.
pub const SETTINGS_HELD: SignedDuration = SignedDuration::from_secs(60);
/// The longest time that a tenant's keys are cached. Removed keys work for up to this long.
pub const TENANT_KEYS_HELD: SignedDuration = SignedDuration::from_mins(15);
/// The shortest time. Each entry's time is random, so that instances do not call KMS all at
/// once.
const TENANT_KEYS_HELD_FOR: SignedDuration = SignedDuration::from_mins(5);

/// A cache. Clones share their entries.
pub struct TtlCache<K, V> {
    entries: Arc<RwLock<HashMap<K, Entry<V>>>>,
    /// Each value is cached for a random time between these.
    between: [SignedDuration; 2],
}

struct Entry<V> {
    read_at: Timestamp,
    good_for: SignedDuration,
    value: V,
}

impl<V> Entry<V> {
    /// A clock that was set back also expires an entry.
    fn fresh(&self, now: Timestamp) -> bool {
        now >= self.read_at && now.duration_since(self.read_at) < self.good_for
    }
}

impl<K, V> Clone for TtlCache<K, V> {
    fn clone(&self) -> TtlCache<K, V> {
        TtlCache {
            entries: Arc::clone(&self.entries),
            between: self.between,
        }
    }
}

impl<K: Hash + Eq, V: Clone> TtlCache<K, V> {
    /// For API keys and settings.
    pub fn settings() -> TtlCache<K, V> {
        TtlCache::between(SETTINGS_HELD, SETTINGS_HELD)
    }

    /// For the keys of tenants.
    pub fn tenant_keys() -> TtlCache<K, V> {
        TtlCache::between(TENANT_KEYS_HELD_FOR, TENANT_KEYS_HELD)
    }

    fn between(shortest: SignedDuration, longest: SignedDuration) -> TtlCache<K, V> {
        TtlCache {
            entries: Arc::default(),
            between: [shortest, longest],
        }
    }

    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let entries = self.entries.read().expect("no holder panics");
        entries
            .get(key)
            .filter(|entry| entry.fresh(now))
            .map(|entry| entry.value.clone())
    }

    /// Caches a value and drops expired entries, so that none outlives its time for lack of a
    /// reader.
    pub fn put(&self, key: K, value: V, now: Timestamp) {
        let [shortest, longest] = self.between;
        let dice = i32::from(Uuid::new_v4().as_bytes()[0]);
        let entry = Entry {
            read_at: now,
            good_for: shortest + (longest - shortest) * dice / 255,
            value,
        };
        let mut entries = self.entries.write().expect("no holder panics");
        entries.retain(|_, entry| entry.fresh(now));
        entries.insert(key, entry);
    }

    /// Drops the entries whose keys match.
    pub fn forget(&self, which: impl Fn(&K) -> bool) {
        self.entries
            .write()
            .expect("no holder panics")
            .retain(|key, _| !which(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_keys_are_held_for_five_to_fifteen_minutes_and_not_all_for_as_long() {
        let held = TtlCache::tenant_keys();
        let now = Timestamp::UNIX_EPOCH;
        for key in 0..100 {
            held.put(key, (), now);
        }
        let left = |after: SignedDuration| {
            let there = |key: &i32| held.get(key, now + after).is_some();
            (0..100).filter(there).count()
        };
        let second = SignedDuration::from_secs(1);
        assert_eq!(left(TENANT_KEYS_HELD_FOR - second), 100);
        assert!((1..100).contains(&left(SignedDuration::from_mins(10))));
        assert_eq!(left(TENANT_KEYS_HELD), 0);
        assert_eq!(left(-second), 0, "a clock that was set back");
    }
}
