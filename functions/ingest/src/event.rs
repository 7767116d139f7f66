//! From JSON to an event, by the catalog: what is in no row is refused by name. Pure.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use shared::catalog::{self, Category, Record};
use shared::error::FieldError;
use shared::record::{Author, Consent, Observed, shorten_address, shorten_url};
use shared::settings::Settings;
use uuid::Uuid;

/// How far back an event may lie.
const PAST: SignedDuration = SignedDuration::from_hours(24);
/// How far ahead a sender's clock may be.
const FUTURE: SignedDuration = SignedDuration::from_mins(5);

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

/// Takes an event's fields one by one, and remembers what was wrong with each.
struct Reader<'a> {
    fields: Map<String, Value>,
    base: &'a str,
    errors: Vec<FieldError>,
}

impl Reader<'_> {
    fn refuse(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        let pointer = format!(
            "{}/{}",
            self.base,
            name.replace('~', "~0").replace('/', "~1")
        );
        self.errors.push(FieldError::new(pointer, code, message));
    }

    /// An optional field of the catalog, as it will be stored.
    fn field(&mut self, record: Record, name: &str) -> Option<Value> {
        let value = self.fields.remove(name)?;
        let row = catalog::field(record, name).expect("the name is a row of the catalog");
        match row.kind.accept(&value) {
            Ok(value) => Some(value),
            Err((code, message)) => {
                self.refuse(name, code, message);
                None
            }
        }
    }

    fn text(&mut self, record: Record, name: &str) -> Option<String> {
        match self.field(record, name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn required(&mut self, record: Record, name: &str) -> Option<String> {
        if !self.fields.contains_key(name) {
            self.refuse(name, "required", "is required");
        }
        self.text(record, name)
    }

    /// The fields of a category that an event carries at its top level.
    fn category(&mut self, record: Record, category: Category) -> Observed {
        catalog::fields(record, category)
            .filter_map(|row| Some((row.name.to_owned(), self.field(record, row.name)?)))
            .collect()
    }

    /// An optional text that is no stored field: an id, a word.
    fn word(&mut self, name: &str) -> Option<String> {
        match self.fields.remove(name)? {
            Value::String(text) if !text.is_empty() && text.len() <= 2048 => Some(text),
            _ => {
                self.refuse(name, "type", "must be a string of 1 to 2048 bytes");
                None
            }
        }
    }

    /// One of a closed list of words.
    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let chosen = self.fields.remove(name);
        let found = chosen.as_ref().and_then(Value::as_str).and_then(|word| {
            choices
                .iter()
                .find(|(choice, _)| *choice == word)
                .map(|(_, value)| *value)
        });
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            let code = if chosen.is_none() {
                "required"
            } else {
                "choice"
            };
            self.refuse(name, code, format!("must be one of: {}", words.join(", ")));
        }
        found
    }

    fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let text = self.word(name)?;
        let uuid = Uuid::try_parse(&text).ok();
        if uuid.is_none() {
            self.refuse(name, "uuid", "must be a UUID (RFC 9562)");
        }
        uuid
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.fields.remove(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.refuse(name, "type", "must be true or false");
                false
            }
        }
    }

    /// When it happened: up to 24 hours ago, up to 5 minutes ahead.
    fn at(&mut self, now: Timestamp) -> Timestamp {
        let Some(text) = self.word("at") else {
            return now;
        };
        match text.parse::<Timestamp>() {
            Ok(at) if at > now + FUTURE || at < now - PAST => {
                self.refuse("at", "range", "must be at most 24 h ago and 5 min ahead");
                now
            }
            // Whole milliseconds, as they are stored.
            Ok(at) => Timestamp::from_millisecond(at.as_millisecond())
                .unwrap_or(now)
                .min(now),
            Err(_) => {
                self.refuse("at", "time", "must be an RFC 3339 time");
                now
            }
        }
    }

    /// Refuses what a page's key may not send.
    fn servers_only(&mut self, rules: &Rules<'_>, names: &[&str]) {
        for name in names {
            if rules.page && self.fields.remove(*name).is_some() {
                self.refuse(name, "not_allowed", "is taken from an ingest key only");
            }
        }
    }
}

impl Event {
    /// The event in a JSON value; `base` is its place in the body.
    ///
    /// # Errors
    /// Every field at fault, by name.
    pub fn parse(value: &Value, base: &str, rules: &Rules<'_>) -> Result<Event, Vec<FieldError>> {
        let Value::Object(fields) = value else {
            return Err(vec![FieldError::new(base, "type", "must be an object")]);
        };
        let mut reader = Reader {
            fields: fields.clone(),
            base,
            errors: Vec::new(),
        };
        let at = reader.at(rules.now);
        let visitor_id = reader.required(Record::Person, "visitor_id");
        let visitor_token = reader.word("visitor_token");
        let private = reader.flag("full_privacy") || rules.settings.full_privacy;
        let kinds = ["visit", "identify", "message", "interaction", "session"];
        let what = match reader.choice("type", &kinds.map(|kind| (kind, kind))) {
            Some("visit") => Some(visit(&mut reader, rules, private)),
            Some("identify") => Some(identify(&mut reader, rules, private)),
            Some("message") => message(&mut reader, rules),
            Some("interaction") => interaction(&mut reader),
            Some("session") => session(&mut reader, rules),
            _ => None,
        };
        let known = what.is_some() || reader.errors.is_empty();
        for name in reader.fields.keys().cloned().collect::<Vec<_>>() {
            // With no type known, every field would be: the type's own fault says enough.
            if known {
                reader.refuse(&name, "unknown", "is not stored");
            }
        }
        match (visitor_id, what) {
            (Some(visitor_id), Some(what)) if reader.errors.is_empty() => Ok(Event {
                visitor_id,
                at,
                visitor_token,
                what,
            }),
            _ => Err(reader.errors),
        }
    }
}

fn visit(reader: &mut Reader<'_>, rules: &Rules<'_>, private: bool) -> What {
    // A visit's own id lets a sender tell its events apart; nothing is stored under it.
    reader.uuid("id");
    reader.servers_only(rules, &["ip"]);
    let mut network = reader.category(Record::Visit, Category::Network);
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
    let mut device = nested(reader, "device", Record::Visit, Category::Device);
    if private {
        device.remove("device_id");
    }
    if !rules.settings.location {
        device.remove("country");
    }
    What::Visit { network, device }
}

/// A category that an event carries as an object of its own.
fn nested(reader: &mut Reader<'_>, name: &str, record: Record, category: Category) -> Observed {
    let Some(value) = reader.fields.remove(name) else {
        return Observed::new();
    };
    let Value::Object(fields) = value else {
        reader.refuse(name, "type", "must be an object");
        return Observed::new();
    };
    let base = format!("{}/{name}", reader.base);
    let mut inner = Reader {
        fields,
        base: &base,
        errors: Vec::new(),
    };
    let kept = inner.category(record, category);
    for name in inner.fields.keys().cloned().collect::<Vec<_>>() {
        inner.refuse(&name, "unknown", "is not stored");
    }
    reader.errors.extend(inner.errors);
    kept
}

fn identify(reader: &mut Reader<'_>, rules: &Rules<'_>, private: bool) -> What {
    reader.uuid("id");
    reader.servers_only(rules, &["user_id"]);
    let identity = reader.category(Record::Person, Category::Identity);
    let contact = reader.category(Record::Person, Category::Contact);
    let mut custom = match reader.field(Record::Person, "custom") {
        Some(Value::Object(custom)) => custom,
        _ => Observed::new(),
    };
    if private {
        custom.clear();
    }
    let consent = consent(reader, rules.now);
    What::Identify(Identify {
        identity,
        contact,
        custom,
        consent,
    })
}

fn consent(reader: &mut Reader<'_>, now: Timestamp) -> Option<Consent> {
    let value = reader.fields.remove("consent")?;
    let Ok(mut consent) = serde_json::from_value::<Consent>(value) else {
        let expected = "must be an object with basis, and optionally source, given_by and at";
        reader.refuse("consent", "consent", expected);
        return None;
    };
    let plain = |text: &str| {
        text.len() <= 64
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if consent
        .source
        .as_deref()
        .is_some_and(|source| !plain(source))
    {
        reader.refuse(
            "consent/source",
            "pattern",
            "must match [A-Za-z0-9._-]{1,64}",
        );
    }
    consent.at = Some(consent.at.map_or(now, |at| at.min(now)));
    Some(consent)
}

fn message(reader: &mut Reader<'_>, rules: &Rules<'_>) -> Option<What> {
    let id = reader.uuid("id");
    let conversation_id = reader.required(Record::Conversation, "conversation_id");
    let title = reader.text(Record::Conversation, "title");
    let body = reader.required(Record::Message, "body");
    let author = reader.choice(
        "author",
        &[Author::EndUser, Author::Agent].map(|author| (author.name(), author)),
    );
    let member = member(reader, false);
    if rules.page && author == Some(Author::Agent) {
        reader.refuse(
            "author",
            "not_allowed",
            "agents' messages are taken from an ingest key only",
        );
    }
    if author == Some(Author::EndUser) && member.is_some() {
        reader.refuse("member", "not_allowed", "belongs to an agent's message");
    }
    let attachments = attachments(reader);
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

fn attachments(reader: &mut Reader<'_>) -> Vec<String> {
    let names = match reader.fields.remove("attachments") {
        None => return Vec::new(),
        Some(Value::Array(names)) => names,
        Some(_) => Vec::from([Value::Null]),
    };
    let ids: Option<Vec<_>> = names
        .iter()
        .map(|name| shared::id::Attachment::parse(name.as_str()?).map(|id| id.to_string()))
        .collect();
    match ids {
        Some(ids) if ids.len() <= 20 => ids,
        _ => {
            reader.refuse(
                "attachments",
                "attachments",
                "must be up to 20 ids of attachments",
            );
            Vec::new()
        }
    }
}

/// A member's id: an id, so that nobody's name ends up in the permanent log.
fn member(reader: &mut Reader<'_>, required: bool) -> Option<String> {
    if required && !reader.fields.contains_key("member") {
        reader.refuse("member", "required", "is required");
    }
    let member = reader.word("member")?;
    let plain = member.len() <= 64
        && member
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !plain {
        reader.refuse("member", "pattern", "must match [A-Za-z0-9._-]{1,64}");
    }
    plain.then_some(member)
}

fn interaction(reader: &mut Reader<'_>) -> Option<What> {
    reader.uuid("id");
    let item_id = reader.required(Record::Interaction, "item_id");
    let scope = reader.text(Record::Interaction, "scope");
    let actions = [
        ("loaded", Action::Loaded),
        ("viewed", Action::Viewed),
        ("clicked", Action::Clicked),
    ];
    let action = reader.choice("action", &actions);
    Some(What::Interaction {
        item_id: item_id?,
        scope,
        action: action?,
    })
}

fn session(reader: &mut Reader<'_>, rules: &Rules<'_>) -> Option<What> {
    reader.uuid("id");
    if rules.page {
        reader.refuse(
            "type",
            "not_allowed",
            "sessions are taken from an ingest key only",
        );
    }
    let member = member(reader, true);
    let started = reader.choice("action", &[("started", true), ("ended", false)]);
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
            ["/events/0/device/screen", "/events/0/dom"]
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
