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

/// What belongs to a hold, beside the rule itself.
const HOLD: [&str; 3] = ["hold_reason", "hold_until", "blocked"];
/// The reason of a hold that is known only from the list of those who are held.
const RESTORED: &str = "restored";

/// One row of the keyring.
pub enum Row {
    /// A tenant's, and whether its keys are in it.
    Tenant(TenantId, bool),
    Subject(Box<Entry>),
}

impl Keyring {
    /// One page of all rows, and the partition to continue after. Skips rows that are neither
    /// a tenant's nor a subject's.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer or a row is
    /// not as it was written, as below.
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

    /// Whether the keyring has the keys of a tenant; `None` when it does not know the tenant.
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
    /// Whether every sealed value of a row can be opened.
    pub fn opens(&self, row: &Item) -> bool {
        let mut parts = row.sealed_parts();
        parts.all(|(part, sealed)| self.unseal(row.sort(), part, &sealed).is_ok())
    }
}

impl Entry {
    /// Whether a row of the life may be sealed under the key of this generation.
    pub fn has_generation(&self, generation: u64) -> bool {
        generation == self.generation || (self.rekeying() && generation + 1 == self.generation)
    }

    /// Deletes the keys of a life that a restore has ended, even under a hold: the data that
    /// the hold preserved is lost. `rules`: the rules that outlast it. `welcome`: nobody
    /// requested this end, so the person may return meanwhile.
    pub fn lost_write(&self, rules: Rules, welcome: bool) -> Write {
        let mut ends = ENDS.to_vec();
        // Removed below, with the other rules.
        ends.retain(|it| *it != Rule::Restricted.name());
        let rules = Rules {
            held: false,
            restricted: false,
            ..rules
        };
        self.under_write(rules)
            .set("state", State::Erasing.name())
            .set("expired", welcome)
            .remove(&ends)
            .remove(&HOLD)
    }

    /// Deletes the keys and rules of a person whose tenant has left.
    pub fn left_write(&self, now: Timestamp) -> Write {
        self.change()
            .set("state", State::Erased.name())
            .set("erased_at", now)
            .set("expires_at", (now + KEPT).as_second())
            .remove(&ENDS)
            .remove(&["objected", "suppressed", "held"])
            .remove(&HOLD)
    }

    /// Puts these rules in force at this rules version.
    pub fn rules_write(&self, rules: Rules, rules_version: u64) -> Write {
        let write = self
            .under_write(rules)
            .set("rules_version", rules_version)
            .set_or_remove(
                "expires_at",
                self.expires_at(rules).map(|at| at.as_second()),
            );
        match (self.rules.held, rules.held) {
            (false, true) => write.set("hold_reason", RESTORED),
            (true, false) => write.remove(&HOLD),
            _ => write,
        }
    }

    /// Sets the rules to these, if the row is unchanged since it was read.
    fn under_write(&self, rules: Rules) -> Write {
        Rule::ALL.into_iter().fold(self.change(), |write, rule| {
            let in_force = rules.under(rule);
            match in_force == self.rules.under(rule) {
                true => write,
                false => write.set_or_remove(rule.name(), in_force.then_some(true)),
            }
        })
    }

    /// Schedules another re-keying in place of one whose job is lost.
    pub fn rekey_anew_write(&self, rekey: Rekey) -> Write {
        Write::update_keyring(&partition(&self.key))
            .set("rekey", rekey.job.to_string())
            .set("rekey_at", rekey.at)
            .if_is("life", self.key.life.to_string())
            .if_is(
                "rekey",
                self.rekey.map_or_else(String::new, |it| it.job.to_string()),
            )
    }
}

/// The row of a person whom the keyring does not know and to whom a rule applies that outlasts
/// lives.
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

/// The rules that apply to a person according to the lists.
pub fn listed(rule: impl Fn(Rule) -> bool) -> Rules {
    Rules {
        restricted: rule(Rule::Restricted),
        objected: rule(Rule::Objected),
        held: rule(Rule::Held),
        suppressed: rule(Rule::Suppressed),
    }
}

/// Whether this life is the active one in the keyring.
pub fn lives(entry: Option<&Entry>, life: &LifeKey) -> bool {
    entry.is_some_and(|entry| entry.state == State::Active && entry.key == *life)
}
