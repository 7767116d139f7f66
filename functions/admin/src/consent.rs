//! `DELETE /v1/subjects/{subject}/consent`: a consent is withdrawn (GDPR Art. 7(3)). What
//! rested on it goes, from backups too; that it was given stays on record for as long as the
//! person does.

use jiff::Timestamp;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::keys::PERSON;
use shared::domain::life::door::{Exports, Passing};
use shared::domain::life::update::{Decision, Whom, update};
use shared::domain::people::change;
use shared::domain::records::content::{Basis, Withdrawal};
use shared::domain::records::rows::Person;
use shared::http::{Answer, Call};

/// Withdrawals that are kept, the latest ones.
const HISTORY: usize = 20;

/// Withdraws the consent on record. Withdrawn already, it is left so.
pub async fn withdraw(app: &App, call: &Call) -> Result<Answer> {
    let (tenant, by) = (call.tenant(), call.by());
    let keys = app.keyring.tenant(tenant).await?;
    let (hash, by) = (&keys.hash, &by);
    let whom = Whom::subject(tenant, call.subject()?).with(&[PERSON]);
    update(app, whom, |life| async move {
        let before = Person::read(life.row(PERSON)?, &life.living)?;
        let now = app.clock.now();
        let Some(after) = without_consent(&before, now)? else {
            return Ok(Decision::Done(Answer::nothing()));
        };
        life.living.rules.expect_no_hold()?;
        let about = [life.living.key.life.to_string()];
        let entry = Entry::new(tenant, AuditEvent::ConsentWithdrawn, by, &about, now);
        let mut writes = change::writes(&life.living, hash, &before, &after, now);
        writes.extend(entry::writes(&[entry]));
        let passing = Passing {
            exports: Some(Exports::Withdraw(life.door.edition)),
            ..Passing::default()
        };
        Ok(life.write(passing, writes, Answer::nothing()))
    })
    .await
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
