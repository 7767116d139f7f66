//! The keyring after a restore: all of its rows, and how they are brought to agree with
//! `records` again. For the replay alone, which runs while nobody else does.

use jiff::Timestamp;

use crate::aws::dynamo::{Item, Write};
use crate::base::error::Result;
use crate::base::id::{LifeId, SubjectId, TenantId};
use crate::base::recovery::KEPT;
use crate::domain::keyring::{
    ENDS, Entry, Keyring, Living, Rekey, Rules, State, TENANT_KEYS, partition,
};
use crate::domain::keys::{self, LifeKey, Rule};

/// The rules that do not end with a life by themselves, and what belongs to them.
const RULES: &str = "objected, suppressed, held, hold_reason, hold_until, blocked";
/// What ends with a life when nothing of it is left that a hold could keep.
const HOLD: &str = "held, hold_reason, hold_until, blocked";
/// The reason of a hold that is known only from the list of those who are held.
const RESTORED: &str = "restored";

/// One row of the keyring.
pub enum Row {
    /// A tenant's, and whether its keys are in it.
    Tenant(TenantId, bool),
    Subject(Box<Entry>),
}

impl Keyring {
    /// One page of all rows, and the partition to go on after. Rows that are nobody's are
    /// left out.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer or a row is not as
    /// it was written, as below.
    pub async fn scan(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let page = self.store.scan_keyring(limit, after).await?;
        let read = |row: &Item| match row.partition().split_once('#') {
            Some((tenant, subject)) => {
                let (tenant, subject) = (TenantId::parse(tenant)?, SubjectId::parse(subject)?);
                Some(Entry::read(tenant, subject, row).map(|it| Row::Subject(Box::new(it))))
            }
            None => {
                let tenant = TenantId::parse(row.partition())?;
                Some(Ok(Row::Tenant(tenant, has_keys(row))))
            }
        };
        let rows = page.rows.iter().filter_map(read).collect::<Result<_>>()?;
        Ok((rows, page.next))
    }

    /// Whether the keyring has the keys of a tenant; `None` when it does not know of it.
    ///
    /// # Errors
    /// As [`Keyring::scan`].
    pub async fn has_tenant(&self, tenant: TenantId) -> Result<Option<bool>> {
        let row = self.store.get_keyring(&tenant.to_string()).await?;
        Ok(row.as_ref().map(has_keys))
    }
}

fn has_keys(row: &Item) -> bool {
    row.bytes(TENANT_KEYS).is_some()
}

impl Living {
    /// Whether everything that is sealed in a row can be opened.
    pub fn opens(&self, row: &Item) -> bool {
        let mut parts = row.sealed_parts();
        parts.all(|(part, sealed)| self.unseal(row.sort(), part, &sealed).is_ok())
    }
}

impl Entry {
    /// Whether this is a key of the life that a row may be sealed under.
    pub fn has_generation(&self, generation: u64) -> bool {
        generation == self.generation || (self.rekeying() && generation + 1 == self.generation)
    }

    /// Deletes the keys of a life that a restore has ended, held or not: what a hold was to
    /// keep is gone. `rules`: those that outlast it. `welcome`: nobody asked for this, so who
    /// returns meanwhile may.
    pub fn lost_write(&self, rules: Rules, welcome: bool) -> Write {
        let mut change = Change::to(self.rules, rules);
        change.set.push("#state = :erasing, expired = :welcome");
        change.remove.extend([ENDS, HOLD]);
        // Both are among what ends.
        change
            .remove
            .retain(|it| !["held", "restricted"].contains(it));
        change
            .write(self)
            .value(":erasing", State::Erasing.name())
            .value(":welcome", welcome)
    }

    /// Deletes the keys and rules of somebody whose tenant has left.
    pub fn left_write(&self, now: Timestamp) -> Write {
        let expression = format!(
            "SET #state = :erased, erased_at = :now, expires_at = :expires REMOVE {ENDS}, {RULES}"
        );
        self.change(&expression)
            .value(":erased", State::Erased.name())
            .value(":now", now)
            .value(":expires", (now + KEPT).as_second())
    }

    /// Puts these rules in force, at this rules version.
    pub fn rules_write(&self, rules: Rules, rules_version: u64) -> Write {
        let mut change = Change::to(self.rules, rules);
        change.set.push("rules_version = :next");
        if rules.held && self.hold.is_none() {
            change.set.push("hold_reason = :reason");
        }
        if self.rules.held && !rules.held {
            change.remove.push("hold_reason, hold_until, blocked");
        }
        let expires = self.expires_at(rules);
        match expires {
            Some(_) => change.set.push("expires_at = :expires"),
            None => change.remove.push("expires_at"),
        }
        let reason = change.set.contains(&"hold_reason = :reason");
        let mut write = change.write(self).value(":next", rules_version);
        if let Some(at) = expires {
            write = write.value(":expires", at.as_second());
        }
        match reason {
            true => write.value(":reason", RESTORED),
            false => write,
        }
    }

    /// Notes another re-keying in place of one that has no job any more.
    pub fn rekey_anew_write(&self, rekey: Rekey) -> Write {
        Write::update_keyring(&partition(&self.key), "SET rekey = :rekey, rekey_at = :at")
            .only_if("life = :life AND rekey = :lost")
            .value(":life", self.key.life.to_string())
            .value(
                ":lost",
                self.rekey.map_or_else(String::new, |it| it.job.to_string()),
            )
            .value(":rekey", rekey.job.to_string())
            .value(":at", rekey.at)
    }
}

/// The parts of a change of a row's rules.
struct Change {
    set: Vec<&'static str>,
    remove: Vec<&'static str>,
}

impl Change {
    fn to(before: Rules, after: Rules) -> Change {
        let mut change = Change {
            set: Vec::new(),
            remove: Vec::new(),
        };
        for rule in Rule::ALL {
            match (before.under(rule), after.under(rule)) {
                (false, true) => change.set.push(in_force(rule)),
                (true, false) => change.remove.push(rule.name()),
                _ => {}
            }
        }
        change
    }

    fn write(self, entry: &Entry) -> Write {
        let mut expression = format!("SET {}", self.set.join(", "));
        if !self.remove.is_empty() {
            expression = format!("{expression} REMOVE {}", self.remove.join(", "));
        }
        let write = entry.change(&expression);
        match Rule::ALL
            .iter()
            .any(|rule| self.set.contains(&in_force(*rule)))
        {
            true => write.value(":true", true),
            false => write,
        }
    }
}

const fn in_force(rule: Rule) -> &'static str {
    match rule {
        Rule::Held => "held = :true",
        Rule::Restricted => "restricted = :true",
        Rule::Objected => "objected = :true",
        Rule::Suppressed => "suppressed = :true",
    }
}

/// The row of somebody whom the keyring does not know, and who stands under a rule that
/// outlasts lives.
pub fn unknown_write(tenant: TenantId, subject: SubjectId, rules: Rules, now: Timestamp) -> Write {
    let row = Item::default()
        .with("PK", keys::keyring_subject(tenant, subject))
        .with("state", State::Erased.name())
        .with("life", LifeId::random().to_string())
        .with("rules_version", 1_u64)
        .with("erased_at", now)
        .with_some("objected", rules.objected.then_some(true))
        .with_some("suppressed", rules.suppressed.then_some(true));
    Write::put_keyring(row).only_new()
}

/// The rules that some lists know somebody by.
pub fn listed(rule: impl Fn(Rule) -> bool) -> Rules {
    Rules {
        restricted: rule(Rule::Restricted),
        objected: rule(Rule::Objected),
        held: rule(Rule::Held),
        suppressed: rule(Rule::Suppressed),
    }
}

/// Whether a life is the one that the keyring says goes on.
pub fn lives(entry: Option<&Entry>, life: &LifeKey) -> bool {
    entry.is_some_and(|entry| entry.state == State::Active && entry.key == *life)
}
