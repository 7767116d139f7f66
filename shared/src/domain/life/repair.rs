//! A life's rows after a restore: what brings the door to the keyring, and what removes rows
//! that nobody can open. For the replay alone, which runs while nobody else writes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::aws::dynamo::{Item, Store, Write};
use crate::base::error::Result;
use crate::domain::keys::{self, DOOR, LifeKey, RESTORED};

/// What changes on a door.
#[derive(Default)]
pub struct DoorRepair {
    pub rules_version: Option<u64>,
    /// Another end, or none while a rule pauses expiry.
    pub end: Option<Option<Timestamp>>,
    /// The last visit goes, since nobody can read it; the generation of what comes next.
    pub visit: Option<u64>,
}

impl DoorRepair {
    /// The change of a door that was read at this rules version, if there is any.
    pub fn write(self, life: &LifeKey, before: u64) -> Option<Write> {
        if self.rules_version.is_none() && self.end.is_none() && self.visit.is_none() {
            return None;
        }
        let mut write = Write::update(&life.partition(), DOOR)
            .set_some("rules_version", self.rules_version)
            .if_is("rules_version", before);
        if let Some(end) = self.end {
            write = write.set_or_remove("expires_at", end.map(Timestamp::as_second));
        }
        if let Some(generation) = self.visit {
            write = write.set("key", generation).remove(&["network", "device"]);
        }
        Some(write)
    }
}

/// Ends a life whose keys are deleted, and records that it was handed to an erasure.
pub fn end_writes(life: &LifeKey) -> [Write; 2] {
    let partition = life.partition();
    [
        Write::delete(&partition, DOOR),
        Write::put(Item::new(&partition, RESTORED)).only_new(),
    ]
}

/// Deletes a row of a list or a lookup.
pub fn remove_write(row: &Item) -> Write {
    Write::delete(row.partition(), row.sort())
}

/// Deletes records of a life, each with the name of its counter, and decrements the counts of
/// the door and of their conversations.
///
/// # Errors
/// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer.
pub async fn remove_writes(
    store: &Store,
    life: &LifeKey,
    records: &[(&Item, &str)],
) -> Result<Vec<Write>> {
    let partition = life.partition();
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut conversations: BTreeMap<String, i64> = BTreeMap::new();
    let mut writes = Vec::new();
    for (row, count) in records {
        *counts.entry(count).or_default() -= 1;
        if let Some(message) = keys::parse_message(row.sort()) {
            let conversation = keys::conversation(message.conversation);
            *conversations.entry(conversation).or_default() -= 1;
        }
        writes.push(Write::delete(&partition, row.sort()).if_there());
    }
    conversations.retain(|sort, _| !records.iter().any(|(row, _)| row.sort() == sort));
    let wanted: Vec<_> = conversations
        .keys()
        .map(|sort| (partition.clone(), sort.clone()))
        .collect();
    for row in store.get_many(&wanted).await? {
        let fewer = conversations.get(row.sort()).copied().unwrap_or(0);
        writes.push(Write::update(&partition, row.sort()).add("messages", fewer));
    }
    let door = Write::update(&partition, DOOR).if_there();
    let counts = counts.into_iter();
    writes.push(counts.fold(door, |door, (name, fewer)| door.add(name, fewer)));
    Ok(writes)
}
