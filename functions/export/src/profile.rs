//! Who a person is, in the form in which `GET /v1/subjects/{subject}` answers.

use serde_json::{Value, json};
use shared::error::{Error, Result};
use shared::keyring::Living;
use shared::record::{Consent, Observed, values};
use shared::store::Store;
use shared::store::keys::{DOOR, PERSON};
use shared::store::lives::{Counts, Door};
use shared::store::records::Person;

use crate::choice::Choice;
use crate::request::Kind;

/// What stands once for each person.
pub struct Profile {
    pub door: Door,
    pub person: Person,
    pub network: Observed,
    pub device: Observed,
}

impl Profile {
    /// # Errors
    /// [`Error::NotFound`] when the life has ended meanwhile.
    pub async fn read(store: &Store, living: &Living, choice: &Choice) -> Result<Profile> {
        let partition = living.key.partition();
        let door = store.get(&partition, DOOR).await?.ok_or(Error::NotFound)?;
        let person = store
            .get(&partition, PERSON)
            .await?
            .ok_or(Error::NotFound)?;
        let mut person = Person::read(&person, living)?;
        for fields in [
            &mut person.identity,
            &mut person.contact,
            &mut person.custom,
        ] {
            *fields = choice.fields(fields);
        }
        let visit = |part| match choice.kind {
            Kind::Access => Ok(living.open_json(&door, part)?.unwrap_or_default()),
            Kind::Portability => Ok::<_, Error>(Observed::new()),
        };
        Ok(Profile {
            network: visit("network")?,
            device: visit("device")?,
            door: Door::read(&door)?,
            person,
        })
    }

    pub fn consent(&self) -> Option<&Consent> {
        self.person.consent.as_ref()
    }

    pub fn json(&self, living: &Living, kind: Kind) -> Value {
        let (door, person) = (&self.door, &self.person);
        let mut json = json!({
            "subject": living.key.subject.to_string(),
            "created_at": door.created_at,
            "last_seen": door.last_seen,
            "expires_at": door.expires_at,
            "identity": values(&person.identity),
            "contact": values(&person.contact),
            "custom": values(&person.custom),
        });
        if kind == Kind::Access {
            json["visitor_id"] = person
                .identity
                .get("visitor_id")
                .map(|it| it.value.clone())
                .into();
            json["state"] = "active".into();
            json["network"] = self.network.clone().into();
            json["device"] = self.device.clone().into();
            json["consent"] = json!(person.consent);
            json["verified"] = person.verified().into();
            json["counts"] = counts(door.counts);
        }
        json
    }
}

fn counts(counts: Counts) -> Value {
    json!({
        "conversations": counts.conversations,
        "messages": counts.messages,
        "attachments": counts.attachments,
        "interactions": counts.interactions,
    })
}
