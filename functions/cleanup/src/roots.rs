//! Signs the activity log: each finished day gets a signed log root over its entries, chained
//! to the previous day, so that no entry can be changed, added or removed unnoticed.
//!
//! A day is signed only after its watermarks are closed. Leaves are stored as they are
//! computed, the root last, so an interrupted sweep resumes where it stopped.

use std::time::Instant;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::base::error::{Error, Result};
use shared::base::id::TenantId;
use shared::domain::app::App;
use shared::domain::audit::entry::EntryView;
use shared::domain::audit::roots::{Leaves, LogRoot, PART};
use shared::domain::keys::{self, day_of};
use shared::proof::leaf::{SEAL, leaf};
use shared::proof::merkle::{Hash, Tree};

/// How long a day stays open after midnight, so that events from a slightly slow clock are not
/// refused.
const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// Signs the root of every finished day of a tenant's log, oldest first. Returns how many.
pub async fn sign(
    app: &App,
    tenant: TenantId,
    created_at: Timestamp,
    deadline: Instant,
) -> Result<u64> {
    let now = app.clock.now();
    let mut newest = app.store.newest_root(tenant).await?;
    let mut next = match &newest {
        Some(seal) => seal.day.tomorrow(),
        None => Ok(day_of(created_at)),
    };
    let mut sealed = 0;
    let mut closed = false;
    while let Ok(day) = next
        && day < day_of(now - GRACE)
        && Instant::now() < deadline
    {
        if !closed {
            let last = day_of(now - GRACE).yesterday().unwrap_or(day);
            app.store.close_day(tenant, last).await?;
            closed = true;
        }
        let previous = newest.map(|seal| seal.root);
        newest = sign_day(app, tenant, day, previous, deadline).await?;
        if newest.is_none() {
            break;
        }
        sealed += 1;
        next = day.tomorrow();
    }
    Ok(sealed)
}

/// Signs one day whose watermarks are closed. `None` when time is up, or another sweep is
/// signing it.
async fn sign_day(
    app: &App,
    tenant: TenantId,
    day: Date,
    previous: Option<Hash>,
    deadline: Instant,
) -> Result<Option<LogRoot>> {
    let Some(tree) = tree(app, tenant, day, deadline).await? else {
        return Ok(None);
    };
    let claims = json!({
        "tenant": tenant.to_string(),
        "day": day.to_string(),
        "entries": tree.size(),
        "root": tree.root(),
        "previous": previous,
        "iat": app.clock.now().as_second(),
    });
    let seal = LogRoot {
        day,
        entries: tree.size(),
        root: tree.root(),
        jws: app.vault.sign(SEAL, &claims).await?,
    };
    let object = keys::seal_object(tenant, day);
    let body = seal.jws.clone().into_bytes();
    app.objects.put(&object, "application/jose", body).await?;
    Ok(app.store.add_root(tenant, &seal).await?.then_some(seal))
}

/// The Merkle tree over a day's entries. Stores its leaves.
async fn tree(app: &App, tenant: TenantId, day: Date, deadline: Instant) -> Result<Option<Tree>> {
    let mut tree = Tree::default();
    let mut written = 0;
    let mut after = None;
    // The leaves that an earlier sweep stored.
    while let Some(leaves) = app.store.leaves(tenant, day, written).await? {
        leaves.hashes.iter().for_each(|leaf| tree.push(*leaf));
        after = Some(leaves.last);
        written += 1;
    }
    let mut entries = app.store.day(tenant, day, after.as_deref());
    loop {
        let (mut hashes, mut last) = (Vec::new(), String::new());
        while hashes.len() < PART
            && let Some(row) = entries.next().await?
        {
            let entry = json!(EntryView::read(&row)?);
            let hash = leaf(&entry).ok_or_else(|| Error::Corrupt("an entry has no leaf".into()))?;
            tree.push(hash);
            hashes.push(hash);
            row.sort().clone_into(&mut last);
        }
        if hashes.is_empty() {
            return Ok(Some(tree));
        }
        let leaves = Leaves {
            number: written,
            hashes,
            last,
        };
        if !app.store.add_leaves(tenant, day, &leaves).await? || Instant::now() >= deadline {
            return Ok(None);
        }
        written += 1;
    }
}
