//! Writing about the person whose export it is, for as long as the one life goes on and
//! what was packed of it is true. Knows nothing of what is written.

use std::sync::Arc;

use jiff::Timestamp;
use shared::base::error::{Result, found};
use shared::domain::app::App;
use shared::domain::keyring::Living;
use shared::domain::keys::LifeKey;
use shared::domain::life::door::{Door, Exports, LifeWrite, Passing};
use shared::domain::life::update::{Decision, Whom, update};

/// Where an export is. The door's list says until when somebody may write under the life's
/// prefixes: an erasure looks again only after the last of them has run out.
#[derive(Clone, Copy)]
pub enum Step {
    /// A turn reads what there is, and writes until then.
    Begin(Timestamp),
    /// The turn that was to write until then has packed this edition.
    Finish(Timestamp, u64),
}

/// What came of a step.
pub enum Passed {
    /// It is done: the life, and the edition that it has.
    Through(Arc<Living>, u64),
    /// The life has ended, or a write's own condition failed: nothing was changed.
    Over,
    /// What was packed is untrue by now: nothing was changed.
    Untrue,
}

impl Step {
    fn links(self, open: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
        let mut links: Vec<_> = open.iter().copied().filter(|until| *until > now).collect();
        match self {
            Step::Begin(until) => links.push(until),
            Step::Finish(until, _) => {
                // One entry: another may run out in the same millisecond.
                if let Some(at) = links.iter().position(|link| *link == until) {
                    links.remove(at);
                }
            }
        }
        links
    }

    /// The edition that is made: the current one, which a turn that ends must have packed.
    fn exports(self, door: &Door) -> Exports {
        match self {
            Step::Begin(_) => Exports::Make(door.edition),
            Step::Finish(_, edition) => Exports::Make(edition),
        }
    }
}

/// Carries out `writes` if this life goes on and what was packed of it is true, all or
/// nothing.
///
/// # Errors
/// [`shared::base::error::Error::Unavailable`] when a store does not answer.
pub async fn pass(app: &App, life: LifeKey, step: Step, writes: &[LifeWrite]) -> Result<Passed> {
    let passed = update(app, Whom::life(&life), |life| async move {
        if life.refused {
            return Ok(Decision::Done(Passed::Over));
        }
        // The first export begins the first edition.
        let edition = life.door.edition.max(1);
        if matches!(step, Step::Finish(_, packed) if packed != life.door.edition) {
            return Ok(Decision::Done(Passed::Untrue));
        }
        let links = step.links(&life.door.uploads, app.clock.now());
        let passing = Passing {
            exports: Some(step.exports(&life.door)),
            uploads: Some((life.door.uploads.clone(), links)),
            ..Passing::default()
        };
        let passed = Passed::Through(Arc::clone(&life.living), edition);
        Ok(life.write(passing, writes.to_vec(), passed))
    });
    Ok(found(passed.await)?.unwrap_or(Passed::Over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_is_dropped_and_one_entry_at_a_time_is_removed() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let open = [at(1), at(20), at(20), at(30)];
        assert_eq!(
            Step::Begin(at(40)).links(&open, at(10)),
            vec![at(20), at(20), at(30), at(40)]
        );
        assert_eq!(
            Step::Finish(at(20), 1).links(&open, at(10)),
            vec![at(20), at(30)]
        );
    }
}
