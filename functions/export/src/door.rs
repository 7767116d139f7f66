//! Writing about the person whose export it is, for as long as the one life goes on and
//! what was packed of it is true. Owns the retries at its door; knows nothing of what is
//! written.

use jiff::Timestamp;
use shared::aws::dynamo::Write;
use shared::base::error::Result;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::keyring::Living;
use shared::domain::keys::LifeKey;
use shared::domain::life::door::{Door, Exports, Passing, Shut};

/// Where an export is. The door's list says until when somebody may write under the life's
/// prefixes: an erasure looks again only after the last of them has run out.
#[derive(Clone, Copy)]
pub enum Step {
    Request,
    /// A turn reads what there is, and writes until then.
    Begin(Timestamp),
    /// The turn that was to write until then has packed this edition.
    Finish(Timestamp, u64),
}

/// What came of a step.
pub enum Passed {
    /// It is done: the life, and the edition that it has.
    Through(Box<Living>, u64),
    /// The life has ended, or a write's own condition failed: nothing was changed.
    Over,
    /// What was packed is untrue by now: nothing was changed.
    Untrue,
}

impl Step {
    fn links(self, open: &[Timestamp], now: Timestamp) -> Option<Vec<Timestamp>> {
        let mut links: Vec<_> = open.iter().copied().filter(|until| *until > now).collect();
        match self {
            Step::Request => return None,
            Step::Begin(until) => links.push(until),
            Step::Finish(until, _) => {
                // One entry: another may run out in the same millisecond.
                if let Some(at) = links.iter().position(|link| *link == until) {
                    links.remove(at);
                }
            }
        }
        Some(links)
    }

    fn exports(self, door: &Door) -> Option<Exports> {
        match self {
            Step::Request => None,
            Step::Begin(_) => Some(Exports::Make(door.edition)),
            Step::Finish(_, edition) => Some(Exports::Make(edition)),
        }
    }
}

/// Carries out `writes` if this life goes on and what was packed of it is true, all or
/// nothing.
///
/// # Errors
/// [`shared::base::error::Error::Unavailable`] when a store does not answer.
pub async fn pass(app: &App, life: LifeKey, step: Step, writes: &[Write]) -> Result<Passed> {
    match app.life(&life).await? {
        Some(person) => pass_as(app, person, step, writes).await,
        None => Ok(Passed::Over),
    }
}

/// The same for somebody who was read just now.
///
/// # Errors
/// As [`pass`].
pub async fn pass_as(
    app: &App,
    mut person: (Living, Door),
    step: Step,
    writes: &[Write],
) -> Result<Passed> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let (living, door) = person;
        if matches!(step, Step::Finish(_, edition) if edition != door.edition) {
            return Ok(Passed::Untrue);
        }
        let now = app.clock.now();
        let uploads = step.links(&door.uploads, now);
        let passing = Passing {
            exports: step.exports(&door),
            uploads: uploads.map(|new| (door.uploads, new)),
            ..Passing::default()
        };
        let outcome = app
            .store
            .through_door(&living, &passing, writes.to_vec(), now)
            .await?;
        match outcome {
            // The first export begins the first edition.
            Ok(()) => return Ok(Passed::Through(Box::new(living), door.edition.max(1))),
            Err(Shut::Over | Shut::Row { .. }) => return Ok(Passed::Over),
            Err(Shut::Rules | Shut::Later(_)) => match app.life(&living.key).await? {
                Some(again) => person = again,
                None => return Ok(Passed::Over),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_is_dropped_and_one_entry_at_a_time_is_removed() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let open = [at(1), at(20), at(20), at(30)];
        assert_eq!(Step::Request.links(&open, at(10)), None);
        assert_eq!(
            Step::Begin(at(40)).links(&open, at(10)),
            Some(vec![at(20), at(20), at(30), at(40)])
        );
        assert_eq!(
            Step::Finish(at(20), 1).links(&open, at(10)),
            Some(vec![at(20), at(30)])
        );
    }
}
