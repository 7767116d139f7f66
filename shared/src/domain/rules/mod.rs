//! What may be done with a person, decided by those who govern: restriction (GDPR Art. 18),
//! objection (Art. 21), hold, suppression. Owns when such a rule can be put in force or
//! lifted, and what a hold lets go on when it ends; what a rule forbids stands where it is
//! obeyed.
//!
//! A hold that is lifted ends the life in the same transaction where an erasure waits for it,
//! so that nobody returns in between; the erasures are released one by one afterwards.
//!
//! Keyring and door get a new rules version in one transaction, so a write that began under the old
//! rules fails, and reads again.

pub mod change;

use jiff::Timestamp;

use crate::aws::dynamo::{Refusal, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, SubjectId, TenantId};
use crate::base::retry::Tries;
use crate::domain::app::App;
use crate::domain::audit::entry::{self, AuditEvent};
use crate::domain::audit::mask::mask;
use crate::domain::erasure::offboarding;
use crate::domain::erasure::spec::Erasing;
use crate::domain::jobs::{Job, JobKey, JobKind};
use crate::domain::keyring::{Entry, State, released_write};
use crate::domain::keys::{LifeKey, Rule};
use crate::domain::life::door::{Door, erase_writes, expires_at};
use crate::domain::rules::change::Change;

impl App {
    /// Puts a rule in force or lifts it. Does nothing if that is already so.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown person, and for a hold or a restriction of a person
    /// without stored data; [`Error::Conflict`] for a hold when the tenant is being erased.
    pub async fn change_rule(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        change: &Change,
        by: &str,
    ) -> Result<()> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let entry = self
                .keyring
                .entry(tenant, subject)
                .await?
                .ok_or(Error::NotFound)?;
            if try_change(self, &entry, change, by).await? {
                return Ok(());
            }
            // The person was seen, erased or put under another rule meanwhile: read again.
        }
    }

    /// Ends a life's hold if its time is over. False when it is not, or when something has
    /// changed meanwhile: it will be verified again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store does not answer.
    pub async fn end_hold(&self, entry: &Entry) -> Result<bool> {
        let until = entry.hold.as_ref().and_then(|hold| hold.until);
        if until.is_none_or(|until| until > self.clock.now()) {
            return Ok(false);
        }
        match try_change(self, entry, &Change::Lift(Rule::Held), "lethe").await {
            Err(Error::NotFound) => Ok(false),
            other => other,
        }
    }

    /// Resumes the erasures that waited for a hold that has ended. One that is just about to
    /// wait also gets its next turn; otherwise nothing would resume it. Idempotent, since each
    /// reads again what it has to do; the next sweep completes what a crash leaves.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store does not answer.
    pub async fn release(&self, entry: &Entry) -> Result<()> {
        for id in &entry.blocked {
            release_one(self, erasure(&entry.key, *id)).await?;
        }
        // Refused: the person has returned, and the row belongs to another life.
        let _returned = self.store.write(released_write(&entry.key)).await?;
        Ok(())
    }
}

/// Changes a rule of a person whose row was just read. False when the row has changed since.
async fn try_change(app: &App, entry: &Entry, change: &Change, by: &str) -> Result<bool> {
    let now = app.clock.now();
    let lifts_hold = matches!(change, Change::Lift(Rule::Held));
    if lifts_hold && !entry.rules.held && !entry.blocked.is_empty() {
        // Lifted earlier, by a request that did not release them all.
        app.release(entry).await?;
        return Ok(true);
    }
    let door = open_door(app, entry, now).await?;
    // Holds and restrictions belong to a life; objection and suppression outlast it.
    let of_a_life = matches!(change.rule(), Rule::Held | Rule::Restricted);
    // A tombstone may outlast its time by TTL's delay.
    let forgotten = entry.expires_at(entry.rules).is_some_and(|at| at <= now);
    if (door.is_none() && of_a_life) || forgotten {
        return Err(Error::NotFound);
    }
    if change.done(entry) {
        return Ok(true);
    }
    let waiting = match lifts_hold {
        true => waiting(app, entry).await?,
        false => Vec::new(),
    };
    let mut writes = match &door {
        Some(door) if !waiting.is_empty() => {
            let suppress = waiting.iter().any(|erasing| erasing.suppress);
            erase_writes(entry, Some(door), suppress)
        }
        Some(door) => {
            // As stored, not as cached: a shortened retention must apply.
            let stored = app.store.settings(entry.key.tenant).await?;
            let end = expires_at(door.last_seen, stored.settings.retention_days);
            change.writes(entry, Some((door, end)), now)
        }
        None => change.writes(entry, None, now),
    };
    writes.extend(logged(entry, change, by, now));
    if let Change::Hold(_) = change {
        writes.push(offboarding::stays_check(entry.key.tenant));
    }
    let last = writes.len() - 1;
    match (app.store.transact(writes).await?, change) {
        (Ok(()), _) => {}
        (Err(Refusal::Condition { place, .. }), Change::Hold(_)) if place == last => {
            return Err(offboarding::gone());
        }
        (Err(_), _) => return Ok(false),
    }
    if !waiting.is_empty() {
        app.release(entry).await?;
    }
    Ok(true)
}

/// The door of an active life.
async fn open_door(app: &App, entry: &Entry, now: Timestamp) -> Result<Option<Door>> {
    if entry.state != State::Active {
        return Ok(None);
    }
    let door = app.store.door(&entry.key).await?;
    Ok(door.filter(|door| !door.expired(now)))
}

fn erasure(life: &LifeKey, id: JobId) -> JobKey {
    JobKey {
        tenant: life.tenant,
        kind: JobKind::Erasure,
        id,
    }
}

/// The erasures that wait for the hold to end, without cancelled ones.
async fn waiting(app: &App, entry: &Entry) -> Result<Vec<Erasing>> {
    let keys = entry.blocked.iter().map(|id| erasure(&entry.key, *id));
    let jobs = app.store.jobs_named(&keys.collect::<Vec<_>>()).await?;
    let open = jobs
        .into_iter()
        .filter(|job: &Job<Erasing>| !job.state.over());
    Ok(open.map(|job| job.spec).collect())
}

async fn release_one(app: &App, key: JobKey) -> Result<()> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let job = app.store.job(key).await?;
        let Some(job) = job.filter(|job: &Job| !job.state.over()) else {
            return Ok(());
        };
        let writes = job.wake_writes(app.clock.now());
        if app.store.transact(writes.into()).await?.is_ok() {
            return Ok(());
        }
    }
}

/// The audit event: it names the life, never the subject.
fn logged(entry: &Entry, change: &Change, by: &str, now: Timestamp) -> Vec<Write> {
    let mut about = vec![entry.key.life.to_string()];
    match change {
        Change::Hold(hold) => {
            about.push(format!("reason:{}", mask(&hold.reason)));
        }
        Change::Lift(Rule::Held) => about.extend(entry.blocked.iter().map(JobId::to_string)),
        _ => {}
    }
    entry::writes(&[entry::Entry {
        tenant: entry.key.tenant,
        event: event(change),
        by,
        about: &about,
        at: now,
        happened_at: None,
    }])
}

const fn event(change: &Change) -> AuditEvent {
    match change {
        Change::Restrict => AuditEvent::Restricted,
        Change::Object => AuditEvent::Objected,
        Change::Hold(_) => AuditEvent::Held,
        Change::Suppress => AuditEvent::Suppressed,
        Change::Lift(Rule::Restricted) => AuditEvent::RestrictionLifted,
        Change::Lift(Rule::Objected) => AuditEvent::ObjectionWithdrawn,
        Change::Lift(Rule::Held) => AuditEvent::HoldLifted,
        Change::Lift(Rule::Suppressed) => AuditEvent::SuppressionLifted,
    }
}
