//! From JSON to an event, by the catalog: what is in no row is refused by name. Pure.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::catalog::{self, Category, Record};
use shared::error::FieldError;
use shared::faults::{self, Faults, Object};
use shared::id::Attachment;
use shared::record::{Author, Consent, Observed, shorten_address, shorten_url};
use shared::settings::Settings;
use uuid::Uuid;

/// How far back an event may lie.
const PAST: SignedDuration = SignedDuration::from_hours(24);
/// How far ahead a sender's clock may be.
const FUTURE: SignedDuration = SignedDuration::from_mins(5);

/// Files that one message may name.
const ATTACHMENTS: usize = 20;

/// One event as it will be stored.
#[derive(Debug)]
pub struct Event {
    pub visitor_id: String,
    /// Never later than now, even when the sender's clock is ahead.
    pub at: Timestamp,
    pub visitor_token: Option<String>,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    Visit {
        network: Observed,
        device: Observed,
    },
    Identify(Identify),
    Message(Message),
    Interaction {
        item_id: String,
        scope: Option<String>,
        action: Action,
    },
    Session {
        member: String,
        started: bool,
    },
}

#[derive(Debug, Default)]
pub struct Identify {
    pub identity: Observed,
    pub contact: Observed,
    pub custom: Observed,
    pub consent: Option<Consent>,
}

#[derive(Debug)]
pub struct Message {
    pub id: Option<Uuid>,
    pub conversation_id: String,
    pub title: Option<String>,
    pub author: Author,
    pub member: Option<String>,
    pub body: String,
    pub attachments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Loaded,
    Viewed,
    Clicked,
}

/// What an event is read against.
pub struct Rules<'a> {
    pub settings: &'a Settings,
    pub now: Timestamp,
    /// The caller is a page: no addresses, no agents, no user ids.
    pub page: bool,
    /// Where the connection came from: a page's address.
    pub address: Option<IpAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Visit,
    Identify,
    Message,
    Interaction,
    Session,
}

impl Kind {
    const ALL: [(&str, Kind); 5] = [
        ("visit", Kind::Visit),
        ("identify", Kind::Identify),
        ("message", Kind::Message),
        ("interaction", Kind::Interaction),
        ("session", Kind::Session),
    ];

    /// The fields that an event of this kind may carry: the catalog's, and the few that say
    /// how to take them.
    fn known(self) -> Vec<&'static str> {
        let rows = |record| {
            catalog::FIELDS
                .iter()
                .filter(move |row| row.record == record)
        };
        let names = |record| rows(record).map(|row| row.name).collect::<Vec<_>>();
        let (mut known, besides): (_, &[&str]) = match self {
            Kind::Visit => {
                let network = catalog::fields(Record::Visit, Category::Network);
                (network.map(|row| row.name).collect(), &["device"])
            }
            Kind::Identify => (names(Record::Person), &["consent"]),
            Kind::Message => {
                let both = [names(Record::Conversation), names(Record::Message)].concat();
                (both, &["author", "member", "attachments"])
            }
            Kind::Interaction => (names(Record::Interaction), &["action"]),
            Kind::Session => (Vec::new(), &["member", "action"]),
        };
        known.extend(besides);
        known.extend([
            "type",
            "visitor_id",
            "id",
            "at",
            "visitor_token",
            "full_privacy",
        ]);
        known
    }
}

impl Event {
    /// The event in a JSON value; `base` is its place in the body.
    ///
    /// # Errors
    /// Every field at fault, by name.
    pub fn parse(value: &Value, base: &str, rules: &Rules<'_>) -> Result<Event, Vec<FieldError>> {
        let mut faults = Faults::default();
        let event = read(value, base, rules, &mut faults);
        event
            .filter(|_| faults.none())
            .ok_or_else(|| faults.into_errors())
    }
}

fn read(value: &Value, base: &str, rules: &Rules<'_>, faults: &mut Faults) -> Option<Event> {
    // Only its kind says which fields an event may carry.
    let kind = faults
        .any_object(value, base)?
        .choice("type", &Kind::ALL, faults)?;
    let fields = faults.object(value, base, &kind.known())?;
    let visitor_id = fields.required_text(Record::Person, "visitor_id", faults);
    let visitor_token = fields.text("visitor_token", faults).map(str::to_owned);
    let at = at(&fields, rules.now, faults);
    let id = uuid(&fields, faults);
    let private = fields.flag("full_privacy", faults) || rules.settings.full_privacy;
    let what = match kind {
        Kind::Visit => visit(&fields, rules, private, faults),
        Kind::Identify => identify(&fields, rules, private, faults),
        Kind::Message => message(&fields, rules, id, faults)?,
        Kind::Interaction => interaction(&fields, faults)?,
        Kind::Session => session(&fields, rules, faults)?,
    };
    Some(Event {
        visitor_id: visitor_id?,
        at,
        visitor_token,
        what,
    })
}

/// When it happened: up to 24 hours ago, up to 5 minutes ahead.
fn at(fields: &Object<'_>, now: Timestamp, faults: &mut Faults) -> Timestamp {
    let expected = "must be an RFC 3339 time";
    let at = fields.parsed("at", expected, faults, |text| {
        text.parse::<Timestamp>().ok()
    });
    let Some(at) = at else { return now };
    if at > now + FUTURE || at < now - PAST {
        let expected = "must be at most 24 h ago and 5 min ahead";
        faults.add(fields.pointer("at"), "range", expected);
    }
    // Whole milliseconds, as they are stored.
    Timestamp::from_millisecond(at.as_millisecond())
        .unwrap_or(now)
        .min(now)
}

/// An event's own id. Only a message is stored under it; others may carry one all the same.
fn uuid(fields: &Object<'_>, faults: &mut Faults) -> Option<Uuid> {
    fields.parsed("id", "must be a UUID (RFC 9562)", faults, |text| {
        Uuid::try_parse(text).ok()
    })
}

/// Refuses what a page's key may not send.
fn servers_only(fields: &Object<'_>, name: &str, rules: &Rules<'_>, faults: &mut Faults) {
    if rules.page && fields.has(name) {
        faults.add(
            fields.pointer(name),
            "not_allowed",
            "is taken from an ingest key only",
        );
    }
}

fn visit(fields: &Object<'_>, rules: &Rules<'_>, private: bool, faults: &mut Faults) -> What {
    servers_only(fields, "ip", rules, faults);
    let mut network = fields.category(Record::Visit, Category::Network, faults);
    let address = match network.remove("ip") {
        Some(ip) => ip.as_str().and_then(|ip| ip.parse().ok()),
        None => rules.address.filter(|_| rules.page),
    };
    if let Some(ip) = address.and_then(|address| shorten_address(address, rules.settings.store_ip))
    {
        network.insert("ip".into(), ip.into());
    }
    if let Some(Value::String(url)) = network.remove("url")
        && let Some(url) = shorten_url(&url, rules.settings.store_url)
    {
        network.insert("url".into(), url.into());
    }
    let mut device = Observed::new();
    if let Some(value) = fields.get("device") {
        let known: Vec<_> = catalog::fields(Record::Visit, Category::Device)
            .map(|row| row.name)
            .collect();
        if let Some(fields) = faults.object(value, fields.pointer("device"), &known) {
            device = fields.category(Record::Visit, Category::Device, faults);
        }
    }
    if private {
        device.remove("device_id");
    }
    if !rules.settings.location {
        device.remove("country");
    }
    What::Visit { network, device }
}

fn identify(fields: &Object<'_>, rules: &Rules<'_>, private: bool, faults: &mut Faults) -> What {
    servers_only(fields, "user_id", rules, faults);
    let mut identity = fields.category(Record::Person, Category::Identity, faults);
    // The person's own name is in every event, and never changes.
    identity.remove("visitor_id");
    let contact = fields.category(Record::Person, Category::Contact, faults);
    let mut custom = match fields.field(Record::Person, "custom", faults) {
        Some(Value::Object(custom)) => custom,
        _ => Observed::new(),
    };
    if private {
        custom.clear();
    }
    let consent = consent(fields, rules.now, faults);
    What::Identify(Identify {
        identity,
        contact,
        custom,
        consent,
    })
}

fn consent(fields: &Object<'_>, now: Timestamp, faults: &mut Faults) -> Option<Consent> {
    let value = fields.get("consent")?;
    let Ok(mut consent) = serde_json::from_value::<Consent>(value.clone()) else {
        let expected = "must be an object with basis, and optionally source, given_by and at";
        faults.add(fields.pointer("consent"), "consent", expected);
        return None;
    };
    if consent
        .source
        .as_deref()
        .is_some_and(|source| faults::code(source).is_none())
    {
        let pointer = format!("{}/source", fields.pointer("consent"));
        faults.add(pointer, "format", "must match [A-Za-z0-9._-]{1,64}");
    }
    consent.at = Some(consent.at.map_or(now, |at| at.min(now)));
    Some(consent)
}

fn message(
    fields: &Object<'_>,
    rules: &Rules<'_>,
    id: Option<Uuid>,
    faults: &mut Faults,
) -> Option<What> {
    let conversation_id = fields.required_text(Record::Conversation, "conversation_id", faults);
    let title = fields.stored_text(Record::Conversation, "title", faults);
    let body = fields.required_text(Record::Message, "body", faults);
    let authors = [Author::EndUser, Author::Agent].map(|author| (author.name(), author));
    let author = fields.choice("author", &authors, faults);
    let member = member(fields, faults);
    if rules.page && author == Some(Author::Agent) {
        let expected = "agents' messages are taken from an ingest key only";
        faults.add(fields.pointer("author"), "not_allowed", expected);
    }
    if author == Some(Author::EndUser) && member.is_some() {
        faults.add(
            fields.pointer("member"),
            "not_allowed",
            "belongs to an agent's message",
        );
    }
    let mut attachments = Vec::new();
    for (at, name) in fields
        .list("attachments", ATTACHMENTS, faults)
        .into_iter()
        .flatten()
        .enumerate()
    {
        match name.as_str().and_then(Attachment::parse) {
            Some(id) => attachments.push(id.to_string()),
            None => {
                let pointer = format!("{}/{at}", fields.pointer("attachments"));
                faults.add(pointer, "format", "must be an attachment");
            }
        }
    }
    let (conversation_id, body, author) = (conversation_id?, body?, author?);
    Some(What::Message(Message {
        id,
        conversation_id,
        title,
        author,
        member,
        body,
        attachments,
    }))
}

/// A member's id: a code, so that nobody's name ends up in the permanent log.
fn member(fields: &Object<'_>, faults: &mut Faults) -> Option<String> {
    let expected = "must match [A-Za-z0-9._-]{1,64}";
    fields
        .parsed("member", expected, faults, faults::code)
        .map(str::to_owned)
}

fn interaction(fields: &Object<'_>, faults: &mut Faults) -> Option<What> {
    let item_id = fields.required_text(Record::Interaction, "item_id", faults);
    let scope = fields.stored_text(Record::Interaction, "scope", faults);
    let actions = [
        ("loaded", Action::Loaded),
        ("viewed", Action::Viewed),
        ("clicked", Action::Clicked),
    ];
    let action = fields.choice("action", &actions, faults);
    Some(What::Interaction {
        item_id: item_id?,
        scope,
        action: action?,
    })
}

fn session(fields: &Object<'_>, rules: &Rules<'_>, faults: &mut Faults) -> Option<What> {
    if rules.page {
        let expected = "sessions are taken from an ingest key only";
        faults.add(fields.pointer("type"), "not_allowed", expected);
    }
    if !fields.has("member") {
        faults.add(fields.pointer("member"), "required", "is required");
    }
    let member = member(fields, faults);
    let started = fields.choice("action", &[("started", true), ("ended", false)], faults);
    Some(What::Session {
        member: member?,
        started: started?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(event: Value, page: bool) -> Result<Event, Vec<FieldError>> {
        let settings = Settings::default();
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let rules = Rules {
            settings: &settings,
            now,
            page,
            address: "203.0.113.7".parse().ok(),
        };
        Event::parse(&event, "/events/0", &rules)
    }

    fn pointers(event: Value, page: bool) -> Vec<String> {
        parse(event, page)
            .unwrap_err()
            .into_iter()
            .map(|error| error.pointer)
            .collect()
    }

    #[test]
    fn page_content_and_unknown_fields_are_refused_by_name() {
        let event =
            json!({"type": "visit", "visitor_id": "v", "dom": "<html>", "device": {"screen": "x"}});
        assert_eq!(
            pointers(event, true),
            ["/events/0/dom", "/events/0/device/screen"]
        );
    }

    #[test]
    fn a_page_may_not_claim_an_address_a_user_id_or_to_be_an_agent() {
        assert_eq!(
            pointers(
                json!({"type": "visit", "visitor_id": "v", "ip": "1.2.3.4"}),
                true
            ),
            ["/events/0/ip"]
        );
        assert_eq!(
            pointers(
                json!({"type": "identify", "visitor_id": "v", "user_id": "u"}),
                true
            ),
            ["/events/0/user_id"]
        );
        let message = json!({"type": "message", "visitor_id": "v", "conversation_id": "c", "author": "agent", "body": "b"});
        assert_eq!(pointers(message, true), ["/events/0/author"]);
        let session =
            json!({"type": "session", "visitor_id": "v", "member": "mem_1", "action": "started"});
        assert_eq!(pointers(session.clone(), true), ["/events/0/type"]);
        assert!(parse(session, false).is_ok());
    }

    #[test]
    fn times_out_of_range_are_refused_and_a_clock_that_is_ahead_is_set_back() {
        let at = |at: &str| json!({"type": "visit", "visitor_id": "v", "at": at});
        assert_eq!(pointers(at("2026-11-21T11:59:59Z"), true), ["/events/0/at"]);
        assert_eq!(pointers(at("2026-11-22T12:05:01Z"), true), ["/events/0/at"]);
        assert_eq!(pointers(at("yesterday"), true), ["/events/0/at"]);
        let event = parse(at("2026-11-22T12:04:00Z"), true).unwrap();
        assert_eq!(event.at.to_string(), "2026-11-22T12:00:00Z");
    }

    #[test]
    fn a_visit_keeps_what_the_settings_allow() {
        let event = json!({"type": "visit", "visitor_id": "v", "url": "https://x.example/a?token=1",
            "device": {"browser": "Firefox", "country": "DE"}});
        let What::Visit { network, device } = parse(event, true).unwrap().what else {
            panic!()
        };
        assert_eq!(
            json!(network),
            json!({"ip": "203.0.113.7", "url": "https://x.example/a"})
        );
        assert_eq!(json!(device), json!({"browser": "Firefox"}));
    }
}
