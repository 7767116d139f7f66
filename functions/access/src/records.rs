//! A person's records, a page at a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::aws::dynamo::{Attribute, Filter, Item, Query, Range};
use shared::base::error::{Error, Result};
use shared::base::id::KeyedHash;
use shared::crypto::HashKey;
use shared::domain::app::App;
use shared::domain::keyring::Living;
use shared::domain::keys;
use shared::domain::life::update::Whom;
use shared::domain::records::rows::Record;
use shared::http::{Answer, Call};
use shared::schema::catalog;
use shared::schema::violations::sent_size;

/// Rows that are read for one request at most, when a filter keeps few of them.
const READS: usize = 2000;
/// Rows that are read together then.
const READ: usize = 100;
/// A page is full at this size as it is sent, whatever its limit: under what Lambda can answer
/// (6 MB), with room for one more message.
const BYTES: usize = 5_000_000;

/// What to list.
struct Wanted {
    sections: Vec<Section>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    ascending: bool,
}

/// The records of one type, as they lie together.
struct Section {
    name: &'static str,
    prefix: String,
    /// The attribute that says when.
    time: &'static str,
    /// Only those of this conversation, where the key does not say so.
    conversation: Option<KeyedHash>,
}

/// Where a list goes on.
#[derive(Serialize, Deserialize)]
struct Cursor {
    section: String,
    after: Option<String>,
}

impl Wanted {
    /// What to keep of a section, as a filter expression and its values.
    fn filter(&self, section: &Section) -> (String, Vec<(&'static str, Attribute)>) {
        let (mut terms, mut values) = (Vec::new(), Vec::<(_, Attribute)>::new());
        if let Some(since) = self.since {
            terms.push("#at >= :since");
            values.push((":since", since.into()));
        }
        if let Some(until) = self.until {
            terms.push("#at < :until");
            values.push((":until", until.into()));
        }
        if let Some(hash) = section.conversation {
            terms.push("conversation = :conversation");
            values.push((":conversation", hash.to_string().into()));
        }
        (terms.join(" AND "), values)
    }

    /// The section and the sort key to go on after.
    fn place(&self, place: Option<Cursor>) -> Result<(usize, Option<String>)> {
        let Some(Cursor { section, after }) = place else {
            return Ok((0, None));
        };
        // A cursor of the same list, asked for otherwise, may lie outside of it.
        let at = self.sections.iter().position(|it| it.name == section);
        at.filter(|at| {
            let prefix = &self.sections[*at].prefix;
            after.as_ref().is_none_or(|after| after.starts_with(prefix))
        })
        .map(|at| (at, after))
        .ok_or_else(|| Error::field("cursor", "cursor", "must be a cursor of this list"))
    }
}

/// Reads the query.
fn wanted(call: &Call, hash: &HashKey) -> Result<Wanted> {
    let only = call.query("type");
    if only.is_some_and(|only| Record::TYPES.iter().all(|(name, _)| *name != only)) {
        let names = Record::TYPES.map(|(name, _)| name).join(", ");
        return Err(Error::field(
            "type",
            "choice",
            format!("must be one of: {names}"),
        ));
    }
    let ascending = match call.query("order") {
        None | Some("asc") => true,
        Some("desc") => false,
        Some(_) => return Err(Error::field("order", "choice", "must be asc or desc")),
    };
    let subject = call.subject()?;
    let conversation = call.query("conversation").map(|id| {
        let id = catalog::text(catalog::Record::Conversation, "conversation_id", id);
        id.map(|id| hash.conversation(subject, &id))
            .map_err(|(code, message)| Error::field("conversation", code, message))
    });
    let conversation = conversation.transpose()?;
    let sections = Record::TYPES
        .into_iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .filter_map(|(name, prefix)| section(name, prefix, conversation))
        .collect();
    Ok(Wanted {
        sections,
        since: super::moment(call, "since")?,
        until: super::moment(call, "until")?,
        ascending,
    })
}

/// The records of a type, of one conversation or all; `None` where there can be none.
fn section(name: &'static str, prefix: &str, conversation: Option<KeyedHash>) -> Option<Section> {
    let mut section = Section {
        name,
        prefix: prefix.to_owned(),
        time: if name == "interaction" {
            "last_at"
        } else {
            "at"
        },
        conversation: None,
    };
    if let Some(hash) = conversation {
        match name {
            "conversation" => section.prefix = keys::conversation(hash),
            "message" => section.prefix = keys::messages_of(hash),
            "attachment" => section.conversation = Some(hash),
            _ => return None,
        }
    }
    Some(section)
}

/// `GET /v1/subjects/{subject}/records`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let keys = app.keyring.tenant(call.tenant()).await?;
    let wanted = wanted(call, &keys.hash)?;
    let limit = call.limit()?;
    let place: Option<Cursor> = call.cursor(app).await?;
    let whom = Whom::subject(call.tenant(), call.subject()?);
    let living = app.life(whom).await?.living;
    call.may_use(living.rules)?;
    let (rows, next) = page(app, &living, &wanted, place, limit).await?;
    let mut data = Vec::new();
    let mut bytes = 0;
    for (place, row) in rows {
        let Some(record) = Record::read(&row, &living)? else {
            continue;
        };
        let record = record.view(&keys.hash);
        bytes += sent_size(&record);
        data.push(record);
        if bytes > BYTES {
            return call.page(app, data, Some(place)).await;
        }
    }
    call.page(app, data, next).await
}

/// The rows of a page, each with the place after it.
async fn page(
    app: &App,
    living: &Living,
    wanted: &Wanted,
    place: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<(Cursor, Item)>, Option<Cursor>)> {
    let (mut at, mut after) = wanted.place(place)?;
    let partition = living.key.partition();
    let mut rows = Vec::new();
    let mut read = 0;
    while let Some(section) = wanted.sections.get(at) {
        let left = limit - rows.len();
        if left == 0 || read >= READS {
            let section = section.name.to_owned();
            return Ok((rows, Some(Cursor { section, after })));
        }
        let (expression, values) = wanted.filter(section);
        let filtered = !values.is_empty();
        let query = Query {
            partition: &partition,
            range: Range::Prefix(&section.prefix),
            ascending: wanted.ascending,
            // With a filter, DynamoDB counts what it reads, not what it keeps.
            limit: Some(if filtered { READ } else { left }),
            after: after.take(),
        };
        let names = [("#at", section.time)];
        let filter = Filter {
            expression: &expression,
            names: if expression.contains("#at") {
                &names
            } else {
                &[]
            },
            values,
        };
        let page = app
            .store
            .query_where(query, filtered.then_some(filter))
            .await?;
        read += READ;
        let more = page.rows.len() > left;
        for row in page.rows.into_iter().take(left) {
            let place = Cursor {
                section: section.name.to_owned(),
                after: Some(row.sort().to_owned()),
            };
            rows.push((place, row));
        }
        after = if more {
            rows.last().and_then(|(place, _)| place.after.clone())
        } else {
            page.next
        };
        if after.is_none() {
            at += 1;
        }
    }
    Ok((rows, None))
}
