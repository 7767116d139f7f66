//! What the operator asks of a replay. Parsed here, with every fault named; knows nothing of
//! how it is carried out.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Cursor;

/// The share of all lives that may end unless the operator says otherwise.
const MAX_SHARE: f64 = 0.05;
/// How long one invocation may work: the function's timeout, less time to end in good order.
const LONGEST: u64 = 240;
const FIELDS: [&str; 7] = [
    "restored",
    "records_at",
    "keyring_at",
    "dry_run",
    "max_share",
    "seconds",
    "cursor",
];

/// Which table lies at an earlier moment than the other: the other knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored {
    /// The keyring says who lives, and under which rules.
    Records,
    /// Doors say who lives, and lists who stands under which rules.
    Keyring,
    /// Neither knows: the ledger in the bucket says who was erased, and of two rules the one
    /// that binds is in force.
    Both,
}

/// The moments that the two tables are of.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub records: Timestamp,
    pub keyring: Timestamp,
}

/// What to replay, and how.
#[derive(Clone, Debug)]
pub struct Order {
    pub(super) restored: Restored,
    /// The moments that the tables are of: that of their restore, or the last at which the
    /// service wrote to them.
    pub(super) at: Option<Moments>,
    pub(super) dry_run: bool,
    pub(super) max_share: f64,
    pub(super) time: Duration,
    pub(super) cursor: Option<Cursor>,
}

impl Order {
    /// Reads the order in an event that wakes cleanup, if it is one.
    ///
    /// # Errors
    /// Names the field that is not as it must be.
    pub fn parse(event: &Value) -> Option<Result<Order, String>> {
        event.get("replay").map(Order::read)
    }

    fn read(asked: &Value) -> Result<Order, String> {
        let Value::Object(fields) = asked else {
            return Err("replay must be an object".to_owned());
        };
        if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            // An operator's own word, and no person's.
            return Err(format!("replay.{unknown} is not a known field"));
        }
        let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let restored = field("restored").cloned().unwrap_or_default();
        let restored: Restored = serde_json::from_value(restored)
            .map_err(|_| "replay.restored must be records, keyring or both")?;
        let moment = |name: &str| {
            let read = |said: &Value| said.as_str()?.parse::<Timestamp>().ok();
            let wrong = || format!("replay.{name} must be an RFC 3339 timestamp");
            let said = field(name).map(|said| read(said).ok_or_else(wrong));
            said.transpose()
        };
        let at = match (moment("records_at")?, moment("keyring_at")?) {
            (Some(records), Some(keyring)) => Some(Moments { records, keyring }),
            (None, None) => None,
            (Some(_), None) => {
                return Err("replay.keyring_at is required with records_at".to_owned());
            }
            (None, Some(_)) => {
                return Err("replay.records_at is required with keyring_at".to_owned());
            }
        };
        let dry_run = match field("dry_run") {
            // Whoever forgets to say so changes nothing.
            None => true,
            Some(said) => said
                .as_bool()
                .ok_or("replay.dry_run must be true or false")?,
        };
        let max_share = match field("max_share") {
            None => MAX_SHARE,
            Some(said) => said
                .as_f64()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or("replay.max_share must be a number from 0 to 1")?,
        };
        let seconds = match field("seconds") {
            None => LONGEST,
            Some(said) => said
                .as_u64()
                .filter(|seconds| *seconds <= LONGEST)
                .ok_or("replay.seconds must be an integer from 0 to 240")?,
        };
        let cursor = field("cursor").cloned().map(serde_json::from_value);
        let cursor: Option<Cursor> = cursor
            .transpose()
            .map_err(|_| "replay.cursor must be a cursor returned by a replay")?;
        if let Some(cursor) = &cursor {
            if cursor.restored != restored {
                return Err("replay.cursor belongs to a replay of other tables".to_owned());
            }
            if cursor.acts && dry_run {
                return Err("replay.cursor belongs to a replay that is not a dry run".to_owned());
            }
        }
        Ok(Order {
            restored,
            at,
            dry_run,
            max_share,
            time: Duration::from_secs(seconds),
            cursor,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(order: Value) -> String {
        Order::parse(&json!({"replay": order}))
            .unwrap()
            .unwrap_err()
    }

    #[test]
    fn an_order_that_is_not_one_names_its_field() {
        assert!(Order::parse(&json!({"detail-type": "Scheduled Event"})).is_none());
        for (order, field) in [
            (json!([]), "replay "),
            (json!({}), "replay.restored "),
            (json!({"restored": "tables"}), "replay.restored "),
            (json!({"restored": "both", "dry_run": 1}), "replay.dry_run "),
            (
                json!({"restored": "both", "max_share": 1.5}),
                "replay.max_share ",
            ),
            (
                json!({"restored": "both", "max_share": "5%"}),
                "replay.max_share ",
            ),
            (
                json!({"restored": "both", "seconds": 900}),
                "replay.seconds ",
            ),
            (json!({"restored": "both", "cursor": "x"}), "replay.cursor "),
            (
                json!({"restored": "both", "records_at": "2026-01-01T00:00:00Z"}),
                "replay.keyring_at ",
            ),
            (
                json!({"restored": "both", "keyring_at": "noon"}),
                "replay.keyring_at ",
            ),
            (json!({"restored": "both", "force": true}), "replay.force "),
        ] {
            let problem = refused(order);
            assert!(problem.starts_with(field), "{problem}");
        }
    }

    #[test]
    fn a_replay_is_dry_and_careful_unless_told_otherwise() {
        let order = json!({"replay": {"restored": "keyring", "cursor": null}});
        let order = Order::parse(&order).unwrap().unwrap();
        assert!(order.dry_run);
        assert!((order.max_share - 0.05).abs() < f64::EPSILON);
        assert_eq!(order.time, Duration::from_secs(240));
    }
}
