//! `PATCH /v1/subjects/{subject}`: corrects a person's data (GDPR Art. 16) with a merge patch
//! (RFC 7396) of identity, contact and custom values. The tenant's server vouches for the
//! values. A correction does not postpone expiry: only the person does. A replaced or removed
//! value also disappears from backups.

use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::keys::PERSON;
use shared::domain::life::door::{Exports, Passing};
use shared::domain::life::update::{Whom, update};
use shared::domain::people::change;
use shared::domain::records::content::Observed;
use shared::domain::records::rows::Person;
use shared::http::{Answer, Call};
use shared::schema::catalog::{self, Category, Record};
use shared::schema::violations::Violations;

use crate::draft::{CUSTOM_NAMES, Merge};

/// The fields to change; `null` removes.
struct Correction {
    identity: Observed,
    contact: Observed,
    custom: Observed,
}

/// Corrects a person.
pub async fn correct(app: &App, call: &Call) -> Result<Answer> {
    let correction = &parse(call)?;
    let (tenant, by) = (call.tenant(), call.by());
    let keys = app.keyring.tenant(tenant).await?;
    let (hash, by) = (&keys.hash, &by);
    let whom = Whom::subject(tenant, call.subject()?).with(&[PERSON]);
    update(app, whom, |life| async move {
        call.may_use(life.living.rules)?;
        life.living.rules.expect_no_hold()?;
        let before = Person::read(life.row(PERSON)?, &life.living)?;
        call.expect_revision(before.rev)?;
        let after = corrected(&before, correction)?;
        let now = app.clock.now();
        let about = [life.living.key.life.to_string()];
        let entry = Entry::new(tenant, AuditEvent::PersonCorrected, by, &about, now);
        let mut writes = change::writes(&life.living, hash, &before, &after, now);
        writes.extend(entry::writes(&[entry]));
        let edition = life.door.edition;
        let passing = Passing {
            exports: changes(&before, &after).then_some(Exports::Withdraw(edition)),
            ..Passing::default()
        };
        Ok(life.write(passing, writes, Answer::nothing().revision(after.rev)))
    })
    .await
}

fn corrected(before: &Person, correction: &Correction) -> Result<Person> {
    let mut after = before.clone();
    for (known, said) in [
        (&mut after.identity, &correction.identity),
        (&mut after.contact, &correction.contact),
        (&mut after.custom, &correction.custom),
    ] {
        Merge::default().fields(known, said, |_, _| true);
    }
    if after.custom.len() > CUSTOM_NAMES {
        let limit = format!("a person may have at most {CUSTOM_NAMES} custom values");
        return Err(Error::field("/custom", "too_many", limit));
    }
    after.rev = before.rev + 1;
    Ok(after)
}

/// Whether the correction makes earlier exports outdated.
fn changes(before: &Person, after: &Person) -> bool {
    (&before.identity, &before.contact, &before.custom)
        != (&after.identity, &after.contact, &after.custom)
}

fn parse(call: &Call) -> Result<Correction> {
    let mut violations = Violations::default();
    let correction = read(call, &mut violations);
    violations.unless_any(correction)
}

fn read(call: &Call, violations: &mut Violations) -> Option<Correction> {
    let categories = [Category::Identity, Category::Contact, Category::Custom];
    let body = violations.object(call.body(), "", &categories.map(Category::name))?;
    let [identity, contact, custom] = categories.map(|category| {
        let value = body.get(category.name())?;
        if category == Category::Custom {
            // The catalog has one row for all custom values: the tenant chooses their names.
            return body.custom(category.name(), violations);
        }
        let known: Vec<_> = catalog::fields(Record::Person, category)
            .map(|row| row.name)
            .filter(|name| *name != "visitor_id")
            .collect();
        let fields = violations.object(value, body.pointer(category.name()), &known)?;
        let mut kept = Observed::new();
        for name in known.into_iter().filter(|name| fields.has(name)) {
            if fields.get(name).is_some_and(Value::is_null) {
                kept.insert(name.to_owned(), Value::Null);
            } else if let Some(value) = fields.field(Record::Person, name, violations) {
                kept.insert(name.to_owned(), value);
            }
        }
        Some(kept)
    });
    Some(Correction {
        identity: identity.unwrap_or_default(),
        contact: contact.unwrap_or_default(),
        custom: custom.unwrap_or_default(),
    })
}
