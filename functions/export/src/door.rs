//! Writing about the person whose export it is, for as long as the one life goes on.
//! Owns the retries at its door; knows nothing of what is written.

use jiff::Timestamp;
use shared::app::App;
use shared::error::{Error, Result};
use shared::keyring::Living;
use shared::store::Write;
use shared::store::keys::LifeKey;
use shared::store::lives::{Door, Passing, Shut};

/// How often to try against others who change the same door.
const TRIES: u32 = 8;

/// What becomes of the door's list of those who may still write under the life's prefixes.
/// An erasure looks again only after the last of them has run out.
#[derive(Clone, Copy)]
pub enum Links {
    Leave,
    /// This job writes until then.
    Add(Timestamp),
    /// The job that was to write until then has written all that it ever will.
    Remove(Timestamp),
}

impl Links {
    fn apply(self, open: &[Timestamp], now: Timestamp) -> Option<Vec<Timestamp>> {
        let mut links: Vec<_> = open.iter().copied().filter(|until| *until > now).collect();
        match self {
            Links::Leave => return None,
            Links::Add(until) => links.push(until),
            Links::Remove(until) => {
                // One entry: another may run out in the same millisecond.
                if let Some(at) = links.iter().position(|link| *link == until) {
                    links.remove(at);
                }
            }
        }
        Some(links)
    }
}

/// Carries out `writes` if this life goes on, all or nothing, and gives its data key.
/// `None`: it has ended, or a write's own condition failed, and nothing was changed.
///
/// # Errors
/// [`Error::Unavailable`] when a store does not answer.
pub async fn pass(
    app: &App,
    life: LifeKey,
    links: Links,
    writes: &[Write],
) -> Result<Option<Living>> {
    match app.life(&life).await? {
        Some(person) => pass_as(app, person, links, writes).await,
        None => Ok(None),
    }
}

/// The same for somebody who was read just now.
///
/// # Errors
/// As [`pass`].
pub async fn pass_as(
    app: &App,
    mut person: (Living, Door),
    links: Links,
    writes: &[Write],
) -> Result<Option<Living>> {
    for _ in 0..TRIES {
        let (living, door) = person;
        let now = app.clock.now();
        let uploads = links.apply(&door.uploads, now);
        let passing = Passing {
            uploads: uploads.map(|new| (door.uploads, new)),
            ..Passing::default()
        };
        let outcome = app
            .store
            .through_door(&living, &passing, writes.to_vec(), now)
            .await?;
        match outcome {
            Ok(()) => return Ok(Some(living)),
            Err(Shut::Over | Shut::Row { .. }) => return Ok(None),
            Err(Shut::Gate | Shut::Later(_)) => match app.life(&living.key).await? {
                Some(again) => person = again,
                None => return Ok(None),
            },
        }
    }
    Err(Error::Unavailable("a door keeps changing".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_is_dropped_and_one_entry_at_a_time_is_removed() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let open = [at(1), at(20), at(20), at(30)];
        assert_eq!(Links::Leave.apply(&open, at(10)), None);
        assert_eq!(
            Links::Add(at(40)).apply(&open, at(10)),
            Some(vec![at(20), at(20), at(30), at(40)])
        );
        assert_eq!(
            Links::Remove(at(20)).apply(&open, at(10)),
            Some(vec![at(20), at(30)])
        );
    }
}
