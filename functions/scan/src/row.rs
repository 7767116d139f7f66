//! The row of an uploaded version: whether the version is awaited, and the verdict on it.
//! Knows nothing of the file's bytes.

use jiff::Timestamp;
use shared::base::error::Result;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::keyring::Living;
use shared::domain::keys;
use shared::domain::life::door::LifeWrite;
use shared::domain::life::update::Life;
use shared::domain::records::content::{FileState, Verdict};
use shared::domain::records::rows::Attachment;

use crate::arrival::Arrival;

/// The state of a version according to the attachment's row.
pub enum Row {
    Awaiting(Box<Attachment>),
    /// Found clean before: the event was delivered again.
    Known,
    /// Not awaited, or no longer. A rejected version is one of these, so that a retry deletes
    /// it if the previous attempt did not.
    Unwanted,
}

/// # Errors
/// [`shared::base::error::Error::NotFound`] when there is no such row.
pub fn read(life: &Life, arrival: &Arrival) -> Result<Row> {
    let file = Attachment::read(
        life.row(&keys::attachment(arrival.attachment))?,
        &life.living,
    )?;
    let this = |version: &String| *version == arrival.version;
    Ok(match file.state {
        FileState::AwaitingUpload if file.version.as_ref().is_none_or(this) => {
            Row::Awaiting(Box::new(file))
        }
        FileState::Clean if file.version.as_ref().is_some_and(this) => Row::Known,
        _ => Row::Unwanted,
    })
}

/// Writes the verdict and its audit event.
pub fn writes(
    living: &Living,
    arrival: &Arrival,
    mut file: Attachment,
    verdict: &Verdict,
    now: Timestamp,
) -> Vec<LifeWrite> {
    file.state = match verdict.reasons.is_empty() {
        true => FileState::Clean,
        false => FileState::Rejected,
    };
    file.version = Some(arrival.version.clone());
    file.verdict = Some(verdict.clone());
    let about = [living.key.life.to_string(), file.id.to_string()];
    let event = AuditEvent::AttachmentScanned;
    let entry = Entry::new(living.key.tenant, event, "lethe", &about, now);
    let mut writes = vec![file.replace(living, FileState::AwaitingUpload)];
    writes.extend(entry::writes(&[entry]));
    writes
}
