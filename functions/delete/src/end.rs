//! The moment of an erasure: deletes keys and doors. From here on these lives cannot be read.
//! Held lives are recorded as blocked; remaining data is purged later.

use std::collections::HashMap;

use futures::FutureExt;
use jiff::Timestamp;
use shared::aws::dynamo::{Refusal, Write};
use shared::aws::s3::last_upload;
use shared::base::error::{Error, Result};
use shared::base::id::{SubjectId, TenantId};
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::outcome::{Bar, Waiting};
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keyring::{self, BLOCKED, Entry, State};
use shared::domain::keys::{DOOR, LifeKey};
use shared::domain::life::door::{Door, erase_writes};
use shared::domain::rules::change::Change;

use crate::at_once;

/// Lives that end in one transaction. Each takes two to four of its rows.
pub const TOGETHER: usize = 20;
/// Concurrent transactions.
const AT_ONCE: usize = 4;
/// People who are read together.
const READ: usize = 100;

/// A living person, with what an erasure needs to know of them.
pub struct Present {
    pub entry: Entry,
    pub door: Door,
}

/// The living among `subjects`, without duplicates.
pub async fn present(app: &App, tenant: TenantId, subjects: &[SubjectId]) -> Result<Vec<Present>> {
    let mut subjects = subjects.to_vec();
    subjects.sort_unstable();
    subjects.dedup();
    let now = app.clock.now();
    let mut present = Vec::new();
    for some in subjects.chunks(READ) {
        for (entry, door) in rows(app, tenant, some).await?.into_values() {
            let door = door.filter(|door| entry.state == State::Active && !door.expired(now));
            present.extend(door.map(|door| Present { entry, door }));
        }
    }
    Ok(present)
}

/// The keyring's entries of these people, each with the door of its life.
async fn rows(
    app: &App,
    tenant: TenantId,
    subjects: &[SubjectId],
) -> Result<HashMap<SubjectId, (Entry, Option<Door>)>> {
    let entries = app.keyring.entries(tenant, subjects).await?;
    let doors: Vec<_> = entries
        .values()
        .filter(|entry| entry.state == State::Active)
        .map(|entry| (entry.key.partition(), DOOR.to_owned()))
        .collect();
    let mut doors: HashMap<_, _> = app
        .store
        .get_many(&doors)
        .await?
        .iter()
        .map(|row| Ok((row.partition().to_owned(), Door::read(row)?)))
        .collect::<Result<_>>()?;
    let with_door = |(subject, entry): (SubjectId, Entry)| {
        let door = doors.remove(&entry.key.partition());
        (subject, (entry, door))
    };
    Ok(entries.into_iter().map(with_door).collect())
}

/// The result of ending lives.
#[derive(Debug, Default)]
pub struct Ended {
    /// People under a hold: their lives continue until the hold is lifted.
    pub blocked: Vec<SubjectId>,
    /// When the last link that may still write expires.
    pub uploads_until: Option<Timestamp>,
}

/// Ends these lives on behalf of a job. Idempotent: skips lives that have ended already. If
/// the job suppresses, their people are suppressed nevertheless.
///
/// Every write checks the job's fencing token. `None` when the job was cancelled, or another
/// worker has taken it up since it was read; nothing was written after that.
pub async fn end(app: &App, job: &Job<Erasing>, lives: &[LifeKey]) -> Result<Option<Ended>> {
    let suppress = job.spec.suppress;
    let mut ended = Ended::default();
    for some in lives.chunks(READ) {
        let mut left = some.to_vec();
        let mut tries = Tries::default();
        while !left.is_empty() {
            tries.next().await?;
            // After the first attempt one by one: a life that keeps changing delays no other.
            let together = if tries.first() { TOGETHER } else { 1 };
            let changed = end_some(app, job, &left, suppress, together, &mut ended).await?;
            let Some(changed) = changed else {
                return Ok(None);
            };
            left = changed;
        }
    }
    Ok(Some(ended))
}

/// The outcome of a transaction on behalf of a job.
enum Behalf {
    Done,
    /// The person's rows have changed since they were read.
    Changed,
    /// The job has changed.
    Fenced,
}

async fn on_behalf(app: &App, job: &Job<Erasing>, mut writes: Vec<Write>) -> Result<Behalf> {
    writes.insert(0, job.check());
    Ok(match app.store.transact(writes).await? {
        Ok(()) => Behalf::Done,
        Err(Refusal::Condition { place: 0, .. }) => Behalf::Fenced,
        Err(Refusal::Condition { .. }) => Behalf::Changed,
    })
}

/// Makes one attempt for each life. Returns those that changed meanwhile; `None` when the job
/// has changed.
async fn end_some(
    app: &App,
    job: &Job<Erasing>,
    lives: &[LifeKey],
    suppress: bool,
    together: usize,
    ended: &mut Ended,
) -> Result<Option<Vec<LifeKey>>> {
    let Some(tenant) = lives.first().map(|life| life.tenant) else {
        return Ok(Some(Vec::new()));
    };
    let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
    let mut known = rows(app, tenant, &subjects).await?;
    let mut ending: Vec<(LifeKey, Vec<Write>)> = Vec::new();
    let mut left = Vec::new();
    for life in lives {
        let found = known.remove(&life.subject);
        let (entry, door) = match found {
            Some(found) if found.0.key == *life && found.0.state == State::Active => found,
            other => {
                // Ended earlier, by an attempt that may not have recorded its links.
                let until = last_upload(app.clock.now());
                ended.uploads_until = ended.uploads_until.max(Some(until));
                let Some((entry, door)) = other.filter(|_| suppress) else {
                    continue;
                };
                match keep_away(app, job, &entry, door).await? {
                    Behalf::Done => {}
                    Behalf::Changed => left.push(*life),
                    Behalf::Fenced => return Ok(None),
                }
                continue;
            }
        };
        if entry.rules.held {
            // If too many jobs wait already, this one is not recorded and verifies again each
            // day.
            let known = entry.blocked.contains(&job.key.id) || entry.blocked.len() >= BLOCKED;
            let noted = match known {
                true => Behalf::Done,
                false => {
                    let block = keyring::block_write(&entry, job.key.id);
                    on_behalf(app, job, vec![block]).await?
                }
            };
            match noted {
                Behalf::Done => ended.blocked.push(life.subject),
                Behalf::Changed => left.push(*life),
                Behalf::Fenced => return Ok(None),
            }
            continue;
        }
        let until = door.as_ref().and_then(Door::uploads_until);
        ended.uploads_until = ended.uploads_until.max(until);
        ending.push((*life, erase_writes(&entry, door.as_ref(), suppress)));
    }
    let ending: Vec<_> = ending.chunks(together).collect();
    let transactions = ending.iter().map(|group| {
        let writes = group.iter().flat_map(|(_, writes)| writes.clone());
        on_behalf(app, job, writes.collect()).boxed()
    });
    let outcomes = at_once(AT_ONCE, transactions.collect()).await?;
    for (group, outcome) in ending.iter().zip(outcomes) {
        match outcome {
            Behalf::Done => {}
            Behalf::Changed => left.extend(group.iter().map(|(life, _)| *life)),
            Behalf::Fenced => return Ok(None),
        }
    }
    Ok(Some(left))
}

/// Suppresses a person, as the job requests, whose life ended without it: by expiry, or by
/// another erasure. If the person has returned since the request, a new job erases that life.
/// If they were readmitted since, they stay.
async fn keep_away(
    app: &App,
    job: &Job<Erasing>,
    entry: &Entry,
    door: Option<Door>,
) -> Result<Behalf> {
    let now = app.clock.now();
    let lives = entry.state == State::Active;
    let welcome = entry.welcome_at.is_some_and(|at| at >= job.created_at);
    if welcome || (entry.rules.suppressed && !lives) {
        return Ok(Behalf::Done);
    }
    match app.keyring.tenant(job.key.tenant).await {
        Ok(_) => {}
        // The tenant has left.
        Err(Error::NotFound) => return Ok(Behalf::Done),
        Err(error) => return Err(error),
    }
    let door = door.filter(|door| lives && !door.expired(now));
    let writes = match &door {
        Some(door) if !entry.rules.held => erase_anew(app, job, entry, door, now),
        _ if entry.rules.suppressed => return Ok(Behalf::Done),
        _ => {
            let life = door.as_ref().map(|door| (door, now));
            Change::Suppress.writes(entry, life, now)
        }
    };
    on_behalf(app, job, writes).await
}

/// The erasure of a life that began during a suppressing erasure.
fn erase_anew(
    app: &App,
    job: &Job<Erasing>,
    entry: &Entry,
    door: &Door,
    now: Timestamp,
) -> Vec<Write> {
    let mut erasing = Erasing::default();
    (erasing.ended, erasing.suppress) = (true, true);
    erasing.uploads_until = door.uploads_until();
    let lives = [(entry.key, door.counts.total())];
    let (mut anew, mut writes) =
        Job::erasure(JobKind::Erasure, job.key.tenant, &lives, erasing, now);
    anew.outcome.reason.clone_from(&job.outcome.reason);
    anew.outcome.reference.clone_from(&job.outcome.reference);
    set_ended(app, &mut anew, &[], now);
    writes.extend(anew.begin_writes());
    writes.extend(erase_writes(entry, Some(door), true));
    let about = [entry.key.life.to_string(), anew.key.id.to_string()];
    writes.extend(entry::writes(&[entry::Entry {
        tenant: job.key.tenant,
        event: AuditEvent::ErasureRequested,
        by: "lethe",
        about: &about,
        at: now,
        happened_at: None,
    }]));
    writes
}

/// Records on a job that its lives have ended, except for held ones. Its times are those of
/// the last life.
pub fn set_ended(app: &App, job: &mut Job<Erasing>, held: &[SubjectId], now: Timestamp) {
    let lives = job.spec.count;
    let ended = |held: usize| lives - held.min(lives);
    let outcome = &mut job.outcome;
    let before = outcome.blocked.as_ref();
    if ended(held.len()) > before.map_or(0, |blocked| ended(blocked.len())) {
        outcome.unreadable_at.get_or_insert_default().records = Some(now);
        outcome.backups_clear_by = Some(app.config.backups_clear_by(now, now).sealed);
    }
    let by = Bar::Hold;
    let held = held.iter().map(|&subject| Waiting { subject, by });
    outcome.blocked = Some(held.collect());
}
