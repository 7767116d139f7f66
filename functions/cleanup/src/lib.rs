//! The scheduled sweep. It erases expired lives without waiting for TTL, moves expiry index
//! entries to the times in their doors, ends holds whose time is over, resumes jobs whose
//! worker died or whose wait is over, and applies shortened retention to every door. Then it
//! signs the finished days of the activity log. It reports how long the oldest erasure has
//! been overdue, and verifies once a day that backups still expire.
//!
//! Each step verifies before it acts and is idempotent, so the next sweep can follow an
//! interrupted one, and two at once do no harm. A failure of one life, job or tenant is
//! logged, counted, and left to the next sweep; it does not block anything else. No step can
//! use up the time of later steps, and no tenant that of others.

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

/// Index rows read at a time.
const PAGE: usize = 100;
/// Lives, and jobs, processed concurrently.
const AT_ONCE: usize = 8;

/// Runs work concurrently, up to [`AT_ONCE`]. Results keep the order of the work.
async fn at_once<T>(work: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let work = futures::stream::iter(work).buffered(AT_ONCE);
    work.collect().await
}

/// Sweeps every tenant.
///
/// # Errors
/// When the event is not that of its schedule. Failures within a sweep are no error: the next
/// sweep retries.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    let Trigger::Schedule = Trigger::parse(event)? else {
        return Err("cleanup is woken by its schedule".into());
    };
    Ok(Sweep::begin(app).run().await)
}
