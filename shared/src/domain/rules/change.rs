//! Rules about a person as rows: the keyring's flag, the door's rules version and end, the
//! expiry index entry, and the list of people under a rule. Owns what one change of one rule
//! writes; knows nothing of what the rules forbid.

use jiff::Timestamp;

use crate::aws::dynamo::{Attribute, Item, Write};
use crate::domain::keyring::{Entry, Hold, Rules};
use crate::domain::keys::{self, DOOR, Rule};
use crate::domain::life::door::{Door, expiry_write};

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
    /// The rule that it is about.
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

    /// What the keyring's row becomes; the attributes that [`Entry`] reads. A row that only
    /// the rule kept is deleted when its time as a tombstone is over, or by TTL when it is.
    fn keyring_write(&self, entry: &Entry, now: Timestamp) -> Write {
        let expires = entry.expires_at(self.after(entry.rules));
        if self.lifts() && expires.is_some_and(|at| at <= now) {
            return entry.forget_write();
        }
        let flag = self.rule().name();
        let put = format!("{flag} = :true");
        let (mut set, mut remove) = (vec!["rules_version = :next"], Vec::new());
        let mut values: Vec<(&str, Attribute)> = vec![(":next", (entry.rules_version + 1).into())];
        if self.lifts() {
            remove.push(flag);
        } else {
            set.push(&put);
            values.push((":true", true.into()));
        }
        match self {
            Change::Hold(Hold { reason, until }) => {
                set.push("hold_reason = :reason");
                values.push((":reason", reason.as_str().into()));
                match until {
                    Some(until) => {
                        set.push("hold_until = :until");
                        values.push((":until", (*until).into()));
                    }
                    None => remove.push("hold_until"),
                }
            }
            Change::Lift(Rule::Held) => remove.push("hold_reason, hold_until, blocked"),
            Change::Lift(Rule::Suppressed) => {
                set.push("welcome_at = :now");
                values.push((":now", now.into()));
            }
            Change::Restrict | Change::Object | Change::Suppress | Change::Lift(_) => {}
        }
        match expires {
            Some(at) => {
                set.push("expires_at = :expires");
                values.push((":expires", at.as_second().into()));
            }
            None => remove.push("expires_at"),
        }
        let (set, remove) = (set.join(", "), remove.join(", "));
        let write = entry.change(&format!("SET {set} REMOVE {remove}"));
        let write = values
            .into_iter()
            .fold(write, |write, (name, value)| write.value(name, value));
        match self {
            Change::Lift(Rule::Held) => entry.if_blocked_as_read(write),
            _ => write,
        }
    }

    /// The person in the list of those who stand under the rule, or no longer.
    fn list_write(&self, entry: &Entry) -> Write {
        let partition = keys::listed(entry.key.tenant, self.rule());
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
        let mut writes = vec![self.keyring_write(entry, now), self.list_write(entry)];
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
        writes.extend(look_at.map(|at| expiry_write(&entry.key, at)));
        writes
    }

    /// The new rules version on the door, and its end taken away or given back.
    fn door_write(
        &self,
        entry: &Entry,
        door: &Door,
        stops: [bool; 2],
        end: Timestamp,
        now: Timestamp,
    ) -> Write {
        let stands = "rules_version = :rules_version AND (attribute_not_exists(expires_at) OR expires_at > :now)";
        let partition = entry.key.partition();
        let update = |expression: &str| Write::update(&partition, DOOR, expression);
        let write = match stops {
            [false, true] => update("SET rules_version = :next REMOVE expires_at").only_if(stands),
            // The end follows from when the person was last seen: that must still be so.
            [true, false] => update("SET rules_version = :next, expires_at = :end")
                .only_if(format!("{stands} AND last_seen = :seen"))
                .value(":seen", door.last_seen)
                .value(":end", end.as_second()),
            [true, true] | [false, false] => update("SET rules_version = :next").only_if(stands),
        };
        write
            .value(":rules_version", entry.rules_version)
            .value(":next", entry.rules_version + 1)
            .value(":now", now.as_second())
    }
}
