//! A turn of a job: how far it is, how long it may work, and how it ends. Owns the fence:
//! a turn that a later one has taken over can save nothing, and stops.

use std::time::Instant;

use jiff::Timestamp;

use crate::aws::dynamo::Write;
use crate::base::error::{Error, Result};
use crate::domain::app::App;
use crate::domain::jobs::{Job, JobState, Work};
use crate::domain::keys;

/// One turn of a job.
pub struct Turn<'a, W: Work> {
    pub app: &'a App,
    pub job: Job<W>,
    deadline: Instant,
}

/// How a turn ends.
pub enum End {
    /// The job is over, in one transaction with these writes.
    Job(JobState, Vec<Write>),
    /// The job waits in this state; cleanup hands over its next turn then.
    Wait(JobState, Timestamp),
    /// The next turn follows at once.
    HandOver,
    /// Everything is written already.
    Written,
}

/// Why a turn stops before its work is done.
#[derive(Debug)]
pub enum Halt {
    /// The time of this turn is over.
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

/// Takes up the turn that a row of the stream is: its job, unless that is over or another turn
/// has taken over. A late or repeated row changes nothing.
///
/// # Errors
/// [`Error::Unavailable`] when DynamoDB does not answer, as everywhere below.
pub async fn taken_up(app: &App, partition: &str, sort: &str) -> Result<Option<Job>> {
    match keys::parse_turn(partition, sort) {
        Some((key, turn)) => app.store.take_turn(key, turn, app.clock.now()).await,
        None => Ok(None),
    }
}

impl<'a, W: Work> Turn<'a, W> {
    pub fn new(app: &'a App, job: Job<W>, deadline: Instant) -> Turn<'a, W> {
        Turn { app, job, deadline }
    }

    /// Stops the turn when its time is over.
    ///
    /// # Errors
    /// [`Halt::OutOfTime`].
    pub fn still_time(&self) -> Result<(), Halt> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Halt::OutOfTime)
    }

    /// Saves how far the job is.
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

    /// Saves how far the job is, together with more that must not happen without.
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

    /// Ends the turn as its work came out. Where that is refused, a later turn has taken over
    /// and ends it.
    ///
    /// # Errors
    /// The failure that halted the work: the stream delivers the turn again.
    pub async fn end(mut self, came_out: Result<End, Halt>) -> Result<()> {
        let (store, now) = (&self.app.store, self.app.clock.now());
        match came_out {
            Ok(End::Job(state, mut writes)) => {
                let finish = self.job.finish_write(state, now);
                if writes.is_empty() {
                    let _fenced = store.write(finish).await?;
                } else {
                    writes.push(finish);
                    let _fenced = store.transact(writes).await?;
                }
            }
            Ok(End::Wait(state, until)) => {
                self.job.state = state;
                let _fenced = store.wait_until(&mut self.job, until).await?;
            }
            Ok(End::HandOver) | Err(Halt::OutOfTime) => {
                let _fenced = store.next_turn(&mut self.job, now).await?;
            }
            Ok(End::Written) | Err(Halt::Fenced) => {}
            Err(Halt::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}
