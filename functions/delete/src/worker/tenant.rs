//! Offboarding of a tenant, unless a person is held. First its API keys are deleted. Once no
//! cache holds them, the tenant's own keys are deleted, and everything sealed under them
//! becomes unreadable. Once no cache holds those, everybody in the index `due` is removed, and
//! everything is verified after the last upload link has expired. Receipts and the operator's
//! record remain.

use std::collections::HashSet;

use jiff::SignedDuration;
use shared::aws::dynamo::{Item, Query, Range};
use shared::aws::s3::last_upload;
use shared::base::error::Result;
use shared::base::ttl_cache::{SETTINGS_HELD, TENANT_KEYS_HELD};
use shared::domain::erasure::offboarding;
use shared::domain::erasure::outcome::UnreadableAt;
use shared::domain::erasure::progress::{Leaving, Progress, STORES, Stage, Within};
use shared::domain::erasure::receipt::{Lives, Receipt};
use shared::domain::erasure::spec::Erasing;
use shared::domain::expiry_index::Cursor;
use shared::domain::jobs::{JobKind, JobState};
use shared::domain::keys::{self, EXPIRY, LifeKey, Rule, SHARDS};
use shared::domain::turn::{End, Halt, Turn};
use shared::proof::merkle::Hash;

use crate::worker::purge::{clear_objects, clear_rows};
use crate::worker::verify::{Look, close, look_back, record_in_ledger};

/// The longest duration of a request: cached values can be used this much longer than they are
/// cached.
const REQUEST: SignedDuration = SignedDuration::from_secs(60);
/// How soon to verify again whether the holds have been lifted.
const HELD: SignedDuration = SignedDuration::from_hours(1);
const PAGE: usize = 100;

/// Removes everything of a tenant; `None` when nothing is left.
pub async fn work(turn: &mut Turn<'_, Erasing>) -> Result<Option<End>, Halt> {
    loop {
        let now = turn.app.clock.now();
        match place(turn).stage {
            Stage::Holds => {
                if !nobody_held(turn).await? {
                    return Ok(Some(End::Wait(JobState::Blocked, now + HELD)));
                }
                place(turn).stage = Stage::Keys;
            }
            Stage::Keys => {
                record_in_ledger(turn).await?;
                delete_partition(turn, &keys::api_keys(turn.job.key.tenant)).await?;
                place(turn).stage = Stage::TenantKey;
                let until = now + SETTINGS_HELD + REQUEST;
                return Ok(Some(End::Wait(JobState::Running, until)));
            }
            Stage::TenantKey => {
                turn.app.keyring.remove_tenant(turn.job.key.tenant).await?;
                place(turn).stage = Stage::People;
                let until = now + TENANT_KEYS_HELD + REQUEST;
                return Ok(Some(End::Wait(JobState::Running, until)));
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
                match look_back(turn) {
                    Look::Clean => place(turn).stage = Stage::Rest,
                    Look::Wait(end) => return Ok(Some(end)),
                    Look::Again => {}
                }
            }
            Stage::Rest => {
                rest(turn).await?;
                return Ok(None);
            }
        }
        turn.save().await?;
    }
}

fn place<'t>(turn: &'t mut Turn<'_, Erasing>) -> &'t mut Leaving {
    turn.job.progress.leaving.get_or_insert_default()
}

/// Whether nobody is held, and nobody can be from here on. A hold is put in a transaction with
/// a look at the mark that the tenant is going, so it is either seen here or refused there.
async fn nobody_held(turn: &mut Turn<'_, Erasing>) -> Result<bool, Halt> {
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

/// Goes through everybody whom `due` lists.
async fn people(turn: &mut Turn<'_, Erasing>) -> Result<(), Halt> {
    let (app, tenant) = (turn.app, turn.job.key.tenant);
    let mut cursor = Cursor {
        shard: place(turn).shard,
        after: None,
    };
    while !cursor.over() {
        let listed = app.store.due_lives(tenant, None, PAGE, &mut cursor).await?;
        for life in present(turn, listed).await? {
            person(turn, &life).await?;
            turn.still_time()?;
        }
        place(turn).shard = cursor.shard;
    }
    Ok(())
}

/// Those of some lives that have an expiry index entry. The index lags behind: it still lists some that
/// have gone, and are counted.
async fn present(turn: &Turn<'_, Erasing>, mut lives: Vec<LifeKey>) -> Result<Vec<LifeKey>, Halt> {
    let entry = |life: &LifeKey| (life.partition(), EXPIRY.to_owned());
    let entries: Vec<_> = lives.iter().map(entry).collect();
    let found = turn.app.store.get_many(&entries).await?;
    let found: HashSet<_> = found.iter().map(Item::partition).collect();
    lives.retain(|life| found.contains(life.partition().as_str()));
    Ok(lives)
}

/// Removes one person's rows. Their objects go with all of the tenant's.
async fn person(turn: &mut Turn<'_, Erasing>, life: &LifeKey) -> Result<(), Halt> {
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
            turn.job.add(store, 1);
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

/// What is left of the tenant itself, but receipts and erasures.
async fn rest(turn: &mut Turn<'_, Erasing>) -> Result<(), Halt> {
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
async fn delete_partition(turn: &Turn<'_, Erasing>, partition: &str) -> Result<(), Halt> {
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

/// The receipt, the operator's record, and the end of the job.
pub async fn finish(turn: &mut Turn<'_, Erasing>) -> Result<End, Halt> {
    let (app, now) = (turn.app, turn.app.clock.now());
    let lives = std::mem::take(&mut place(turn).lives);
    let job = &mut turn.job;
    job.total = job.done;
    job.progress = Progress::default();
    job.outcome.erased_at = Some(now);
    let receipt = Receipt::of_job(job, Lives::Root(lives), now);
    let (signed, kept) = receipt.issue(app).await?;
    let left = offboarding::left_write(job.key.tenant, job.key.id, &signed, now);
    Ok(End::Job(JobState::Completed, vec![kept, left]))
}
