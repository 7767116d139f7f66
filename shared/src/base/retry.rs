//! Trying again: the one backoff, and how often.

use std::time::Duration;

use super::error::{Error, Result};

/// Tries of an optimistic write against others who change the same rows.
const TRIES: u32 = 12;

/// The tries of an optimistic write: each reads anew, and is refused when anything has changed
/// before it could write.
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// Begins the next try, after a pause unless it is the first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there have been enough.
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

    /// Whether this is the first.
    pub fn first(&self) -> bool {
        self.0 <= 1
    }
}

/// Waits before another try: about twice as long each time, from 5 ms up to 0.6 s. The half of
/// it is random, so that those who met do not meet again (AWS Architecture Blog, "Exponential
/// Backoff And Jitter").
pub async fn pause(attempt: u32) {
    let longest = 5_u64 << attempt.min(6);
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).expect("the operating system's random source answers");
    let jitter = u64::from(u16::from_be_bytes(random)) % longest;
    tokio::time::sleep(Duration::from_millis(longest + jitter)).await;
}
