//! Repairs a surviving life: makes door, keyring and lists consistent, and re-creates rows
//! that a life needs. One transaction for each person.

use jiff::{SignedDuration, Timestamp};
use shared::aws::dynamo::{Item, Write};
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::keyring::{Entry, Living};
use shared::domain::keys::{DOOR, EXPIRY, PERSON};
use shared::domain::life::door::{Door, expires_at, expiry_entry_write};
use shared::domain::life::repair::DoorRepair;
use shared::domain::records::rows::Person as PersonRow;

use crate::Replay;
use crate::handover::carry_out;
use crate::order::{Moments, Restored};
use crate::people::Person;
use crate::rekeying;
use crate::tally::Tally;

/// Retention where the tenant's settings are lost with the tenant: the longest possible.
const DAYS: u8 = 30;
/// A life that expires is swept within this time, with a margin.
const SWEPT: SignedDuration = SignedDuration::from_hours(1);

/// Verifies a surviving person and repairs what is inconsistent.
pub async fn living(replay: &Replay<'_>, person: &Person, tally: &mut Tally) -> Result<()> {
    let app = replay.app;
    let Some(row) = person.row(DOOR) else {
        return Ok(());
    };
    let door = Door::read(row)?;
    let entry = &person.entry;
    let mut writes = person.list_writes();
    let rules_changed = person.rules_changed();
    tally.rules_reapplied += rules_changed;
    tally.rules_versions_repaired += u64::from(door.rules_version != entry.rules_version);

    // A rules version is never reused: take the later one, and the one after it under new
    // rules.
    let changed = person.rules != entry.rules;
    let rules_version = entry.rules_version.max(door.rules_version) + u64::from(changed);
    if changed || entry.rules_version != rules_version {
        writes.push(entry.rules_write(person.rules, rules_version));
    }
    let mut change = DoorRepair::default();
    if door.rules_version != rules_version {
        change.rules_version = Some(rules_version);
    }
    let end = end(replay, person, &door).await?;
    if let Some(end) = end {
        tally.ends_repaired += 1;
        change.end = Some(end);
    }
    let opener = Opener::new(app, entry);
    if !opener.opens(row).await? {
        tally.unreadable_removed += 1;
        change.visit = Some(entry.generation);
    }
    writes.extend(change.write(&entry.key, door.rules_version));
    writes.extend(person_write(&opener, person, tally).await?);
    let missing = person.row(EXPIRY).is_none();
    tally.expiry_entries_repaired += u64::from(missing);
    if let (true, at) | (false, at @ Some(_)) = (missing, end.flatten()) {
        let at = at.or(door.expires_at).unwrap_or(app.clock.now());
        writes.push(expiry_entry_write(&entry.key, at));
    }
    if replay.acts && !writes.is_empty() {
        carry_out(app, writes).await?;
    }
    rekeying::see_to(replay, entry, tally).await
}

/// The door's new expiry, if it has to change: none while a rule pauses expiry, and a time
/// where no rule does any more.
async fn end(
    replay: &Replay<'_>,
    person: &Person,
    door: &Door,
) -> Result<Option<Option<Timestamp>>> {
    let seen = match (person.rules.stop_clock(), door.expires_at) {
        (true, Some(_)) => return Ok(Some(None)),
        (true, None) => return Ok(None),
        (false, None) => door.last_seen,
        (false, Some(end)) => match seen_since(replay, end) {
            Some(seen) => seen,
            None => return Ok(None),
        },
    };
    let days = match replay.app.store.settings(person.entry.key.tenant).await {
        Ok(stored) => stored.settings.retention_days,
        Err(Error::NotFound) => DAYS,
        Err(error) => return Err(error),
    };
    let end = expires_at(seen, days);
    Ok((door.expires_at < Some(end)).then_some(Some(end)))
}

/// A lower bound for a person's last visit, where the door cannot know it. The keyring is of a
/// later moment than `records`; without a visit in between, the life would have been swept by
/// then. Nothing more is known, so the life is kept as long as was promised, and no longer.
fn seen_since(replay: &Replay<'_>, end: Timestamp) -> Option<Timestamp> {
    let Moments { records, keyring } = replay.at?;
    let knows = replay.restored != Restored::Keyring && end + SWEPT < keyring;
    knows.then_some(records)
}

/// Re-creates a lost person row. Everything else is found through the door, and writes require
/// the row to exist. The identity itself has to be sent again.
async fn person_write(
    opener: &Opener<'_>,
    person: &Person,
    tally: &mut Tally,
) -> Result<Option<Write>> {
    let row = person.row(PERSON);
    if let Some(row) = row {
        if opener.opens(row).await? {
            return Ok(None);
        }
        tally.unreadable_removed += 1;
    }
    let Some(living) = opener.living().await? else {
        return Ok(None);
    };
    tally.people_repaired += 1;
    let anew = PersonRow {
        // A revision is never reused, so a write based on the lost row changes nothing.
        rev: row.map_or(0, |row| row.count("rev")) + 1,
        ..PersonRow::default()
    };
    Ok(Some(anew.put(&living)))
}

/// Opens rows of one life. Unwraps its key only when a row's generation shows that it may be
/// sealed under another key.
pub struct Opener<'a> {
    app: &'a App,
    entry: &'a Entry,
}

impl<'a> Opener<'a> {
    pub fn new(app: &'a App, entry: &'a Entry) -> Opener<'a> {
        Opener { app, entry }
    }

    pub async fn living(&self) -> Result<Option<Living>> {
        self.app.keyring.open(self.entry).await
    }

    /// Whether a row's generation names a key that the life still has.
    pub fn says_so(&self, row: &Item) -> bool {
        self.entry.has_generation(row.count("key"))
    }

    /// Whether every sealed value of a row, read whole, can be opened.
    pub async fn opens(&self, row: &Item) -> Result<bool> {
        if self.says_so(row) {
            return Ok(true);
        }
        let living = self.living().await?;
        Ok(living.is_some_and(|living| living.opens(row)))
    }
}
