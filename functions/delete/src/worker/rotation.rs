//! One turn of a tenant's rotation: its wrapping key gets a new version once a year. The job
//! is made with the tenant and ends with it; until then it waits for its next look.

use jiff::SignedDuration;
use shared::base::error::Result;
use shared::domain::jobs::JobState;
use shared::domain::jobs::turn::{End, Halt, Turn};

/// From one look to the next. The key itself says how old it is: a restore may have taken a
/// rotation back.
const LOOKS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Gives the key another version if it is due.
pub async fn work(turn: &Turn<'_, ()>) -> Result<End, Halt> {
    let app = turn.app;
    Ok(match app.keyring.rotate(turn.job.key.tenant).await? {
        true => End::Wait(JobState::Queued, app.clock.now() + LOOKS),
        false => End::Job(JobState::Completed, Vec::new()),
    })
}
