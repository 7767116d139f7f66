//! Data of ended lives in `records` and the bucket, and data of surviving lives that cannot be
//! opened any more. Found by reading everything: no other reference remains.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shared::aws::dynamo::Item;
use shared::aws::dynamo::scan::At;
use shared::base::error::Result;
use shared::base::id::{SubjectId, TenantId};
use shared::domain::keyring::restore::{lives, unknown_write};
use shared::domain::keyring::{Entry, Rules};
use shared::domain::keys::{self, DOOR, EXPIRY, LifeKey, PERSON, RESTORED, Rule};
use shared::domain::life::door::objects_write;
use shared::domain::life::repair::{remove_write, remove_writes};
use shared::domain::records::rows::Record;

use crate::handover::{HandOver, carry_out};
use crate::order::Restored;
use crate::repair::Opener;
use crate::tally::Tally;
use crate::{ROWS, Replay};

/// Rows removed in one transaction, with their counts.
const TOGETHER: usize = 40;

type Entries = HashMap<(TenantId, SubjectId), Entry>;

/// Processes one page of `records`. Returns the position to continue after, unless it was the
/// last.
pub async fn rows(
    replay: &Replay<'_>,
    after: Option<&At>,
    tally: &mut Tally,
) -> Result<Option<At>> {
    let (rows, next) = replay.app.store.scan_records(ROWS, after).await?;
    tally.seen += rows.len() as u64;
    let entries = entries(replay, rows.iter().filter_map(whose)).await?;
    let mut parts: BTreeMap<LifeKey, Vec<Item>> = BTreeMap::new();
    for row in rows {
        let Some((tenant, subject)) = whose(&row) else {
            continue;
        };
        if let Some(life) = LifeKey::parse(row.partition()) {
            if !replay.known.gone.contains(&tenant) {
                parts.entry(life).or_default().push(row);
            }
        } else {
            let entry = entries.get(&(tenant, subject));
            list(replay, &row, entry, tally).await?;
            lookup(replay, &row, (tenant, subject), entry, tally).await?;
        }
    }
    let begun = after.and_then(|(partition, _)| LifeKey::parse(partition));
    let mut over = Vec::new();
    for (life, rows) in &parts {
        let entry = entries.get(&(life.tenant, life.subject));
        match entry.filter(|entry| lives(Some(entry), life)) {
            Some(entry) => {
                unreadable(replay, entry, rows, tally).await?;
                purge(replay, life, rows, tally).await?;
            }
            // An earlier page has handled it.
            None if begun == Some(*life) => {}
            None => {
                let told = replay.restored == Restored::Records;
                over.push((*life, told || entry.is_some_and(|entry| entry.key == *life)));
            }
        }
    }
    hand_over(replay, over, tally).await?;
    Ok(next)
}

/// The person that a row is about, if any.
fn whose(row: &Item) -> Option<(TenantId, SubjectId)> {
    let (partition, sort) = (row.partition(), row.sort());
    let life = LifeKey::parse(partition).map(|life| (life.tenant, life.subject));
    let list = || keys::parse_standing(partition, sort).map(|(tenant, _, who)| (tenant, who));
    let lookup = || keys::parse_lookup(partition, sort);
    life.or_else(list).or_else(lookup)
}

/// The keyring's entries for these people.
async fn entries(
    replay: &Replay<'_>,
    people: impl Iterator<Item = (TenantId, SubjectId)>,
) -> Result<Entries> {
    let mut tenants: BTreeMap<TenantId, BTreeSet<SubjectId>> = BTreeMap::new();
    for (tenant, subject) in people {
        tenants.entry(tenant).or_default().insert(subject);
    }
    let mut found = HashMap::new();
    for (tenant, subjects) in tenants {
        let subjects: Vec<_> = subjects.into_iter().collect();
        let some = replay.app.keyring.entries(tenant, &subjects).await?;
        found.extend(some.into_iter().map(|(who, entry)| ((tenant, who), entry)));
    }
    Ok(found)
}

/// Hands over ended lives, except those handed over before. `known`: the keyring knows that
/// the life has ended. Any other life with a door was alive as far as is known, and its key is
/// lost.
async fn hand_over(
    replay: &Replay<'_>,
    over: Vec<(LifeKey, bool)>,
    tally: &mut Tally,
) -> Result<()> {
    let rows = |life: &LifeKey| [RESTORED, DOOR].map(|sort| (life.partition(), sort.to_owned()));
    let wanted: Vec<_> = over.iter().flat_map(|(life, _)| rows(life)).collect();
    let found = replay.app.store.get_many(&wanted).await?;
    let has = |life: &LifeKey, sort: &str| {
        let mut rows = found.iter();
        rows.any(|row| row.sort() == sort && row.partition() == life.partition())
    };
    let mut handover = HandOver::default();
    for (life, known) in over.into_iter().filter(|(life, _)| !has(life, RESTORED)) {
        match has(&life, DOOR) && !known {
            true => {
                tally.lives += 1;
                tally.erased += 1;
            }
            false => tally.orphans_removed += 1,
        }
        if replay.acts {
            handover.add(life, Vec::new());
        }
    }
    handover.write(replay.app).await
}

/// A list entry of a person whom the keyring does not know. The rule is kept if it outlasts
/// lives; otherwise nothing remains that it applies to.
async fn list(
    replay: &Replay<'_>,
    row: &Item,
    entry: Option<&Entry>,
    tally: &mut Tally,
) -> Result<()> {
    let Some((tenant, rule, subject)) = keys::parse_standing(row.partition(), row.sort()) else {
        return Ok(());
    };
    let gone = replay.known.gone.contains(&tenant);
    if entry.is_some() && !gone {
        return Ok(());
    }
    tally.rules_reapplied += 1;
    let outlasts = matches!(rule, Rule::Objected | Rule::Suppressed);
    let kept = outlasts && !gone && replay.restored != Restored::Records;
    tally.holds_lost += u64::from(rule == Rule::Held && !gone && !kept);
    if !replay.acts {
        return Ok(());
    }
    if !kept {
        return carry_out(replay.app, vec![remove_write(row)]).await;
    }
    // Another list may have re-created the row just before.
    let Some(entry) = replay.app.keyring.entry(tenant, subject).await? else {
        let rules = Rules::default().with(rule, true);
        let write = unknown_write(tenant, subject, rules, replay.app.clock.now());
        return carry_out(replay.app, vec![write]).await;
    };
    let rules = entry.rules.with(rule, true);
    let write = entry.rules_write(rules, entry.rules_version + 1);
    carry_out(replay.app, vec![write]).await
}

/// Removes the lookup of an ended life.
async fn lookup(
    replay: &Replay<'_>,
    row: &Item,
    (tenant, subject): (TenantId, SubjectId),
    entry: Option<&Entry>,
    tally: &mut Tally,
) -> Result<()> {
    let Some(life) = row
        .try_text("life")
        .and_then(shared::base::id::LifeId::parse)
    else {
        return Ok(());
    };
    let life = LifeKey {
        tenant,
        subject,
        life,
    };
    if lives(entry, &life) || replay.known.gone.contains(&tenant) {
        return Ok(());
    }
    tally.lookups_removed += 1;
    if replay.acts {
        carry_out(replay.app, vec![remove_write(row)]).await?;
    }
    Ok(())
}

/// Removes records of a surviving life that none of its keys can open, with their counts: a
/// page that cannot be read would hide the readable records.
async fn unreadable(
    replay: &Replay<'_>,
    entry: &Entry,
    rows: &[Item],
    tally: &mut Tally,
) -> Result<()> {
    let opener = Opener::new(replay.app, entry);
    let doubtful = |row: &&Item| counted(row.sort()).is_some() && !opener.says_so(row);
    let doubtful: Vec<_> = rows
        .iter()
        .filter(doubtful)
        .map(|row| (row.partition().to_owned(), row.sort().to_owned()))
        .collect();
    let Some(living) = opener.living().await?.filter(|_| !doubtful.is_empty()) else {
        return Ok(());
    };
    let mut lost: Vec<_> = replay.app.store.get_many(&doubtful).await?;
    lost.retain(|row| !living.opens(row));
    lost.sort_by(|one, other| one.sort().cmp(other.sort()));
    tally.unreadable_removed += lost.len() as u64;
    if replay.acts {
        for some in lost.chunks(TOGETHER) {
            remove(replay, &entry.key, some).await?;
        }
    }
    Ok(())
}

/// Purges redacted files that remain: the event that calls the worker may be lost.
async fn purge(
    replay: &Replay<'_>,
    life: &LifeKey,
    rows: &[Item],
    tally: &mut Tally,
) -> Result<()> {
    if rows.iter().any(|row| row.flag("purging")) {
        tally.purges_repaired += 1;
        if replay.acts {
            shared::domain::redaction::purge(replay.app, life).await?;
        }
    }
    Ok(())
}

/// Removes records, and decrements the counts of the door and the conversations.
async fn remove(replay: &Replay<'_>, life: &LifeKey, rows: &[Item]) -> Result<()> {
    let app = replay.app;
    for file in rows
        .iter()
        .filter_map(|row| keys::parse_attachment(row.sort()))
    {
        // Nothing else refers to the object.
        let object = life.attachment_object(file);
        app.objects.delete_all_versions(&object).await?;
    }
    let counted = rows
        .iter()
        .filter_map(|row| Some((row, counted(row.sort())?)));
    let counted: Vec<_> = counted.collect();
    let writes = remove_writes(&app.store, life, &counted).await?;
    carry_out(app, writes).await
}

/// The door's counter for a record.
fn counted(sort: &str) -> Option<&'static str> {
    let kind = Record::TYPES
        .into_iter()
        .find(|(_, prefix)| sort.starts_with(prefix));
    Some(match kind?.0 {
        "conversation" => "conversations",
        "message" => "messages",
        "attachment" => "attachments",
        _ => "interactions",
    })
}

/// Processes one page of the bucket: hands over ended lives that have objects but no row.
/// Returns the key to continue after, unless it was the last.
pub async fn objects(
    replay: &Replay<'_>,
    prefix: &str,
    after: Option<&str>,
    tally: &mut Tally,
) -> Result<Option<String>> {
    let app = replay.app;
    let objects = app.objects.keys(prefix, after).await?;
    tally.seen += objects.len() as u64;
    let begun = after.and_then(keys::parse_life_of_object);
    let named: BTreeSet<_> = objects
        .iter()
        .filter_map(|object| keys::parse_life_of_object(object))
        .filter(|life| begun != Some(*life) && !replay.known.gone.contains(&life.tenant))
        .collect();
    let people = named.iter().map(|life| (life.tenant, life.subject));
    let entries = entries(replay, people).await?;
    let alive = |life: &LifeKey| lives(entries.get(&(life.tenant, life.subject)), life);
    let (goes_on, over): (Vec<_>, Vec<_>) = named.into_iter().partition(alive);
    if replay.acts {
        for life in &goes_on {
            // The reference to them may be lost; their erasure must find them later.
            carry_out(app, vec![objects_write(life)]).await?;
        }
    }
    let rows = [DOOR, PERSON, EXPIRY, RESTORED];
    let wanted: Vec<_> = over
        .iter()
        .flat_map(|life| rows.map(|sort| (life.partition(), sort.to_owned())))
        .collect();
    let found = app.store.get_many(&wanted).await?;
    let led_to: BTreeSet<_> = found.iter().map(Item::partition).collect();
    let mut handover = HandOver::default();
    for life in over {
        if !led_to.contains(life.partition().as_str()) {
            tally.orphans_removed += 1;
            if replay.acts {
                handover.add(life, Vec::new());
            }
        }
    }
    handover.write(app).await?;
    Ok(objects.last().cloned())
}
