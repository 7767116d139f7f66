//! Lives: how one begins, how every write passes its door, how it ends. Owns the rows
//! `door`, `person` (as begun) and `clock`, and their transactions with the keyring.
//!
//! The door is the small row that every write about a life must pass: it must be there,
//! carry the `rules_version` that the caller read from the keyring, and not be past its
//! `expires_at`. Whoever holds an older view fails, and reads again.
//!
//! Anybody who has a page's key and a visitor id can say that the visitor was there. Most
//! pages say no more, so that counts, or an active person would be forgotten; but not for
//! ever: without a sign of life that the tenant's server vouches for, itself or by a token,
//! a life goes on for [`UNVOUCHED`] and no longer.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::aws::dynamo::{Item, Refusal, Store, Weigh, Write};
use crate::aws::s3::upload_ends;
use crate::base::error::Result;
use crate::base::id::uuid_at;
use crate::crypto::Sealed;
use crate::domain::jobs::{Job, TURN_KEPT};
use crate::domain::keyring::{Entry, Living, Rules, State, list_write};
use crate::domain::keys::{self, DOOR, EXPIRY, LifeKey, Rule, day_of};

/// Upload links that may be open for one person at a time.
pub const UPLOADS_OPEN: usize = 20;

/// For how long what nobody vouches for moves the expiry, from the beginning of a life or the
/// last sign of it that was vouched for.
pub const UNVOUCHED: SignedDuration = SignedDuration::from_hours(24 * 365);

/// How many of each record a life has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    pub conversations: u64,
    pub messages: u64,
    pub attachments: u64,
    pub interactions: u64,
}

impl Counts {
    const NAMES: [&str; 4] = ["conversations", "messages", "attachments", "interactions"];

    fn values(self) -> [u64; 4] {
        [
            self.conversations,
            self.messages,
            self.attachments,
            self.interactions,
        ]
    }

    pub fn total(self) -> u64 {
        self.values().iter().sum()
    }
}

/// The door, as read.
#[derive(Clone, Debug)]
pub struct Door {
    pub created_at: Timestamp,
    pub last_seen: Timestamp,
    /// When the person began to be known, or was last seen by somebody who vouches for it.
    pub vouched_at: Timestamp,
    /// Seconds of Unix time, as TTL wants; none while expiry is paused.
    pub expires_at: Option<Timestamp>,
    pub rules_version: u64,
    pub counts: Counts,
    /// Until when each handed-out link may still write under this life's prefixes.
    pub uploads: Vec<Timestamp>,
    /// Which edition an export made now is of: whatever makes exports untrue begins the
    /// next one, so an export of an earlier edition is withdrawn. 0 before the first export.
    pub edition: u64,
    pub visit_at: Option<Timestamp>,
    pub network: Option<Sealed>,
    pub device: Option<Sealed>,
}

impl Door {
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when the row is not as we wrote it.
    pub fn read(row: &Item) -> Result<Door> {
        Ok(Door {
            created_at: row.time("created_at")?,
            last_seen: row.time("last_seen")?,
            vouched_at: row.time("vouched_at")?,
            expires_at: expiry(row),
            rules_version: row.count("rules_version"),
            counts: Counts {
                conversations: row.count("conversations"),
                messages: row.count("messages"),
                attachments: row.count("attachments"),
                interactions: row.count("interactions"),
            },
            uploads: row.times("uploads"),
            edition: row.count("edition"),
            visit_at: row.try_time("visit_at"),
            network: row.sealed("network"),
            device: row.sealed("device"),
        })
    }

    /// Whether the life has expired, even if nothing has processed that yet.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The latest end of an upload by an issued link.
    pub fn uploads_until(&self) -> Option<Timestamp> {
        self.uploads.iter().max().copied().map(upload_ends)
    }
}

fn expiry(row: &Item) -> Option<Timestamp> {
    Timestamp::from_second(row.try_number("expires_at")?).ok()
}

/// When a life expires that was last seen then. In whole seconds, the precision of TTL.
pub fn expires_at(last_seen: Timestamp, retention_days: u8) -> Timestamp {
    let seconds = last_seen.as_second() + i64::from(retention_days) * 86_400;
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// What passing the door changes on it.
#[derive(Clone, Debug, Default)]
pub struct Passing {
    /// The person was active: last seen, and the new end.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// Somebody vouches for that.
    pub vouched: bool,
    /// What the last visit told; what it did not tell is removed. Under a hold it is kept
    /// only if there was none.
    pub visit: Option<Visit>,
    /// Records that this write adds.
    pub added: Counts,
    /// Open links, as read and as they become.
    pub uploads: Option<(Vec<Timestamp>, Vec<Timestamp>)>,
    pub exports: Option<Exports>,
}

/// What a write has to do with exports of the life. Each names the door's edition as read.
#[derive(Clone, Copy, Debug)]
pub enum Exports {
    /// They become untrue: the next edition begins, and the worker deletes what lies in the
    /// bucket of earlier ones.
    Withdraw(u64),
    /// One is made of this edition, which must still be the current one.
    Make(u64),
}

impl Passing {
    /// Drops what the current door does not accept: activity older than the last that it has
    /// seen, activity that nobody has vouched for too long, a visit that a hold excludes.
    pub fn give_way(&mut self, door: &Door, rules: Rules) {
        let vouched = |at| self.vouched || door.vouched_at > at - UNVOUCHED;
        let passes = |(at, _): &(Timestamp, _)| *at >= door.last_seen && vouched(*at);
        self.seen = self.seen.filter(passes);
        let kept = rules.held && door.visit_at.is_some();
        self.visit
            .take_if(|visit| kept || Some(visit.at) < door.visit_at);
    }
}

/// The last visit: when, and its sealed parts.
#[derive(Clone, Debug)]
pub struct Visit {
    pub at: Timestamp,
    pub network: Option<Sealed>,
    pub device: Option<Sealed>,
}

/// A write about a life. Only its door carries it out, so none passes without: any write can
/// become one, and none of them anything else.
#[derive(Clone)]
pub struct LifeWrite(Write);

impl From<Write> for LifeWrite {
    fn from(write: Write) -> LifeWrite {
        LifeWrite(write)
    }
}

impl Weigh for LifeWrite {
    fn weight(&self) -> usize {
        self.0.weight()
    }
}

/// Why a write did not pass.
#[derive(Debug)]
pub enum Shut {
    /// The life has ended: its door is gone or past its time.
    Over,
    /// The rules have changed since the keyring was read: read again.
    Rules,
    /// The door has seen something later, its links or its edition have changed, or it lets no
    /// such thing pass: as it stands now.
    Later(Door),
    /// The condition of the row in this place failed; the row as it was.
    Row { place: usize, row: Option<Item> },
}

/// Requires that the life's door exists, has not expired, and has the rules version that was
/// read.
fn standing(write: Write, rules_version: u64, now: Timestamp) -> Write {
    write
        .if_is("rules_version", rules_version)
        .and_if("attribute_not_exists(expires_at) OR expires_at > :now")
        .value(":now", now.as_second())
}

impl Passing {
    /// An update of the door, or only a check when nothing changes.
    fn write(&self, living: &Living, now: Timestamp) -> Write {
        let partition = living.key.partition();
        if self.changes_nothing() {
            let check = standing(Write::check(&partition, DOOR), living.rules_version, now);
            return match self.exports {
                Some(Exports::Withdraw(_)) => check.if_none("edition"),
                Some(Exports::Make(edition)) => check.if_is("edition", edition),
                None => check,
            };
        }
        let mut write = standing(Write::update(&partition, DOOR), living.rules_version, now);
        if let Some((seen, expires)) = self.seen {
            write = self.see(write, seen);
            if !living.rules.stop_clock() {
                write = write.set("expires_at", expires.as_second());
            }
        }
        if let Some(visit) = &self.visit {
            // Both sealed parts of the door belong to the visit and are written together.
            write = visit
                .write(write, living.rules.held)
                .set("key", living.generation);
        }
        if let Some((old, new)) = &self.uploads {
            write = uploads(write, old).set("uploads", new.as_slice());
        }
        write = match self.exports {
            None => write,
            Some(Exports::Withdraw(0)) => write.if_none("edition"),
            Some(Exports::Withdraw(_)) => write
                .add("edition", 1_u64)
                .and_if("attribute_exists(edition)"),
            Some(Exports::Make(0)) => write.set("edition", 1_u64).if_none("edition"),
            Some(Exports::Make(edition)) => write.if_is("edition", edition),
        };
        let counts = Counts::NAMES.into_iter().zip(self.added.values());
        let counts = counts.filter(|(_, count)| *count > 0);
        counts.fold(write, |write, (name, count)| write.add(name, count))
    }

    fn changes_nothing(&self) -> bool {
        let exports = matches!(
            self.exports,
            None | Some(Exports::Withdraw(0) | Exports::Make(1..))
        );
        exports
            && self.seen.is_none()
            && self.visit.is_none()
            && self.uploads.is_none()
            && self.added == Counts::default()
    }

    /// Records activity. Activity that nobody vouches for counts for a limited time only.
    fn see(&self, write: Write, seen: Timestamp) -> Write {
        let write = write
            .set("last_seen", seen)
            .and_if("last_seen <= :seen")
            .value(":seen", seen);
        match self.vouched {
            true => write.set("vouched_at", seen),
            false => write
                .and_if("vouched_at > :unvouched")
                .value(":unvouched", seen - UNVOUCHED),
        }
    }
}

impl Visit {
    /// Writes the last visit. Removes fields that the visit does not have.
    fn write(&self, write: Write, held: bool) -> Write {
        let write = match held {
            true => write.if_none("visit_at"),
            false => write
                .and_if("attribute_not_exists(visit_at) OR visit_at <= :visit")
                .value(":visit", self.at),
        };
        write
            .set("visit_at", self.at)
            .set_or_remove("network", self.network.clone())
            .set_or_remove("device", self.device.clone())
    }
}

/// Requires that the open links are unchanged since they were read.
fn uploads(write: Write, old: &[Timestamp]) -> Write {
    match old {
        [] => write
            .and_if("attribute_not_exists(uploads) OR size(uploads) = :none")
            .value(":none", 0_i64),
        open => write.if_is("uploads", open),
    }
}

/// Interprets a refusal at the door.
fn why_shut(row: Option<Item>, living: &Living, now: Timestamp) -> Result<Shut> {
    let Some(door) = row.as_ref().map(Door::read).transpose()? else {
        return Ok(Shut::Over);
    };
    Ok(if door.expired(now) {
        Shut::Over
    } else if door.rules_version != living.rules_version {
        Shut::Rules
    } else {
        Shut::Later(door)
    })
}

impl Store {
    /// The door of a life, if it exists.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`], as everywhere below.
    pub async fn door(&self, key: &LifeKey) -> Result<Option<Door>> {
        self.get(&key.partition(), DOOR)
            .await?
            .as_ref()
            .map(Door::read)
            .transpose()
    }

    /// The door and the existing ones of these rows of a life, in one call.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn door_and(
        &self,
        key: &LifeKey,
        sorts: &[&str],
    ) -> Result<(Option<Door>, Vec<Item>)> {
        if sorts.is_empty() {
            return Ok((self.door(key).await?, Vec::new()));
        }
        let wanted = std::iter::once(&DOOR).chain(sorts);
        let wanted: Vec<_> = wanted
            .map(|sort| (key.partition(), (*sort).to_owned()))
            .collect();
        let mut rows = self.get_many(&wanted).await?;
        let door = rows.iter().position(|row| row.sort() == DOOR);
        let door = door.map(|at| Door::read(&rows.swap_remove(at)));
        Ok((door.transpose()?, rows))
    }

    /// Writes about a life through its door, all or nothing. If only the door changes, this is
    /// a single `UpdateItem`, except for open links: a changed list refuses the same change
    /// again. Without any change, it reports whether the door would accept a write.
    ///
    /// # Errors
    /// The inner error says why the door or a row refused.
    pub async fn through_door(
        &self,
        living: &Living,
        passing: &Passing,
        mut writes: Vec<LifeWrite>,
        now: Timestamp,
    ) -> Result<Result<(), Shut>> {
        if let Some(Exports::Withdraw(1..)) = passing.exports {
            writes.push(withdrawal_write(&living.key, now).into());
        }
        let door = passing.write(living, now);
        let repeats = passing.uploads.is_none();
        let outcome = if writes.is_empty() && !door.only_checks() && repeats {
            self.write(door).await?.map(|_| ())
        } else {
            let writes = writes.into_iter().map(|write| write.0);
            self.transact(std::iter::once(door).chain(writes).collect())
                .await?
        };
        match outcome {
            Ok(()) => Ok(Ok(())),
            Err(Refusal::Condition { place: 0, row }) => Ok(Err(why_shut(row, living, now)?)),
            Err(Refusal::Condition { place, row }) => Ok(Err(Shut::Row {
                place: place - 1,
                row,
            })),
        }
    }

    /// Begins a life: keyring, door, person, expiry index entry and the first records in one
    /// transaction, together with the end of the expired life that it follows, if any. False
    /// when another request was first: read again.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn begin(&self, beginning: Beginning<'_>, now: Timestamp) -> Result<bool> {
        let Beginning {
            living,
            wrapped,
            follows,
            seen,
            expires,
            visit,
            person,
            added,
            writes,
        } = beginning;
        let key = &living.key;
        let partition = key.partition();
        let door = Item::new(&partition, DOOR)
            // An event may arrive later than it happened.
            .with("created_at", now.min(seen))
            .with("last_seen", seen)
            .with("vouched_at", seen)
            .with("expires_at", expires.as_second())
            .with("rules_version", living.rules_version)
            .with("key", living.generation)
            .with_some("visit_at", visit.as_ref().map(|visit| visit.at))
            .with_some(
                "network",
                visit.as_ref().and_then(|visit| visit.network.clone()),
            )
            .with_some(
                "device",
                visit.as_ref().and_then(|visit| visit.device.clone()),
            );
        let door = Counts::NAMES
            .iter()
            .zip(added.values())
            .fold(door, |door, (name, count)| door.with(name, count));
        let mut all = vec![
            crate::domain::keyring::begin_write(living, wrapped, follows),
            Write::put(door).only_new(),
            person.only_new(),
            expiry_entry_write(key, expires).only_new(),
        ];
        // The end of an expired life that nothing has processed yet.
        if let Some(old) = follows.filter(|entry| entry.state == State::Active) {
            all.push(close_expired(&old.key, now));
            all.extend(Job::expiry(old.key, now).begin_writes());
        }
        all.extend(writes.into_iter().map(|write| write.0));
        Ok(self.transact(all).await?.is_ok())
    }

    /// Begins the expiry of a life, in a transaction that requires it to be current and
    /// expired. False when it is not: it continues, or has been processed already.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn begin_expiry(&self, key: &LifeKey, now: Timestamp) -> Result<bool> {
        let mut writes = vec![
            crate::domain::keyring::expiring_write(key),
            close_expired(key, now),
        ];
        writes.extend(Job::expiry(*key, now).begin_writes());
        Ok(self.transact(writes).await?.is_ok())
    }

    /// Ends a life of a tenant that leaves, regardless of its rules: nobody remains who could
    /// lift them.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn end_life(&self, key: &LifeKey) -> Result<()> {
        let writes = vec![
            crate::domain::keyring::leaving_write(key),
            Write::delete(&key.partition(), DOOR),
        ];
        // Refused: it has ended before.
        let _ended = self.transact(writes).await?;
        Ok(())
    }

    /// Moves a life's expiry index entry to the day on which its door, as read, expires. False
    /// when the door has changed since, and perhaps the entry with it.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn move_expiry(&self, key: &LifeKey, door: &Door) -> Result<bool> {
        let Some(end) = door.expires_at else {
            return Ok(false);
        };
        let ends = Write::check(&key.partition(), DOOR).if_is("expires_at", end.as_second());
        let writes = vec![ends, expiry_write(key, end)];
        Ok(self.transact(writes).await?.is_ok())
    }

    /// Moves the expiry index entry of a life with paused expiry to the day of its next check.
    /// False when its rules have changed since they were read, and perhaps the entry with
    /// them.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn postpone_clock(&self, entry: &Entry, look_at: Timestamp) -> Result<bool> {
        let stopped = Write::check(&entry.key.partition(), DOOR)
            .if_is("rules_version", entry.rules_version)
            .if_none("expires_at");
        let writes = vec![stopped, expiry_write(&entry.key, look_at)];
        Ok(self.transact(writes).await?.is_ok())
    }

    /// Shortens a life to what the tenant's settings now allow. Never lengthens it. False when
    /// the person has been seen since `door` was read, or the life already expires earlier.
    ///
    /// # Errors
    /// As [`Store::door`].
    pub async fn shorten(&self, key: &LifeKey, door: &Door, expires: Timestamp) -> Result<bool> {
        let shorter = Write::update(&key.partition(), DOOR)
            .set("expires_at", expires.as_second())
            .if_is("last_seen", door.last_seen)
            .and_if("expires_at > :expires")
            .value(":expires", expires.as_second());
        let writes = vec![shorter, expiry_write(key, expires)];
        Ok(self.transact(writes).await?.is_ok())
    }
}

/// Moves a life's expiry index entry to a day, if the life has not been erased.
pub(crate) fn expiry_write(key: &LifeKey, at: Timestamp) -> Write {
    let day = day_of(at);
    Write::update(&key.partition(), EXPIRY)
        .set("due_day", day.to_string())
        .set("due_sk", key.due_sort(day))
        .if_there()
}

/// Writes the keyring's next rules version to the door, if the door exists and has not
/// expired.
pub fn next_rules_version_write(entry: &Entry, now: Timestamp) -> Write {
    let door = Write::update(&entry.key.partition(), DOOR);
    standing(door, entry.rules_version, now).set("rules_version", entry.rules_version + 1)
}

/// Records that the bucket may hold objects of a life, so that its erasure checks.
pub fn objects_write(life: &LifeKey) -> Write {
    Write::put(Item::new(&life.partition(), keys::OBJECTS))
}

/// Calls the worker to delete a life's withdrawn exports from the bucket.
fn withdrawal_write(life: &LifeKey, now: Timestamp) -> Write {
    let sort = keys::withdrawal(uuid_at(now));
    let row = Item::new(&life.partition(), &sort).with("expires_at", (now + TURN_KEPT).as_second());
    Write::put(row)
}

/// A life's expiry index entry, for the day of its next check.
pub fn expiry_entry_write(key: &LifeKey, at: Timestamp) -> Write {
    let day = day_of(at);
    let entry = Item::new(&key.partition(), EXPIRY)
        .with("due_day", day.to_string())
        .with("due_pk", key.due_partition())
        .with("due_sk", key.due_sort(day));
    Write::put(entry)
}

/// Removes a life whose erasure is verified from the expiry index.
pub fn verified_write(key: &LifeKey) -> Write {
    Write::delete(&key.partition(), EXPIRY)
}

/// Deletes the door of an expired life, which TTL may have deleted already.
fn close_expired(key: &LifeKey, now: Timestamp) -> Write {
    Write::delete(&key.partition(), DOOR)
        .only_if("attribute_not_exists(PK) OR expires_at <= :now")
        .value(":now", now.as_second())
}

/// Everything that a life begins with.
pub struct Beginning<'a> {
    pub living: &'a Living,
    /// Its data key, wrapped.
    pub wrapped: Sealed,
    /// What the keyring holds of the subject: an ended life, or one whose time is over.
    pub follows: Option<&'a Entry>,
    pub seen: Timestamp,
    pub expires: Timestamp,
    pub visit: Option<Visit>,
    /// The row of who they are.
    pub person: Write,
    pub added: Counts,
    pub writes: Vec<LifeWrite>,
}

/// The writes of a requested erasure for one life: delete the keys and the door, end a hold.
/// `door` is as just read; if its links change meanwhile, the transaction fails. `suppress`:
/// the person is suppressed afterwards.
pub fn erase_writes(entry: &Entry, door: Option<&Door>, suppress: bool) -> Vec<Write> {
    let key = &entry.key;
    let close = Write::delete(&key.partition(), DOOR);
    let close = match door.map(|door| door.uploads.as_slice()) {
        None | Some([]) => close
            .only_if("attribute_not_exists(uploads) OR size(uploads) = :none")
            .value(":none", 0_i64),
        Some(links) => close
            .only_if("attribute_not_exists(PK) OR uploads = :open")
            .value(":open", links),
    };
    let mut writes = vec![
        crate::domain::keyring::erasing_write(entry, suppress),
        close,
    ];
    for rule in [Rule::Restricted, Rule::Held] {
        writes.extend(
            entry
                .rules
                .under(rule)
                .then(|| list_write(key, rule, false)),
        );
    }
    if suppress && !entry.rules.suppressed {
        writes.push(list_write(key, Rule::Suppressed, true));
    }
    writes
}
