//! A turn of an erasure: the job, its progress, and the turn's deadline. Owns the fence: a
//! worker on an older turn cannot save anything, and stops.

use std::time::Instant;

use jiff::Timestamp;
use shared::aws::dynamo::Write;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::erasure::progress::Within;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobState};
use shared::domain::keys::LifeKey;

/// Why a turn stops early.
#[derive(Debug)]
pub enum Halt {
    /// The turn's deadline has passed.
    OutOfTime,
    /// A later turn has taken over.
    Fenced,
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(error)
    }
}

pub struct Turn<'a> {
    pub app: &'a App,
    pub job: Job<Erasing>,
    deadline: Instant,
}

impl<'a> Turn<'a> {
    pub fn new(app: &'a App, job: Job<Erasing>, deadline: Instant) -> Turn<'a> {
        Turn { app, job, deadline }
    }

    /// Stops the turn after its deadline.
    ///
    /// # Errors
    /// [`Halt::OutOfTime`].
    pub fn still_time(&self) -> Result<(), Halt> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Halt::OutOfTime)
    }

    /// Counts what is about to be removed from the current store, by its keys in order, and
    /// saves the progress before the removal.
    ///
    /// # Errors
    /// [`Halt::Fenced`] when a later turn has taken over. Nothing may be removed then.
    pub async fn count(&mut self, keys: &[&str]) -> Result<(), Halt> {
        let progress = &mut self.job.progress;
        let new = progress.within.count(keys);
        progress.found += keys.len() as u64;
        let store = progress.within.store();
        self.add(store, new);
        self.save().await
    }

    /// Adds to a store's count.
    pub fn add(&mut self, store: &str, more: u64) {
        self.job.done += more;
        self.job.outcome.count(store, more);
    }

    /// Counts fully erased lives: each had an expiry index entry, and has a row in the
    /// keyring.
    pub fn count_closed(&mut self, lives: &[LifeKey]) {
        for store in ["records", "keyring"] {
            self.add(store, lives.len() as u64);
        }
    }

    /// Begins another pass over everything.
    pub fn begin_pass(&mut self, now: Timestamp) {
        self.job.progress.pass += 1;
        self.job.progress.began = Some(now);
        self.job.progress.found = 0;
        self.job.progress.life = 0;
        self.job.progress.failing_since = None;
        self.job.progress.within = Within::default();
    }

    /// Saves the job's progress.
    ///
    /// # Errors
    /// [`Halt::Fenced`] when a later turn has taken over.
    pub async fn save(&mut self) -> Result<(), Halt> {
        let now = self.app.clock.now();
        match self.app.store.save_job(&mut self.job, now).await? {
            true => Ok(()),
            false => Err(Halt::Fenced),
        }
    }

    /// Saves the job's progress together with `more`, in one transaction.
    ///
    /// # Errors
    /// As [`Turn::save`].
    pub async fn save_with(&mut self, more: Vec<Write>) -> Result<(), Halt> {
        let (store, now) = (&self.app.store, self.app.clock.now());
        match store.save_job_with(&mut self.job, more, now).await? {
            true => Ok(()),
            false => Err(Halt::Fenced),
        }
    }

    /// Hands over to the next turn.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when DynamoDB does not answer, as below.
    pub async fn hand_over(mut self) -> Result<()> {
        let now = self.app.clock.now();
        // Refused: a later turn has taken over.
        let _fenced = self.app.store.next_turn(&mut self.job, now).await?;
        Ok(())
    }

    /// Puts the job into a waiting state. Cleanup hands over its next turn when the wait is
    /// over.
    ///
    /// # Errors
    /// As [`Turn::hand_over`].
    pub async fn wait(mut self, state: JobState, until: Timestamp) -> Result<()> {
        self.job.state = state;
        let _fenced = self.app.store.wait_until(&mut self.job, until).await?;
        Ok(())
    }
}
