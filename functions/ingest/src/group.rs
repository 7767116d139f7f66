//! `POST /v1/events`: events are grouped by person, and each group passes the door of its
//! person's life, or begins one. One bad event never spoils the others.

use std::collections::HashMap;

use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::app::App;
use shared::error::{Error, Result};
use shared::http::{Answer, Call};
use shared::id::{Message as MessageId, Subject, uuid_at};
use shared::keyring::{Entry, Follows, Living, State};
use shared::store::lives::{Beginning, Counts, Shut, expires_at};

use crate::draft::{Context, Existing, Fate, Incoming, draft};
use crate::event::{Event, Rules, What};
use crate::token;

/// Events in one request.
const EVENTS: usize = 100;
/// Events of one person in one transaction: each may need two rows, and DynamoDB takes 100.
const SLICE: usize = 30;
/// Text in one transaction, in bytes: sealed, it stays below DynamoDB's 4 MB.
const SLICE_BYTES: usize = 2_500_000;
/// People whose events are stored at the same time.
const PEOPLE: usize = 8;
/// Tries of one transaction against others that change the same life.
const TRIES: u32 = 12;

/// Takes in up to 100 events.
pub async fn events(app: &App, call: &Call) -> Result<Answer> {
    let list = list(call)?;
    let (tenant, now) = (call.tenant(), app.clock.now());
    let page = call.caller().learns_nothing();
    let settings = app.tenants.settings(tenant).await?;
    let keys = app.keyring.tenant(tenant).await?;
    let context = Context {
        app,
        tenant,
        keys: &keys,
        settings: &settings,
        now,
    };

    let rules = Rules {
        settings: &settings,
        now,
        page,
        address: call.address(),
    };
    let bases: Vec<_> = (0..list.len()).map(|at| format!("/events/{at}")).collect();
    let parsed: Vec<_> = list
        .iter()
        .zip(&bases)
        .map(|(event, base)| Event::parse(event, base, &rules))
        .collect();

    let mut fates = vec![Fate::Ignored("unknown"); list.len()];
    let mut groups: Vec<(Subject, Vec<usize>, Vec<Incoming<'_>>)> = Vec::new();
    let mut places: HashMap<Subject, usize> = HashMap::new();
    for (at, parsed) in parsed.iter().enumerate() {
        let event = match parsed {
            Ok(event) => event,
            Err(errors) => {
                fates[at] = Fate::Rejected(errors.clone());
                continue;
            }
        };
        let verified = match &event.visitor_token {
            None => !page,
            Some(token) if token::vouches(app, tenant, token, &event.visitor_id, now).await? => {
                true
            }
            Some(_) => {
                let pointer = format!("{}/visitor_token", bases[at]);
                let message = "must be a valid token for this visitor";
                fates[at] = Fate::Rejected(vec![shared::error::FieldError::new(
                    pointer, "token", message,
                )]);
                continue;
            }
        };
        let subject = keys.hash.subject(&event.visitor_id);
        let message = message_id(&context, subject, event);
        let incoming = Incoming {
            event,
            base: &bases[at],
            verified,
            page,
            message,
            duplicate: false,
        };
        let place = *places.entry(subject).or_insert_with(|| {
            groups.push((subject, Vec::new(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(at);
        groups[place].2.push(incoming);
    }

    let subjects: Vec<_> = groups.iter().map(|(subject, ..)| *subject).collect();
    let mut entries = app.keyring.entries(tenant, &subjects).await?;
    let mut storing: Vec<BoxFuture<'_, _>> = Vec::new();
    for (subject, indices, incoming) in groups {
        let storing_one = store_group(&context, subject, entries.remove(&subject), incoming);
        storing.push(Box::pin(async move { Ok((indices, storing_one.await?)) }));
    }
    let stored: Vec<Result<(Vec<usize>, Vec<Fate>)>> = futures::stream::iter(storing)
        .buffer_unordered(PEOPLE)
        .collect()
        .await;
    for group in stored {
        let (indices, group) = group?;
        for (at, fate) in indices.into_iter().zip(group) {
            fates[at] = fate;
        }
    }
    let results: Vec<_> = fates
        .into_iter()
        .enumerate()
        .map(|(at, fate)| {
            let subject = parsed[at]
                .as_ref()
                .ok()
                .map(|event| keys.hash.subject(&event.visitor_id));
            result(at, fate, subject, page)
        })
        .collect();
    Ok(Answer::ok(json!({"results": results})))
}

fn list(call: &Call) -> Result<&Vec<Value>> {
    let body = call.object()?;
    if let Some(unknown) = body.keys().find(|name| *name != "events") {
        let pointer = format!("/{}", unknown.replace('~', "~0").replace('/', "~1"));
        return Err(Error::field(
            pointer,
            "unknown",
            "is not a field of this request",
        ));
    }
    let events = body.get("events").and_then(Value::as_array);
    events
        .filter(|list| (1..=EVENTS).contains(&list.len()))
        .ok_or_else(|| Error::field("/events", "length", "must be a list of 1 to 100 events"))
}

/// A message's id: its own UUID, or a new one that sorts by its time.
fn message_id(context: &Context<'_>, subject: Subject, event: &Event) -> Option<MessageId> {
    let What::Message(message) = &event.what else {
        return None;
    };
    let conversation = context
        .keys
        .hash
        .conversation(subject, &message.conversation_id);
    let uuid = message.id.unwrap_or_else(|| uuid_at(event.at));
    Some(MessageId { conversation, uuid })
}

/// One event's result. A page learns only whether it was acceptable.
fn result(index: usize, fate: Fate, subject: Option<Subject>, page: bool) -> Value {
    let mut result = match &fate {
        Fate::Rejected(errors) => json!({"status": "rejected", "errors": errors}),
        _ if page => json!({"status": "accepted"}),
        Fate::Stored(None) => json!({"status": "stored"}),
        Fate::Stored(Some(message)) => json!({"status": "stored", "message": message.to_string()}),
        Fate::Duplicate(message) => json!({"status": "duplicate", "message": message.to_string()}),
        Fate::Ignored(reason) => json!({"status": "ignored", "reason": reason}),
    };
    result["index"] = index.into();
    if let (false, Some(subject)) = (page, subject) {
        result["subject"] = subject.to_string().into();
    }
    result
}

/// Stores one person's events, slice by slice.
async fn store_group(
    context: &Context<'_>,
    subject: Subject,
    mut entry: Option<Entry>,
    mut incoming: Vec<Incoming<'_>>,
) -> Result<Vec<Fate>> {
    let mut fates = Vec::new();
    while !incoming.is_empty() {
        let rest = incoming.split_off(slice(&incoming));
        fates.extend(store_slice(context, subject, &mut entry, &mut incoming).await?);
        incoming = rest;
    }
    Ok(fates)
}

/// How many of these events go into one transaction.
fn slice(incoming: &[Incoming<'_>]) -> usize {
    let mut bytes = 0;
    let fits = incoming.iter().take(SLICE).take_while(|incoming| {
        bytes += match &incoming.event.what {
            What::Message(message) => message.body.len(),
            _ => 0,
        };
        bytes <= SLICE_BYTES
    });
    fits.count().max(1)
}

/// Stores one slice: through the door, or as the beginning of a life. Whatever changes
/// meanwhile makes the transaction fail, and is read again.
async fn store_slice(
    context: &Context<'_>,
    subject: Subject,
    entry: &mut Option<Entry>,
    incoming: &mut [Incoming<'_>],
) -> Result<Vec<Fate>> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            wait(attempt).await;
        }
        if let Some(known) = entry.as_ref() {
            if known.state == State::Erasing && !known.expired {
                return Ok(vec![Fate::Ignored("erasing"); incoming.len()]);
            }
            if known
                .erased_at
                .is_some_and(|at| incoming.iter().any(|it| it.event.at <= at))
            {
                return store_later(context, subject, entry, incoming, known.erased_at).await;
            }
        }
        let follows = match entry.as_ref() {
            Some(known) if known.state == State::Active => {
                match pass(context, known, incoming).await? {
                    Passed::Stored(fates) => return Ok(fates),
                    Passed::Again => {
                        *entry = context.app.keyring.entry(context.tenant, subject).await?;
                        continue;
                    }
                    Passed::Over => Follows::Expired(known.key),
                }
            }
            other => follows(other, context.now),
        };
        let begun = begin(context, subject, follows, incoming).await?;
        if let Some(fates) = begun {
            // The next slice passes the new door.
            *entry = context.app.keyring.entry(context.tenant, subject).await?;
            return Ok(fates);
        }
        *entry = context.app.keyring.entry(context.tenant, subject).await?;
    }
    Err(Error::Unavailable(
        "a person's life changes faster than it can be written".into(),
    ))
}

/// Ignores the events from before an erasure, and stores the others.
async fn store_later(
    context: &Context<'_>,
    subject: Subject,
    entry: &mut Option<Entry>,
    incoming: &mut [Incoming<'_>],
    erased_at: Option<Timestamp>,
) -> Result<Vec<Fate>> {
    let mut later: Vec<_> = incoming
        .iter()
        .filter(|it| Some(it.event.at) > erased_at)
        .map(|it| Incoming { ..*it })
        .collect();
    let mut stored = if later.is_empty() {
        Vec::new()
    } else {
        Box::pin(store_slice(context, subject, entry, &mut later)).await?
    }
    .into_iter();
    let fate = |it: &Incoming<'_>| {
        if Some(it.event.at) > erased_at {
            stored.next()
        } else {
            Some(Fate::Ignored("erased"))
        }
    };
    Ok(incoming.iter().filter_map(fate).collect())
}

enum Passed {
    Stored(Vec<Fate>),
    /// Something has changed: read again.
    Again,
    /// The life's time is over.
    Over,
}

/// Stores a slice through the door of a life that goes on.
async fn pass(
    context: &Context<'_>,
    entry: &Entry,
    incoming: &mut [Incoming<'_>],
) -> Result<Passed> {
    let Some(living) = context.app.keyring.open(entry).await? else {
        return Ok(Passed::Again);
    };
    let existing = Existing::read(context, &living, incoming).await?;
    let mut draft = draft(context, &living, existing, incoming);
    // Twice at most: what the door has seen later is left as it is.
    for _ in 0..2 {
        let writes = draft
            .writes
            .iter()
            .map(|(write, _)| write.clone())
            .collect();
        let store = &context.app.store;
        match store
            .through_door(&living, &draft.passing, writes, context.now)
            .await?
        {
            Ok(()) => return Ok(Passed::Stored(draft.fates)),
            Err(Shut::Over) => return Ok(Passed::Over),
            Err(Shut::Gate) => return Ok(Passed::Again),
            Err(Shut::Later(door)) => {
                draft.passing.seen = draft.passing.seen.filter(|(at, _)| *at >= door.last_seen);
                draft.passing.visit = draft
                    .passing
                    .visit
                    .filter(|visit| Some(visit.at) >= door.visit_at);
            }
            Err(Shut::Row { place, .. }) => {
                if let Some(event) = draft.writes[place].1 {
                    incoming[event].duplicate = true;
                }
                return Ok(Passed::Again);
            }
        }
    }
    Ok(Passed::Again)
}

/// Begins a life with a slice of events. `None` when somebody else was first.
async fn begin(
    context: &Context<'_>,
    subject: Subject,
    follows: Follows,
    incoming: &[Incoming<'_>],
) -> Result<Option<Vec<Fate>>> {
    let (living, wrapped): (Living, _) = context
        .app
        .keyring
        .new_life(context.tenant, subject)
        .await?;
    let Some(first) = incoming.first() else {
        return Ok(Some(Vec::new()));
    };
    let existing = Existing::nothing(&first.event.visitor_id);
    let draft = draft(context, &living, existing, incoming);
    let stored = |fate: &Fate| matches!(fate, Fate::Stored(_));
    if !draft.fates.iter().any(stored) {
        // Nothing of it may be stored, so nobody's life begins.
        return Ok(Some(draft.fates));
    }
    let earliest = incoming
        .iter()
        .map(|it| it.event.at)
        .max()
        .unwrap_or(context.now);
    let (seen, expires) = draft.passing.seen.unwrap_or((
        earliest,
        expires_at(earliest, context.settings.retention_days),
    ));
    let beginning = Beginning {
        living: &living,
        wrapped,
        follows,
        seen,
        expires,
        visit: draft.passing.visit,
        person: draft.person.item(&living),
        added: draft.passing.added,
        writes: draft.writes.into_iter().map(|(write, _)| write).collect(),
    };
    let begun = context.app.store.begin(beginning, context.now).await?;
    Ok(begun.then_some(draft.fates))
}

/// Lets others finish, longer each time.
async fn wait(attempt: u32) {
    let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    let millis = (1_u64 << attempt.min(6)) + jitter % (1 << attempt.min(6));
    tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
}

/// What a life would follow that began now, unless an earlier one goes on.
fn follows(entry: Option<&Entry>, now: Timestamp) -> Follows {
    let Some(entry) = entry else {
        return Follows::Nobody;
    };
    match entry.state {
        State::Active => Follows::Expired(entry.key),
        State::Erasing => Follows::Expiring(entry.key),
        State::Erased => Follows::Erased(entry.key, entry.erased_at.unwrap_or(now)),
    }
}

/// Begins the life of somebody of whom nothing but their name is known yet.
///
/// # Errors
/// [`Error::Conflict`] while an earlier life is being erased.
pub async fn acquaint(app: &App, call: &Call, subject: Subject, visitor_id: &str) -> Result<()> {
    let (tenant, now) = (call.tenant(), app.clock.now());
    let settings = app.tenants.settings(tenant).await?;
    let entry = app.keyring.entry(tenant, subject).await?;
    if entry
        .as_ref()
        .is_some_and(|entry| entry.state == State::Erasing && !entry.expired)
    {
        // A page learns nothing of what becomes of anybody.
        if call.caller().learns_nothing() {
            return Err(Error::TooMany { retry_after: 60 });
        }
        let detail = "What was known is being erased: try again later.";
        return Err(Error::Conflict {
            code: "erasing",
            detail,
        });
    }
    let follows = follows(entry.as_ref(), now);
    let (living, wrapped) = app.keyring.new_life(tenant, subject).await?;
    let mut person = Existing::nothing(visitor_id).person;
    person.rev = 1;
    let beginning = Beginning {
        living: &living,
        wrapped,
        follows,
        seen: now,
        expires: expires_at(now, settings.retention_days),
        visit: None,
        person: person.item(&living),
        added: Counts::default(),
        writes: Vec::new(),
    };
    // Refused: somebody else was first, and the caller looks again.
    let _first = app.store.begin(beginning, now).await?;
    Ok(())
}
