//! The replay after a restore: makes the two tables consistent, and repeats the erasures of
//! lives that were erased since the restored moment. The first pass only counts. The second
//! pass acts, unless more lives would end than the operator allows.
//!
//! The function and its role exist only while a restore is under way, and its role is the only
//! one that may scan a table. Everything else is paused meanwhile (`infra/RESTORE.md`), so no
//! write is retried: a row that changes during the replay is an error.
//!
//! `people` decides about each person in the keyring. `leftovers` finds the data of ended
//! lives in `records` and the bucket. Those lives are handed to ordinary erasures
//! (`handover`), whose worker removes them once it runs again.

mod handover;
mod known;
mod leftovers;
mod order;
mod people;
mod rekeying;
mod repair;
mod tally;

use std::time::Instant;

use lambda_runtime::Error as Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::dynamo::scan::At;
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::erasure::offboarding;
use shared::domain::keys::EXPORTS;

use known::Known;
use order::{Moments, Order, Restored};
use tally::Tally;

/// Rows of the keyring read at a time.
const PEOPLE: usize = 100;
/// Rows of `records` read at a time.
const ROWS: usize = 250;

/// The progress of a replay. The operator passes it to the next invocation unchanged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    restored: Restored,
    /// Whether this pass acts on what it finds, or only counts it.
    acts: bool,
    at: Place,
    found: Tally,
    done: Tally,
}

/// The last item that a pass has looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Keyring(Option<String>),
    Records(Option<At>),
    Attachments(Option<String>),
    Exports(Option<String>),
    /// Tenants that have left and came back with `records`.
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

/// Begins or resumes a replay, as the operator orders.
///
/// # Errors
/// Names the field of the order that is not valid; or when a store does not answer, or a row
/// changes during the replay.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    let order = Order::parse(&event)?;
    Ok(run(app, order, Instant::now()).await?)
}

/// Works until the time is over or nothing is left to do. At least one step is made, so that a
/// replay ends however little time each invocation has.
async fn run(app: &App, order: Order, started: Instant) -> Result<Value> {
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

/// Processes one page and returns where the next one begins; `None` at the end of a pass.
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

/// Offboards again the tenants that came back with `records`. The ordinary worker removes
/// their remaining data; their keys are deleted already.
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
