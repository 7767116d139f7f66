//! What may be done with a person, decided by those who govern: restriction (GDPR Art. 18),
//! objection (Art. 21), hold, suppression. Owns when such a rule can be put in force or
//! lifted, and what a hold lets go on when it ends; what a rule forbids stands where it is
//! obeyed.
//!
//! Keyring and door get a new gate in one transaction, so a write that began under the old
//! rules fails, and reads again.

use jiff::Timestamp;

use crate::app::App;
use crate::error::{Error, Result};
use crate::id::{JobId, Subject, Tenant};
use crate::keyring::{Entry, State};
use crate::leaving;
use crate::store::activity::{self, Deed};
use crate::store::jobs::{JobKey, JobKind};
use crate::store::keys::{LifeKey, Standing};
use crate::store::lives::{Door, expires_at};
use crate::store::rules::Change;
use crate::store::{Refusal, Write};

/// Tries against others who change the same person.
const TRIES: u32 = 12;

impl App {
    /// Puts a rule in force, or lifts it. What is so already is left as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody who was never known, and for a hold or a
    /// restriction of somebody of whom nothing is kept; [`Error::Conflict`] for a hold when
    /// the tenant is being erased.
    pub async fn change_rule(
        &self,
        tenant: Tenant,
        subject: Subject,
        change: &Change,
        by: &str,
    ) -> Result<()> {
        for _ in 0..TRIES {
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
        Err(Error::Unavailable(
            "a person changes faster than their rules can".into(),
        ))
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
        match try_change(self, entry, &Change::Lift(Standing::Held), "lethe").await {
            Err(Error::NotFound) => Ok(false),
            other => other,
        }
    }
}

/// Changes a rule of somebody whose row was read just now. False when it no longer is as
/// it was read.
async fn try_change(app: &App, entry: &Entry, change: &Change, by: &str) -> Result<bool> {
    let now = app.clock.now();
    let door = open_door(app, entry, now).await?;
    // A life is held and restricted; objection and suppression outlast it.
    let of_a_life = matches!(change.rule(), Standing::Held | Standing::Restricted);
    if door.is_none() && of_a_life {
        return Err(Error::NotFound);
    }
    if change.done(entry) {
        return Ok(true);
    }
    let life = match &door {
        None => None,
        Some(door) => {
            // As stored, not as remembered: a retention that became shorter counts.
            let days = app
                .store
                .settings(entry.key.tenant)
                .await?
                .settings
                .retention_days;
            Some((door, expires_at(door.last_seen, days)))
        }
    };
    let mut writes = Vec::new();
    if let Change::Hold(_) = change {
        writes.push(leaving::stays_check(entry.key.tenant));
    }
    writes.extend(change.writes(entry, life, now));
    if let Change::Lift(Standing::Held) = change {
        for job in &entry.blocked {
            writes.extend(release_writes(app, &entry.key, *job, now).await?);
        }
    }
    writes.extend(logged(entry, change, by, now));
    match (app.store.transact(writes).await?, change) {
        (Ok(()), _) => Ok(true),
        (Err(Refusal::Condition { place: 0, .. }), Change::Hold(_)) => Err(leaving::gone()),
        (Err(_), _) => Ok(false),
    }
}

/// The door of a life that goes on.
async fn open_door(app: &App, entry: &Entry, now: Timestamp) -> Result<Option<Door>> {
    if entry.state != State::Active {
        return Ok(None);
    }
    let door = app.store.door(&entry.key).await?;
    Ok(door.filter(|door| !door.expired(now)))
}

/// Lets an erasure go on that waits for the hold to end. One that is just about to wait is
/// given its next turn as well, or it would wait for nobody.
async fn release_writes(
    app: &App,
    life: &LifeKey,
    id: JobId,
    now: Timestamp,
) -> Result<Vec<Write>> {
    let key = JobKey {
        tenant: life.tenant,
        kind: JobKind::Erasure,
        id,
    };
    match app.store.job(key).await? {
        Some(job) if !job.state.over() => Ok(job.wake_writes(now).into()),
        // Cancelled, or completed for the others.
        _ => Ok(Vec::new()),
    }
}

/// The entry in the tenant's log: it names the life, never the subject.
fn logged(entry: &Entry, change: &Change, by: &str, now: Timestamp) -> Vec<Write> {
    let mut about = vec![entry.key.life.to_string()];
    match change {
        Change::Hold(hold) => {
            about.push(format!("reason:{}", crate::activity::mask(&hold.reason)));
        }
        Change::Lift(Standing::Held) => about.extend(entry.blocked.iter().map(JobId::to_string)),
        _ => {}
    }
    activity::writes(&[activity::Entry {
        tenant: entry.key.tenant,
        deed: deed(change),
        by,
        about: &about,
        at: now,
        happened_at: None,
    }])
}

const fn deed(change: &Change) -> Deed {
    match change {
        Change::Restrict => Deed::Restricted,
        Change::Object => Deed::Objected,
        Change::Hold(_) => Deed::Held,
        Change::Suppress => Deed::Suppressed,
        Change::Lift(Standing::Restricted) => Deed::RestrictionLifted,
        Change::Lift(Standing::Objected) => Deed::ObjectionWithdrawn,
        Change::Lift(Standing::Held) => Deed::HoldLifted,
        Change::Lift(Standing::Suppressed) => Deed::SuppressionLifted,
    }
}
