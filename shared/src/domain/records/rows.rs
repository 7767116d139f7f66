//! The rows of a life, opened: person, conversations, messages, attachments, interactions.
//! Owns which attributes are clear and which are sealed.

use jiff::Timestamp;
use uuid::Uuid;

use crate::aws::dynamo::{Item, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{AttachmentId, KeyedHash, MessageId, uuid_at};
use crate::domain::jobs::TURN_KEPT;
use crate::domain::keyring::Living;
use crate::domain::keys::{self, LifeKey, PERSON};
use crate::domain::life::door::LifeWrite;
use crate::domain::records::content::{
    AttachmentContent, Author, Consent, ConversationContent, Fields, FileState, InteractionContent,
    Known, MessageContent, Verdict, Withdrawal,
};

const CONTENT: &str = "content";

fn broken() -> Error {
    Error::Corrupt("a record is not as it was written".into())
}

/// Who a person is.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Counts the changes: the profile's `ETag`.
    pub rev: u64,
    pub consent: Option<Known<Consent>>,
    /// Consents that were withdrawn, the latest last.
    pub withdrawn: Vec<Withdrawal>,
    pub identity: Fields,
    pub contact: Fields,
    pub custom: Fields,
}

impl Person {
    /// # Errors
    /// [`Error::Unavailable`] when the row is not as we wrote it, as everywhere below.
    pub fn read(row: &Item, living: &Living) -> Result<Person> {
        Ok(Person {
            rev: row.count("rev"),
            consent: living.open_json(row, "consent")?,
            withdrawn: living.open_json(row, "withdrawn")?.unwrap_or_default(),
            identity: living.open_json(row, "identity")?.unwrap_or_default(),
            contact: living.open_json(row, "contact")?.unwrap_or_default(),
            custom: living.open_json(row, "custom")?.unwrap_or_default(),
        })
    }

    /// Whether a consent on record covers what is said: by a page, or by the server.
    pub fn covered(&self, page: bool) -> bool {
        let consent = self.consent.as_ref();
        consent.is_some_and(|consent| consent.covers(page))
    }

    /// Whether something that is known here is not known, or otherwise, after a change.
    pub fn loses(&self, after: &Person) -> bool {
        let parts = [
            (&self.identity, &after.identity),
            (&self.contact, &after.contact),
            (&self.custom, &after.custom),
        ];
        parts.into_iter().any(|(before, after)| {
            let kept = |(name, known): (_, &Known)| {
                let left = after.get(name);
                left.is_some_and(|left| left.value == known.value)
            };
            !before.iter().all(kept)
        })
    }

    /// Whether there is something that can be found by, and all of it is vouched for.
    pub fn verified(&self) -> bool {
        let mut found_by = self
            .identity
            .iter()
            .chain(&self.contact)
            .filter(|(name, _)| *name != "visitor_id")
            .peekable();
        found_by.peek().is_some() && found_by.all(|(_, known)| known.verified)
    }

    pub fn item(&self, living: &Living) -> Item {
        let part = |name, fields: &Fields| {
            (!fields.is_empty()).then(|| living.seal_json(PERSON, name, fields))
        };
        Item::new(&living.key.partition(), PERSON)
            .with("key", living.generation)
            .with("rev", self.rev)
            .with("verified", self.verified())
            .with_some(
                "consent",
                self.consent
                    .as_ref()
                    .map(|it| living.seal_json(PERSON, "consent", it)),
            )
            .with_some(
                "withdrawn",
                (!self.withdrawn.is_empty())
                    .then(|| living.seal_json(PERSON, "withdrawn", &self.withdrawn)),
            )
            .with_some("identity", part("identity", &self.identity))
            .with_some("contact", part("contact", &self.contact))
            .with_some("custom", part("custom", &self.custom))
    }

    /// Stores the row, whatever was there. For a life that begins, or is repaired.
    pub fn put(&self, living: &Living) -> Write {
        Write::put(self.item(living))
    }

    /// Replaces the row, if nobody has changed it since it was read at `rev`.
    pub fn replace(&self, living: &Living, rev: u64) -> LifeWrite {
        self.put(living).if_is("rev", rev).into()
    }
}

/// A conversation: its name and title, and how many messages it has.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub hash: KeyedHash,
    pub at: Timestamp,
    pub messages: u64,
    pub content: ConversationContent,
}

impl Conversation {
    /// # Errors
    /// As [`Person::read`].
    pub fn read(row: &Item, living: &Living) -> Result<Conversation> {
        let hash = row
            .sort()
            .strip_prefix("conversation#")
            .and_then(hash)
            .ok_or_else(broken)?;
        Ok(Conversation {
            hash,
            at: row.time("at")?,
            messages: row.count("messages"),
            content: living.open_json(row, CONTENT)?.ok_or_else(broken)?,
        })
    }

    pub fn item(&self, living: &Living) -> Item {
        let sort = keys::conversation(self.hash);
        Item::new(&living.key.partition(), &sort)
            .with("key", living.generation)
            .with("at", self.at)
            .with("messages", self.messages)
            .with(CONTENT, living.seal_json(&sort, CONTENT, &self.content))
    }

    /// Stores the row, which must not be there yet.
    pub fn add(&self, living: &Living) -> LifeWrite {
        Write::put(self.item(living)).only_new().into()
    }

    /// Adds messages to one that exists, and gives it a title if there is a new one.
    pub fn grow(
        living: &Living,
        hash: KeyedHash,
        messages: u64,
        content: Option<&ConversationContent>,
    ) -> LifeWrite {
        let sort = keys::conversation(hash);
        let write = Write::update(&living.key.partition(), &sort)
            .add("messages", messages)
            .if_there();
        let write = match content {
            None => write,
            Some(content) => write
                .set("key", living.generation)
                .set(CONTENT, living.seal_json(&sort, CONTENT, content)),
        };
        write.into()
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    pub author: Author,
    pub at: Timestamp,
    /// Counts the changes, so that two redactions never overwrite one another.
    pub rev: u64,
    pub redacted: bool,
    pub content: MessageContent,
}

impl Message {
    /// # Errors
    /// As [`Person::read`].
    pub fn read(row: &Item, living: &Living) -> Result<Message> {
        Ok(Message {
            id: keys::parse_message(row.sort()).ok_or_else(broken)?,
            author: Author::parse(row.text("author")?).ok_or_else(broken)?,
            at: row.time("at")?,
            rev: row.count("rev"),
            redacted: row.flag("redacted"),
            content: living.open_json(row, CONTENT)?.ok_or_else(broken)?,
        })
    }

    pub fn item(&self, living: &Living) -> Item {
        let sort = keys::message(self.id);
        Item::new(&living.key.partition(), &sort)
            .with("key", living.generation)
            .with("author", self.author.name())
            .with("at", self.at)
            .with("rev", self.rev)
            .with("redacted", self.redacted)
            .with(CONTENT, living.seal_json(&sort, CONTENT, &self.content))
    }

    /// Stores the row, which must not be there yet.
    pub fn add(&self, living: &Living) -> LifeWrite {
        Write::put(self.item(living)).only_new().into()
    }

    /// Replaces the row, if nobody has changed it since it was read at `rev`.
    pub fn replace(&self, living: &Living, rev: u64) -> LifeWrite {
        Write::put(self.item(living)).if_is("rev", rev).into()
    }
}

/// One file.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub id: AttachmentId,
    pub state: FileState,
    pub size: u64,
    pub at: Timestamp,
    /// The one stored version that the verdict is about.
    pub version: Option<String>,
    pub verdict: Option<Verdict>,
    /// The conversation it belongs to, so that a redaction finds it.
    pub conversation: Option<KeyedHash>,
    /// Gone once the attachment is redacted.
    pub content: Option<AttachmentContent>,
    /// It is redacted, but its file may still be there.
    pub purging: bool,
}

impl Attachment {
    /// # Errors
    /// As [`Person::read`].
    pub fn read(row: &Item, living: &Living) -> Result<Attachment> {
        let verdict = row
            .try_text("verdict")
            .map(serde_json::from_str)
            .transpose();
        Ok(Attachment {
            id: keys::parse_attachment(row.sort()).ok_or_else(broken)?,
            state: FileState::parse(row.text("state")?).ok_or_else(broken)?,
            size: row.count("size"),
            at: row.time("at")?,
            version: row.try_text("version").map(str::to_owned),
            verdict: verdict.map_err(|_| broken())?,
            conversation: row.try_text("conversation").and_then(hash),
            content: living.open_json(row, CONTENT)?,
            purging: row.flag("purging"),
        })
    }

    pub fn item(&self, living: &Living) -> Item {
        let sort = keys::attachment(self.id);
        let verdict = self.verdict.as_ref();
        let verdict = verdict.map(|it| serde_json::to_string(it).expect("a verdict is plain data"));
        let content = self
            .content
            .as_ref()
            .map(|it| living.seal_json(&sort, CONTENT, it));
        Item::new(&living.key.partition(), &sort)
            .with("key", living.generation)
            .with("state", self.state.name())
            .with("size", self.size)
            .with("at", self.at)
            .with_some("version", self.version.clone())
            .with_some("verdict", verdict)
            .with_some(
                "conversation",
                self.conversation.map(|hash| hash.to_string()),
            )
            .with_some(CONTENT, content)
            .with_some("purging", self.purging.then_some(true))
    }

    /// Stores the row, which must not be there yet.
    pub fn add(&self, living: &Living) -> LifeWrite {
        Write::put(self.item(living)).only_new().into()
    }

    /// Replaces the row, if it is still in the state in which it was read.
    pub fn replace(&self, living: &Living, state: FileState) -> LifeWrite {
        let write = Write::put(self.item(living)).only_if("#state = :state");
        let write = write.name("#state", "state").value(":state", state.name());
        write.into()
    }

    /// Notes that a redacted file is gone.
    pub fn purged(life: &LifeKey, id: AttachmentId) -> Write {
        Write::update(&life.partition(), &keys::attachment(id))
            .remove(&["purging"])
            .if_there()
    }
}

/// Calls the worker to delete what is left of a life's redacted files.
pub fn purge_write(life: &LifeKey, now: Timestamp) -> LifeWrite {
    let sort = keys::purge(uuid_at(now));
    let row = Item::new(&life.partition(), &sort).with("expires_at", (now + TURN_KEPT).as_second());
    Write::put(row).into()
}

/// How often a help item was loaded, viewed and clicked.
#[derive(Clone, Debug)]
pub struct Interaction {
    pub hash: KeyedHash,
    pub loaded: u64,
    pub viewed: u64,
    pub clicked: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub content: InteractionContent,
}

impl Interaction {
    /// # Errors
    /// As [`Person::read`].
    pub fn read(row: &Item, living: &Living) -> Result<Interaction> {
        Ok(Interaction {
            hash: row
                .sort()
                .strip_prefix("interaction#")
                .and_then(hash)
                .ok_or_else(broken)?,
            loaded: row.count("loaded"),
            viewed: row.count("viewed"),
            clicked: row.count("clicked"),
            first_at: row.time("first_at")?,
            last_at: row.time("last_at")?,
            content: living.open_json(row, CONTENT)?.ok_or_else(broken)?,
        })
    }

    pub fn item(&self, living: &Living) -> Item {
        let sort = keys::interaction(self.hash);
        Item::new(&living.key.partition(), &sort)
            .with("key", living.generation)
            .with("loaded", self.loaded)
            .with("viewed", self.viewed)
            .with("clicked", self.clicked)
            .with("first_at", self.first_at)
            .with("last_at", self.last_at)
            .with(CONTENT, living.seal_json(&sort, CONTENT, &self.content))
    }

    /// Stores the row, which must not be there yet.
    pub fn add(&self, living: &Living) -> LifeWrite {
        Write::put(self.item(living)).only_new().into()
    }

    /// Adds these counts to the row as it was read.
    pub fn grow(&self, living: &Living, old: &Interaction) -> LifeWrite {
        let sort = keys::interaction(old.hash);
        Write::update(&living.key.partition(), &sort)
            .set("first_at", self.first_at.min(old.first_at))
            .set("last_at", self.last_at.max(old.last_at))
            .add("loaded", self.loaded)
            .add("viewed", self.viewed)
            .add("clicked", self.clicked)
            .if_is("first_at", old.first_at)
            .if_is("last_at", old.last_at)
            .into()
    }
}

/// Any record of a life, by its row.
#[derive(Clone, Debug)]
pub enum Record {
    Conversation(Conversation),
    Message(Message),
    Attachment(Attachment),
    Interaction(Interaction),
}

impl Record {
    /// The sort-key prefixes of records, in the order in which they are listed.
    pub const TYPES: [(&'static str, &'static str); 4] = [
        ("conversation", "conversation#"),
        ("message", "message#"),
        ("attachment", "attachment#"),
        ("interaction", "interaction#"),
    ];

    /// The record in a row; `None` for the life's other rows.
    ///
    /// # Errors
    /// As [`Person::read`].
    pub fn read(row: &Item, living: &Living) -> Result<Option<Record>> {
        Ok(Some(match row.sort().split('#').next() {
            Some("conversation") => Record::Conversation(Conversation::read(row, living)?),
            Some("message") => Record::Message(Message::read(row, living)?),
            Some("attachment") => Record::Attachment(Attachment::read(row, living)?),
            Some("interaction") => Record::Interaction(Interaction::read(row, living)?),
            _ => return Ok(None),
        }))
    }

    /// When it happened, for `since` and `until`.
    pub fn at(&self) -> Timestamp {
        match self {
            Record::Conversation(it) => it.at,
            Record::Message(it) => it.at,
            Record::Attachment(it) => it.at,
            Record::Interaction(it) => it.last_at,
        }
    }
}

/// Seals a row anew under the life's current key, if it is still sealed under the one that
/// it was read with. What is written to it meanwhile is sealed under the current key, and
/// says so: with the same `key`, its parts are the same.
///
/// Its parts are its bytes: a life's rows hold no others, so there is no list of them that
/// could fall behind. Bytes that were not sealed would not open, and nothing would go on.
///
/// # Errors
/// [`Error::Unreadable`] when a part does not open.
pub fn reseal(row: &Item, living: &Living) -> Result<Write> {
    let write = Write::update(row.partition(), row.sort())
        .set("key", living.generation)
        .if_is("key", row.count("key"));
    row.sealed_parts().try_fold(write, |write, (part, sealed)| {
        Ok(write.set(part, living.reseal(row.sort(), part, &sealed)?))
    })
}

fn hash(text: &str) -> Option<KeyedHash> {
    Uuid::try_parse(text)
        .ok()
        .map(|uuid| KeyedHash(uuid.into_bytes()))
}
