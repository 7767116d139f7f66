//! Parses events from JSON by the catalog: an unknown field is refused by name. An optional
//! field never invalidates its event: if it does not parse, it is left out by name. Pure.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::base::error::FieldError;
use shared::base::id::AttachmentId;
use shared::base::named::named;
use shared::detect::mask_cards;
use shared::domain::records::content::{
    Author, Basis, Consent, GivenBy, Observed, shorten_address, shorten_url,
};
use shared::domain::tenant::settings::{Settings, StoreIp, StoreUrl};
use shared::schema::catalog::{self, Category, Record};
use shared::schema::violations::{self, Object, Violations};
use uuid::Uuid;

/// The maximum age of an event.
const PAST: SignedDuration = SignedDuration::from_hours(24);
/// How far a sender's clock may be ahead.
const FUTURE: SignedDuration = SignedDuration::from_mins(5);

/// The most files that one message may name.
const ATTACHMENTS: usize = 20;

/// One event in its stored form.
#[derive(Debug)]
pub struct Event {
    pub visitor_id: String,
    /// Never later than now, even if the sender's clock is ahead.
    pub at: Timestamp,
    pub visitor_token: Option<String>,
    pub what: What,
    /// Fields that were sent but do not parse.
    pub left_out: Vec<FieldError>,
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

/// The context in which an event is parsed.
pub struct Rules<'a> {
    pub settings: &'a Settings,
    pub now: Timestamp,
    /// The caller is a page: no addresses, agents or user ids.
    pub page: bool,
    /// The address of the connection, used for a page.
    pub address: Option<IpAddr>,
}

named! {
    enum Kind {
        Visit = "visit",
        Identify = "identify",
        Message = "message",
        Interaction = "interaction",
        Session = "session",
    }
}

impl Kind {
    /// The fields that an event of this kind may have: the catalog's, and a few that control
    /// processing.
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

/// The violations of an event.
#[derive(Default)]
struct Wrong {
    /// Violations that reject the event.
    event: Violations,
    /// Violations that leave out a field.
    field: Violations,
}

impl Event {
    /// Parses an event; `base` is its JSON Pointer in the body.
    ///
    /// # Errors
    /// Every violation, if at least one rejects the event.
    pub fn parse(value: &Value, base: &str, rules: &Rules<'_>) -> Result<Event, Vec<FieldError>> {
        let mut wrong = Wrong::default();
        let event = read(value, base, rules, &mut wrong);
        let left_out = wrong.field.into_errors();
        match event.filter(|_| wrong.event.none()) {
            Some(event) => Ok(Event { left_out, ..event }),
            None => Err([wrong.event.into_errors(), left_out].concat()),
        }
    }
}

fn read(value: &Value, base: &str, rules: &Rules<'_>, wrong: &mut Wrong) -> Option<Event> {
    if value.is_null() {
        let expected =
            "must be a JSON object (RFC 8259) with numbers in range and no duplicate names";
        wrong.event.add(base, "not_json", expected);
        return None;
    }
    // The kind determines which fields an event may have.
    let any = wrong.event.any_object(value, base)?.lenient();
    let kind = any.choice("type", &Kind::NAMES, &mut wrong.event)?;
    let fields = wrong.event.object(value, base, &kind.known())?.lenient();
    let visitor_id = fields.required_text(Record::Person, "visitor_id", &mut wrong.event);
    let visitor_token = fields.text("visitor_token", &mut wrong.event);
    let at = at(&fields, rules.now, wrong);
    let id = uuid(&fields, &mut wrong.field);
    let private = private(&fields, rules, &mut wrong.field);
    let what = match kind {
        Kind::Visit => visit(&fields, rules, private, wrong),
        Kind::Identify => identify(&fields, rules, private, wrong),
        Kind::Message => message(&fields, rules, id, wrong)?,
        Kind::Interaction => interaction(&fields, wrong)?,
        Kind::Session => session(&fields, rules, &mut wrong.event)?,
    };
    Some(Event {
        visitor_id: visitor_id?,
        at,
        visitor_token: visitor_token.map(str::to_owned),
        what,
        left_out: Vec::new(),
    })
}

/// The time of the event, now by default. An event that is too old is refused, because its
/// person may have been erased since. A time from a clock that is ahead becomes now.
fn at(fields: &Object<'_>, now: Timestamp, wrong: &mut Wrong) -> Timestamp {
    let expected = "must be an RFC 3339 timestamp";
    let at = fields.parsed("at", expected, &mut wrong.field, |text| {
        text.trim().parse::<Timestamp>().ok()
    });
    let Some(at) = at else { return now };
    let range = "must be at most 24 hours in the past and 5 minutes in the future";
    if at < now - PAST {
        wrong.event.add(fields.pointer("at"), "range", range);
    } else if at > now + FUTURE {
        wrong.field.add(fields.pointer("at"), "range", range);
    }
    // Whole milliseconds, the precision that is stored.
    Timestamp::from_millisecond(at.as_millisecond())
        .unwrap_or(now)
        .min(now)
}

/// An event's own id. Only messages are stored under it; other events may have one too.
fn uuid(fields: &Object<'_>, violations: &mut Violations) -> Option<Uuid> {
    fields.parsed("id", "must be a UUID (RFC 9562)", violations, |text| {
        Uuid::try_parse(text.trim()).ok()
    })
}

/// Whether custom values and device ids are dropped. Any value except `false` requests it.
fn private(fields: &Object<'_>, rules: &Rules<'_>, violations: &mut Violations) -> bool {
    fields.flag("full_privacy", violations);
    let asked = fields.said("full_privacy");
    rules.settings.full_privacy || asked.is_some_and(|asked| *asked != Value::Bool(false))
}

/// Refuses a field that a page's key may not send.
fn servers_only(fields: &Object<'_>, name: &str, rules: &Rules<'_>, violations: &mut Violations) {
    if rules.page && fields.said(name).is_some() {
        violations.add(
            fields.pointer(name),
            "not_allowed",
            "requires a key with the ingest scope",
        );
    }
}

fn visit(fields: &Object<'_>, rules: &Rules<'_>, private: bool, wrong: &mut Wrong) -> What {
    servers_only(fields, "ip", rules, &mut wrong.event);
    let mut network = Observed::new();
    if let Some(ip) = ip(fields, rules, &mut wrong.field) {
        network.insert("ip".into(), ip.into());
    }
    if let Some(url) = url(fields, rules, &mut wrong.field) {
        network.insert("url".into(), url);
    }
    let device = device(fields, rules, private, wrong).unwrap_or_default();
    What::Visit { network, device }
}

/// The client's address in the form that the settings require. Not validated if it is not
/// stored.
fn ip(fields: &Object<'_>, rules: &Rules<'_>, violations: &mut Violations) -> Option<String> {
    let how = rules.settings.store_ip;
    if how == StoreIp::None {
        return None;
    }
    let address = match rules.page {
        true => rules.address,
        false => {
            let ip = fields.stored_text(Record::Visit, "ip", violations);
            ip.and_then(|ip| ip.parse().ok())
        }
    };
    shorten_address(address?, how)
}

/// The page's URL in the form that the settings require; size and validity are checked in that
/// form. Card numbers are masked before blanks are escaped.
fn url(fields: &Object<'_>, rules: &Rules<'_>, violations: &mut Violations) -> Option<Value> {
    let how = rules.settings.store_url;
    if how == StoreUrl::None {
        return None;
    }
    let sent = fields.said("url")?;
    let masked = sent.as_str().map(mask_cards);
    let kept = masked.and_then(|url| shorten_url(&url, how));
    let kept = kept.map_or_else(|| sent.clone(), Value::String);
    fields.accept(Record::Visit, "url", &kept, violations)
}

fn device(
    fields: &Object<'_>,
    rules: &Rules<'_>,
    private: bool,
    wrong: &mut Wrong,
) -> Option<Observed> {
    let (record, category) = (Record::Visit, Category::Device);
    let (value, at) = (fields.said("device")?, fields.pointer("device"));
    wrong.field.any_object(value, at.as_str())?;
    let known: Vec<_> = catalog::fields(record, category)
        .map(|row| row.name)
        .collect();
    let device = wrong.event.object(value, at, &known)?.lenient();
    let wanted = |name: &str| match name {
        "device_id" => !private,
        "country" => rules.settings.location,
        _ => true,
    };
    Some(device.category(record, category, wanted, &mut wrong.field))
}

fn identify(fields: &Object<'_>, rules: &Rules<'_>, private: bool, wrong: &mut Wrong) -> What {
    servers_only(fields, "user_id", rules, &mut wrong.event);
    let mut category = |category| {
        // The visitor id is in every event and never changes.
        let wanted = |name: &str| name != "visitor_id";
        fields.category(Record::Person, category, wanted, &mut wrong.field)
    };
    let identity = category(Category::Identity);
    let contact = category(Category::Contact);
    let custom = match private {
        true => None,
        false => fields.custom("custom", &mut wrong.field),
    };
    What::Identify(Identify {
        identity,
        contact,
        custom: custom.unwrap_or_default(),
        consent: consent(fields, rules.now, wrong),
    })
}

/// A consent without a basis is not stored.
fn consent(fields: &Object<'_>, now: Timestamp, wrong: &mut Wrong) -> Option<Consent> {
    let (value, at) = (fields.said("consent")?, fields.pointer("consent"));
    let violations = &mut wrong.field;
    violations.any_object(value, at.as_str())?;
    let known = ["basis", "source", "given_by", "at"];
    let consent = wrong.event.object(value, at, &known)?.lenient();
    let basis = consent.choice("basis", &Basis::NAMES, violations);
    let expected = "must match [A-Za-z0-9._-]{1,64}";
    let source = consent.parsed("source", expected, violations, violations::code);
    let given_by = consent.said("given_by");
    let given_by = given_by.and_then(|_| consent.choice("given_by", &GivenBy::NAMES, violations));
    let expected = "must be an RFC 3339 timestamp";
    let at = consent.parsed("at", expected, violations, |text| {
        text.trim().parse::<Timestamp>().ok()
    });
    Some(Consent {
        basis: basis?,
        source: source.map(str::to_owned),
        given_by,
        at: Some(at.map_or(now, |at| at.min(now))),
    })
}

fn message(
    fields: &Object<'_>,
    rules: &Rules<'_>,
    id: Option<Uuid>,
    wrong: &mut Wrong,
) -> Option<What> {
    let violations = &mut wrong.event;
    let conversation_id = fields.required_text(Record::Conversation, "conversation_id", violations);
    let body = fields.required_text(Record::Message, "body", violations);
    let author = fields.choice("author", &Author::NAMES, violations);
    if rules.page && author == Some(Author::Agent) {
        let expected = "must be end_user, unless the key has the ingest scope";
        violations.add(fields.pointer("author"), "not_allowed", expected);
    }
    let violations = &mut wrong.field;
    let title = fields.stored_text(Record::Conversation, "title", violations);
    let mut member = member(fields, violations);
    if author == Some(Author::EndUser) && member.take().is_some() {
        let expected = "is allowed only for an agent's message";
        violations.add(fields.pointer("member"), "not_allowed", expected);
    }
    let (conversation_id, body, author) = (conversation_id?, body?, author?);
    Some(What::Message(Message {
        id,
        conversation_id,
        title,
        author,
        member,
        body,
        attachments: attachments(fields, violations),
    }))
}

/// The files that a message names.
fn attachments(fields: &Object<'_>, violations: &mut Violations) -> Vec<String> {
    let mut attachments = Vec::new();
    let named = fields.list("attachments", ATTACHMENTS, violations);
    for (at, name) in named.into_iter().flatten().enumerate() {
        match name.as_str().and_then(AttachmentId::parse) {
            Some(id) => attachments.push(id.to_string()),
            None => {
                let pointer = format!("{}/{at}", fields.pointer("attachments"));
                violations.add(pointer, "format", "must be an attachment ID");
            }
        }
    }
    attachments
}

/// A member's id: a code, so that no name enters the permanent log.
fn member(fields: &Object<'_>, violations: &mut Violations) -> Option<String> {
    let expected = "must match [A-Za-z0-9._-]{1,64}";
    fields
        .parsed("member", expected, violations, violations::code)
        .map(str::to_owned)
}

fn interaction(fields: &Object<'_>, wrong: &mut Wrong) -> Option<What> {
    let item_id = fields.required_text(Record::Interaction, "item_id", &mut wrong.event);
    let scope = fields.stored_text(Record::Interaction, "scope", &mut wrong.field);
    let actions = [
        ("loaded", Action::Loaded),
        ("viewed", Action::Viewed),
        ("clicked", Action::Clicked),
    ];
    let action = fields.choice("action", &actions, &mut wrong.event);
    Some(What::Interaction {
        item_id: item_id?,
        scope,
        action: action?,
    })
}

fn session(fields: &Object<'_>, rules: &Rules<'_>, violations: &mut Violations) -> Option<What> {
    if rules.page {
        let expected = "must not be session, unless the key has the ingest scope";
        violations.add(fields.pointer("type"), "not_allowed", expected);
    }
    if fields.said("member").is_none() {
        violations.add(fields.pointer("member"), "required", "is required");
    }
    let member = member(fields, violations);
    let started = fields.choice("action", &[("started", true), ("ended", false)], violations);
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
    fn an_event_from_too_long_ago_is_refused_and_a_clock_that_is_ahead_is_set_back() {
        let at = |at: &str| json!({"type": "visit", "visitor_id": "v", "at": at});
        assert_eq!(pointers(at("2026-11-21T11:59:59Z"), true), ["/events/0/at"]);
        for (sent, left_out) in [
            ("2026-11-22T12:04:00Z", 0),
            ("2026-11-22T12:05:01Z", 1),
            ("yesterday", 1),
            (" ", 0),
        ] {
            let event = parse(at(sent), true).unwrap();
            assert_eq!(event.at.to_string(), "2026-11-22T12:00:00Z", "{sent}");
            assert_eq!(event.left_out.len(), left_out, "{sent}");
        }
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
            json!({"ip": "203.0.113.0", "url": "https://x.example/a"})
        );
        assert_eq!(json!(device), json!({"browser": "Firefox"}));
    }
}
