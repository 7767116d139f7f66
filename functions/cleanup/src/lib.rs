//! The scheduled sweep: whoever is due is forgotten, without waiting for TTL; clocks are
//! moved to where their doors say; holds whose time is over end; jobs whose worker died or
//! whose wait is over go on; a retention that became shorter is brought to every door. Then
//! the activity's days that are over are sealed. It tells how long the oldest erasure has
//! been overdue, and once a day it looks whether backups still age out.
//!
//! Each step looks again before it acts and may be repeated, so a sweep that is cut off
//! is simply followed by the next, and two at once do no harm. What fails of one life, job
//! or tenant is told, counted, and left to the next sweep: it holds up nothing else. No step
//! may take the time of those after it, and no tenant that of the others.

mod drift;
mod expiry;
mod jobs;
mod overdue;
mod receipts;
mod roots;
mod shorten;
mod sweep;

use futures::StreamExt;
use futures::future::BoxFuture;
use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::domain::app::App;
use shared::lambda::Trigger;

use sweep::Sweep;

/// Rows of the index read at a time.
const PAGE: usize = 100;
/// Lives, and jobs, that are seen to at the same time.
const AT_ONCE: usize = 8;

/// Does some work at the same time, up to [`AT_ONCE`] of it. The results stand in its order.
async fn at_once<T>(work: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let work = futures::stream::iter(work).buffered(AT_ONCE);
    work.collect().await
}

/// Sweeps every tenant.
///
/// # Errors
/// When the event is not that of its schedule. What fails within a sweep is no error: the next
/// one is the retry.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    let Trigger::Schedule = Trigger::parse(event)? else {
        return Err("cleanup is woken by its schedule".into());
    };
    Ok(Sweep::begin(app).run().await)
}
