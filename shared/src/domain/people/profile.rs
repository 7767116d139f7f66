//! All that stands once for each person, opened: who they are, their last visit, and what
//! their door says. Owns the form in which it is read, by an answer or an export.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Map;

use crate::aws::dynamo::Item;
use crate::base::error::Result;
use crate::base::id::SubjectId;
use crate::crypto::Sealed;
use crate::domain::keyring::{Living, PersonState};
use crate::domain::keys::DOOR;
use crate::domain::life::door::{Counts, Door};
use crate::domain::records::content::{
    ConsentView, Known, Observed, Withdrawal, WithdrawalView, values,
};
use crate::domain::records::rows::Person;
use crate::schema::catalog::{self, Category, Record};

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

    /// The profile as answers and exports show it.
    pub fn view(&self, living: &Living) -> ProfileView {
        let (door, person) = (&self.door, &self.person);
        let mut identity = values(&person.identity);
        let visitor_id = identity.remove("visitor_id");
        let rules = living.rules;
        ProfileView {
            subject: living.key.subject,
            visitor_id: visitor_id.and_then(|id| id.as_str().map(str::to_owned)),
            state: rules.state(),
            created_at: door.created_at,
            last_seen: door.last_seen,
            expires_at: door.expires_at,
            identity,
            contact: values(&person.contact),
            network: self.network.clone(),
            device: self.device.clone(),
            custom: values(&person.custom),
            consent: person.consent.as_ref().map(Known::view),
            consent_withdrawn: person.withdrawn.iter().map(Withdrawal::view).collect(),
            verified: person.verified(),
            restriction: rules.restricted,
            objection: rules.objected,
            hold: rules.held,
            counts: door.counts,
            related: None,
        }
    }
}

/// A person, as far as they are known.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Person")]
pub struct ProfileView {
    subject: SubjectId,
    visitor_id: Option<String>,
    state: PersonState,
    created_at: Timestamp,
    last_seen: Timestamp,
    /// `null` while expiry is paused.
    expires_at: Option<Timestamp>,
    #[schemars(schema_with = "identity")]
    identity: Observed,
    #[schemars(schema_with = "contact")]
    contact: Observed,
    #[schemars(schema_with = "network")]
    network: Observed,
    #[schemars(schema_with = "device")]
    device: Observed,
    /// The tenant's own values.
    custom: Observed,
    consent: Option<ConsentView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consent_withdrawn: Vec<WithdrawalView>,
    /// Whether the tenant's own server vouches for every value that people are found by.
    verified: bool,
    restriction: bool,
    objection: bool,
    hold: bool,
    counts: Counts,
    /// Up to 20 others with the same user ID, e-mail address or phone number. Absent from
    /// exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Vec<Related>>,
}

/// Somebody who shares a value with a person.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RelatedPerson")]
pub struct Related {
    pub subject: SubjectId,
    /// The kind of value that they share.
    pub via: &'static str,
    pub verified: bool,
}

fn identity(_: &mut SchemaGenerator) -> Schema {
    kept(Record::Person, Category::Identity)
}

fn contact(_: &mut SchemaGenerator) -> Schema {
    kept(Record::Person, Category::Contact)
}

fn network(_: &mut SchemaGenerator) -> Schema {
    kept(Record::Visit, Category::Network)
}

fn device(_: &mut SchemaGenerator) -> Schema {
    kept(Record::Visit, Category::Device)
}

/// The catalog's fields of a category. The visitor ID is shown next to the categories.
fn kept(record: Record, category: Category) -> Schema {
    let fields = catalog::fields(record, category).filter(|row| row.name != "visitor_id");
    let text = json_schema!({"type": "string"});
    let fields = fields.map(|row| (row.name.to_owned(), text.clone().to_value()));
    json_schema!({"type": "object", "properties": Map::from_iter(fields)})
}
