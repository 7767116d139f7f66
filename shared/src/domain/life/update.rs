//! The loop that writes about somebody who lives: read the life, decide what to write, write
//! it behind the door, and read again when anything has changed in between (an optimistic
//! lock). Conflicts, changed rules, a re-keying and the backoff are handled here, once.
//!
//! Events have a loop of their own in `ingest`: they may begin a life, and do not read the
//! door that they pass.

use std::sync::Arc;

use crate::aws::dynamo::Item;
use crate::base::error::{Error, Result};
use crate::base::id::{LifeId, SubjectId, TenantId};
use crate::base::retry::Tries;
use crate::domain::app::App;
use crate::domain::keyring::Living;
use crate::domain::keys::LifeKey;
use crate::domain::life::door::{Door, LifeWrite, Passing, Shut};

/// Whose life to read, and which of its rows with its door.
#[derive(Clone, Copy, Debug)]
pub struct Whom<'a> {
    tenant: TenantId,
    subject: SubjectId,
    life: Option<LifeId>,
    rows: &'a [&'a str],
}

impl<'a> Whom<'a> {
    /// The current life of a subject.
    pub const fn subject(tenant: TenantId, subject: SubjectId) -> Whom<'a> {
        Whom {
            tenant,
            subject,
            life: None,
            rows: &[],
        }
    }

    /// This life, and no later one of the same subject.
    pub const fn life(key: &LifeKey) -> Whom<'a> {
        Whom {
            tenant: key.tenant,
            subject: key.subject,
            life: Some(key.life),
            rows: &[],
        }
    }

    /// Also reads these rows of the life, by their sort keys: up to 99 need no further call.
    #[must_use]
    pub const fn with(mut self, rows: &'a [&'a str]) -> Whom<'a> {
        self.rows = rows;
        self
    }
}

/// A life as read: its data key, its rules, its door, and those of the rows asked for that
/// are there.
pub struct Life {
    pub living: Arc<Living>,
    pub door: Door,
    pub rows: Vec<Item>,
    /// The write before this one was refused by the condition of one of its rows.
    pub refused: bool,
}

impl Life {
    /// One of the requested rows.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it does not exist.
    pub fn row(&self, sort: &str) -> Result<&Item> {
        let row = self.rows.iter().find(|row| row.sort() == sort);
        row.ok_or(Error::NotFound)
    }

    /// Decides on these writes. `then` is the outcome once they are done.
    pub fn write<T>(self, passing: Passing, writes: Vec<LifeWrite>, then: T) -> Decision<T> {
        Decision::Write(Box::new(Change {
            living: self.living,
            passing,
            writes,
            then,
        }))
    }
}

/// What to do about a life as read.
pub enum Decision<T> {
    Write(Box<Change<T>>),
    /// There is nothing to write.
    Done(T),
}

/// What to write about a life, all or nothing.
pub struct Change<T> {
    living: Arc<Living>,
    passing: Passing,
    writes: Vec<LifeWrite>,
    then: T,
}

/// Reads a life, calls `decide`, and writes its decision behind the door. When the life, its
/// rules or one of the rows have changed meanwhile, reads and decides again.
///
/// # Errors
/// [`Error::NotFound`] when the life has ended, [`Error::Unavailable`] when it changes faster
/// than it can be written, and the errors of `decide`.
pub async fn update<T, F>(app: &App, whom: Whom<'_>, mut decide: impl FnMut(Life) -> F) -> Result<T>
where
    F: Future<Output = Result<Decision<T>>>,
{
    let mut tries = Tries::default();
    let mut refused = false;
    loop {
        tries.next().await?;
        let mut life = app.life(whom).await?;
        life.refused = std::mem::take(&mut refused);
        let change = match decide(life).await {
            Ok(Decision::Write(change)) => *change,
            Ok(Decision::Done(outcome)) => return Ok(outcome),
            // Re-keyed since its key was read.
            Err(Error::Unreadable) => continue,
            Err(error) => return Err(error),
        };
        let now = app.clock.now();
        let passed = app
            .store
            .through_door(&change.living, &change.passing, change.writes, now)
            .await?;
        match passed {
            Ok(()) => return Ok(change.then),
            Err(Shut::Over) => return Err(Error::NotFound),
            Err(Shut::Row { .. }) => refused = true,
            Err(Shut::Rules | Shut::Later(_)) => {}
        }
    }
}

impl App {
    /// A life that is active in the keyring and has a valid door.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a life that is unknown, erased, expired, or not the requested
    /// one: they are indistinguishable.
    pub async fn life(&self, whom: Whom<'_>) -> Result<Life> {
        let entry = self.keyring.entry(whom.tenant, whom.subject).await?;
        let entry = entry
            .filter(|entry| whom.life.is_none_or(|life| entry.key.life == life))
            .ok_or(Error::NotFound)?;
        let living = self.keyring.open(&entry).await?.ok_or(Error::NotFound)?;
        let (door, rows) = self.store.door_and(&living.key, whom.rows).await?;
        let door = door.filter(|door| !door.expired(self.clock.now()));
        Ok(Life {
            living: Arc::new(living),
            door: door.ok_or(Error::NotFound)?,
            rows,
            refused: false,
        })
    }
}
