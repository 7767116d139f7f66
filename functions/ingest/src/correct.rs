//! `PATCH /v1/subjects/{subject}`: what is known about a person is corrected (GDPR
//! Art. 16), as a merge patch (RFC 7396) of the profile's identity, contact and custom.
//! The tenant's server vouches for it. It does not move the clock: only the person does.

use serde_json::{Map, Value};
use shared::app::App;
use shared::catalog::{self, Category, Record};
use shared::error::{Error, FieldError, Result};
use shared::http::{Answer, Call};
use shared::record::Observed;
use shared::store::activity::{self, Deed};
use shared::store::keys::PERSON;
use shared::store::lives::{Passing, Shut};
use shared::store::records::Person;

use crate::draft::{CUSTOM_NAMES, lookup_writes, merge};

const TRIES: u32 = 8;

/// The fields to change; `null` removes.
struct Correction {
    identity: Observed,
    contact: Observed,
    custom: Observed,
}

/// Corrects a person.
pub async fn correct(app: &App, call: &Call) -> Result<Answer> {
    let correction = parse(call)?;
    let (tenant, subject) = (call.tenant(), call.subject()?);
    let keys = app.keyring.tenant(tenant).await?;
    for _ in 0..TRIES {
        let (living, _) = app.person(tenant, subject).await?;
        let row = app
            .store
            .get(&living.key.partition(), PERSON)
            .await?
            .ok_or(Error::NotFound)?;
        let before = Person::read(&row, &living)?;
        call.expect_revision(before.rev)?;
        let mut after = before.clone();
        merge(&mut after.identity, &correction.identity, true);
        merge(&mut after.contact, &correction.contact, true);
        merge(&mut after.custom, &correction.custom, true);
        if after.custom.len() > CUSTOM_NAMES {
            let limit = format!("a person may have at most {CUSTOM_NAMES} custom values");
            return Err(Error::field("/custom", "too_many", limit));
        }
        after.rev = before.rev + 1;
        let about = [living.key.life.to_string()];
        let now = app.clock.now();
        let (by, deed) = (call.by(), Deed::PersonCorrected);
        let entry = activity::Entry {
            tenant,
            deed,
            by: &by,
            about: &about,
            at: now,
        };
        let mut writes = vec![after.replace(&living, before.rev), activity::write(&entry)];
        writes.extend(lookup_writes(&keys.hash, &living, &before, &after));
        match app
            .store
            .through_door(&living, &Passing::default(), writes, now)
            .await?
        {
            Ok(()) => return Ok(Answer::nothing().revision(after.rev)),
            Err(Shut::Over) => return Err(Error::NotFound),
            Err(Shut::Gate | Shut::Later(_) | Shut::Row { .. }) => {}
        }
    }
    Err(Error::Unavailable(
        "a person's life changes faster than it can be written".into(),
    ))
}

fn parse(call: &Call) -> Result<Correction> {
    let mut errors = Vec::new();
    let mut correction = Correction {
        identity: Map::new(),
        contact: Map::new(),
        custom: Map::new(),
    };
    for (name, value) in call.object()? {
        let (category, fields) = match name.as_str() {
            "identity" => (Category::Identity, &mut correction.identity),
            "contact" => (Category::Contact, &mut correction.contact),
            "custom" => (Category::Custom, &mut correction.custom),
            _ => {
                let pointer = format!("/{}", escaped(name));
                errors.push(FieldError::new(pointer, "unknown", "cannot be corrected"));
                continue;
            }
        };
        *fields = category_of(category, value, &mut errors);
    }
    if errors.is_empty() {
        Ok(correction)
    } else {
        Err(Error::Invalid(errors))
    }
}

fn category_of(category: Category, value: &Value, errors: &mut Vec<FieldError>) -> Observed {
    let base = format!("/{}", category.name());
    let Value::Object(fields) = value else {
        errors.push(FieldError::new(base, "type", "must be an object"));
        return Observed::new();
    };
    if category == Category::Custom {
        let kind = catalog::field(Record::Person, "custom")
            .expect("a row of the catalog")
            .kind;
        return match kind.accept(value) {
            Ok(Value::Object(custom)) => custom,
            Ok(_) => Observed::new(),
            Err((code, message)) => {
                errors.push(FieldError::new(base, code, message));
                Observed::new()
            }
        };
    }
    let mut kept = Observed::new();
    for (name, value) in fields {
        let pointer = format!("{base}/{}", escaped(name));
        let row = catalog::field(Record::Person, name)
            .filter(|row| row.category == category && row.name != "visitor_id");
        match row.map(|row| {
            if value.is_null() {
                Ok(Value::Null)
            } else {
                row.kind.accept(value)
            }
        }) {
            Some(Ok(value)) => {
                kept.insert(name.clone(), value);
            }
            Some(Err((code, message))) => errors.push(FieldError::new(pointer, code, message)),
            None => errors.push(FieldError::new(pointer, "unknown", "cannot be corrected")),
        }
    }
    kept
}

/// A name as JSON Pointer writes it (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
