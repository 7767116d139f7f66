//! The moment of an erasure: keys go, doors close. From here on nothing of these lives can
//! be read. Whoever is held is noted to wait; everything else is removed later.

use std::collections::HashMap;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use shared::app::App;
use shared::error::{Error, Result};
use shared::id::{JobId, Subject, Tenant};
use shared::keyring::{self, Entry, State};
use shared::objects::UPLOAD_SECONDS;
use shared::store::Write;
use shared::store::keys::{DOOR, LifeKey};
use shared::store::lives::{Door, erase_writes};

use crate::at_once;

/// Lives that end in one transaction: each takes two rows of it, and up to four.
pub const TOGETHER: usize = 20;
/// Transactions at the same time.
const AT_ONCE: usize = 4;
/// People who are looked at together.
const READ: usize = 100;
const TRIES: u32 = 8;

/// Somebody who lives, with what an erasure has to know of them.
pub struct Present {
    pub entry: Entry,
    pub door: Door,
}

/// Those of `subjects` who live, each once.
pub async fn present(app: &App, tenant: Tenant, subjects: &[Subject]) -> Result<Vec<Present>> {
    let mut subjects = subjects.to_vec();
    subjects.sort_unstable();
    subjects.dedup();
    let now = app.clock.now();
    let mut present = Vec::new();
    for some in subjects.chunks(READ) {
        for (entry, door) in rows(app, tenant, some).await?.into_values() {
            let door = door.filter(|door| entry.state == State::Active && !door.expired(now));
            present.extend(door.map(|door| Present { entry, door }));
        }
    }
    Ok(present)
}

/// What the keyring holds of these people, each with the door of that life.
async fn rows(
    app: &App,
    tenant: Tenant,
    subjects: &[Subject],
) -> Result<HashMap<Subject, (Entry, Option<Door>)>> {
    let entries = app.keyring.entries(tenant, subjects).await?;
    let doors: Vec<_> = entries
        .values()
        .filter(|entry| entry.state == State::Active)
        .map(|entry| (entry.key.partition(), DOOR.to_owned()))
        .collect();
    let mut doors: HashMap<_, _> = app
        .store
        .get_many(&doors)
        .await?
        .iter()
        .map(|row| Ok((row.partition().to_owned(), Door::read(row)?)))
        .collect::<Result<_>>()?;
    let with_door = |(subject, entry): (Subject, Entry)| {
        let door = doors.remove(&entry.key.partition());
        (subject, (entry, door))
    };
    Ok(entries.into_iter().map(with_door).collect())
}

/// What ending some lives came to.
#[derive(Debug, Default)]
pub struct Ended {
    /// Those who are held: their lives go on until the hold is lifted.
    pub blocked: Vec<Subject>,
    /// When the last link that may still write has run out.
    pub uploads_until: Option<Timestamp>,
}

/// Ends these lives on behalf of a job. Those that have ended already are passed over, so
/// it can be done again.
pub async fn end(app: &App, job: JobId, lives: &[LifeKey], suppress: bool) -> Result<Ended> {
    let mut ended = Ended::default();
    for some in lives.chunks(READ) {
        let mut left = some.to_vec();
        // After the first try one by one: a life that changes all the time holds up no other.
        for (attempt, together) in (0..TRIES).zip(std::iter::once(TOGETHER).chain([1; 7])) {
            if attempt > 0 {
                pause(attempt).await;
            }
            left = end_some(app, job, &left, suppress, together, &mut ended).await?;
            if left.is_empty() {
                break;
            }
        }
        if !left.is_empty() {
            return Err(Error::Unavailable(
                "these lives change faster than they can be ended".into(),
            ));
        }
    }
    Ok(ended)
}

/// Tries once for each. Those that changed meanwhile are left.
async fn end_some(
    app: &App,
    job: JobId,
    lives: &[LifeKey],
    suppress: bool,
    together: usize,
    ended: &mut Ended,
) -> Result<Vec<LifeKey>> {
    let Some(tenant) = lives.first().map(|life| life.tenant) else {
        return Ok(Vec::new());
    };
    let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
    let mut known = rows(app, tenant, &subjects).await?;
    let mut ending: Vec<(LifeKey, Vec<Write>)> = Vec::new();
    let mut left = Vec::new();
    for life in lives {
        let found = known.remove(&life.subject);
        let found = found.filter(|(entry, _)| entry.key == *life && entry.state == State::Active);
        let Some((entry, door)) = found else {
            // Ended before, by a try that may not have come to note its links.
            let until = app.clock.now() + SignedDuration::from_secs(UPLOAD_SECONDS);
            ended.uploads_until = ended.uploads_until.max(Some(until));
            continue;
        };
        if entry.rules.held {
            match app.store.write(keyring::block_write(&entry, job)).await? {
                Ok(_) => ended.blocked.push(life.subject),
                Err(_) => left.push(*life),
            }
            continue;
        }
        let until = door.as_ref().and_then(Door::uploads_until);
        ended.uploads_until = ended.uploads_until.max(until);
        ending.push((*life, erase_writes(&entry, door.as_ref(), suppress)));
    }
    let ending: Vec<_> = ending.chunks(together).collect();
    let transactions = ending.iter().map(|group| {
        let writes = group.iter().flat_map(|(_, writes)| writes.clone());
        app.store.transact(writes.collect()).boxed()
    });
    let outcomes = at_once(AT_ONCE, transactions.collect()).await?;
    let refused = ending
        .iter()
        .zip(outcomes)
        .filter(|(_, done)| done.is_err());
    left.extend(refused.flat_map(|(group, _)| group.iter().map(|(life, _)| *life)));
    Ok(left)
}

/// Lets others finish, longer each time.
async fn pause(attempt: u32) {
    tokio::time::sleep(std::time::Duration::from_millis(1 << attempt)).await;
}
