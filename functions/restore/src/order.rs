//! The operator's order: which tables were restored, and how much may change.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use shared::base::named::named;

use crate::Cursor;

/// The share of all lives that may end, unless the operator sets another.
const MAX_SHARE: f64 = 0.05;
/// Seconds that one invocation may work: the function's timeout, less the time to finish a
/// step.
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

named! {
    /// The table that is of an earlier moment than the other. The other one is trusted.
    pub enum Restored {
        /// The keyring decides who lives, and under which rules.
        Records = "records",
        /// Doors decide who lives, and the lists decide who is subject to which rule.
        Keyring = "keyring",
        /// The ledger in the bucket decides who was erased. A rule in either table is in
        /// force.
        Both = "both",
    }
}

/// The moments of the two tables.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub records: Timestamp,
    pub keyring: Timestamp,
}

/// The scope and limits of a replay.
#[derive(Clone, Debug)]
pub struct Order {
    pub restored: Restored,
    /// The moments of the tables: the point in time that was restored, or the last moment at
    /// which the service wrote.
    pub at: Option<Moments>,
    pub dry_run: bool,
    pub max_share: f64,
    pub time: Duration,
    pub cursor: Option<Cursor>,
}

impl Order {
    /// Parses the order from the event that the operator sends.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn parse(event: &Value) -> Result<Order, String> {
        let Value::Object(fields) = event else {
            return Err("the event must be an object".to_owned());
        };
        if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            // The operator's own field name: it cannot be personal data.
            return Err(format!("{unknown} is not a known field"));
        }
        let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let restored = field("restored").and_then(Value::as_str);
        let restored = restored.and_then(Restored::parse);
        let restored = restored.ok_or("restored must be records, keyring or both")?;
        let moment = |name: &str| {
            let read = |said: &Value| said.as_str()?.parse::<Timestamp>().ok();
            let wrong = || format!("{name} must be an RFC 3339 timestamp");
            let said = field(name).map(|said| read(said).ok_or_else(wrong));
            said.transpose()
        };
        let at = match (moment("records_at")?, moment("keyring_at")?) {
            (Some(records), Some(keyring)) => Some(Moments { records, keyring }),
            (None, None) => None,
            (Some(_), None) => {
                return Err("keyring_at is required with records_at".to_owned());
            }
            (None, Some(_)) => {
                return Err("records_at is required with keyring_at".to_owned());
            }
        };
        let dry_run = match field("dry_run") {
            // By default nothing is changed.
            None => true,
            Some(said) => said.as_bool().ok_or("dry_run must be true or false")?,
        };
        let max_share = match field("max_share") {
            None => MAX_SHARE,
            Some(said) => said
                .as_f64()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or("max_share must be a number from 0 to 1")?,
        };
        let seconds = match field("seconds") {
            None => LONGEST,
            Some(said) => said
                .as_u64()
                .filter(|seconds| *seconds <= LONGEST)
                .ok_or("seconds must be an integer from 0 to 240")?,
        };
        let cursor = field("cursor").cloned().map(serde_json::from_value);
        let cursor: Option<Cursor> = cursor
            .transpose()
            .map_err(|_| "cursor must be a cursor returned by a replay")?;
        if let Some(cursor) = &cursor {
            if cursor.restored != restored {
                return Err("cursor belongs to a replay of other tables".to_owned());
            }
            if cursor.acts && dry_run {
                return Err("cursor belongs to a replay that is not a dry run".to_owned());
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
        Order::parse(&order).unwrap_err()
    }

    #[test]
    fn an_order_that_is_not_one_names_its_field() {
        for (order, field) in [
            (json!([]), "the event "),
            (json!({}), "restored "),
            (json!({"restored": "tables"}), "restored "),
            (json!({"restored": "both", "dry_run": 1}), "dry_run "),
            (json!({"restored": "both", "max_share": 1.5}), "max_share "),
            (json!({"restored": "both", "max_share": "5%"}), "max_share "),
            (json!({"restored": "both", "seconds": 900}), "seconds "),
            (json!({"restored": "both", "cursor": "x"}), "cursor "),
            (
                json!({"restored": "both", "records_at": "2026-01-01T00:00:00Z"}),
                "keyring_at ",
            ),
            (
                json!({"restored": "both", "keyring_at": "noon"}),
                "keyring_at ",
            ),
            (json!({"restored": "both", "force": true}), "force "),
        ] {
            let problem = refused(order);
            assert!(problem.starts_with(field), "{problem}");
        }
    }

    #[test]
    fn a_replay_is_dry_and_careful_unless_told_otherwise() {
        let order = json!({"restored": "keyring", "cursor": null});
        let order = Order::parse(&order).unwrap();
        assert!(order.dry_run);
        assert!((order.max_share - 0.05).abs() < f64::EPSILON);
        assert_eq!(order.time, Duration::from_secs(240));
    }
}
