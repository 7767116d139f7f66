//! What an erasure leaves behind: the keyring's row that says it happened. It stands for as
//! long as a backup could bring anything back; then it goes, and its job with it. Who
//! objected, or is to stay away, stays known for that.

use jiff::Timestamp;
use shared::app::App;
use shared::error::Result;
use shared::keyring;
use shared::store::erasures::Erasing;
use shared::store::jobs::Job;

/// Removes the tombstones of an erasure that is no longer kept, and then the erasure. False
/// when it is kept still.
pub async fn remove(app: &App, job: &Job, now: Timestamp) -> Result<bool> {
    if !job.outlived(now) {
        return Ok(false);
    }
    let erasing = Erasing::of(job)?;
    for life in app.store.all_lives_of(job.key, &erasing).await? {
        // Refused: the subject has gone on to a later life, or stands under a rule.
        let _stays = app.store.write(keyring::forget_write(&life)).await?;
    }
    app.store.forget_job(job.key, &erasing).await?;
    Ok(true)
}
