//! Erasures that are no longer kept: each goes with its lists. The keyring's rows that they
//! left expire by themselves.

use jiff::Timestamp;
use shared::app::App;
use shared::error::Result;
use shared::store::erasures::Erasing;
use shared::store::jobs::Job;

/// Removes an erasure that is no longer kept. False when it is kept still.
pub async fn remove(app: &App, job: &Job, now: Timestamp) -> Result<bool> {
    if !job.outlived(now) {
        return Ok(false);
    }
    let erasing = Erasing::of(job)?;
    app.store.forget_job(job.key, &erasing).await?;
    Ok(true)
}
