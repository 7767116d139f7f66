//! `POST /v1/events`: each event is judged by itself, then all are grouped by person, and
//! the groups are stored beside one another. One bad event never spoils the others.

use std::collections::HashMap;

use futures::StreamExt;
use futures::future::BoxFuture;
use serde_json::Value;
use shared::base::error::{Error, FieldError, Result};
use shared::base::id::{MessageId, SubjectId, uuid_at};
use shared::domain::app::App;
use shared::http::answers::{EventResult, EventResults, EventStatus};
use shared::http::{Answer, Call};
use shared::schema::violations::{self, Listed, Violations};

use crate::done::Done;
use crate::draft::{Context, Fate, Incoming};
use crate::event::{Event, Rules, What};
use crate::group;
use crate::token::{self, Vouched};

/// Events in one request.
const EVENTS: usize = 100;
/// People whose events are stored at the same time.
const PEOPLE: usize = 8;

/// An event as it was read, or what is wrong with it.
struct Read {
    base: String,
    event: Result<Event, Vec<FieldError>>,
    vouched: Vouched,
}

/// One person's events, with their places in the request.
struct Group<'a> {
    subject: SubjectId,
    places: Vec<usize>,
    incoming: Vec<Incoming<'a>>,
}

/// Takes in up to 100 events.
pub async fn take_in(app: &App, call: &Call) -> Result<Answer> {
    let list = list(call)?;
    let (tenant, now) = (call.tenant(), app.clock.now());
    let page = call.caller().write_only();
    let settings = app.tenants.settings(tenant).await?;
    let keys = app.keyring.tenant(tenant).await?;
    let done = Done::of(call, now);
    let context = Context {
        app,
        tenant,
        keys: &keys,
        settings: &settings,
        now,
        done: &done,
    };
    let rules = Rules {
        settings: &settings,
        now,
        page,
        address: call.address(),
    };

    let mut read = Vec::new();
    for (at, event) in list.iter().enumerate() {
        read.push(Read::of(&context, &rules, event, format!("/events/{at}")).await?);
    }
    let stored = store(&context, grouped(&context, &read)).await?;
    let mut room = violations::ROOM;
    let results = read
        .into_iter()
        .zip(stored)
        .enumerate()
        .map(|(index, (read, fate))| {
            let mut result = match read.event {
                Err(errors) => EventResult {
                    errors: Some(Listed::new(errors, &mut room)),
                    ..plain(EventStatus::Rejected)
                },
                Ok(_) if page => plain(EventStatus::Accepted),
                Ok(event) => {
                    let subject = keys.hash.subject(&event.visitor_id);
                    let fate = fate.unwrap_or(Fate::Ignored("unknown"));
                    EventResult {
                        subject: Some(subject),
                        ..told(event, fate, &mut room)
                    }
                }
            };
            result.index = index;
            result
        });
    Ok(Answer::ok(&EventResults {
        results: results.collect(),
    }))
}

impl Read {
    /// Reads one event, and checks what it says of who vouches for it.
    async fn of(
        context: &Context<'_>,
        rules: &Rules<'_>,
        event: &Value,
        base: String,
    ) -> Result<Read> {
        let mut event = Event::parse(event, &base, rules);
        let mut vouched = match rules.page {
            true => Vouched::Nobody,
            false => Vouched::Server,
        };
        if let Ok(Event {
            visitor_token: Some(token),
            visitor_id,
            ..
        }) = &event
        {
            let (app, tenant, now) = (context.app, context.tenant, context.now);
            match token::claims(app, tenant, token, visitor_id, now).await? {
                // A server needs no token: what it says is vouched for by its key.
                Some(claims) if rules.page => vouched = Vouched::Token(claims),
                Some(_) => {}
                None => {
                    let message = "must be a valid token for this visitor ID";
                    let pointer = format!("{base}/visitor_token");
                    event = Err(vec![FieldError::new(pointer, "token", message)]);
                }
            }
        }
        Ok(Read {
            base,
            event,
            vouched,
        })
    }
}

/// The events that can be stored, by person, in the order in which they were sent.
fn grouped<'a>(context: &Context<'_>, read: &'a [Read]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known = HashMap::new();
    for (at, read) in read.iter().enumerate() {
        let Ok(event) = &read.event else { continue };
        let subject = context.keys.hash.subject(&event.visitor_id);
        let group = *known.entry(subject).or_insert_with(|| {
            groups.push(Group {
                subject,
                places: Vec::new(),
                incoming: Vec::new(),
            });
            groups.len() - 1
        });
        groups[group].places.push(at);
        groups[group].incoming.push(Incoming {
            event,
            base: &read.base,
            vouched: &read.vouched,
            message: message_id(context, subject, event),
            duplicate: false,
        });
    }
    groups
}

/// Stores the groups, several at a time; what became of each event, by its place.
async fn store(context: &Context<'_>, groups: Vec<Group<'_>>) -> Result<Vec<Option<Fate>>> {
    let subjects: Vec<_> = groups.iter().map(|group| group.subject).collect();
    let mut entries = context
        .app
        .keyring
        .entries(context.tenant, &subjects)
        .await?;
    let mut storing: Vec<BoxFuture<'_, Result<_>>> = Vec::new();
    for Group {
        subject,
        places,
        incoming,
    } in groups
    {
        let fates = group::store(context, subject, entries.remove(&subject), incoming);
        storing.push(Box::pin(async move { Ok((places, fates.await?)) }));
    }
    let stored: Vec<_> = futures::stream::iter(storing)
        .buffer_unordered(PEOPLE)
        .collect()
        .await;
    let mut by_place = vec![None; EVENTS];
    for group in stored {
        let (places, fates) = group?;
        for (at, fate) in places.into_iter().zip(fates) {
            by_place[at] = Some(fate);
        }
    }
    Ok(by_place)
}

fn list(call: &Call) -> Result<&[Value]> {
    let mut violations = Violations::default();
    let list = violations
        .object(call.body(), "", &["events"])
        .and_then(|body| body.list("events", EVENTS, &mut violations));
    violations.end()?;
    list.ok_or_else(|| Error::field("/events", "required", "is required"))
}

/// A message's id: a hash of its own UUID, which its sender chose, or a new one that sorts
/// by its time.
fn message_id(context: &Context<'_>, subject: SubjectId, event: &Event) -> Option<MessageId> {
    let What::Message(message) = &event.what else {
        return None;
    };
    let conversation = context
        .keys
        .hash
        .conversation(subject, &message.conversation_id);
    let own = message
        .id
        .map(|id| context.keys.hash.message(conversation, id));
    let uuid = own.unwrap_or_else(|| uuid_at(event.at));
    Some(MessageId { conversation, uuid })
}

/// A result that says nothing but this.
fn plain(status: EventStatus) -> EventResult {
    EventResult {
        index: 0,
        status,
        subject: None,
        message: None,
        reason: None,
        errors: None,
    }
}

/// What became of an event, as a server learns of it.
fn told(event: Event, fate: Fate, room: &mut usize) -> EventResult {
    let mut left_out = event.left_out;
    let mut told = match fate {
        Fate::Stored(message) => EventResult {
            message,
            ..plain(EventStatus::Stored)
        },
        Fate::StoredWithout(field) => {
            left_out.push(field);
            plain(EventStatus::Stored)
        }
        Fate::Duplicate(message) => EventResult {
            message: Some(message),
            ..plain(EventStatus::Duplicate)
        },
        Fate::Ignored(reason) => EventResult {
            reason: Some(reason),
            ..plain(EventStatus::Ignored)
        },
    };
    told.errors = (!left_out.is_empty()).then(|| Listed::new(left_out, room));
    told
}
