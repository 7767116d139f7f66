//! Applies a shortened retention to every door of its tenant. A longer one applies from the
//! person's next visit: promised expiry dates are kept.

use std::time::Instant;

use futures::FutureExt;
use jiff::SignedDuration;
use shared::base::error::{Error, Result};
use shared::base::id::TenantId;
use shared::domain::app::App;
use shared::domain::keys::LifeKey;
use shared::domain::life::door::{Door, expires_at};
use shared::domain::tenant::rows::Shortened;

use crate::expiry::doors;
use crate::sweep::Sweep;
use crate::{PAGE, at_once};

/// For how long a request may still use the previous settings: a minute of caching, and the
/// longest duration of a request.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(120);

/// Continues to apply the tenant's retention to every door. False when time runs out first.
///
/// While a request may still use the previous settings, every door is processed now and once
/// more later, because a visit meanwhile may restore the longer time.
pub async fn shorten(sweep: &mut Sweep<'_>, tenant: TenantId, until: Instant) -> Result<bool> {
    let app = sweep.app;
    let stored = match app.store.settings(tenant).await {
        // The tenant has left: there are no doors any more.
        Err(Error::NotFound) => return Ok(true),
        stored => stored?,
    };
    let days = stored.settings.retention_days;
    if days >= stored.applied_days {
        return Ok(true);
    }
    let settled = app.clock.now() >= stored.changed_at + REMEMBERED;
    let mut place = stored.shortened.clone();
    while !place.at.over() {
        let due = app.store.due_lives(tenant, None, PAGE, &mut place.at).await;
        let all = match due {
            Ok(lives) => shorten_all(sweep, &lives, days).await,
            Err(error) => Err(error),
        };
        place.missed |= sweep.note("shorten", tenant, all) != Some(true);
        if Instant::now() >= until && !place.at.over() {
            if settled {
                app.store.note_shortened(tenant, stored.rev, &place).await?;
            }
            return Ok(!settled);
        }
    }
    match (settled, place.missed) {
        (true, false) => app.store.retention_applied(tenant, &stored).await?,
        // Start again.
        (true, true) => {
            let start = Shortened::default();
            app.store.note_shortened(tenant, stored.rev, &start).await?;
        }
        (false, _) => {}
    }
    Ok(true)
}

/// Shortens some lives. False when one of them failed.
async fn shorten_all(sweep: &mut Sweep<'_>, lives: &[LifeKey], days: u8) -> Result<bool> {
    let app = sweep.app;
    let doors = doors(app, lives).await?;
    let (lives, doors): (Vec<_>, Vec<_>) = doors.into_iter().unzip();
    let shorter = lives
        .iter()
        .zip(doors)
        .map(|(life, door)| shorten_one(app, life, door, days).boxed());
    let mut all = true;
    for (life, done) in lives.iter().zip(at_once(shorter.collect()).await) {
        let about = format!("{} {}", life.tenant, life.life);
        match sweep.note("shorten", about, done) {
            Some(shortened) => sweep.did.shortened += u64::from(shortened),
            None => all = false,
        }
    }
    Ok(all)
}

/// False when there is nothing to shorten, or when the person has just been seen under the new
/// settings.
async fn shorten_one(app: &App, life: &LifeKey, door: Result<Door>, days: u8) -> Result<bool> {
    let door = door?;
    let expires = expires_at(door.last_seen, days);
    match door.expires_at.is_some_and(|at| at > expires) {
        true => app.store.shorten(life, &door, expires).await,
        false => Ok(false),
    }
}
