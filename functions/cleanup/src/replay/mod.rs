//! The replay after a restore: makes the two tables agree again, and forgets again whoever was
//! forgotten meanwhile. It looks at everything first and changes nothing; then, unless more
//! would end than the operator allows, it goes through everything once more and acts.
//!
//! Nobody else may work meanwhile: functions, streams and schedule are paused (see
//! `infra/RESTORE.md`). So nothing here is retried against others: whatever changes under it
//! is an error that says so.
//!
//! What it decides about each person stands in `people`; what it finds in `records` and in
//! the bucket that belongs to nobody, in `leftovers`. It removes little by itself: lives that
//! are over are handed to ordinary erasures, whose worker removes them once it runs again.

mod handover;
mod known;
mod leftovers;
mod order;
mod people;
mod rekeying;
mod repair;
mod tally;

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::dynamo::scan::At;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::erasure::offboarding;
use shared::domain::keys::EXPORTS;

use known::Known;
pub use order::Order;
use order::{Moments, Restored};
use tally::Tally;

/// Rows of the keyring read at a time, and of `records`.
const PEOPLE: usize = 100;
const ROWS: usize = 250;

/// How far a replay is. The operator hands it back as it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    restored: Restored,
    /// Whether it acts on what it finds, or counts it.
    acts: bool,
    at: Place,
    found: Tally,
    done: Tally,
}

/// Where a pass over everything is: the last that has been looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Keyring(Option<String>),
    Records(Option<At>),
    Attachments(Option<String>),
    Exports(Option<String>),
    /// What is left of tenants that have left.
    Tenants,
}

/// One invocation's view of everything.
struct Replay<'a> {
    app: &'a App,
    restored: Restored,
    at: Option<Moments>,
    acts: bool,
    known: Known,
}

/// Goes on with a replay until its time is over or there is nothing left to do. At least one
/// step is made, so that it ends however little time it is given.
///
/// # Errors
/// [`shared::base::error::Error::Unavailable`] when a store does not answer, or somebody else
/// changes what is being replayed.
pub async fn run(app: &App, order: Order, started: Instant) -> Result<Value> {
    let deadline = started + order.time;
    let mut cursor = order.cursor.clone().unwrap_or(Cursor {
        restored: order.restored,
        acts: false,
        at: Place::Keyring(None),
        found: Tally::default(),
        done: Tally::default(),
    });
    let mut replay = Replay {
        app,
        restored: order.restored,
        at: order.at,
        acts: cursor.acts,
        known: Known::read(app, order.restored).await?,
    };
    loop {
        let tally = match cursor.acts {
            true => &mut cursor.done,
            false => &mut cursor.found,
        };
        let Some(next) = step(&replay, &cursor.at, tally).await? else {
            let too_many = cursor.found.share() > order.max_share;
            let stopped = !cursor.acts && too_many;
            if cursor.acts || order.dry_run || stopped {
                return Ok(order.answer(&cursor, true, stopped));
            }
            (cursor.acts, replay.acts) = (true, true);
            cursor.at = Place::Keyring(None);
            continue;
        };
        cursor.at = next;
        if Instant::now() >= deadline {
            return Ok(order.answer(&cursor, false, false));
        }
    }
}

/// One page, and where the next begins; `None` at the end of a pass.
async fn step(replay: &Replay<'_>, at: &Place, tally: &mut Tally) -> Result<Option<Place>> {
    Ok(Some(match at {
        Place::Keyring(after) => match people::page(replay, after.as_deref(), tally).await? {
            Some(last) => Place::Keyring(Some(last)),
            None => Place::Records(None),
        },
        Place::Records(after) => match leftovers::rows(replay, after.as_ref(), tally).await? {
            Some(last) => Place::Records(Some(last)),
            None => Place::Attachments(None),
        },
        Place::Attachments(after) => {
            match leftovers::objects(replay, "attachments/", after.as_deref(), tally).await? {
                Some(last) => Place::Attachments(Some(last)),
                None => Place::Exports(None),
            }
        }
        Place::Exports(after) => {
            let prefix = format!("{EXPORTS}/");
            match leftovers::objects(replay, &prefix, after.as_deref(), tally).await? {
                Some(last) => Place::Exports(Some(last)),
                None => Place::Tenants,
            }
        }
        Place::Tenants => {
            tenants(replay, tally).await?;
            return Ok(None);
        }
    }))
}

/// Lets tenants that have left, and that came back with `records`, leave again: the ordinary
/// worker removes what is left of them. Their keys are gone by now, and nobody is held.
async fn tenants(replay: &Replay<'_>, tally: &mut Tally) -> Result<()> {
    tally.tenants_unknown += replay.known.unknown;
    for tenant in &replay.known.returned {
        tally.tenants_left += 1;
        if replay.acts {
            let now = replay.app.clock.now();
            let job = offboarding::job(*tenant, now, now);
            offboarding::begin(replay.app, *tenant, "lethe", job, Vec::new()).await?;
        }
    }
    Ok(())
}

impl Order {
    fn answer(&self, cursor: &Cursor, over: bool, stopped: bool) -> Value {
        let phase = match (over, cursor.acts) {
            (true, _) => "over",
            (false, false) => "looking",
            (false, true) => "acting",
        };
        let mut answer = json!(cursor.done);
        answer["phase"] = json!(phase);
        answer["at"] = match (&cursor.at, over) {
            (_, true) => Value::Null,
            (Place::Keyring(_), _) => json!("keyring"),
            (Place::Records(_), _) => json!("records"),
            (Place::Attachments(_) | Place::Exports(_), _) => json!("objects"),
            (Place::Tenants, _) => json!("tenants"),
        };
        answer["dry_run"] = json!(self.dry_run);
        answer["lives"] = json!(cursor.found.lives);
        answer["to_erase"] = json!(cursor.found.erased);
        answer["found"] = json!(cursor.found);
        answer["stopped"] = json!(stopped);
        answer["cursor"] = match over {
            true => Value::Null,
            false => json!(cursor),
        };
        answer
    }
}
