//! One turn of a tenant's key rotation: its wrapping key gets a new version once a year. The
//! job is created with the tenant and ends with it; between checks it waits.

use jiff::SignedDuration;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::jobs::{Job, JobState};

/// The interval of checks. The key itself stores its age, since a restore may have undone a
/// rotation.
const LOOKS: SignedDuration = SignedDuration::from_hours(90 * 24);

pub async fn turn(app: &App, mut job: Job<()>) -> Result<()> {
    let now = app.clock.now();
    // Refused in either case: a later turn has taken over.
    if app.keyring.rotate(job.key.tenant).await? {
        job.state = JobState::Queued;
        let _fenced = app.store.wait_until(&mut job, now + LOOKS).await?;
    } else {
        let ended = job.finish_write(JobState::Completed, now);
        let _fenced = app.store.write(ended).await?;
    }
    Ok(())
}
