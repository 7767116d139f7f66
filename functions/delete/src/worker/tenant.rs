//! Offboarding of a tenant, unless a person is held. First its API keys are deleted. Once no
//! cache holds them, the tenant's own keys are deleted, and everything sealed under them
//! becomes unreadable. Once no cache holds those, everybody in the index `due` is removed, and
//! everything is verified after the last upload link has expired. Receipts and the operator's
//! record remain.

use std::collections::HashSet;

use jiff::SignedDuration;
use shared::aws::dynamo::{Item, Query, Range, Write};
use shared::aws::s3::last_upload;
use shared::base::error::Result;
use shared::base::ttl_cache::{SETTINGS_HELD, TENANT_KEYS_HELD};
use shared::domain::erasure::offboarding;
use shared::domain::erasure::outcome::UnreadableAt;
use shared::domain::erasure::progress::{Leaving, Progress, STORES, Stage, Within};
use shared::domain::erasure::receipt::{Lives, Receipt};
use shared::domain::jobs::{JobKind, JobState};
use shared::domain::keys::{self, EXPIRY, LifeKey, Rule, SHARDS};
use shared::proof::merkle::Hash;

use crate::worker::purge::{clear_objects, clear_rows};
use crate::worker::turn::{Halt, Turn};
use crate::worker::verify::{Done, close, look_back, record_in_ledger};

/// The longest duration of a request: cached values can be used this much longer than they are
/// cached.
const REQUEST: SignedDuration = SignedDuration::from_secs(60);
/// How soon to verify again whether the holds have been lifted.
const HELD: SignedDuration = SignedDuration::from_hours(1);
const PAGE: usize = 100;

pub async fn work(turn: &mut Turn<'_>) -> Result<Done, Halt> {
    loop {
        let now = turn.app.clock.now();
        match place(turn).stage {
            Stage::Holds => {
                if !nobody_held(turn).await? {
                    return Ok(Done::Until(JobState::Blocked, now + HELD));
                }
                place(turn).stage = Stage::Keys;
            }
            Stage::Keys => {
                record_in_ledger(turn).await?;
                delete_partition(turn, &keys::api_keys(turn.job.key.tenant)).await?;
                place(turn).stage = Stage::TenantKey;
                let until = now + SETTINGS_HELD + REQUEST;
                return Ok(Done::Until(JobState::Running, until));
            }
            Stage::TenantKey => {
                turn.app.keyring.remove_tenant(turn.job.key.tenant).await?;
                place(turn).stage = Stage::People;
                let until = now + TENANT_KEYS_HELD + REQUEST;
                return Ok(Done::Until(JobState::Running, until));
            }
            Stage::People => {
                if turn.job.outcome.unreadable_at.is_none() {
                    turn.job.outcome.unreadable_at = Some(UnreadableAt::records(now));
                    // A cached key may have issued a link.
                    turn.job.spec.uploads_until = Some(last_upload(now));
                }
                if turn.job.progress.began.is_none() {
                    turn.job.progress.began = Some(now);
                }
                people(turn).await?;
                let prefixes = keys::tenant_prefixes(turn.job.key.tenant);
                clear_objects(turn, &prefixes).await?;
                place(turn).shard = 0;
                match look_back(turn)? {
                    Some(Done::Everything) => place(turn).stage = Stage::Rest,
                    Some(wait) => return Ok(wait),
                    None => {}
                }
            }
            Stage::Rest => {
                rest(turn).await?;
                return Ok(Done::Everything);
            }
        }
        turn.save().await?;
    }
}

fn place<'t>(turn: &'t mut Turn<'_>) -> &'t mut Leaving {
    turn.job.progress.leaving.get_or_insert_default()
}

/// Whether nobody is held, and nobody can be from here on. Placing a hold checks the mark that
/// the tenant is going in the same transaction, so the hold is either seen here or refused
/// there.
async fn nobody_held(turn: &mut Turn<'_>) -> Result<bool, Halt> {
    let (app, job) = (turn.app, turn.job.key);
    if offboarding::somebody_held(app, job.tenant).await? {
        return Ok(false);
    }
    turn.save_with(vec![offboarding::going_write(job)]).await?;
    if offboarding::somebody_held(app, job.tenant).await? {
        turn.save_with(vec![offboarding::staying_write(job)])
            .await?;
        return Ok(false);
    }
    Ok(true)
}

/// Processes everybody in the index `due`.
async fn people(turn: &mut Turn<'_>) -> Result<(), Halt> {
    let (app, tenant) = (turn.app, turn.job.key.tenant);
    while place(turn).shard < SHARDS {
        let partition = keys::due_partition(tenant, place(turn).shard);
        let mut after = None;
        loop {
            let (sorts, next) = app.store.due(&partition, None, PAGE, after).await?;
            let due = sorts.iter().filter_map(|it| keys::parse_due(tenant, it));
            let listed: Vec<_> = due.map(|(_, life)| life).collect();
            for life in present(turn, listed).await? {
                person(turn, &life).await?;
                turn.still_time()?;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        place(turn).shard += 1;
    }
    Ok(())
}

/// The lives that have an expiry index entry. The index is eventually consistent and still
/// lists some that are deleted and counted.
async fn present(turn: &Turn<'_>, mut lives: Vec<LifeKey>) -> Result<Vec<LifeKey>, Halt> {
    let entry = |life: &LifeKey| (life.partition(), EXPIRY.to_owned());
    let entries: Vec<_> = lives.iter().map(entry).collect();
    let found = turn.app.store.get_many(&entries).await?;
    let found: HashSet<_> = found.iter().map(Item::partition).collect();
    lives.retain(|life| found.contains(life.partition().as_str()));
    Ok(lives)
}

/// Removes one person's rows. Their objects are removed with all objects of the tenant.
async fn person(turn: &mut Turn<'_>, life: &LifeKey) -> Result<(), Halt> {
    let app = turn.app;
    if place(turn).at.as_deref() != Some(&life.short()) {
        (place(turn).at, place(turn).counted) = (Some(life.short()), false);
        turn.job.progress.within = Within::default();
    }
    // Rows are the last store; the next life begins there again.
    turn.job.progress.within.store = STORES.len() - 1;
    app.store.end_life(life).await?;
    clear_rows(turn, life).await?;
    // Counted before the expiry index entry is deleted, since nothing leads here after that.
    // Counted once, since a crash between the two steps repeats this life.
    if !place(turn).counted {
        turn.job.progress.found += 1;
        for store in ["records", "keyring"] {
            turn.add(store, 1);
        }
        let leaf = Hash::leaf(&[life.life.to_string().as_bytes()]);
        place(turn).lives.push(leaf);
        place(turn).counted = true;
        turn.save().await?;
    }
    close(app, life, app.clock.now()).await?;
    turn.job.progress.within = Within::default();
    Ok(())
}

/// Removes the tenant's remaining rows, except for receipts and erasures.
async fn rest(turn: &mut Turn<'_>) -> Result<(), Halt> {
    let (app, tenant) = (turn.app, turn.job.key.tenant);
    for rule in Rule::ALL {
        delete_partition(turn, &keys::listed(tenant, rule)).await?;
    }
    let mut kinds = JobKind::ALL.to_vec();
    kinds.retain(|kind| kind.worker() != JobKind::Erasure.worker());
    for kind in kinds {
        delete_partition(turn, &keys::jobs(tenant, kind)).await?;
    }
    let created_at = app.store.tenant(tenant).await?.created_at;
    let today = keys::day_of(app.clock.now());
    let mut day = keys::day_of(created_at);
    while day <= today {
        for shard in 0..SHARDS {
            delete_partition(turn, &keys::activity(tenant, day, shard)).await?;
        }
        let Ok(tomorrow) = day.tomorrow() else { break };
        day = tomorrow;
        turn.still_time()?;
    }
    delete_partition(turn, &keys::watermarks(tenant)).await?;
    // The settings last: cleanup finds the tenant by them.
    delete_partition(turn, &keys::settings(tenant)).await
}

/// Deletes all rows of a partition.
async fn delete_partition(turn: &Turn<'_>, partition: &str) -> Result<(), Halt> {
    let app = turn.app;
    let mut after = None;
    loop {
        let query = Query {
            partition,
            range: Range::All,
            ascending: true,
            limit: Some(PAGE),
            after,
        };
        let (sorts, next) = app.store.query_sorts(query).await?;
        app.store.delete_many(partition, &sorts).await?;
        after = next;
        if after.is_none() {
            return Ok(());
        }
        turn.still_time()?;
    }
}

/// Writes the receipt and the operator's record, and completes the job.
pub async fn finish(mut turn: Turn<'_>) -> Result<()> {
    let (app, now) = (turn.app, turn.app.clock.now());
    let (tenant, id) = (turn.job.key.tenant, turn.job.key.id);
    let lives = std::mem::take(&mut place(&mut turn).lives);
    let mut job = turn.job;
    job.total = job.done;
    job.progress = Progress::default();
    job.outcome.erased_at = Some(now);
    let receipt = Receipt::of_job(&job, Lives::Root(lives), now);
    let (signed, kept) = receipt.issue(app).await?;
    let writes: Vec<Write> = vec![
        kept,
        offboarding::left_write(tenant, id, &signed, now),
        job.finish_write(JobState::Completed, now),
    ];
    // Refused: a later turn has completed it.
    let _fenced = app.store.transact(writes).await?;
    Ok(())
}
