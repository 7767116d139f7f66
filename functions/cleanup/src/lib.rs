//! The scheduled sweep: whoever is due is forgotten, without waiting for TTL; clocks are
//! moved to where their doors say; holds whose time is over end; jobs whose worker died or
//! whose wait is over go on; a retention that became shorter is brought to every door. Then
//! the activity's days that are over are sealed. It tells how long the oldest erasure has
//! been overdue, and once a day it looks whether backups still age out.
//!
//! The operator invokes it directly, after a restore, with an order to replay.
//!
//! Each step looks again before it acts and may be repeated, so a sweep that is cut off
//! is simply followed by the next.

mod drift;
mod overdue;
mod receipts;
mod replay;
mod seal;
mod tombstones;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Error as Failure;
use serde_json::{Value, json};
use shared::app::App;
use shared::error::Result;
use shared::id::Tenant;
use shared::runtime::Trigger;
use shared::store::keys::{self, LifeKey, SHARDS, day_of};
use shared::store::lives::expires_at;

use replay::Order;

/// How long a sweep may work: the function's timeout, less time to end in good order.
const SWEEP: Duration = Duration::from_secs(240);
/// Rows of the index read at a time.
const PAGE: usize = 100;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    expired: u64,
    clocks_moved: u64,
    shortened: u64,
    jobs_resumed: u64,
    days_sealed: u64,
    holds_ended: u64,
    complete: bool,
}

/// Sweeps every tenant; or goes on with a replay, where that is asked for.
///
/// # Errors
/// When a store does not answer; the platform tries again. When what is asked for is no
/// replay: the field at fault.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    if let Some(order) = Order::parse(&event) {
        return Ok(replay::run(app, order?, Instant::now()).await?);
    }
    let Trigger::Schedule = Trigger::parse(event)? else {
        return Err("cleanup is woken by its schedule".into());
    };
    let started = Instant::now();
    let swept = sweep(app, started + SWEEP).await?;
    tracing::info!(
        function = "cleanup",
        duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        expired = swept.expired,
        clocks_moved = swept.clocks_moved,
        shortened = swept.shortened,
        jobs_resumed = swept.jobs_resumed,
        days_sealed = swept.days_sealed,
        holds_ended = swept.holds_ended,
        complete = swept.complete,
        "sweep"
    );
    overdue::measure(app).await?;
    drift::check(app).await?;
    Ok(json!({
        "expired": swept.expired,
        "clocks_moved": swept.clocks_moved,
        "shortened": swept.shortened,
        "jobs_resumed": swept.jobs_resumed,
        "days_sealed": swept.days_sealed,
        "holds_ended": swept.holds_ended,
        "complete": swept.complete,
    }))
}

async fn sweep(app: &App, deadline: Instant) -> Result<Swept> {
    let mut swept = Swept {
        jobs_resumed: resume_jobs(app).await?,
        ..Swept::default()
    };
    let mut after = None;
    loop {
        let (tenants, next) = app.store.tenants(PAGE, after).await?;
        for tenant in tenants.iter().filter(|it| it.erased_at.is_none()) {
            let tenant = tenant.tenant;
            shorten(app, tenant, deadline, &mut swept).await?;
            for shard in 0..SHARDS {
                sweep_shard(app, tenant, shard, deadline, &mut swept).await?;
            }
            if Instant::now() >= deadline {
                return Ok(swept);
            }
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    // After all of that: forgetting waits for no seal.
    seal_all(app, deadline, &mut swept).await?;
    swept.complete = Instant::now() < deadline;
    Ok(swept)
}

/// Seals what is over of every tenant's activity, and makes the receipts of its expiries.
/// One for whom that cannot be done now holds up nobody else.
async fn seal_all(app: &App, deadline: Instant, swept: &mut Swept) -> Result<()> {
    let mut failed = None;
    let mut after = None;
    loop {
        let (tenants, next) = app.store.tenants(PAGE, after).await?;
        for record in tenants.iter().filter(|it| it.erased_at.is_none()) {
            let (tenant, created_at) = (record.tenant, record.created_at);
            let days = seal::seal(app, tenant, created_at, deadline).await;
            let receipts = receipts::issue(app, tenant, created_at, deadline).await;
            match (days, receipts) {
                (Ok(days), Ok(())) => swept.days_sealed += days,
                (Err(cause), _) | (_, Err(cause)) => failed = Some(cause),
            }
        }
        after = next;
        if after.is_none() || Instant::now() >= deadline {
            return failed.map_or(Ok(()), Err);
        }
    }
}

/// Hands over the next turn of jobs that nobody works on.
async fn resume_jobs(app: &App) -> Result<u64> {
    let mut resumed = 0;
    loop {
        let now = app.clock.now();
        let due = app.store.jobs_due(now, PAGE).await?;
        let full = due.len() == PAGE;
        let mut moved = 0;
        for key in due {
            // The index lags behind: the job itself says whether it is still due.
            let Some(mut job) = app.store.job(key).await? else {
                continue;
            };
            let done = match job.state.over() {
                true => tombstones::remove(app, &job, now).await?,
                false => app.store.next_turn(&mut job, now).await?,
            };
            moved += u64::from(done);
        }
        resumed += moved;
        if !full || moved == 0 {
            return Ok(resumed);
        }
    }
}

/// Goes through the clocks of one shard that are due by today.
async fn sweep_shard(
    app: &App,
    tenant: Tenant,
    shard: u8,
    deadline: Instant,
    swept: &mut Swept,
) -> Result<()> {
    let partition = keys::due_partition(tenant, shard);
    let mut after = None;
    loop {
        let today = day_of(app.clock.now()).to_string();
        let (sorts, next) = app.store.due(&partition, Some(&today), PAGE, after).await?;
        for sort in sorts {
            if let Some((_, life)) = keys::parse_due(tenant, &sort) {
                look_at(app, &life, swept).await?;
            }
        }
        after = next;
        if after.is_none() || Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// A clock whose day has come: the life is over, or its door says when it will be.
async fn look_at(app: &App, life: &LifeKey, swept: &mut Swept) -> Result<()> {
    let now = app.clock.now();
    match app.store.door(life).await? {
        Some(door) if door.expires_at.is_none() => look_again(app, life, now, swept).await?,
        Some(door) if !door.expired(now) => {
            if let Some(expires) = door.expires_at.filter(|at| day_of(*at) > day_of(now)) {
                app.store.move_clock(life, expires).await?;
                swept.clocks_moved += 1;
            }
        }
        _ => {
            // Refused where its erasure is under way already.
            if app.store.begin_expiry(life, now).await? {
                swept.expired += 1;
            }
        }
    }
    Ok(())
}

/// A clock that a hold or a restriction has stopped: the hold is over, or there is nothing
/// to look at before it may be, nor before tomorrow.
async fn look_again(app: &App, life: &LifeKey, now: Timestamp, swept: &mut Swept) -> Result<()> {
    let entry = app.keyring.entry(life.tenant, life.subject).await?;
    let Some(entry) = entry.filter(|entry| entry.key == *life) else {
        return Ok(());
    };
    if app.end_hold(&entry).await? {
        swept.holds_ended += 1;
        return Ok(());
    }
    let tomorrow = now + SignedDuration::from_hours(24);
    let until = entry.hold.as_ref().and_then(|hold| hold.until);
    let until = until.unwrap_or(tomorrow);
    if day_of(until) > day_of(now) && app.store.postpone_clock(&entry, until).await? {
        swept.clocks_moved += 1;
    }
    Ok(())
}

/// Brings every door of a tenant to a retention that became shorter. A longer one holds
/// from the person's next visit: what was promised is kept.
async fn shorten(app: &App, tenant: Tenant, deadline: Instant, swept: &mut Swept) -> Result<()> {
    let stored = app.store.settings(tenant).await?;
    let days = stored.settings.retention_days;
    if days >= stored.applied_days {
        return Ok(());
    }
    for shard in 0..SHARDS {
        let partition = keys::due_partition(tenant, shard);
        let mut after = None;
        loop {
            let (sorts, next) = app.store.due(&partition, None, PAGE, after).await?;
            let lives: Vec<_> = sorts
                .iter()
                .filter_map(|sort| keys::parse_due(tenant, sort))
                .map(|(_, life)| life)
                .collect();
            let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
            for present in app.present(tenant, &subjects).await? {
                let expires = expires_at(present.door.last_seen, days);
                if present.door.expires_at.is_some_and(|at| at > expires) {
                    // The clock first: one that is early only looks at its door once more.
                    app.store.move_clock(&present.key, expires).await?;
                    app.store.shorten(&present.key, expires).await?;
                    swept.shortened += 1;
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
            if Instant::now() >= deadline {
                return Ok(());
            }
        }
    }
    // Refused when the settings have changed again: the next sweep sees to those.
    app.store.retention_applied(tenant, &stored).await?;
    Ok(())
}
