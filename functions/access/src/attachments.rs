//! One file: where it stands, and a link to it when it is clean.

use shared::base::error::{Error, Result};
use shared::base::id::AttachmentId;
use shared::domain::app::App;
use shared::domain::keys;
use shared::domain::life::update::Whom;
use shared::domain::records::content::FileState;
use shared::domain::records::rows::Attachment;
use shared::http::answers::{AttachmentState, DownloadLink};
use shared::http::{Answer, Call};

/// `GET /v1/subjects/{subject}/attachments/{attachment}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let id = call
        .path("attachment")
        .and_then(AttachmentId::parse)
        .ok_or(Error::NotFound)?;
    let row = keys::attachment(id);
    let whom = Whom::subject(call.tenant(), call.subject()?);
    let life = app.life(whom.with(&[&row])).await?;
    call.may_use(life.living.rules)?;
    let attachment = Attachment::read(life.row(&row)?, &life.living)?;
    let download = match (attachment.state, &attachment.version) {
        // The version that was scanned, not whatever may have been put in its place.
        (FileState::Clean, Some(version)) => {
            let object = life.living.key.attachment_object(id);
            let link = app.objects.download_link(&object, version).await?;
            Some(DownloadLink {
                url: link.url,
                expires_at: link.expires_at,
            })
        }
        _ => None,
    };
    Ok(Answer::ok(&AttachmentState {
        state: attachment.state,
        verdict: attachment.verdict,
        download,
    }))
}
