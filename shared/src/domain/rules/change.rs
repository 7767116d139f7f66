//! Rules about a person as rows: the keyring's flag, the door's rules version and end, the
//! expiry index entry, and the list of people under a rule. Owns what one change of one rule
//! writes; knows nothing of what the rules forbid.

use jiff::Timestamp;

use crate::aws::dynamo::Write;
use crate::domain::keyring::{Entry, Hold, Rules, list_write};
use crate::domain::keys::Rule;
use crate::domain::life::door::{Door, expiry_write, next_rules_version_write};

/// One change of one rule.
#[derive(Clone, Debug)]
pub enum Change {
    Restrict,
    Object,
    Hold(Hold),
    Suppress,
    Lift(Rule),
}

impl Change {
    /// The rule that it changes.
    pub const fn rule(&self) -> Rule {
        match self {
            Change::Restrict => Rule::Restricted,
            Change::Object => Rule::Objected,
            Change::Hold(_) => Rule::Held,
            Change::Suppress => Rule::Suppressed,
            Change::Lift(rule) => *rule,
        }
    }

    pub const fn lifts(&self) -> bool {
        matches!(self, Change::Lift(_))
    }

    /// Whether the change is already in force. A hold may get another reason or end.
    pub fn done(&self, entry: &Entry) -> bool {
        entry.rules.under(self.rule()) != self.lifts()
            && match self {
                Change::Hold(hold) => entry.hold.as_ref() == Some(hold),
                _ => true,
            }
    }

    fn after(&self, before: Rules) -> Rules {
        before.with(self.rule(), !self.lifts())
    }

    /// The change of the keyring's row, in the attributes that [`Entry`] reads. A row that
    /// only the rule kept is deleted once its time as a tombstone is over, now or by TTL.
    fn keyring_write(&self, entry: &Entry, now: Timestamp) -> Write {
        let expires = entry.expires_at(self.after(entry.rules));
        if self.lifts() && expires.is_some_and(|at| at <= now) {
            return entry.forget_write();
        }
        let write = entry
            .change()
            .set("rules_version", entry.rules_version + 1)
            .set_or_remove(self.rule().name(), (!self.lifts()).then_some(true))
            .set_or_remove("expires_at", expires.map(|at| at.as_second()));
        match self {
            Change::Hold(Hold { reason, until }) => write
                .set("hold_reason", reason.as_str())
                .set_or_remove("hold_until", *until),
            Change::Lift(Rule::Held) => {
                entry
                    .if_blocked_as_read(write)
                    .remove(&["hold_reason", "hold_until", "blocked"])
            }
            Change::Lift(Rule::Suppressed) => write.set("welcome_at", now),
            Change::Restrict | Change::Object | Change::Suppress | Change::Lift(_) => write,
        }
    }

    /// The rows that the change writes, in one transaction. It requires that the keyring is
    /// unchanged since it was read, and that the life, if there is one, still has the same
    /// door. `end`: when that life expires once nothing pauses its expiry.
    pub fn writes(
        &self,
        entry: &Entry,
        life: Option<(&Door, Timestamp)>,
        now: Timestamp,
    ) -> Vec<Write> {
        let mut writes = vec![
            self.keyring_write(entry, now),
            list_write(&entry.key, self.rule(), !self.lifts()),
        ];
        let Some((door, end)) = life else {
            return writes;
        };
        let stops = [entry.rules, self.after(entry.rules)].map(Rules::stop_clock);
        writes.push(self.door_write(entry, door, stops, end, now));
        let look_at = match self {
            // The expiry index entry triggers the sweep that ends the hold.
            Change::Hold(hold) => hold.until,
            _ => (stops == [true, false]).then_some(end),
        };
        writes.extend(look_at.map(|at| expiry_write(&entry.key, at)));
        writes
    }

    /// Writes the new rules version to the door, and pauses or resumes its expiry.
    fn door_write(
        &self,
        entry: &Entry,
        door: &Door,
        stops: [bool; 2],
        end: Timestamp,
        now: Timestamp,
    ) -> Write {
        let write = next_rules_version_write(entry, now);
        match stops {
            [false, true] => write.remove(&["expires_at"]),
            // The expiry is computed from the last visit, which must not have changed.
            [true, false] => write
                .set("expires_at", end.as_second())
                .if_is("last_seen", door.last_seen),
            [true, true] | [false, false] => write,
        }
    }
}
