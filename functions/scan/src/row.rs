//! The row that an uploaded version belongs to: whether it is awaited, and the verdict
//! written to it. Knows nothing of the file's bytes.

use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::keyring::Living;
use shared::domain::keys;
use shared::domain::life::door::{Passing, Shut};
use shared::domain::records::content::{FileState, Verdict};
use shared::domain::records::rows::Attachment;

use crate::arrival::Arrival;

/// What the attachment's row says of a version.
pub enum Row {
    Awaiting(Box<(Living, Attachment)>),
    /// It was found clean before: the event came again.
    Known,
    /// Nobody waits for it, any more or at all. A rejected one is of these, so that a try
    /// which ended before it was deleted is made good.
    Unwanted,
}

/// # Errors
/// [`Error::Unavailable`] when a store does not answer, as below.
pub async fn read(app: &App, arrival: &Arrival) -> Result<Row> {
    let (life, sort) = (arrival.life, keys::attachment(arrival.attachment));
    let (living, row) = match app.person_and(life.tenant, life.subject, &sort).await {
        Ok((living, _, Some(row))) if living.key == life => (living, row),
        Ok(_) | Err(Error::NotFound) => return Ok(Row::Unwanted),
        Err(cause) => return Err(cause),
    };
    let file = Attachment::read(&row, &living)?;
    let this = |version: &String| *version == arrival.version;
    Ok(match file.state {
        FileState::AwaitingUpload if file.version.as_ref().is_none_or(this) => {
            Row::Awaiting(Box::new((living, file)))
        }
        FileState::Clean if file.version.as_ref().is_some_and(this) => Row::Known,
        _ => Row::Unwanted,
    })
}

/// Writes the verdict and the log of it through the door.
///
/// # Errors
/// The inner error says why the door, or the row, refused.
pub async fn record(
    app: &App,
    arrival: &Arrival,
    living: &Living,
    mut file: Attachment,
    verdict: &Verdict,
) -> Result<Result<(), Shut>> {
    let now = app.clock.now();
    file.state = match verdict.reasons.is_empty() {
        true => FileState::Clean,
        false => FileState::Rejected,
    };
    file.version = Some(arrival.version.clone());
    file.verdict = Some(verdict.clone());
    let entry = Entry {
        tenant: living.key.tenant,
        event: AuditEvent::AttachmentScanned,
        by: "lethe",
        about: &[living.key.life.to_string(), file.id.to_string()],
        at: now,
        happened_at: None,
    };
    let mut writes = vec![file.replace(living, FileState::AwaitingUpload)];
    writes.extend(entry::writes(&[entry]));
    app.store
        .through_door(living, &Passing::default(), writes, now)
        .await
}
