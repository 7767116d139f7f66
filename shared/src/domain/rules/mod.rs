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
    /// Puts a rule in force, or lifts it. What is so already is left as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody who was never known, and for a hold or a
    /// restriction of somebody of whom nothing is kept; [`Error::Conflict`] for a hold when
    /// the tenant is being erased.
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
            // Somebody was seen, erased or put under another rule meanwhile: read again.
        }
    }

    /// Ends the hold of a life whose time is over, if it is. False when it is not, or
    /// something has changed meanwhile: there will be another look.
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

    /// Wakes the erasures that waited for a hold which has ended. One that is just about to
    /// wait is given its next turn as well, or it would wait for nobody. Each reads again what
    /// there is to do, so this may be done again; what a crash leaves out, the next sweep does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a store does not answer.
    pub async fn release(&self, entry: &Entry) -> Result<()> {
        for id in &entry.blocked {
            release_one(self, erasure(&entry.key, *id)).await?;
        }
        // Refused: the person has returned, and the row is another life's.
        let _returned = self.store.write(released_write(&entry.key)).await?;
        Ok(())
    }
}

/// Changes a rule of somebody whose row was read just now. False when it no longer is as
/// it was read.
async fn try_change(app: &App, entry: &Entry, change: &Change, by: &str) -> Result<bool> {
    let now = app.clock.now();
    let lifts_hold = matches!(change, Change::Lift(Rule::Held));
    if lifts_hold && !entry.rules.held && !entry.blocked.is_empty() {
        // Lifted before, by somebody who did not come to release them all.
        app.release(entry).await?;
        return Ok(true);
    }
    let door = open_door(app, entry, now).await?;
    // A life is held and restricted; objection and suppression outlast it.
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
            // As stored, not as remembered: a retention that became shorter counts.
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

/// The door of a life that goes on.
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

/// The erasures that wait for the hold to end: none that was cancelled meanwhile.
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

/// The entry in the tenant's log: it names the life, never the subject.
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
