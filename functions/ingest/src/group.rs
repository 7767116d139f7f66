//! Stores one person's events, slice by slice, through the door of their life or as its
//! beginning. A concurrent change fails the transaction, which is then drafted again.

use std::collections::HashSet;

use jiff::Timestamp;
use shared::base::error::{Error, Result};
use shared::base::id::SubjectId;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::keyring::{Entry, Living, State};
use shared::domain::life::door::{Beginning, Counts, LifeWrite, Shut, expires_at};
use shared::domain::tenant::settings::{ConsentRequired, Settings};
use shared::http::Call;

use crate::done::Slice;
use crate::draft::{Context, Existing, Fate, Incoming, draft};
use crate::event::What;

/// The most rows for the events of one transaction: DynamoDB allows 100, and a new life or an
/// idempotent request needs some of its own.
const SLICE_ROWS: usize = 80;
/// Rows that an identification may need: the person, and for each of the three searchable
/// values its lookup and reverse row, both new and old.
const IDENTIFY_ROWS: usize = 13;
/// Bytes of text in one transaction: sealed, they stay below DynamoDB's 4 MB.
const SLICE_BYTES: usize = 2_500_000;

/// Stores one person's events, slice by slice.
pub async fn store(
    context: &Context<'_>,
    subject: SubjectId,
    mut entry: Option<Entry>,
    mut incoming: Vec<Incoming<'_>>,
) -> Result<Vec<Fate>> {
    let mut fates = Vec::new();
    let mut slice = Slice { subject, number: 0 };
    while !incoming.is_empty() {
        let rest = incoming.split_off(together(&incoming));
        if slice.number > 0 && entry.is_none() {
            // The previous slice began their life: this one passes its door.
            entry = context.app.keyring.entry(context.tenant, subject).await?;
        }
        fates.extend(store_slice(context, slice, &mut entry, &mut incoming).await?);
        slice.number += 1;
        incoming = rest;
    }
    Ok(fates)
}

/// How many of these events fit into one transaction. Visits only change the door.
fn together(incoming: &[Incoming<'_>]) -> usize {
    let (mut rows, mut bytes) = (0, 0);
    let mut touched = HashSet::new();
    let fits = incoming.iter().take_while(|incoming| {
        rows += match &incoming.event.what {
            What::Visit { .. } => 0,
            What::Identify(_) => IDENTIFY_ROWS * usize::from(touched.insert(("person", "", ""))),
            What::Message(message) => {
                bytes += message.body.len();
                1 + usize::from(touched.insert(("conversation", &message.conversation_id, "")))
            }
            What::Interaction { item_id, scope, .. } => {
                let scope = scope.as_deref().unwrap_or_default();
                usize::from(touched.insert(("item", item_id, scope)))
            }
            What::Session { .. } => 2,
        };
        rows <= SLICE_ROWS && bytes <= SLICE_BYTES
    });
    fits.count().max(1)
}

/// Stores one slice, through the door or as the beginning of a life. A concurrent change fails
/// the transaction, which is then drafted again.
async fn store_slice(
    context: &Context<'_>,
    slice: Slice,
    entry: &mut Option<Entry>,
    incoming: &mut [Incoming<'_>],
) -> Result<Vec<Fate>> {
    let subject = slice.subject;
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        if !tries.first() {
            // The conflicting rows may be those that an earlier attempt has stored.
            if let Some(fates) = context.done.find(context.app, slice, incoming).await? {
                return Ok(fates);
            }
        }
        if let Some(known) = entry.as_ref() {
            if known.state != State::Active && known.rules.suppressed {
                return Ok(vec![Fate::Ignored("suppressed"); incoming.len()]);
            }
            if known.state == State::Erasing && !known.expired {
                return Ok(vec![Fate::Ignored("erasing"); incoming.len()]);
            }
            if known
                .erased_at
                .is_some_and(|at| incoming.iter().any(|it| it.event.at <= at))
            {
                return store_later(context, slice, entry, incoming, known.erased_at).await;
            }
        }
        if let Some(known) = entry.as_ref().filter(|it| it.state == State::Active) {
            match pass(context, slice, known, incoming).await? {
                Passed::Stored(fates) => return Ok(fates),
                Passed::Again => {
                    *entry = context.app.keyring.entry(context.tenant, subject).await?;
                    continue;
                }
                // Suppression applies from the expiry, even if nothing has processed the
                // expiry yet.
                Passed::Over if known.rules.suppressed => {
                    return Ok(vec![Fate::Ignored("suppressed"); incoming.len()]);
                }
                Passed::Over => {}
            }
        }
        let begun = begin(context, slice, entry.as_ref(), incoming).await?;
        if let Some(fates) = begun {
            // The entry is outdated: the next slice, if there is one, reads it again.
            *entry = None;
            return Ok(fates);
        }
        *entry = context.app.keyring.entry(context.tenant, subject).await?;
    }
}

/// Ignores events from before an erasure and stores the others.
async fn store_later(
    context: &Context<'_>,
    slice: Slice,
    entry: &mut Option<Entry>,
    incoming: &mut [Incoming<'_>],
    erased_at: Option<Timestamp>,
) -> Result<Vec<Fate>> {
    let mut later: Vec<_> = incoming
        .iter()
        .filter(|it| Some(it.event.at) > erased_at)
        .map(|it| Incoming { ..*it })
        .collect();
    let mut stored = if later.is_empty() {
        Vec::new()
    } else {
        Box::pin(store_slice(context, slice, entry, &mut later)).await?
    }
    .into_iter();
    let fate = |it: &Incoming<'_>| {
        if Some(it.event.at) > erased_at {
            stored.next()
        } else {
            Some(Fate::Ignored("erased"))
        }
    };
    Ok(incoming.iter().filter_map(fate).collect())
}

enum Passed {
    Stored(Vec<Fate>),
    /// Something has changed: read again.
    Again,
    /// The life has expired.
    Over,
}

/// Stores a slice through the door of an existing life.
async fn pass(
    context: &Context<'_>,
    slice: Slice,
    entry: &Entry,
    incoming: &mut [Incoming<'_>],
) -> Result<Passed> {
    let Some(living) = context.app.keyring.open(entry).await? else {
        return Ok(Passed::Again);
    };
    let existing = match Existing::read(context, &living, incoming).await {
        // Re-keyed since its key was read.
        Err(Error::Unreadable) => return Ok(Passed::Again),
        existing => existing?,
    };
    let mut draft = draft(context, &living, existing, incoming);
    // A visit alone stays one update of the door, which is idempotent.
    if !draft.writes.is_empty() {
        let done = context.done.write(slice, &draft.fates);
        draft.writes.extend(done.map(|write| (write.into(), None)));
    }
    // At most two attempts: a later visit that the door has seen is kept.
    for _ in 0..2 {
        let writes = draft
            .writes
            .iter()
            .map(|(write, _)| write.clone())
            .collect();
        let store = &context.app.store;
        match store
            .through_door(&living, &draft.passing, writes, context.now)
            .await?
        {
            Ok(()) => return Ok(Passed::Stored(draft.fates)),
            Err(Shut::Over) => return Ok(Passed::Over),
            Err(Shut::Rules) => return Ok(Passed::Again),
            Err(Shut::Later(door)) => draft.passing.give_way(&door, living.rules),
            Err(Shut::Row { place, .. }) => {
                if let Some(event) = draft.writes[place].1 {
                    incoming[event].duplicate = true;
                }
                return Ok(Passed::Again);
            }
        }
    }
    Ok(Passed::Again)
}

/// Begins a life with a slice of events. `None` when another request was first.
async fn begin(
    context: &Context<'_>,
    slice: Slice,
    follows: Option<&Entry>,
    incoming: &[Incoming<'_>],
) -> Result<Option<Vec<Fate>>> {
    let (living, wrapped): (Living, _) = context
        .app
        .keyring
        .new_life(context.tenant, slice.subject, follows)
        .await?;
    let Some(first) = incoming.first() else {
        return Ok(Some(Vec::new()));
    };
    let existing = Existing::nothing(&first.event.visitor_id);
    let draft = draft(context, &living, existing, incoming);
    let stored = |fate: &Fate| matches!(fate, Fate::Stored(_) | Fate::StoredWithout(_));
    if !draft.fates.iter().any(stored) {
        // None of it may be stored, so no life begins.
        return Ok(Some(draft.fates));
    }
    let latest = incoming.iter().map(|it| it.event.at).max();
    let latest = latest.unwrap_or(context.now);
    let (seen, expires) = draft
        .passing
        .seen
        .unwrap_or((latest, expires_at(latest, context.settings.retention_days)));
    let done = context.done.write(slice, &draft.fates);
    let writes = draft.writes.into_iter().map(|(write, _)| write);
    let beginning = Beginning {
        living: &living,
        wrapped,
        follows,
        seen,
        expires,
        visit: draft.passing.visit,
        person: draft.person.put(&living),
        added: draft.passing.added,
        writes: writes.chain(done.map(LifeWrite::from)).collect(),
    };
    let begun = context.app.store.begin(beginning, context.now).await?;
    Ok(begun.then_some(draft.fates))
}
/// Begins the life of a person of whom only the visitor id is known.
///
/// # Errors
/// [`Error::Conflict`] while an earlier life is being erased, for a suppressed person, and
/// where nothing is stored without consent.
pub async fn start_life(
    app: &App,
    call: &Call,
    settings: &Settings,
    subject: SubjectId,
    visitor_id: &str,
) -> Result<()> {
    let (tenant, now) = (call.tenant(), app.clock.now());
    let entry = app.keyring.entry(tenant, subject).await?;
    if let Some((code, detail)) = entry.as_ref().and_then(turned_away) {
        return Err(Error::Conflict { code, detail });
    }
    if settings.consent_required == ConsentRequired::All {
        return Err(no_consent());
    }
    let follows = entry.as_ref();
    let (living, wrapped) = app.keyring.new_life(tenant, subject, follows).await?;
    let mut person = Existing::nothing(visitor_id).person;
    person.rev = 1;
    let beginning = Beginning {
        living: &living,
        wrapped,
        follows,
        seen: now,
        expires: expires_at(now, settings.retention_days),
        visit: None,
        person: person.put(&living),
        added: Counts::default(),
        writes: Vec::new(),
    };
    // Refused: another request was first, and the caller reads again.
    let _first = app.store.begin(beginning, now).await?;
    Ok(())
}

/// The error for a person who has not consented.
pub const fn no_consent() -> Error {
    Error::Conflict {
        code: "no_consent",
        detail: "No consent is on record for this person.",
    }
}

/// Why no life may begin for a person without one: a code and its explanation.
fn turned_away(entry: &Entry) -> Option<(&'static str, &'static str)> {
    if entry.rules.suppressed {
        return Some((
            "suppressed",
            "This person is suppressed. No data is stored about them.",
        ));
    }
    let erasing = entry.state == State::Erasing && !entry.expired;
    erasing.then_some(("erasing", "This person is being erased. Retry later."))
}
