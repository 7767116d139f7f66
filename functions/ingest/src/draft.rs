//! Drafts the writes for one person's events: one change of their door and as few rows as
//! possible. Reads, decides and seals; writes nothing itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;
use shared::base::error::{FieldError, Result};
use shared::base::id::{KeyedHash, MessageId, TenantId};
use shared::crypto::TenantKeys;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::keyring::Living;
use shared::domain::keys::{self, DOOR, PERSON};
use shared::domain::life::door::{Counts, LifeWrite, Passing, Visit, expires_at};
use shared::domain::people::lookups;
use shared::domain::records::content::{
    Author, Consent, ConversationContent, Fields, InteractionContent, Known, MessageContent,
    Observed,
};
use shared::domain::records::rows::{Conversation, Interaction, Message, Person};
use shared::domain::tenant::settings::{ConsentRequired, Settings};

use crate::done::Done;
use crate::event::{Action, Event, Identify, What};
use crate::token::Vouched;

/// The most custom values that a person may have.
pub const CUSTOM_NAMES: usize = 50;

/// The outcome of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Stored(Option<MessageId>),
    /// Stored, except for a field that exceeds the person's limit.
    StoredWithout(FieldError),
    Duplicate(MessageId),
    Ignored(&'static str),
}

/// What the groups of a request share.
pub struct Context<'a> {
    pub app: &'a App,
    pub tenant: TenantId,
    pub keys: &'a TenantKeys,
    pub settings: &'a Settings,
    pub now: Timestamp,
    pub done: &'a Done,
}

/// One of a person's events, before it is stored.
pub struct Incoming<'a> {
    pub event: &'a Event,
    /// Its JSON Pointer in the request's body, for errors.
    pub base: &'a str,
    pub vouched: &'a Vouched,
    /// Generated once, so that every attempt writes the same message.
    pub message: Option<MessageId>,
    /// Another attempt found that this message exists already.
    pub duplicate: bool,
}

/// The life's existing data that these events touch.
#[derive(Default)]
pub struct Existing {
    pub person: Person,
    conversations: HashMap<KeyedHash, ConversationContent>,
    interactions: HashMap<KeyedHash, Interaction>,
}

/// The writes that store a person's events.
pub struct Draft {
    pub passing: Passing,
    pub person: Person,
    /// Each write, and the event whose message it stores.
    pub writes: Vec<(LifeWrite, Option<usize>)>,
    pub fates: Vec<Fate>,
}

impl Existing {
    /// The data of a new life: only the visitor's id.
    pub fn nothing(visitor_id: &str) -> Existing {
        let name = Known {
            value: visitor_id.into(),
            verified: true,
        };
        let identity = Fields::from([("visitor_id".to_owned(), name)]);
        Existing {
            person: Person {
                rev: 0,
                identity,
                ..Person::default()
            },
            ..Existing::default()
        }
    }

    /// Reads what these events touch in one batch; reads nothing for visits alone.
    pub async fn read(
        context: &Context<'_>,
        living: &Living,
        incoming: &[Incoming<'_>],
    ) -> Result<Existing> {
        let hash = &context.keys.hash;
        let mut rows = HashSet::new();
        if context.settings.consent_required == ConsentRequired::All {
            rows.insert(PERSON.to_owned());
        }
        for event in incoming {
            match &event.event.what {
                What::Identify(_) => rows.insert(PERSON.to_owned()),
                What::Message(message) => rows.insert(keys::conversation(
                    hash.conversation(living.key.subject, &message.conversation_id),
                )),
                What::Interaction { item_id, scope, .. } => rows.insert(keys::interaction(
                    hash.interaction(item_id, scope.as_deref().unwrap_or_default()),
                )),
                What::Visit { .. } | What::Session { .. } => false,
            };
        }
        let partition = living.key.partition();
        let wanted: Vec<_> = rows
            .into_iter()
            .map(|row| (partition.clone(), row))
            .collect();
        let mut existing = Existing::default();
        for row in context.app.store.get_many(&wanted).await? {
            if row.sort() == PERSON {
                existing.person = Person::read(&row, living)?;
                // A person lost in a restore gets their visitor id back.
                let named = incoming.first().map(|it| &it.event.visitor_id);
                let identity = &mut existing.person.identity;
                if let (Some(name), false) = (named, identity.contains_key("visitor_id")) {
                    identity.extend(Existing::nothing(name).person.identity);
                }
            } else if row.sort().starts_with("conversation#") {
                let conversation = Conversation::read(&row, living)?;
                existing
                    .conversations
                    .insert(conversation.hash, conversation.content);
            } else {
                let interaction = Interaction::read(&row, living)?;
                existing.interactions.insert(interaction.hash, interaction);
            }
        }
        Ok(existing)
    }
}

/// The error of an event that would exceed the limit of custom values.
pub fn too_many_values(base: &str) -> FieldError {
    let limit = format!("must not bring the person's custom values above {CUSTOM_NAMES}");
    FieldError::new(format!("{base}/custom"), "too_many", limit)
}

/// Builds the draft of one person's events.
struct Builder<'a> {
    context: &'a Context<'a>,
    living: &'a Living,
    existing: Existing,
    person: Person,
    seen: Option<Timestamp>,
    /// Whether the visitor was seen, and not somebody who only gives their name.
    vouched: bool,
    visit: Option<(Timestamp, &'a Observed, &'a Observed)>,
    conversations: BTreeMap<KeyedHash, (u64, Timestamp, ConversationContent)>,
    interactions: BTreeMap<KeyedHash, Interaction>,
    messages: HashSet<MessageId>,
    /// Session events for the activity log: event, actor and time.
    sessions: Vec<(AuditEvent, &'a str, Timestamp)>,
    added: Counts,
    writes: Vec<(LifeWrite, Option<usize>)>,
}

/// Drafts the writes for a life that exists or, without existing data, begins.
pub fn draft(
    context: &Context<'_>,
    living: &Living,
    existing: Existing,
    incoming: &[Incoming<'_>],
) -> Draft {
    let person = existing.person.clone();
    let mut builder = Builder {
        context,
        living,
        existing,
        person,
        seen: None,
        vouched: false,
        visit: None,
        conversations: BTreeMap::new(),
        interactions: BTreeMap::new(),
        messages: HashSet::new(),
        sessions: Vec::new(),
        added: Counts::default(),
        writes: Vec::new(),
    };
    let fates = incoming
        .iter()
        .enumerate()
        .map(|(at, event)| builder.add(at, event))
        .collect();
    builder.finish(fates)
}

impl<'a> Builder<'a> {
    fn add(&mut self, place: usize, incoming: &'a Incoming<'_>) -> Fate {
        let event = incoming.event;
        if self.objects_to(&event.what) {
            return Fate::Ignored("objected");
        }
        if self.wants_consent(&event.what) && !self.consented(incoming) {
            return Fate::Ignored("no_consent");
        }
        match &event.what {
            What::Visit { network, device } => {
                self.saw(incoming);
                if self.visit.is_none_or(|(at, ..)| at <= event.at) {
                    self.visit = Some((event.at, network, device));
                }
                Fate::Stored(None)
            }
            What::Identify(identify) => self.identify(incoming, identify),
            What::Message(message) => self.message(place, incoming, message),
            What::Interaction {
                item_id,
                scope,
                action,
            } => {
                self.saw(incoming);
                self.interaction(event.at, item_id, scope.as_deref(), *action)
            }
            What::Session { member, started } => {
                let session = if *started {
                    AuditEvent::SessionStarted
                } else {
                    AuditEvent::SessionEnded
                };
                self.sessions.push((session, member, event.at));
                Fate::Stored(None)
            }
        }
    }

    /// Only the person postpones expiry.
    fn saw(&mut self, incoming: &Incoming<'_>) {
        self.seen = self.seen.max(Some(incoming.event.at));
        self.vouched |= incoming.vouched.visitor();
    }

    /// An objection (GDPR Art. 21) applies to being observed, not to being answered.
    fn objects_to(&self, what: &What) -> bool {
        self.living.rules.objected && matches!(what, What::Visit { .. } | What::Interaction { .. })
    }

    fn wants_consent(&self, what: &What) -> bool {
        match self.context.settings.consent_required {
            ConsentRequired::None => false,
            ConsentRequired::Identity => matches!(what, What::Identify(_)),
            ConsentRequired::All => true,
        }
    }

    fn consented(&self, incoming: &Incoming<'_>) -> bool {
        let (page, given) = (incoming.vouched.page(), self.given(incoming));
        self.person.covered(page) || given.is_some_and(|consent| consent.covers(page))
    }

    /// The consent that an event gives. A consent that is not vouched for does not override a
    /// vouched withdrawal.
    fn given(&self, incoming: &Incoming<'_>) -> Option<Known<Consent>> {
        let What::Identify(Identify { consent, .. }) = &incoming.event.what else {
            return None;
        };
        let verified = !incoming.vouched.page();
        let latest = self.person.withdrawn.last();
        let withdrawn = latest.is_some_and(|it| it.consent.verified && !verified);
        let consent = consent.clone().filter(|_| !withdrawn);
        consent.map(|value| Known { value, verified })
    }

    fn identify(&mut self, incoming: &Incoming<'_>, identify: &Identify) -> Fate {
        let (given, vouched) = (self.given(incoming), incoming.vouched);
        let mut merge = Merge {
            held: self.living.rules.held,
            ..Merge::default()
        };
        let mut custom = self.person.custom.clone();
        merge.fields(&mut custom, &identify.custom, |_, _| !vouched.page());
        let crowded = custom.len() > CUSTOM_NAMES;
        if !crowded {
            self.person.custom = custom;
        }
        let person = &mut self.person;
        for (known, said) in [
            (&mut person.identity, &identify.identity),
            (&mut person.contact, &identify.contact),
        ] {
            merge.fields(known, said, |name, value| vouched.value(name, value));
        }
        if let Some(given) = given {
            merge.consent(&mut person.consent, given);
        }
        if merge.withheld && !merge.changed {
            return Fate::Ignored("held");
        }
        if crowded {
            return Fate::StoredWithout(too_many_values(incoming.base));
        }
        Fate::Stored(None)
    }

    fn message(
        &mut self,
        place: usize,
        incoming: &Incoming<'_>,
        message: &crate::event::Message,
    ) -> Fate {
        let Some(id) = incoming.message else {
            return Fate::Ignored("unknown");
        };
        if incoming.duplicate || !self.messages.insert(id) {
            return Fate::Duplicate(id);
        }
        let at = incoming.event.at;
        if message.author == Author::EndUser {
            self.saw(incoming);
        }
        let held = self.living.rules.held;
        let existing = self.existing.conversations.get(&id.conversation);
        let titled = existing.is_some_and(|content| content.title.is_some());
        let (count, first, content) =
            self.conversations
                .entry(id.conversation)
                .or_insert_with(|| {
                    let conversation_id = message.conversation_id.clone();
                    (
                        0,
                        at,
                        ConversationContent {
                            conversation_id,
                            title: None,
                        },
                    )
                });
        *count += 1;
        *first = at.min(*first);
        // A hold preserves the existing title.
        if message.title.is_some() && !(held && (titled || content.title.is_some())) {
            content.title.clone_from(&message.title);
        }
        let row = Message {
            id,
            author: message.author,
            at,
            rev: 1,
            redacted: false,
            content: MessageContent {
                conversation_id: message.conversation_id.clone(),
                body: Some(message.body.clone()),
                attachments: message.attachments.clone(),
                member: message.member.clone(),
            },
        };
        self.added.messages += 1;
        self.writes.push((row.add(self.living), Some(place)));
        Fate::Stored(Some(id))
    }

    fn interaction(
        &mut self,
        at: Timestamp,
        item_id: &str,
        scope: Option<&str>,
        action: Action,
    ) -> Fate {
        let hash = self
            .context
            .keys
            .hash
            .interaction(item_id, scope.unwrap_or_default());
        if self.living.rules.held && self.existing.interactions.contains_key(&hash) {
            // It would change counts and times that the hold preserves.
            return Fate::Ignored("held");
        }
        let row = self
            .interactions
            .entry(hash)
            .or_insert_with(|| Interaction {
                hash,
                loaded: 0,
                viewed: 0,
                clicked: 0,
                first_at: at,
                last_at: at,
                content: InteractionContent {
                    item_id: item_id.to_owned(),
                    scope: scope.map(str::to_owned),
                },
            });
        row.first_at = row.first_at.min(at);
        row.last_at = row.last_at.max(at);
        match action {
            Action::Loaded => row.loaded += 1,
            Action::Viewed => row.viewed += 1,
            Action::Clicked => row.clicked += 1,
        }
        Fate::Stored(None)
    }

    fn finish(mut self, fates: Vec<Fate>) -> Draft {
        self.write_conversations();
        self.write_interactions();
        self.write_person();
        self.write_sessions();
        let days = self.context.settings.retention_days;
        let visit = self.visit.map(|(at, network, device)| {
            let seal = |part, fields: &Observed| {
                (!fields.is_empty()).then(|| self.living.seal_json(DOOR, part, fields))
            };
            Visit {
                at,
                network: seal("network", network),
                device: seal("device", device),
            }
        });
        let passing = Passing {
            seen: self.seen.map(|at| (at, expires_at(at, days))),
            vouched: self.vouched,
            visit,
            added: self.added,
            ..Passing::default()
        };
        Draft {
            passing,
            person: self.person,
            writes: self.writes,
            fates,
        }
    }

    fn write_conversations(&mut self) {
        for (hash, (messages, at, content)) in std::mem::take(&mut self.conversations) {
            let write = if self.existing.conversations.contains_key(&hash) {
                let titled = content.title.is_some().then_some(&content);
                Conversation::grow(self.living, hash, messages, titled)
            } else {
                self.added.conversations += 1;
                let row = Conversation {
                    hash,
                    at,
                    messages,
                    content,
                };
                row.add(self.living)
            };
            self.writes.push((write, None));
        }
    }

    fn write_interactions(&mut self) {
        for (hash, row) in std::mem::take(&mut self.interactions) {
            let write = match self.existing.interactions.get(&hash) {
                Some(old) => row.grow(self.living, old),
                None => {
                    self.added.interactions += 1;
                    row.add(self.living)
                }
            };
            self.writes.push((write, None));
        }
    }

    fn write_sessions(&mut self) {
        let about = [self.living.key.life.to_string()];
        let entry = |&(event, by, happened_at)| entry::Entry {
            tenant: self.context.tenant,
            event,
            by,
            about: &about,
            at: self.context.now,
            happened_at: Some(happened_at),
        };
        let entries: Vec<_> = self.sessions.iter().map(entry).collect();
        let writes = entry::writes(&entries);
        self.writes
            .extend(writes.into_iter().map(|write| (write, None)));
    }

    /// The person's row and its lookups, if they have changed.
    fn write_person(&mut self) {
        let before = &self.existing.person;
        let same = before.identity == self.person.identity
            && before.contact == self.person.contact
            && before.custom == self.person.custom
            && before.consent == self.person.consent;
        if same && before.rev > 0 {
            return;
        }
        self.person.rev = before.rev + 1;
        // A new life writes its own person row.
        if before.rev > 0 {
            self.writes
                .push((self.person.replace(self.living, before.rev), None));
        }
        let hash = &self.context.keys.hash;
        let lookups = lookups::change_writes(hash, &self.living.key, before, &self.person);
        self.writes
            .extend(lookups.into_iter().map(|write| (write, None)));
    }
}

/// How new values merge into known ones. A value that is not vouched for never replaces one
/// that is. `null` removes: corrections may contain it, events never do.
#[derive(Default)]
pub struct Merge {
    /// A hold permits only additions of missing values.
    pub held: bool,
    /// A value was added or changed.
    changed: bool,
    /// A hold has preserved a value.
    withheld: bool,
}

impl Merge {
    pub fn fields(
        &mut self,
        known: &mut Fields,
        said: &Observed,
        vouched: impl Fn(&str, &Value) -> bool,
    ) {
        for (name, value) in said {
            let (old, verified) = (known.get(name), vouched(name, value));
            if old.is_none() && value.is_null() {
                continue;
            }
            if self.passes(old, value, verified) {
                self.changed = true;
                let value = value.clone();
                match value.is_null() {
                    true => known.remove(name),
                    false => known.insert(name.clone(), Known { value, verified }),
                };
            }
        }
    }

    fn consent(&mut self, known: &mut Option<Known<Consent>>, given: Known<Consent>) {
        if self.passes(known.as_ref(), &given.value, given.verified) {
            self.changed = true;
            *known = Some(given);
        }
    }

    /// Whether a new value replaces the known one.
    fn passes<T: PartialEq>(&mut self, old: Option<&Known<T>>, new: &T, verified: bool) -> bool {
        let Some(old) = old else { return true };
        self.withheld |= self.held && old.value != *new;
        !self.held && (verified || !old.verified)
    }
}
