//! One turn of a tenant's key rotation: its wrapping key gets a new version once a year. The
//! job is created with the tenant and ends with it; between checks it waits.

use jiff::SignedDuration;
use shared::base::error::Result;
use shared::domain::jobs::JobState;
use shared::domain::turn::{End, Halt, Turn};

/// The interval of checks. The key itself stores its age, since a restore may have undone a
/// rotation.
const LOOKS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Gives the key another version if it is due.
pub async fn work(turn: &Turn<'_, ()>) -> Result<End, Halt> {
    let app = turn.app;
    Ok(match app.keyring.rotate(turn.job.key.tenant).await? {
        true => End::Wait(JobState::Queued, app.clock.now() + LOOKS),
        false => End::Job(JobState::Completed, Vec::new()),
    })
}
