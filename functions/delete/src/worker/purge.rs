//! Purges a life's remaining data, object by object and row by row.
//!
//! A crash can follow any step, and every step is idempotent, because deleted data stays
//! deleted and keys contain the life. A step counts what it removes, and saves the count,
//! before the removal; a retry removes the rest without counting it again. Progress therefore
//! only grows, and the counts are exact.

use shared::aws::dynamo::{Query, Range};
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::erasure::progress::{STORES, Within};
use shared::domain::erasure::spec::Erasing;
use shared::domain::keys::{self, EXPIRY, LifeKey};
use shared::domain::turn::{Halt, Turn};

/// Rows removed in one step.
const PAGE: usize = 500;

/// A page of a life's rows: their sort keys, and the start of the next page.
type Rows = (Vec<String>, Option<String>);

/// Removes what is left of a life but its expiry index entry. Most people never sent a file, and S3 need
/// not be asked about them: every write behind the door that can lead to an object leaves a
/// row, and rows go last.
pub async fn purge(turn: &mut Turn<'_, Erasing>, life: &LifeKey) -> Result<(), Halt> {
    let first = rows(turn.app, life).await?;
    let led = first.1.is_some() || first.0.iter().any(|sort| keys::leads_to_objects(sort));
    // A later pass will not find the rows any more.
    turn.job.progress.objects |= led;
    if turn.job.progress.objects {
        clear_objects(turn, &life.object_prefixes()).await?;
    } else {
        turn.job.progress.within.store = STORES.len() - 1;
    }
    remove_rows(turn, life, first).await?;
    turn.job.progress.within = Within::default();
    Ok(())
}

/// Removes all objects under these prefixes, one for each store, in every version; and
/// unfinished uploads.
pub async fn clear_objects(
    turn: &mut Turn<'_, Erasing>,
    prefixes: &[(&str, String)],
) -> Result<(), Halt> {
    while let Some((_, prefix)) = prefixes.get(turn.job.progress.within.store) {
        clear_prefix(turn, prefix).await?;
        turn.job.progress.within.next_store();
    }
    Ok(())
}

async fn clear_prefix(turn: &mut Turn<'_, Erasing>, prefix: &str) -> Result<(), Halt> {
    let app = turn.app;
    turn.job.progress.found += app.objects.abort_uploads(prefix).await?;
    loop {
        let mut versions = app.objects.versions(prefix).await?;
        if versions.is_empty() {
            return Ok(());
        }
        versions.sort_by(|one, other| one.object.cmp(&other.object));
        let keys: Vec<_> = versions.iter().map(|it| it.object.as_str()).collect();
        count(turn, &keys).await?;
        app.objects.delete(&versions).await?;
        turn.still_time()?;
    }
}

/// Counts what is about to be removed from the current store, by its keys in their order, and
/// saves how far the job is, in time for the removal.
async fn count(turn: &mut Turn<'_, Erasing>, keys: &[&str]) -> Result<(), Halt> {
    let progress = &mut turn.job.progress;
    let new = progress.within.count(keys);
    progress.found += keys.len() as u64;
    let store = progress.within.store();
    turn.job.add(store, new);
    turn.save().await
}

/// Removes a life's rows; a lookup's reverse goes after its lookup, so that a crash between
/// the two leaves the way to it.
pub async fn clear_rows(turn: &mut Turn<'_, Erasing>, life: &LifeKey) -> Result<(), Halt> {
    let first = rows(turn.app, life).await?;
    remove_rows(turn, life, first).await
}

/// The first page of a life's rows.
async fn rows(app: &App, life: &LifeKey) -> Result<Rows> {
    let query = Query {
        partition: &life.partition(),
        range: Range::All,
        ascending: true,
        limit: Some(PAGE),
        after: None,
    };
    app.store.query_sorts(query).await
}

async fn remove_rows(
    turn: &mut Turn<'_, Erasing>,
    life: &LifeKey,
    first: Rows,
) -> Result<(), Halt> {
    let app = turn.app;
    let partition = life.partition();
    let mut page = first;
    loop {
        let (mut sorts, next) = page;
        sorts.retain(|sort| sort != EXPIRY);
        if !sorts.is_empty() {
            let told = sorts.iter().map(String::as_str);
            let told: Vec<_> = told.filter(|sort| !keys::is_note(sort)).collect();
            turn.job.progress.found += (sorts.len() - told.len()) as u64;
            count(turn, &told).await?;
            for sort in &sorts {
                app.store.clear_lookup(life, sort).await?;
            }
            app.store.delete_many(&partition, &sorts).await?;
        }
        if next.is_none() {
            return Ok(());
        }
        turn.still_time()?;
        page = rows(app, life).await?;
    }
}
