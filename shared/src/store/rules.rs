//! Rules about a person as rows: the keyring's flag, the door's gate and end, the clock,
//! and the list of who stands under a rule. Owns what one change of one rule writes; knows
//! nothing of what the rules forbid.

use jiff::Timestamp;

use super::keys::{self, DOOR, Standing};
use super::lives::{Door, clock_write};
use super::{Item, Write};
use crate::keyring::{Entry, Hold, Rules};

/// One change of one rule.
#[derive(Clone, Debug)]
pub enum Change {
    Restrict,
    Object,
    Hold(Hold),
    Suppress,
    Lift(Standing),
}

impl Change {
    /// The rule that it is about.
    pub const fn rule(&self) -> Standing {
        match self {
            Change::Restrict => Standing::Restricted,
            Change::Object => Standing::Objected,
            Change::Hold(_) => Standing::Held,
            Change::Suppress => Standing::Suppressed,
            Change::Lift(rule) => *rule,
        }
    }

    pub const fn lifts(&self) -> bool {
        matches!(self, Change::Lift(_))
    }

    /// Whether all is as asked already. A hold may be given another reason or end.
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

    /// What the keyring's row becomes; the attributes that [`Entry`] reads.
    fn keyring_write(&self, entry: &Entry) -> Write {
        let flag = self.rule().name();
        let write = match self {
            Change::Lift(Standing::Held) => {
                entry.change("SET gate = :next REMOVE held, hold_reason, hold_until, blocked")
            }
            Change::Lift(_) => entry.change(&format!("SET gate = :next REMOVE {flag}")),
            Change::Hold(Hold { reason, until }) => {
                let expression = match until {
                    Some(_) => {
                        "SET gate = :next, held = :true, hold_reason = :reason, hold_until = :until"
                    }
                    None => {
                        "SET gate = :next, held = :true, hold_reason = :reason REMOVE hold_until"
                    }
                };
                let write = entry
                    .change(expression)
                    .value(":true", true)
                    .value(":reason", reason.as_str());
                match until {
                    Some(until) => write.value(":until", *until),
                    None => write,
                }
            }
            Change::Restrict | Change::Object | Change::Suppress => entry
                .change(&format!("SET gate = :next, {flag} = :true"))
                .value(":true", true),
        };
        write.value(":next", entry.gate + 1)
    }

    /// The person in the list of those who stand under the rule, or no longer.
    fn list_write(&self, entry: &Entry) -> Write {
        let partition = keys::standing(entry.key.tenant, self.rule());
        let subject = entry.key.subject.to_string();
        if self.lifts() {
            Write::delete(&partition, &subject)
        } else {
            Write::put(Item::new(&partition, &subject))
        }
    }

    /// The rows that the change writes, all in one transaction: it happens if the keyring
    /// is still as read, and the life, if one goes on, is still behind the same door.
    /// `end`: when that life ends once nothing stops its clock.
    pub fn writes(
        &self,
        entry: &Entry,
        life: Option<(&Door, Timestamp)>,
        now: Timestamp,
    ) -> Vec<Write> {
        let mut writes = vec![self.keyring_write(entry), self.list_write(entry)];
        let Some((door, end)) = life else {
            return writes;
        };
        let stops = [entry.rules, self.after(entry.rules)].map(Rules::stop_clock);
        writes.push(self.door_write(entry, door, stops, end, now));
        let look_at = match self {
            // The clock wakes whoever lifts the hold.
            Change::Hold(hold) => hold.until,
            _ => (stops == [true, false]).then_some(end),
        };
        writes.extend(look_at.map(|at| clock_write(&entry.key, at)));
        writes
    }

    /// The new gate on the door, and its end taken away or given back.
    fn door_write(
        &self,
        entry: &Entry,
        door: &Door,
        stops: [bool; 2],
        end: Timestamp,
        now: Timestamp,
    ) -> Write {
        let stands = "gate = :gate AND (attribute_not_exists(expires_at) OR expires_at > :now)";
        let partition = entry.key.partition();
        let update = |expression: &str| Write::update(&partition, DOOR, expression);
        let write = match stops {
            [false, true] => update("SET gate = :next REMOVE expires_at").only_if(stands),
            // The end follows from when the person was last seen: that must still be so.
            [true, false] => update("SET gate = :next, expires_at = :end")
                .only_if(format!("{stands} AND last_seen = :seen"))
                .value(":seen", door.last_seen)
                .value(":end", end.as_second()),
            [true, true] | [false, false] => update("SET gate = :next").only_if(stands),
        };
        write
            .value(":gate", entry.gate)
            .value(":next", entry.gate + 1)
            .value(":now", now.as_second())
    }
}
