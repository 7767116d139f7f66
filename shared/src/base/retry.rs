//! Retries: the one backoff and its limits.

use std::time::Duration;

use super::error::{Error, Result};

/// Attempts of an optimistic write under contention.
const TRIES: u32 = 12;

/// The attempts of an optimistic write. Each reads again, and is refused when the rows have
/// changed before it writes.
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// Starts the next attempt, after a pause unless it is the first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the attempts are used up.
    pub async fn next(&mut self) -> Result<()> {
        if self.0 == TRIES {
            let cause = "it changes faster than it can be written";
            return Err(Error::Unavailable(cause.into()));
        }
        if let Some(before) = self.0.checked_sub(1) {
            pause(before).await;
        }
        self.0 += 1;
        Ok(())
    }

    /// Whether this is the first attempt.
    pub fn first(&self) -> bool {
        self.0 <= 1
    }
}

/// Waits before another attempt: about twice as long each time, from 5 ms up to 0.6 s. Half of
/// it is random, so that competing writers do not collide again (AWS Architecture Blog,
/// "Exponential Backoff And Jitter").
pub async fn pause(attempt: u32) {
    let longest = 5_u64 << attempt.min(6);
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).expect("the operating system's random source answers");
    let jitter = u64::from(u16::from_be_bytes(random)) % longest;
    tokio::time::sleep(Duration::from_millis(longest + jitter)).await;
}
