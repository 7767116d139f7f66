//! Processes due expiry index entries: the life has expired, or its door has a later expiry,
//! or a hold or a restriction has paused it.

use std::collections::HashMap;
use std::time::Instant;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use shared::aws::dynamo::Item;
use shared::base::error::Result;
use shared::base::id::TenantId;
use shared::domain::app::App;
use shared::domain::expiry_index::Cursor;
use shared::domain::keyring::{Entry, State};
use shared::domain::keys::{DOOR, LifeKey, day_of};
use shared::domain::life::door::Door;

use crate::sweep::Sweep;
use crate::{PAGE, at_once};

/// The outcome of an expiry index entry.
enum Seen {
    Expired,
    Moved,
    HoldEnded,
    AsItWas,
}

/// Processes a tenant's expiry index entries that are due by today. False when time runs out
/// first.
pub async fn sweep(
    sweep: &mut Sweep<'_>,
    tenant: TenantId,
    cursor: &mut Cursor,
    until: Instant,
) -> bool {
    while !cursor.over() {
        let app = sweep.app;
        let today = day_of(app.clock.now());
        let due = app.store.due_lives(tenant, Some(today), PAGE, cursor).await;
        if let Some(lives) = sweep.note("expiry", tenant, due) {
            look_at_all(sweep, tenant, lives).await;
        }
        if Instant::now() >= until {
            return cursor.over();
        }
    }
    true
}

async fn look_at_all(sweep: &mut Sweep<'_>, tenant: TenantId, mut lives: Vec<LifeKey>) {
    let app = sweep.app;
    let doors = doors(app, &lives).await;
    let Some(mut doors) = sweep.note("expiry", tenant, doors) else {
        return;
    };
    let ended = ended(app, tenant, &lives, &doors).await;
    let Some(ended) = sweep.note("expiry", tenant, ended) else {
        return;
    };
    lives.retain(|life| !ended.contains_key(life));
    // The request that lifted the hold did not release the jobs that waited for it.
    let unreleased = ended.values().flatten();
    for entry in unreleased.filter(|entry| !entry.blocked.is_empty()) {
        let about = format!("{} {}", entry.key.tenant, entry.key.life);
        sweep.note("expiry", about, app.release(entry).await);
    }
    let looks = lives
        .iter()
        .map(|life| look_at(app, life, doors.remove(life)).boxed());
    for (life, seen) in lives.iter().zip(at_once(looks.collect()).await) {
        let about = format!("{} {}", life.tenant, life.life);
        match sweep.note("expiry", about, seen) {
            Some(Seen::Expired) => sweep.did.expired += 1,
            Some(Seen::Moved) => sweep.did.clocks_moved += 1,
            Some(Seen::HoldEnded) => sweep.did.holds_ended += 1,
            Some(Seen::AsItWas) | None => {}
        }
    }
}

/// The doors of these lives, where they exist. One that cannot be read is reported with its
/// life.
pub async fn doors(app: &App, lives: &[LifeKey]) -> Result<HashMap<LifeKey, Result<Door>>> {
    let wanted: Vec<_> = lives
        .iter()
        .map(|life| (life.partition(), DOOR.to_owned()))
        .collect();
    let rows = app.store.get_many(&wanted).await?;
    let door = |row: &Item| Some((LifeKey::parse(row.partition())?, Door::read(row)));
    Ok(rows.iter().filter_map(door).collect())
}

/// The lives without a door whose erasure is under way. Their expiry index entries stay until
/// it is verified. Each with its keyring row, unless the subject has a later life.
async fn ended(
    app: &App,
    tenant: TenantId,
    lives: &[LifeKey],
    doors: &HashMap<LifeKey, Result<Door>>,
) -> Result<HashMap<LifeKey, Option<Entry>>> {
    let gone: Vec<_> = lives.iter().filter(|it| !doors.contains_key(it)).collect();
    // Two lives of one subject may have ended: the second before the first is fully erased.
    let mut subjects: Vec<_> = gone.iter().map(|life| life.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let mut entries = app.keyring.entries(tenant, &subjects).await?;
    let mut ended = HashMap::new();
    for life in gone {
        let current = entries.get(&life.subject).is_some_and(|it| it.key == *life);
        let entry = current.then(|| entries.remove(&life.subject)).flatten();
        if entry.as_ref().is_none_or(|it| it.state != State::Active) {
            ended.insert(*life, entry);
        }
    }
    Ok(ended)
}

async fn look_at(app: &App, life: &LifeKey, door: Option<Result<Door>>) -> Result<Seen> {
    let now = app.clock.now();
    match door.transpose()? {
        Some(door) if door.expires_at.is_none() => look_again(app, life, now).await,
        Some(door) if !door.expired(now) => {
            let ahead = door.expires_at.is_some_and(|at| day_of(at) > day_of(now));
            // Refused: the door has changed since. The next sweep verifies it again.
            match ahead && app.store.move_expiry(life, &door).await? {
                true => Ok(Seen::Moved),
                false => Ok(Seen::AsItWas),
            }
        }
        // Refused if the life's erasure is already under way.
        _ => match app.store.begin_expiry(life, now).await? {
            true => Ok(Seen::Expired),
            false => Ok(Seen::AsItWas),
        },
    }
}

/// Handles an expiry that a hold or a restriction has paused: ends an expired hold, or
/// postpones the entry until the hold may end, or until tomorrow.
async fn look_again(app: &App, life: &LifeKey, now: Timestamp) -> Result<Seen> {
    let entry = app.keyring.entry(life.tenant, life.subject).await?;
    let Some(entry) = entry.filter(|entry| entry.key == *life) else {
        return Ok(Seen::AsItWas);
    };
    if app.end_hold(&entry).await? {
        return Ok(Seen::HoldEnded);
    }
    let tomorrow = now + SignedDuration::from_hours(24);
    let until = entry.hold.as_ref().and_then(|hold| hold.until);
    let until = until.unwrap_or(tomorrow);
    match day_of(until) > day_of(now) && app.store.postpone_clock(&entry, until).await? {
        true => Ok(Seen::Moved),
        false => Ok(Seen::AsItWas),
    }
}
