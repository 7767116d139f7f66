//! Goes through the keyring's rows, person by person: which lives survive, which end, under
//! which rules. Decides by the other table and the ledger.

use std::collections::HashMap;

use shared::aws::dynamo::{Item, Write};
use shared::base::error::Result;
use shared::domain::keyring::restore::{Row, listed};
use shared::domain::keyring::{Entry, Rules, State, list_write};
use shared::domain::keys::{self, DOOR, EXPIRY, PERSON, RESTORED, Rule};

use crate::handover::{HandOver, carry_out};
use crate::order::Restored;
use crate::repair;
use crate::tally::Tally;
use crate::{PEOPLE, Replay};

/// Everything known about one person.
pub struct Person {
    pub entry: Entry,
    /// Rows of the life that the keyring names: door, person, expiry index entry, hand-over.
    rows: HashMap<String, Item>,
    /// The rules by the lists in `records`, and the rules to be in force.
    pub listed: Rules,
    pub rules: Rules,
}

impl Person {
    pub fn row(&self, sort: &str) -> Option<&Item> {
        self.rows.get(sort)
    }

    /// The writes that make the lists match the rules.
    pub fn list_writes(&self) -> Vec<Write> {
        let life = &self.entry.key;
        let differs = |rule: &Rule| self.listed.under(*rule) != self.rules.under(*rule);
        let write = |rule: Rule| list_write(life, rule, self.rules.under(rule));
        Rule::ALL.into_iter().filter(differs).map(write).collect()
    }

    /// How many rules one of the tables did not have, or had no longer.
    pub fn rules_changed(&self) -> u64 {
        let changes = |rule: &&Rule| {
            let target = self.rules.under(**rule);
            self.listed.under(**rule) != target || self.entry.rules.under(**rule) != target
        };
        Rule::ALL.iter().filter(changes).count() as u64
    }
}

/// Processes one page. Returns the partition to continue after, unless it was the last.
pub async fn page(
    replay: &Replay<'_>,
    after: Option<&str>,
    tally: &mut Tally,
) -> Result<Option<String>> {
    let (rows, next) = replay.app.keyring.scan(PEOPLE, after).await?;
    tally.seen += rows.len() as u64;
    let mut entries = Vec::new();
    for row in rows {
        match row {
            Row::Subject(entry) => entries.push(*entry),
            Row::Tenant(tenant, has_keys) if has_keys && replay.known.gone.contains(&tenant) => {
                tally.tenant_keys_removed += 1;
                if replay.acts {
                    replay.app.keyring.remove_tenant(tenant).await?;
                }
            }
            Row::Tenant(..) => {}
        }
    }
    let mut handover = HandOver::default();
    for person in read(replay, entries).await? {
        match person.entry.state {
            _ if replay.known.gone.contains(&person.entry.key.tenant) => {
                left(replay, &person.entry, tally).await?;
            }
            State::Active => living(replay, person, &mut handover, tally).await?,
            State::Erasing => erasing(replay, person, &mut handover, tally).await?,
            State::Erased => dead(replay, person, tally).await?,
        }
    }
    if replay.acts {
        handover.write(replay.app).await?;
    }
    Ok(next)
}

/// The other table's rows of these people, read in few batches.
async fn read(replay: &Replay<'_>, entries: Vec<Entry>) -> Result<Vec<Person>> {
    let mut wanted = Vec::new();
    for entry in &entries {
        if entry.state != State::Erased {
            let partition = entry.key.partition();
            let rows = [DOOR, PERSON, EXPIRY, RESTORED];
            wanted.extend(rows.map(|sort| (partition.clone(), sort.to_owned())));
        }
        let subject = entry.key.subject.to_string();
        let lists = Rule::ALL.map(|rule| keys::listed(entry.key.tenant, rule));
        wanted.extend(lists.map(|list| (list, subject.clone())));
    }
    let mut found: HashMap<String, HashMap<String, Item>> = HashMap::new();
    for row in replay.app.store.get_many(&wanted).await? {
        let rows = found.entry(row.partition().to_owned()).or_default();
        rows.insert(row.sort().to_owned(), row);
    }
    let mut people = Vec::new();
    for entry in entries {
        let subject = entry.key.subject.to_string();
        let listed = listed(|rule| {
            let list = found.get(&keys::listed(entry.key.tenant, rule));
            list.is_some_and(|list| list.contains_key(&subject))
        });
        people.push(Person {
            rows: found.remove(&entry.key.partition()).unwrap_or_default(),
            rules: agreed(replay.restored, entry.rules, listed),
            entry,
            listed,
        });
    }
    Ok(people)
}

/// The rules to be in force: those of the table that was not restored. If both were restored,
/// the rules in either, since a hold must never be lost.
fn agreed(restored: Restored, keyring: Rules, lists: Rules) -> Rules {
    match restored {
        Restored::Records => keyring,
        Restored::Keyring => lists,
        Restored::Both => listed(|rule| keyring.under(rule) || lists.under(rule)),
    }
}

/// The rules that outlast a life.
fn outlasting(rules: Rules) -> Rules {
    Rules {
        objected: rules.objected,
        suppressed: rules.suppressed,
        ..Rules::default()
    }
}

/// A person whose tenant has left: their data may not be opened, and nothing else is known.
async fn left(replay: &Replay<'_>, entry: &Entry, tally: &mut Tally) -> Result<()> {
    if entry.state != State::Active {
        return Ok(());
    }
    tally.lives += 1;
    tally.erased += 1;
    if replay.acts {
        let write = entry.left_write(replay.app.clock.now());
        carry_out(replay.app, vec![write]).await?;
    }
    Ok(())
}

/// A person who lives according to the keyring: survives if the door exists and the ledger
/// does not name the life.
async fn living(
    replay: &Replay<'_>,
    mut person: Person,
    handover: &mut HandOver,
    tally: &mut Tally,
) -> Result<()> {
    tally.lives += 1;
    // The ledger names only lives that had ended: a hold that came back with a table had been
    // lifted by then.
    let named = replay.known.named.get(&person.entry.key).copied();
    if person.row(DOOR).is_some() && named.is_none() {
        return repair::living(replay, &person, tally).await;
    }
    tally.erased += 1;
    tally.holds_lost += u64::from(person.rules.held);
    person.rules = outlasting(person.rules);
    person.rules.suppressed |= named == Some(true);
    if replay.acts {
        // A person whose data is lost, or whose life had ended, may return at once.
        let mut ends = vec![person.entry.lost_write(person.rules, named.is_none())];
        ends.extend(person.list_writes());
        handover.add(person.entry.key, ends);
    }
    Ok(())
}

/// A person whose erasure is under way. Remaining rows are found in `records`. Without rows,
/// no job may be left to complete the erasure.
async fn erasing(
    replay: &Replay<'_>,
    person: Person,
    handover: &mut HandOver,
    tally: &mut Tally,
) -> Result<()> {
    if person.rows.is_empty() {
        tally.orphans_removed += 1;
        if replay.acts {
            handover.add(person.entry.key, Vec::new());
        }
    }
    dead(replay, person, tally).await
}

/// The rules of a person whose life has ended.
async fn dead(replay: &Replay<'_>, mut person: Person, tally: &mut Tally) -> Result<()> {
    person.rules = outlasting(person.rules);
    if replay.restored == Restored::Both {
        let named = replay.known.named.get(&person.entry.key);
        person.rules.suppressed |= named == Some(&true);
    }
    let changed = person.rules_changed();
    tally.rules_reapplied += changed;
    if changed > 0 && replay.acts {
        let mut writes = person.list_writes();
        if person.rules != person.entry.rules {
            let rules_version = person.entry.rules_version + 1;
            writes.push(person.entry.rules_write(person.rules, rules_version));
        }
        carry_out(replay.app, writes).await?;
    }
    Ok(())
}
