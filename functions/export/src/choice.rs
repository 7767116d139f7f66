//! Which of a life's data an export contains, by the right that it serves, and what it leaves
//! out and why. Derived from the catalog; knows nothing of files.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};
use shared::crypto::HashKey;
use shared::domain::export::Kind;
use shared::domain::keyring::Living;
use shared::domain::people::profile::Profile;
use shared::domain::records::content::{Author, Fields, FileState};
use shared::domain::records::rows::Record;
use shared::schema::catalog::{self, FIELDS};

/// What holds records together. It is no field of the catalog, but without it what the
/// person gave would be no structured format (GDPR Art. 20(1)).
const STRUCTURE: &[&str] = &[
    "type",
    "message",
    "attachment",
    "conversation_id",
    "attachments",
    "at",
    "size",
    "sha256",
    "file",
];

/// The parts of a profile that portability includes: what the person gave, and when it was
/// stored.
const PORTABLE: &[&str] = &[
    "subject",
    "created_at",
    "last_seen",
    "expires_at",
    "identity",
    "contact",
    "custom",
];

const NOT_GIVEN: &str = "not provided by the person (GDPR Art. 20(1))";

pub struct Choice {
    pub kind: Kind,
    /// Whether agents are named.
    pub agents: bool,
    /// Files that agents sent.
    agents_files: HashSet<String>,
    left_out: BTreeMap<(String, &'static str), u64>,
}

impl Choice {
    pub fn new(kind: Kind, agents: bool) -> Choice {
        let mut choice = Choice {
            kind,
            agents,
            agents_files: HashSet::new(),
            left_out: BTreeMap::new(),
        };
        if kind == Kind::Portability {
            for category in catalog::Category::ALL {
                if FIELDS
                    .iter()
                    .all(|field| field.category != category || !field.given)
                {
                    choice.leave_out(category.name(), NOT_GIVEN);
                }
            }
        }
        choice
    }

    /// Whether the export has a file for records of this type.
    pub fn takes(&self, record: catalog::Record) -> bool {
        self.kind == Kind::Access
            || FIELDS
                .iter()
                .any(|field| field.record == record && field.given)
    }

    /// Whether records of this type include the field of this name.
    pub fn shows(&self, record: catalog::Record, name: &str) -> bool {
        match self.kind {
            Kind::Access => self.agents || name != "member",
            Kind::Portability => {
                STRUCTURE.contains(&name)
                    || catalog::field(record, name).is_some_and(|field| field.given)
            }
        }
    }

    /// A profile, reduced to what this right covers.
    pub fn profile(&self, mut profile: Profile) -> Profile {
        let person = &mut profile.person;
        for fields in [
            &mut person.identity,
            &mut person.contact,
            &mut person.custom,
        ] {
            *fields = self.fields(fields);
        }
        if self.kind == Kind::Portability {
            profile.network.clear();
            profile.device.clear();
            profile.person.consent = None;
            profile.person.withdrawn.clear();
        }
        profile
    }

    /// The profile as JSON, reduced to what this right covers.
    pub fn subject(&self, profile: &Profile, living: &Living) -> Value {
        let mut subject = json!(profile.view(living));
        if let (Kind::Portability, Some(fields)) = (self.kind, subject.as_object_mut()) {
            fields.retain(|name, _| PORTABLE.contains(&name.as_str()));
        }
        subject
    }

    /// A person's fields of one category. The tenant chose the names of custom values.
    fn fields(&self, fields: &Fields) -> Fields {
        let shown = |name: &str| {
            self.kind == Kind::Access
                || catalog::field(catalog::Record::Person, name).is_none_or(|field| field.given)
        };
        fields
            .iter()
            .filter(|(name, _)| shown(name.as_str()))
            .map(|(name, known)| (name.clone(), known.clone()))
            .collect()
    }

    /// A record in its exported form, or `None` if it is not exported.
    pub fn pick(&mut self, record: &Record, hash: &HashKey) -> Option<Map<String, Value>> {
        if self.kind == Kind::Portability && self.by_an_agent(record) {
            let what = if matches!(record, Record::Message(_)) {
                "agents' messages"
            } else {
                "agents' files"
            };
            self.leave_out(what, NOT_GIVEN);
            return None;
        }
        match record {
            Record::Message(message) if message.redacted => self.leave_out("messages", "redacted"),
            Record::Message(message) if message.content.member.is_some() && !self.agents => {
                self.leave_out("agents' names", "withheld unless requested");
            }
            Record::Attachment(file) => {
                let why = match file.state {
                    FileState::Clean => None,
                    FileState::AwaitingUpload => Some("not uploaded or not yet scanned"),
                    FileState::Rejected => Some("rejected by the scan for malware and false types"),
                    FileState::Redacted => Some("redacted"),
                };
                if let Some(why) = why {
                    self.leave_out(file.id.to_string(), why);
                }
            }
            _ => {}
        }
        let Value::Object(json) = json!(record.view(hash)) else {
            return None;
        };
        let of = type_of(record);
        Some(
            json.into_iter()
                .filter(|(name, _)| self.shows(of, name))
                .collect(),
        )
    }

    fn by_an_agent(&mut self, record: &Record) -> bool {
        match record {
            Record::Message(message) if message.author == Author::Agent => {
                // Messages come before files, so each file's author is known by then.
                self.agents_files
                    .extend(message.content.attachments.iter().cloned());
                true
            }
            Record::Attachment(file) => self.agents_files.contains(&file.id.to_string()),
            _ => false,
        }
    }

    pub fn leave_out(&mut self, what: impl Into<String>, why: &'static str) {
        *self.left_out.entry((what.into(), why)).or_default() += 1;
    }

    /// What was left out, how often and why.
    pub fn left_out(&self) -> Vec<Value> {
        let one = |((what, why), count): (&(String, _), _)| json!({"what": what, "count": count, "why": why});
        self.left_out.iter().map(one).collect()
    }
}

/// The catalog's type of a record.
const fn type_of(record: &Record) -> catalog::Record {
    match record {
        Record::Conversation(_) => catalog::Record::Conversation,
        Record::Message(_) => catalog::Record::Message,
        Record::Attachment(_) => catalog::Record::Attachment,
        Record::Interaction(_) => catalog::Record::Interaction,
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::records::content::Known;
    use shared::schema::catalog::Record::{Attachment, Conversation, Interaction, Message};

    use super::*;

    #[test]
    fn portability_holds_what_the_person_gave() {
        let choice = Choice::new(Kind::Portability, true);
        assert!(choice.takes(Conversation) && choice.takes(Message) && choice.takes(Attachment));
        assert!(!choice.takes(Interaction));
        assert!(choice.shows(Message, "body") && choice.shows(Message, "at"));
        for name in ["member", "author", "content_hash"] {
            assert!(!choice.shows(Message, name), "{name}");
        }
        assert!(!choice.shows(Attachment, "verdict"));
        let known = |value: &str| Known {
            value: value.into(),
            verified: true,
        };
        let fields = ["visitor_id", "email", "plan"].map(|name| (name.to_owned(), known("x")));
        let kept = choice.fields(&Fields::from(fields));
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["email", "plan"]);
        let left: Vec<_> = choice
            .left_out()
            .iter()
            .map(|it| it["what"].clone())
            .collect();
        assert_eq!(left, ["device", "network", "usage"]);
    }

    #[test]
    fn access_shows_all_but_agents_names() {
        let choice = Choice::new(Kind::Access, false);
        assert!(choice.shows(Message, "author") && !choice.shows(Message, "member"));
        assert!(Choice::new(Kind::Access, true).shows(Message, "member"));
        assert!(choice.takes(Interaction));
        assert!(choice.left_out().is_empty());
    }
}
