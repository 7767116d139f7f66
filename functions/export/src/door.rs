//! Writes about the exported person, as long as the same life continues and the packed data is
//! up to date. Knows nothing of what is written.

use std::sync::Arc;

use jiff::Timestamp;
use shared::base::error::{Result, found};
use shared::domain::app::App;
use shared::domain::keyring::Living;
use shared::domain::keys::LifeKey;
use shared::domain::life::door::{Door, Exports, LifeWrite, Passing};
use shared::domain::life::update::{Decision, Whom, update};

/// The step of an export. The door lists until when writes under the life's prefixes may
/// happen: an erasure verifies again only after the last of them has expired.
#[derive(Clone, Copy)]
pub enum Step {
    /// A turn begins to read, and writes until then.
    Begin(Timestamp),
    /// The turn that was to write until then has packed this edition.
    Finish(Timestamp, u64),
}

/// The result of a step.
pub enum Passed {
    /// Done: the life and its edition.
    Through(Arc<Living>, u64),
    /// The life has ended, or a write's own condition failed: nothing was changed.
    Over,
    /// The packed data is outdated: nothing was changed.
    Untrue,
}

impl Step {
    fn links(self, open: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
        let mut links: Vec<_> = open.iter().copied().filter(|until| *until > now).collect();
        match self {
            Step::Begin(until) => links.push(until),
            Step::Finish(until, _) => {
                // One entry only: another may expire in the same millisecond.
                if let Some(at) = links.iter().position(|link| *link == until) {
                    links.remove(at);
                }
            }
        }
        links
    }

    /// The edition that is packed: the current one, which a finishing turn must have packed.
    fn exports(self, door: &Door) -> Exports {
        match self {
            Step::Begin(_) => Exports::Make(door.edition),
            Step::Finish(_, edition) => Exports::Make(edition),
        }
    }
}

/// Executes `writes`, all or nothing, if this life continues and the packed data is up to
/// date.
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
