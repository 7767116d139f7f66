//! A few rows of one life, redacted together through its door.
//!
//! A redacted file goes after its row has passed the door: a hold that came before keeps
//! both. The row keeps a mark for as long as the file may still be there, and the same
//! transaction writes a row that the stream hands to the worker, so that the file goes even
//! if whoever was to delete it died in between.

use std::collections::HashMap;

use crate::aws::dynamo::{Item, Write, in_transactions};
use crate::base::error::{Error, Result};
use crate::base::id::{AttachmentId, KeyedHash};
use crate::base::retry::Tries;
use crate::crypto::HashKey;
use crate::domain::app::App;
use crate::domain::audit::entry::{self, AuditEvent};
use crate::domain::keyring::Living;
use crate::domain::keys::{self, LifeKey};
use crate::domain::life::door::{Door, Exports, Passing, Shut};
use crate::domain::life::rekey;
use crate::domain::records::content::FileState;
use crate::domain::records::rows::{Attachment, Conversation, Message, Record, purge_write};
use crate::domain::redaction::{Cause, Passage, Status, What, entry_about};

/// One row to redact: whole, or a passage of it.
pub(super) struct Piece<'a> {
    sort: String,
    passage: Option<&'a Passage>,
}

impl<'a> Piece<'a> {
    pub(super) fn whole(sort: String) -> Piece<'a> {
        Piece {
            sort,
            passage: None,
        }
    }

    /// The row behind a target; `None` for a conversation, which is many.
    pub(super) fn of(what: &'a What) -> Option<Piece<'a>> {
        match what {
            What::Message(message) => Some(Piece::whole(keys::message(*message))),
            What::Attachment(file) => Some(Piece::whole(keys::attachment(*file))),
            What::Spans(passage) => Some(Piece {
                sort: keys::message(passage.message),
                passage: Some(passage),
            }),
            What::Conversation(_) => None,
        }
    }
}

/// Redacts the pieces. What became of each, in their order.
pub(super) async fn redact(
    app: &App,
    life: &LifeKey,
    pieces: &[Piece<'_>],
    cause: &Cause,
) -> Result<Vec<Status>> {
    let partition = life.partition();
    let mut sorts: Vec<_> = pieces.iter().map(|piece| piece.sort.clone()).collect();
    sorts.sort_unstable();
    sorts.dedup();
    let wanted: Vec<_> = sorts
        .into_iter()
        .map(|sort| (partition.clone(), sort))
        .collect();
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let Some((living, door)) = app.life(life).await? else {
            return Ok(vec![Status::NotFound; pieces.len()]);
        };
        let keys = app.keyring.tenant(life.tenant).await?;
        let rows = app.store.get_many(&wanted).await?;
        let mut opened = match Opened::read(&rows, &living) {
            // Re-keyed since its key was read.
            Err(Error::Unreadable) => continue,
            opened => opened?,
        };
        let statuses: Vec<_> = pieces
            .iter()
            .map(|piece| opened.redact(piece, &keys.hash))
            .collect();
        if living.rules.held {
            let kept = |(piece, status): (&Piece<'_>, _)| match opened.changes(&piece.sort) {
                true => Status::Held,
                false => status,
            };
            return Ok(pieces.iter().zip(statuses).map(kept).collect());
        }
        let files = opened.files();
        match pass(app, (&living, &door), opened, cause).await? {
            Ok(()) => {
                for file in files {
                    purge(app, life, file).await?;
                }
                return Ok(statuses);
            }
            Err(Shut::Over) => return Ok(vec![Status::NotFound; pieces.len()]),
            // The rules or a row have changed meanwhile: read again.
            Err(Shut::Rules | Shut::Later(_) | Shut::Row { .. }) => {}
        }
    }
}

/// Deletes a file whose row is redacted, then the mark that it may still be there.
///
/// # Errors
/// [`Error::Unavailable`] when a store does not answer.
pub(super) async fn purge(app: &App, life: &LifeKey, file: AttachmentId) -> Result<()> {
    let object = life.attachment_object(file);
    app.objects.delete_all_versions(&object).await?;
    let write = Attachment::purged(life, file);
    // Refused: the life has ended meanwhile, and its erasure sees to its files.
    let _gone = app.store.write(write).await?;
    Ok(())
}

/// Writes what has changed through the door, each transaction with its own entry in the
/// log, with what calls for redacted files to be deleted, and with the re-keying that takes
/// what it redacts out of backups. Exports that hold it are withdrawn.
async fn pass(
    app: &App,
    (living, door): (&Living, &Door),
    opened: Opened,
    cause: &Cause,
) -> Result<Result<(), Shut>> {
    let purges = !opened.files().is_empty();
    let mut rekey = rekey::rekey_writes(living, app.clock.now());
    for mut writes in in_transactions(opened.writes(living)) {
        if writes.is_empty() {
            continue;
        }
        let now = app.clock.now();
        let about = entry_about(&living.key, writes.len(), cause);
        writes.extend(entry::writes(&[entry::Entry {
            tenant: living.key.tenant,
            event: AuditEvent::Redacted,
            by: &cause.by,
            about: &about,
            at: now,
            happened_at: None,
        }]));
        if purges {
            writes.push(purge_write(&living.key, now));
        }
        // The first transaction sees to it for all.
        writes.extend(std::mem::take(&mut rekey));
        let passing = Passing {
            exports: Some(Exports::Withdraw(door.edition)),
            ..Passing::default()
        };
        if let Err(shut) = app
            .store
            .through_door(living, &passing, writes, now)
            .await?
        {
            return Ok(Err(shut));
        }
    }
    Ok(Ok(()))
}

/// Rows as read, and as they become.
struct Opened(HashMap<String, Row>);

struct Row {
    before: Record,
    after: Record,
}

impl Opened {
    fn read(rows: &[Item], living: &Living) -> Result<Opened> {
        let mut opened = HashMap::new();
        for row in rows {
            if let Some(record) = Record::read(row, living)? {
                let row_after = record.clone();
                opened.insert(
                    row.sort().to_owned(),
                    Row {
                        before: record,
                        after: row_after,
                    },
                );
            }
        }
        Ok(Opened(opened))
    }

    fn redact(&mut self, piece: &Piece<'_>, hash: &HashKey) -> Status {
        let Some(Row { before, after }) = self.0.get_mut(&piece.sort) else {
            return Status::NotFound;
        };
        match (after, before, piece.passage) {
            (Record::Message(after), Record::Message(before), Some(passage)) => {
                let known = [&before.content.body, &after.content.body].map(|body| {
                    let body = body.as_deref();
                    body.map(|body| hash.content(body))
                });
                blacken(after, passage, known, hash)
            }
            (Record::Message(message), _, None) => {
                message.content.body = None;
                message.redacted = true;
                Status::Redacted(None)
            }
            (Record::Attachment(file), _, None) => {
                file.purging |= file.state != FileState::Redacted;
                file.state = FileState::Redacted;
                file.content = None;
                file.version = None;
                file.verdict = None;
                Status::Redacted(None)
            }
            (Record::Conversation(conversation), _, None) => {
                conversation.content.title = None;
                Status::Redacted(None)
            }
            _ => Status::Invalid,
        }
    }

    /// The files that have to go.
    fn files(&self) -> Vec<AttachmentId> {
        let file = |row: &Row| match &row.after {
            Record::Attachment(file) => file.purging.then_some(file.id),
            _ => None,
        };
        self.0.values().filter_map(file).collect()
    }

    fn changes(&self, sort: &str) -> bool {
        self.0.get(sort).is_some_and(Row::changes)
    }

    /// What has changed.
    fn writes(self, living: &Living) -> Vec<Write> {
        let changed = self.0.into_values().filter(Row::changes);
        let write = |row: Row| match (row.before, row.after) {
            (Record::Message(before), Record::Message(mut after)) => {
                after.rev = before.rev + 1;
                Some(after.replace(living, before.rev))
            }
            (Record::Attachment(before), Record::Attachment(after)) => {
                Some(after.replace(living, before.state))
            }
            (Record::Conversation(_), Record::Conversation(after)) => {
                let Conversation { hash, content, .. } = after;
                Some(Conversation::grow(living, hash, 0, Some(&content)))
            }
            _ => None,
        };
        changed.filter_map(write).collect()
    }
}

impl Row {
    fn changes(&self) -> bool {
        match (&self.before, &self.after) {
            (Record::Message(before), Record::Message(after)) => {
                before.content != after.content || before.redacted != after.redacted
            }
            (Record::Attachment(before), Record::Attachment(after)) => before.state != after.state,
            (Record::Conversation(before), Record::Conversation(after)) => {
                before.content != after.content
            }
            _ => false,
        }
    }
}

/// Blackens a passage. `known`: the fingerprints of the body as stored, and as it stands
/// after earlier targets of the same request, by either of which the spans may have been
/// chosen, since blocks keep every offset.
fn blacken(
    message: &mut Message,
    passage: &Passage,
    known: [Option<KeyedHash>; 2],
    hash: &HashKey,
) -> Status {
    let Some(body) = &message.content.body else {
        return Status::Redacted(None);
    };
    let fresh = known.contains(&Some(passage.content_hash));
    match crate::schema::spans::redact(body, &passage.spans) {
        // Asked for again: it is done, though the body has another fingerprint since.
        Some(redacted) if redacted == *body => Status::Redacted(known[1]),
        Some(redacted) if fresh => {
            let fingerprint = hash.content(&redacted);
            message.content.body = Some(redacted);
            Status::Redacted(Some(fingerprint))
        }
        None if fresh => Status::Invalid,
        _ => Status::Stale,
    }
}
