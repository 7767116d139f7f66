//! Values held in memory for a minute: how long a change may take to be in force
//! everywhere, and how long a tenant's keys may lie in the clear. Pure but for its lock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, RwLock};

use jiff::{SignedDuration, Timestamp};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// A cache whose entries are good for 60 seconds. Clones share it.
pub struct Held<K, V>(Arc<RwLock<HashMap<K, Entry<V>>>>);

struct Entry<V> {
    read_at: Timestamp,
    value: V,
}

impl<V> Entry<V> {
    /// A clock that was set back makes an entry old as well.
    fn fresh(&self, now: Timestamp) -> bool {
        now >= self.read_at && now.duration_since(self.read_at) < MINUTE
    }
}

impl<K, V> Clone for Held<K, V> {
    fn clone(&self) -> Held<K, V> {
        Held(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Held<K, V> {
        Held(Arc::default())
    }
}

impl<K: Hash + Eq, V: Clone> Held<K, V> {
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let entries = self.0.read().expect("no holder panics");
        entries
            .get(key)
            .filter(|entry| entry.fresh(now))
            .map(|entry| entry.value.clone())
    }

    /// Holds a value, and drops what has run out: nothing outstays its minute for want of
    /// a reader.
    pub fn put(&self, key: K, value: V, now: Timestamp) {
        let mut entries = self.0.write().expect("no holder panics");
        entries.retain(|_, entry| entry.fresh(now));
        entries.insert(
            key,
            Entry {
                read_at: now,
                value,
            },
        );
    }

    /// Drops the entries for which this holds.
    pub fn forget(&self, which: impl Fn(&K) -> bool) {
        self.0
            .write()
            .expect("no holder panics")
            .retain(|key, _| !which(key));
    }
}
