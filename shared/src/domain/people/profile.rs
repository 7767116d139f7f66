//! All that stands once for each person, opened: who they are, their last visit, and what
//! their door says. Owns the form in which it is read, by an answer or an export.

use serde_json::{Value, json};

use crate::aws::dynamo::Item;
use crate::base::error::Result;
use crate::crypto::Sealed;
use crate::domain::keyring::Living;
use crate::domain::keys::DOOR;
use crate::domain::life::door::Door;
use crate::domain::records::content::{Known, Observed, Withdrawal, values};
use crate::domain::records::rows::Person;

/// A person, as far as they are known.
#[derive(Clone, Debug)]
pub struct Profile {
    pub door: Door,
    pub person: Person,
    pub network: Observed,
    pub device: Observed,
}

impl Profile {
    /// Opens the person's row, and what the door keeps of the last visit.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Corrupt`] when a
    /// row is not as it was written.
    pub fn open(living: &Living, door: Door, row: &Item) -> Result<Profile> {
        let visited = |part, sealed: &Option<Sealed>| match sealed {
            Some(sealed) => living.open(DOOR, part, sealed),
            None => Ok(Observed::new()),
        };
        Ok(Profile {
            person: Person::read(row, living)?,
            network: visited("network", &door.network)?,
            device: visited("device", &door.device)?,
            door,
        })
    }

    /// The profile as JSON: what `GET /v1/subjects/{subject}` answers, but for who is related.
    pub fn json(&self, living: &Living) -> Value {
        let (door, person) = (&self.door, &self.person);
        let mut identity = person.identity.clone();
        let visitor_id = identity.remove("visitor_id").map(|known| known.value);
        let rules = living.rules;
        let mut profile = json!({
            "subject": living.key.subject,
            "visitor_id": visitor_id,
            "state": rules.state(),
            "created_at": door.created_at,
            "last_seen": door.last_seen,
            "expires_at": door.expires_at,
            "identity": values(&identity),
            "contact": values(&person.contact),
            "network": self.network,
            "device": self.device,
            "custom": values(&person.custom),
            "consent": person.consent.as_ref().map(Known::json),
            "verified": person.verified(),
            "restriction": rules.restricted,
            "objection": rules.objected,
            "hold": rules.held,
            "counts": {
                "conversations": door.counts.conversations,
                "messages": door.counts.messages,
                "attachments": door.counts.attachments,
                "interactions": door.counts.interactions,
            },
        });
        if !person.withdrawn.is_empty() {
            profile["consent_withdrawn"] = person.withdrawn.iter().map(Withdrawal::json).collect();
        }
        profile
    }
}
