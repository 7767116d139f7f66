//! Common to all erasures, of people and of tenants: record in the ledger before anything is
//! removed, verify after each pass, close lives last.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::aws::dynamo::Refusal;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::jobs::{JobKind, JobState};
use shared::domain::keyring;
use shared::domain::keys::{self, LifeKey};
use shared::domain::life::door::verified_write;

use crate::worker::turn::{Halt, Turn};

/// Passes that still find data before the job becomes partial.
const PASSES: u32 = 12;
/// The interval of retries for data that could not be removed.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How the work of a turn ended.
pub enum Done {
    /// Nothing is left.
    Everything,
    /// The job has to wait.
    Until(JobState, Timestamp),
}

/// Records the ended lives in the ledger in the bucket before anything is removed: if both
/// tables are restored to an earlier moment, the replay uses it. Lives that are held, or were
/// when the rest was cancelled, are not recorded, because a cancelled request must never erase
/// anybody.
pub async fn record_in_ledger(turn: &mut Turn<'_>) -> Result<(), Halt> {
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

/// At the end of a pass: nothing is left, or the job has to wait, or (`None`) everything must
/// be processed once more.
pub fn look_back(turn: &mut Turn<'_>) -> Result<Option<Done>, Halt> {
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
        return Ok(Some(Done::Everything));
    }
    let again = turn.job.progress.pass >= PASSES && turn.job.progress.found > 0;
    turn.begin_pass(now);
    if again {
        // Something continues to write here.
        turn.job.progress.pass = 0;
        turn.job.outcome.partial = vec![turn.job.progress.within.store().to_owned()];
        return Ok(Some(Done::Until(JobState::Partial, now + DAY)));
    }
    Ok(match until.filter(|until| late && *until >= now) {
        Some(until) => {
            // The pass begins after the wait.
            turn.job.progress.began = None;
            let after = until + SignedDuration::from_millis(1);
            Some(Done::Until(JobState::Verifying, after))
        }
        None => None,
    })
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
