//! `PATCH /v1/subjects/{subject}`: what is known about a person is corrected (GDPR
//! Art. 16), as a merge patch (RFC 7396) of the profile's identity, contact and custom.
//! The tenant's server vouches for it. It does not postpone expiry: only the person does.
//! A value that was taken away goes from backups too.

use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::keys::PERSON;
use shared::domain::life::door::{Exports, Passing, Shut};
use shared::domain::life::lookups;
use shared::domain::life::rekey::rekey_writes;
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
    let correction = parse(call)?;
    let (tenant, subject) = (call.tenant(), call.subject()?);
    let keys = app.keyring.tenant(tenant).await?;
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let (living, door, row) = app.person_and(tenant, subject, PERSON).await?;
        call.may_use(living.rules)?;
        living.rules.expect_no_hold()?;
        let before = match Person::read(&row.ok_or(Error::NotFound)?, &living) {
            // Re-keyed since its key was read.
            Err(Error::Unreadable) => continue,
            before => before?,
        };
        call.expect_revision(before.rev)?;
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
        let about = [living.key.life.to_string()];
        let now = app.clock.now();
        let (by, event) = (call.by(), AuditEvent::PersonCorrected);
        let entry = entry::Entry {
            tenant,
            event,
            by: &by,
            about: &about,
            at: now,
            happened_at: None,
        };
        let passing = Passing {
            exports: changes(&before, &after).then_some(Exports::Withdraw(door.edition)),
            ..Passing::default()
        };
        let mut writes = vec![after.replace(&living, before.rev)];
        writes.extend(entry::writes(&[entry]));
        writes.extend(lookups::change_writes(
            &keys.hash,
            &living.key,
            &before,
            &after,
        ));
        if before.loses(&after) {
            writes.extend(rekey_writes(&living, now));
        }
        match app
            .store
            .through_door(&living, &passing, writes, now)
            .await?
        {
            Ok(()) => return Ok(Answer::nothing().revision(after.rev)),
            Err(Shut::Over) => return Err(Error::NotFound),
            Err(Shut::Rules | Shut::Later(_) | Shut::Row { .. }) => {}
        }
    }
}

/// Whether an export that was made before is untrue now.
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
            // The catalog knows custom values by one row: their names are the tenant's own.
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
