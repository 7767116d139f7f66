//! A few rows of one life, redacted together through its door.
//!
//! A redacted file goes after its row has passed the door: a hold that came before keeps
//! both. The row keeps a mark for as long as the file may still be there, and the same
//! transaction writes a row that the stream hands to the worker, so that the file goes even
//! if whoever was to delete it died in between.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::aws::dynamo::{Item, in_transactions};
use crate::base::error::{Result, found};
use crate::base::id::{AttachmentId, KeyedHash};
use crate::crypto::HashKey;
use crate::domain::app::App;
use crate::domain::audit::entry::{self, AuditEvent, Entry};
use crate::domain::keyring::Living;
use crate::domain::keys::{self, LifeKey};
use crate::domain::life::door::{Exports, LifeWrite, Passing};
use crate::domain::life::rekey;
use crate::domain::life::update::{Decision, Life, Whom, update};
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

    /// The row of a target; `None` for a conversation, which has many.
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

/// What one transaction of a redaction has done.
struct Done {
    statuses: Vec<Status>,
    files: Vec<AttachmentId>,
    /// Rows were left to the next transaction.
    more: bool,
}

/// Redacts the pieces. Returns their statuses in order.
pub(super) async fn redact(
    app: &App,
    life: &LifeKey,
    pieces: &[Piece<'_>],
    cause: &Cause,
) -> Result<Vec<Status>> {
    let mut sorts: Vec<_> = pieces.iter().map(|piece| piece.sort.as_str()).collect();
    sorts.sort_unstable();
    sorts.dedup();
    let whom = Whom::life(life).with(&sorts);
    let keys = app.keyring.tenant(life.tenant).await?;
    let hash = &keys.hash;
    let mut first = None;
    loop {
        let done = update(app, whom, |life| async move {
            let mut opened = Opened::read(&life.rows, &life.living)?;
            let redacted = pieces.iter().map(|piece| opened.redact(piece, hash));
            let statuses: Vec<_> = redacted.collect();
            Ok(decide(
                life,
                opened,
                pieces,
                statuses,
                cause,
                app.clock.now(),
            ))
        });
        let Some(done) = found(done.await)? else {
            return Ok(vec![Status::NotFound; pieces.len()]);
        };
        for file in done.files {
            purge(app, life, file).await?;
        }
        let statuses = first.get_or_insert(done.statuses);
        if !done.more {
            return Ok(std::mem::take(statuses));
        }
    }
}

/// The first transaction of the remaining redactions: with its audit event, the stream record
/// that triggers the deletion of redacted files, and the re-keying that removes the redacted
/// data from backups. Withdraws exports that contain it.
fn decide(
    life: Life,
    opened: Opened,
    pieces: &[Piece<'_>],
    mut statuses: Vec<Status>,
    cause: &Cause,
    now: Timestamp,
) -> Decision<Done> {
    let living = Arc::clone(&life.living);
    if living.rules.held {
        let changed = pieces.iter().zip(&mut statuses);
        changed
            .filter(|(piece, _)| opened.changes(&piece.sort))
            .for_each(|(_, status)| *status = Status::Held);
        return Decision::Done(Done {
            statuses,
            files: Vec::new(),
            more: false,
        });
    }
    let files = opened.files();
    let purges = !files.is_empty();
    let mut groups = in_transactions(opened.writes(&living)).into_iter();
    let mut writes = groups.next().unwrap_or_default();
    let done = Done {
        statuses,
        files,
        more: groups.next().is_some(),
    };
    if writes.is_empty() {
        return Decision::Done(done);
    }
    let about = entry_about(&living.key, writes.len(), cause);
    let (tenant, event) = (living.key.tenant, AuditEvent::Redacted);
    writes.extend(entry::writes(&[Entry::new(
        tenant, event, &cause.by, &about, now,
    )]));
    if purges {
        writes.push(purge_write(&living.key, now));
    }
    writes.extend(rekey::rekey_writes(&living, now));
    let passing = Passing {
        exports: Some(Exports::Withdraw(life.door.edition)),
        ..Passing::default()
    };
    life.write(passing, writes, done)
}

/// Deletes a file whose row is redacted, then the mark that the file may still exist.
///
/// # Errors
/// [`crate::base::error::Error::Unavailable`] when a store does not answer.
pub(super) async fn purge(app: &App, life: &LifeKey, file: AttachmentId) -> Result<()> {
    let object = life.attachment_object(file);
    app.objects.delete_all_versions(&object).await?;
    let write = Attachment::purged(life, file);
    // Refused: the life has ended meanwhile, and its erasure deletes its files.
    let _gone = app.store.write(write).await?;
    Ok(())
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

    /// The files to delete.
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

    /// The writes for the changed rows.
    fn writes(self, living: &Living) -> Vec<LifeWrite> {
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

/// Redacts a passage. `known`: the fingerprints of the body as stored, and after earlier
/// targets of the same request. The spans may have been chosen by either, since blocks keep
/// every offset.
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
        // Repeated request: already done, though the body's fingerprint has changed since.
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
