//! `DELETE /v1/subjects/{subject}/consent`: a consent is withdrawn (GDPR Art. 7(3)). What
//! rested on it goes, from backups too; that it was given stays on record for as long as the
//! person does.

use jiff::Timestamp;
use shared::base::error::{Error, Result};
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::keyring::Living;
use shared::domain::keys::PERSON;
use shared::domain::life::door::{Exports, Passing, Shut};
use shared::domain::life::lookups;
use shared::domain::life::rekey::rekey_writes;
use shared::domain::records::content::{Basis, Withdrawal};
use shared::domain::records::rows::Person;
use shared::http::{Answer, Call};

/// Withdrawals that are kept, the latest ones.
const HISTORY: usize = 20;

/// Withdraws the consent on record. Withdrawn already, it is left so.
pub async fn withdraw(app: &App, call: &Call) -> Result<Answer> {
    let (tenant, subject) = (call.tenant(), call.subject()?);
    let keys = app.keyring.tenant(tenant).await?;
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let (living, door, row) = app.person_and(tenant, subject, PERSON).await?;
        let before = match Person::read(&row.ok_or(Error::NotFound)?, &living) {
            // Re-keyed since its key was read.
            Err(Error::Unreadable) => continue,
            before => before?,
        };
        let now = app.clock.now();
        let Some(after) = without_consent(&before, now)? else {
            return Ok(Answer::nothing());
        };
        living.rules.expect_no_hold()?;
        let passing = Passing {
            exports: Some(Exports::Withdraw(door.edition)),
            ..Passing::default()
        };
        let mut writes = vec![after.replace(&living, before.rev)];
        writes.extend(lookups::change_writes(
            &keys.hash,
            &living.key,
            &before,
            &after,
        ));
        if before.loses(&after) {
            writes.extend(rekey_writes(&living, now));
        }
        writes.extend(logged(call, &living, now));
        match app
            .store
            .through_door(&living, &passing, writes, now)
            .await?
        {
            Ok(()) => return Ok(Answer::nothing()),
            Err(Shut::Over) => return Err(Error::NotFound),
            Err(Shut::Rules | Shut::Later(_) | Shut::Row { .. }) => {}
        }
    }
}

/// The person as they become; `None` when it was withdrawn before.
fn without_consent(before: &Person, now: Timestamp) -> Result<Option<Person>> {
    let mut after = before.clone();
    let Some(consent) = after.consent.take() else {
        return match before.withdrawn.is_empty() {
            false => Ok(None),
            true => Err(Error::Conflict {
                code: "no_consent",
                detail: "No consent is on record for this person.",
            }),
        };
    };
    // What nobody vouches for keeps nothing: a page could name another basis.
    if !consent.verified || consent.value.basis == Basis::Consent {
        after.identity.retain(|name, _| name == "visitor_id");
        after.contact.clear();
    }
    after.withdrawn.push(Withdrawal {
        consent,
        withdrawn_at: now,
    });
    let oldest = after.withdrawn.len().saturating_sub(HISTORY);
    after.withdrawn.drain(..oldest);
    after.rev = before.rev + 1;
    Ok(Some(after))
}

fn logged(call: &Call, living: &Living, now: Timestamp) -> Vec<shared::aws::dynamo::Write> {
    entry::writes(&[entry::Entry {
        tenant: living.key.tenant,
        event: AuditEvent::ConsentWithdrawn,
        by: &call.by(),
        about: &[living.key.life.to_string()],
        at: now,
        happened_at: None,
    }])
}

#[cfg(test)]
mod tests {
    use shared::domain::records::content::{Consent, Known};

    use super::*;

    #[test]
    fn the_latest_withdrawals_are_kept() {
        let consent = |minute: u8| Known {
            value: Consent {
                basis: Basis::Contract,
                source: Some(minute.to_string()),
                given_by: None,
                at: None,
            },
            verified: true,
        };
        let mut person = Person::default();
        for minute in 0..25 {
            person.consent = Some(consent(minute));
            let now = Timestamp::from_second(i64::from(minute)).unwrap();
            person = without_consent(&person, now).unwrap().unwrap();
        }
        let kept: Vec<_> = person.withdrawn.iter().map(|it| &it.consent).collect();
        assert_eq!(kept.len(), HISTORY);
        assert_eq!((kept[0], kept[19]), (&consent(5), &consent(24)));
    }
}
