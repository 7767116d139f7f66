//! Common to all erasures, of people and of tenants: record in the ledger before anything is
//! removed, verify after each pass, close lives last.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::aws::dynamo::Refusal;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{JobKind, JobState};
use shared::domain::keyring;
use shared::domain::keys::{self, LifeKey};
use shared::domain::life::door::verified_write;
use shared::domain::turn::{End, Halt, Turn};

/// Passes that still find something: then somebody is told.
const PASSES: u32 = 12;
/// The interval of retries for data that could not be removed.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Writes down in the bucket whose lives have ended, before anything is removed: should both
/// tables be restored to before this, the replay goes by it. Who is held, or was when the
/// rest was cancelled, is not among them: nobody may be erased on the word of a request that
/// was taken back.
pub async fn record_in_ledger(turn: &mut Turn<'_, Erasing>) -> Result<(), Halt> {
    if turn.job.progress.in_ledger || turn.job.key.kind == JobKind::Expiry {
        return Ok(());
    }
    let (job, erasing) = (turn.job.key, &turn.job.spec);
    let excluded: HashSet<_> = turn.job.outcome.excluded().collect();
    let mut lives = turn.app.store.all_lives_of(job, erasing).await?;
    lives.retain(|life| !excluded.contains(&life.subject));
    let ledger = json!({
        "tenant": job.tenant.to_string(),
        "job": job.id.to_string(),
        "everybody": erasing.tenant,
        "suppress": erasing.suppress,
        "begun_at": turn.job.created_at,
        "lives": lives.iter().map(LifeKey::short).collect::<Vec<_>>(),
    });
    // The number of lives only grows. A turn that was overtaken writes fewer, under another
    // key, and never replaces a larger list.
    let ended = erasing.closed.tree.size() + lives.len() as u64;
    let object = keys::ledger_object(job.tenant, job.id, ended);
    let body = ledger.to_string().into_bytes();
    turn.app
        .objects
        .put(&object, "application/json", body)
        .await?;
    turn.job.progress.in_ledger = true;
    Ok(())
}

/// What follows on a pass.
pub enum Look {
    /// Nothing is left.
    Clean,
    /// Everything must be gone through once more.
    Again,
    /// There is something to wait for.
    Wait(End),
}

/// Looks back upon a pass.
pub fn look_back(turn: &mut Turn<'_, Erasing>) -> Look {
    let now = turn.app.clock.now();
    let times = turn.job.outcome.unreadable_at.get_or_insert_default();
    for time in [&mut times.attachments, &mut times.exports] {
        if time.is_none() || turn.job.progress.found > 0 {
            *time = Some(now);
        }
    }
    // A link that was issued before may still create an object: verify again after it expires.
    let until = turn.job.spec.uploads_until;
    let late =
        until.is_some_and(|until| turn.job.progress.began.is_none_or(|began| began <= until));
    if turn.job.progress.found == 0 && !late {
        return Look::Clean;
    }
    let again = turn.job.progress.pass >= PASSES && turn.job.progress.found > 0;
    turn.job.begin_pass(now);
    if again {
        // Something continues to write here.
        turn.job.progress.pass = 0;
        turn.job.outcome.partial = vec![turn.job.progress.within.store().to_owned()];
        return Look::Wait(End::Wait(JobState::Partial, now + DAY));
    }
    match until.filter(|until| late && *until >= now) {
        Some(until) => {
            // The pass begins after the wait.
            turn.job.progress.began = None;
            let after = until + SignedDuration::from_millis(1);
            Look::Wait(End::Wait(JobState::Verifying, after))
        }
        None => Look::Again,
    }
}

/// Deletes a life's expiry index entry and marks it as erased in the keyring, unless the
/// keyring has a later life of the subject, which is not changed.
pub async fn close(app: &App, life: &LifeKey, now: Timestamp) -> Result<()> {
    let entry = verified_write(life);
    for kept in [false, true] {
        let erased = keyring::erased_write(life, kept, now);
        match app.store.transact(vec![erased, entry.clone()]).await? {
            Ok(()) => return Ok(()),
            // A rule that outlasts the life keeps its row.
            Err(Refusal::Condition { row: Some(row), .. }) if keyring::outlasted(&row) => {}
            Err(Refusal::Condition { .. }) => break,
        }
    }
    let _gone = app.store.write(entry).await?;
    Ok(())
}
