//! The one table of fields: what may be kept about a person, and how each is treated.
//!
//! Ingest validates against it, the vault seals by its categories, redaction, export and
//! the public description are derived from it. A field in no row cannot be stored, and
//! there is no second list of field names.

use serde_json::{Map, Value};

use Category::{Contact, Content, Device, Identity, Network, Usage};
use Record::{Attachment, Conversation, Interaction, Message, Person, Visit};

use crate::base::named::named;
use crate::schema::normalize;

named! {
    /// What kind of personal data a field is. Each category of a record is sealed on its own.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum Category {
        Identity = "identity",
        Contact = "contact",
        Network = "network",
        Device = "device",
        Content = "content",
        Custom = "custom",
        Usage = "usage",
    }
}

/// The stored thing that a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Record {
    /// The last visit, on the door.
    Visit,
    Person,
    Conversation,
    Message,
    Attachment,
    Interaction,
}

/// What a value must look like. Lengths count Unicode code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of one line, up to this many code points. Line breaks become blanks.
    Text(usize),
    /// Text up to this many bytes of UTF-8.
    Body(usize),
    /// An absolute `http` or `https` URL (RFC 3986) up to this many code points.
    Url(usize),
    /// An IPv4 or IPv6 address, as proxies write it.
    Address,
    /// An e-mail address: one `@`, up to 254 characters (RFC 5321).
    Email,
    /// A telephone number of up to 64 characters; E.164 form makes it findable.
    Phone,
    /// A name that a tenant chose. Never rewritten, so a card number is refused.
    Name(usize),
    /// An object of up to 50 names (64 code points) and text, numbers or booleans.
    Custom,
}

/// How a field is redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redaction {
    /// Goes with its record.
    Whole,
    /// Whole, or span by span.
    Spans,
    /// Not redacted: corrected or erased with the person.
    None,
}

/// One row of the catalog.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub record: Record,
    pub category: Category,
    pub kind: Kind,
    pub redaction: Redaction,
    /// Given by the person (Art. 20) rather than observed: part of a portability export.
    pub given: bool,
    /// Drives a lookup.
    pub lookup: bool,
}

const fn row(name: &'static str, record: Record, category: Category, kind: Kind) -> Field {
    Field {
        name,
        record,
        category,
        kind,
        redaction: Redaction::None,
        given: false,
        lookup: false,
    }
}

const fn given(mut field: Field) -> Field {
    field.given = true;
    field
}

const fn found_by(mut field: Field) -> Field {
    field.lookup = true;
    field
}

const fn redacted(redaction: Redaction, mut field: Field) -> Field {
    field.redaction = redaction;
    field
}

/// Every field that can be stored. All are kept until the person is forgotten: the
/// tenant's `retention_days` after they were last seen, or at once when asked.
pub const FIELDS: &[Field] = &[
    row("ip", Visit, Network, Kind::Address),
    row("url", Visit, Network, Kind::Url(2048)),
    row("browser", Visit, Device, Kind::Text(128)),
    row("os", Visit, Device, Kind::Text(128)),
    row("model", Visit, Device, Kind::Text(128)),
    row("device_id", Visit, Device, Kind::Text(128)),
    row("network", Visit, Device, Kind::Text(128)),
    row("carrier", Visit, Device, Kind::Text(128)),
    row("language", Visit, Device, Kind::Text(35)),
    row("country", Visit, Device, Kind::Text(64)),
    row("visitor_id", Person, Identity, Kind::Name(256)),
    given(found_by(row("user_id", Person, Identity, Kind::Name(256)))),
    given(row("username", Person, Identity, Kind::Text(256))),
    given(row("name", Person, Identity, Kind::Text(256))),
    given(row("first_name", Person, Identity, Kind::Text(128))),
    given(row("last_name", Person, Identity, Kind::Text(128))),
    given(found_by(row("email", Person, Contact, Kind::Email))),
    given(found_by(row("phone", Person, Contact, Kind::Phone))),
    given(row("custom", Person, Category::Custom, Kind::Custom)),
    row("conversation_id", Conversation, Content, Kind::Name(256)),
    redacted(
        Redaction::Whole,
        given(row("title", Conversation, Content, Kind::Text(512))),
    ),
    redacted(
        Redaction::Spans,
        given(row("body", Message, Content, Kind::Body(64 * 1024))),
    ),
    redacted(
        Redaction::Whole,
        given(row("filename", Attachment, Content, Kind::Text(255))),
    ),
    redacted(
        Redaction::Whole,
        given(row("content_type", Attachment, Content, Kind::Text(127))),
    ),
    row("item_id", Interaction, Usage, Kind::Name(256)),
    row("scope", Interaction, Usage, Kind::Name(128)),
];

/// The row of a field of a record.
pub fn field(record: Record, name: &str) -> Option<&'static Field> {
    FIELDS
        .iter()
        .find(|field| field.record == record && field.name == name)
}

/// The fields of one category of a record.
pub fn fields(record: Record, category: Category) -> impl Iterator<Item = &'static Field> {
    FIELDS
        .iter()
        .filter(move |field| field.record == record && field.category == category)
}

/// A text as a field of a record would hold it.
///
/// # Errors
/// See [`Kind::accept`].
pub fn text(record: Record, name: &str, text: &str) -> Result<String, Misfit> {
    let row = field(record, name).expect("the name is a row of the catalog");
    row.kind.accept_text(text)
}

/// A value that does not fit its row: a stable code and what would be right.
pub type Misfit = (&'static str, String);

impl Kind {
    /// The value as it will be stored, with payment-card numbers masked, or why not. Of the
    /// tenant's own values, the first at fault; see [`custom`].
    ///
    /// # Errors
    /// A code and a sentence that says what would be right, never what was sent.
    pub fn accept(self, value: &Value) -> Result<Value, Misfit> {
        if let Kind::Custom = self {
            let Custom { kept, at_fault } = custom(value)?;
            let first = at_fault.into_iter().next();
            return first.map_or(Ok(Value::Object(kept)), Err);
        }
        let Value::String(text) = value else {
            return Err(("type", "must be a string".into()));
        };
        self.accept_text(text).map(Value::String)
    }

    fn accept_text(self, text: &str) -> Result<String, Misfit> {
        match self {
            Kind::Text(limit) => {
                // What is sent is measured, so that the schema says the same.
                no_longer_than(text, limit)?;
                let text = normalize::one_line(text);
                bounded(&text, limit).map(crate::detect::mask_cards)
            }
            Kind::Body(limit) if text.len() > limit => {
                Err(("too_long", format!("must be at most {limit} bytes")))
            }
            Kind::Body(_) => Ok(crate::detect::mask_cards(text)),
            Kind::Name(limit) => {
                let text = bounded(text, limit)?;
                if text.is_empty() {
                    return Err(("empty", "must not be empty".into()));
                }
                no_card(text)?;
                Ok(text.to_owned())
            }
            Kind::Url(limit) => {
                let valid = url::Url::parse(text)
                    .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                if !valid {
                    return Err(("url", "must be an absolute http or https URL".into()));
                }
                bounded(text, limit).map(crate::detect::mask_cards)
            }
            Kind::Address => {
                let expected = || ("address", "must be an IPv4 or IPv6 address".into());
                let address = normalize::address(text).ok_or_else(expected)?;
                Ok(address.to_string())
            }
            Kind::Email => {
                let expected = || ("email", "must be an email address".into());
                let address = normalize::email(text).ok_or_else(expected)?;
                bounded(&address, 254)?;
                // The part before the `@`: a card number is no address, whatever follows it.
                let (local, _) = address.split_once('@').unwrap_or((&address, ""));
                no_card(local)?;
                Ok(address)
            }
            Kind::Phone => {
                // No card, though its digits may satisfy the same checksum.
                let expected = "must be a phone number with 3 to 15 digits";
                let number = normalize::phone(text).ok_or_else(|| ("phone", expected.into()))?;
                bounded(&number, 64)?;
                // An international number is no card, though it may satisfy the same checksum.
                if !number.starts_with('+') {
                    no_card(&number)?;
                }
                Ok(number)
            }
            Kind::Custom => unreachable!("custom values are objects, handled by accept"),
        }
    }
}

fn no_longer_than(text: &str, limit: usize) -> Result<(), Misfit> {
    if text.chars().count() > limit {
        return Err(("too_long", format!("must be at most {limit} characters")));
    }
    Ok(())
}

fn bounded(text: &str, limit: usize) -> Result<&str, Misfit> {
    no_longer_than(text, limit)?;
    if text.chars().any(|c| c.is_control()) {
        return Err(("control", "must not contain control characters".into()));
    }
    Ok(text)
}

/// Names are kept as they are, so a card number is refused rather than masked.
fn no_card(name: &str) -> Result<(), Misfit> {
    if crate::detect::is_card(name) {
        return Err(("card_number", "must not be a payment card number".into()));
    }
    Ok(())
}

/// The tenant's own values of a person.
#[derive(Debug, Default)]
pub struct Custom {
    /// Those that fit, as they will be stored.
    pub kept: Map<String, Value>,
    /// What is wrong with the others, each kind of fault once. Their names are the tenant's
    /// own words, and so not repeated.
    pub at_fault: Vec<Misfit>,
}

/// The tenant's own values, each judged by itself.
///
/// # Errors
/// When they are no object of a size that is taken.
pub fn custom(value: &Value) -> Result<Custom, Misfit> {
    let Value::Object(entries) = value else {
        return Err(("type", "must be an object".into()));
    };
    if entries.len() > 50 {
        return Err(("too_many", "must have at most 50 fields".into()));
    }
    let mut custom = Custom::default();
    for (name, value) in entries {
        let entry = Kind::Name(64)
            .accept_text(name)
            .and_then(|name| Ok((name, custom_value(value)?)));
        match entry {
            Ok((name, value)) => {
                custom.kept.insert(name, value);
            }
            Err(misfit) if custom.at_fault.contains(&misfit) => {}
            Err(misfit) => custom.at_fault.push(misfit),
        }
    }
    Ok(custom)
}

fn custom_value(value: &Value) -> Result<Value, Misfit> {
    match value {
        Value::String(text) => Kind::Text(1024).accept_text(text).map(Value::String),
        Value::Number(number) => Ok(measured(number)),
        Value::Bool(_) | Value::Null => Ok(value.clone()),
        _ => Err(("type", "values must be strings, numbers or booleans".into())),
    }
}

/// A whole number is masked as text is; one with a fraction or an exponent is no card.
fn measured(number: &serde_json::Number) -> Value {
    let text = number.to_string();
    let masked = crate::detect::mask_cards(&text);
    if number.is_f64() || masked == text {
        Value::Number(number.clone())
    } else {
        Value::String(masked)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_has_one_row() {
        for (at, one) in FIELDS.iter().enumerate() {
            for other in &FIELDS[at + 1..] {
                assert!(
                    one.name != other.name || one.record != other.record,
                    "{}",
                    one.name
                );
            }
        }
    }

    #[test]
    fn a_refusal_never_repeats_the_value() {
        for kind in [
            Kind::Email,
            Kind::Address,
            Kind::Phone,
            Kind::Url(2048),
            Kind::Name(4),
        ] {
            let (_, message) = kind.accept(&json!("canary value @@")).unwrap_err();
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn a_limit_is_of_what_was_sent() {
        let accepts = |text: &str| Kind::Text(4).accept(&json!(text));
        assert_eq!(accepts("a\r\nb").unwrap(), "a b");
        assert_eq!(accepts("a\r\nbc").unwrap_err().0, "too_long");
    }

    #[test]
    fn card_numbers_are_masked_in_text_and_refused_in_names() {
        let masked = Kind::Text(100)
            .accept(&json!("pay 4111 1111 1111 1111 now"))
            .unwrap();
        assert_eq!(masked, json!("pay ████ ████ ████ ████ now"));
        assert_eq!(
            Kind::Name(100)
                .accept(&json!("4111111111111111"))
                .unwrap_err()
                .0,
            "card_number"
        );
        assert_eq!(
            Kind::Phone.accept(&json!("+49 151 23456789")).unwrap(),
            json!("+49 151 23456789")
        );
        let masked = Kind::Custom
            .accept(&json!({"n": 4111111111111111u64}))
            .unwrap();
        assert_eq!(masked, json!({"n": "████████████████"}));
    }
}
