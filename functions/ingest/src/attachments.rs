//! `POST /v1/attachments`: a file is announced, and gets a link to be uploaded by.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::app::App;
use shared::catalog::{self, Record};
use shared::error::{Error, FieldError, Result};
use shared::http::{Answer, Call};
use shared::id::{Attachment as AttachmentId, Subject};
use shared::keyring::Living;
use shared::objects::Upload;
use shared::record::{AttachmentContent, FileState};
use shared::store::Write;
use shared::store::lives::{Counts, Door, Passing, Shut, UPLOAD_SECONDS, UPLOADS_OPEN};
use shared::store::records::Attachment;

use crate::group;

/// The largest file: 25 MiB.
const LARGEST: u64 = 25 * 1024 * 1024;
const TRIES: u32 = 8;

/// A file as announced.
struct Announced {
    visitor_id: String,
    size: u64,
    content: AttachmentContent,
}

/// Takes the announcement of a file, and answers with the link to upload it by.
pub async fn announce(app: &App, call: &Call) -> Result<Answer> {
    let announced = parse(call)?;
    let keys = app.keyring.tenant(call.tenant()).await?;
    let subject = keys.hash.subject(&announced.visitor_id);
    let conversation = announced.content.conversation_id.as_deref();
    let mut row = Attachment {
        id: AttachmentId::random(),
        state: FileState::AwaitingUpload,
        size: announced.size,
        at: app.clock.now(),
        version: None,
        verdict: None,
        conversation: conversation.map(|id| keys.hash.conversation(subject, id)),
        content: Some(announced.content),
    };
    let living = admit(app, call, subject, &announced.visitor_id, &mut row).await?;
    let content = row.content.as_ref().expect("it was set above");
    let sha256 = STANDARD.encode(hex(&content.sha256).unwrap_or_default());
    let upload = app
        .objects
        .upload_link(Upload {
            object: &living.key.attachment_object(row.id),
            content_type: &content.content_type,
            size: row.size,
            sha256: &sha256,
        })
        .await?;
    let body = json!({"attachment": row.id.to_string(), "upload": upload});
    Ok(Answer::json(201, body))
}

/// Stores the row through the door, with the link's end on the door, so that an erasure
/// waits for it. A first contact begins a life.
async fn admit(
    app: &App,
    call: &Call,
    subject: Subject,
    visitor_id: &str,
    row: &mut Attachment,
) -> Result<Living> {
    for _ in 0..TRIES {
        let now = app.clock.now();
        let (living, door) = match app.person(call.tenant(), subject).await {
            Ok(person) => person,
            Err(Error::NotFound) => {
                group::acquaint(app, call, subject, visitor_id).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let passing = Passing {
            added: Counts {
                attachments: 1,
                ..Counts::default()
            },
            uploads: Some(one_more(&door, now)?),
            ..Passing::default()
        };
        let write = Write::put(row.item(&living)).only_new();
        match app
            .store
            .through_door(&living, &passing, vec![write], now)
            .await?
        {
            Ok(()) => return Ok(living),
            Err(Shut::Row { .. }) => row.id = AttachmentId::random(),
            Err(Shut::Over | Shut::Gate | Shut::Later(_)) => {}
        }
    }
    Err(Error::Unavailable(
        "a person's life changes faster than it can be written".into(),
    ))
}

/// The open links as they are, and with one more; those that have run out are dropped.
fn one_more(
    door: &Door,
    now: jiff::Timestamp,
) -> Result<(Vec<jiff::Timestamp>, Vec<jiff::Timestamp>)> {
    let mut open: Vec<_> = door
        .uploads
        .iter()
        .copied()
        .filter(|until| *until > now)
        .collect();
    if open.len() >= UPLOADS_OPEN {
        let next = open.iter().min().copied().unwrap_or(now);
        let retry_after = u32::try_from(next.duration_since(now).as_secs() + 1).unwrap_or(1);
        return Err(Error::TooMany { retry_after });
    }
    open.push(now + jiff::SignedDuration::from_secs(UPLOAD_SECONDS));
    Ok((door.uploads.clone(), open))
}

fn parse(call: &Call) -> Result<Announced> {
    let mut fields = call.object()?.clone();
    let mut errors = Vec::new();
    let mut text = |record, name: &str, required: bool| {
        let row = catalog::field(record, name).expect("the name is a row of the catalog");
        let pointer = format!("/{name}");
        match fields.remove(name) {
            None if required => errors.push(FieldError::new(pointer, "required", "is required")),
            None => {}
            Some(value) => match row.kind.accept(&value) {
                Ok(Value::String(text)) => return Some(text),
                Ok(_) => {}
                Err((code, message)) => errors.push(FieldError::new(pointer, code, message)),
            },
        }
        None
    };
    let visitor_id = text(Record::Person, "visitor_id", true);
    let conversation_id = text(Record::Conversation, "conversation_id", false);
    let filename = text(Record::Attachment, "filename", true);
    let content_type = text(Record::Attachment, "content_type", true);
    if content_type.as_deref().is_some_and(|it| !media_type(it)) {
        let expected = "must be a media type such as image/png";
        errors.push(FieldError::new("/content_type", "media_type", expected));
    }
    let size = fields.remove("size").and_then(|size| size.as_u64());
    if !size.is_some_and(|size| (1..=LARGEST).contains(&size)) {
        errors.push(FieldError::new(
            "/size",
            "range",
            format!("must be 1 to {LARGEST} bytes"),
        ));
    }
    let sha256 = match fields.remove("sha256") {
        Some(Value::String(sha256)) if hex(&sha256).is_some_and(|it| it.len() == 32) => {
            sha256.to_lowercase()
        }
        _ => {
            let expected = "must be the file's SHA-256 in hexadecimal";
            errors.push(FieldError::new("/sha256", "sha256", expected));
            String::new()
        }
    };
    for name in fields.keys() {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        errors.push(FieldError::new(
            pointer,
            "unknown",
            "is not a field of this request",
        ));
    }
    match (visitor_id, filename, content_type, size) {
        (Some(visitor_id), Some(filename), Some(content_type), Some(size)) if errors.is_empty() => {
            let content = AttachmentContent {
                conversation_id,
                filename,
                content_type,
                sha256,
            };
            Ok(Announced {
                visitor_id,
                size,
                content,
            })
        }
        _ => Err(Error::Invalid(errors)),
    }
}

/// A media type without parameters (RFC 6838, 4.2).
fn media_type(text: &str) -> bool {
    let name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect()
}
