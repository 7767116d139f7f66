//! `POST /v1/attachments`: a file is announced, and gets a link to be uploaded by.
//!
//! A page learns nothing of anybody. Where nothing may be stored it gets a link all the same,
//! to a file that no row awaits: `scan` deletes what arrives there. How many links a page gets
//! is counted by its key and address, whomever they are for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::aws::s3::{UPLOAD_SECONDS, Upload};
use shared::base::error::{Error, Result};
use shared::base::id::{AttachmentId, SubjectId};
use shared::base::rate_limit::Spending;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::keys::{self, LifeKey, PERSON};
use shared::domain::life::door::{Counts, Door, Passing, UPLOADS_OPEN, objects_write};
use shared::domain::life::update::{Life, Whom, update};
use shared::domain::records::content::{AttachmentContent, FileState};
use shared::domain::records::rows::{Attachment, Person};
use shared::domain::tenant::settings::{ConsentRequired, Settings};
use shared::http::answers::AnnouncedAttachment;
use shared::http::{Answer, Call};
use shared::schema::catalog::Record;
use shared::schema::violations::Violations;

use crate::group;

/// The largest file: 25 MiB.
const LARGEST: u64 = 25 * 1024 * 1024;
/// What is left of a link's time when a repetition is given another.
const USABLE: SignedDuration = SignedDuration::from_mins(1);
/// How long a media type may be with its parameters.
const MEDIA_TYPE: usize = 255;
/// The media type of a file that nothing is said about (RFC 2046, 4.5.1).
const ANY_BYTES: &str = "application/octet-stream";

/// A file as announced.
struct Announced {
    visitor_id: String,
    size: u64,
    content: AttachmentContent,
}

/// Takes the announcement of a file, and answers with the link to upload it by.
pub async fn announce(app: &App, call: &Call) -> Result<Answer> {
    let announced = parse(call)?;
    if call.caller().write_only() {
        let (key, now) = (call.caller().key, app.clock.now());
        app.rate_limit
            .spend(Spending::Link, key, call.address(), now)?;
    }
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
        purging: false,
    };
    match call.earlier() {
        None => admit(app, call, subject, &announced.visitor_id, &row).await,
        Some(earlier) => {
            let id = earlier["attachment"].as_str().and_then(AttachmentId::parse);
            row.id = id.ok_or(Error::NotFound)?;
            again(app, call, subject, &row).await
        }
    }
}

/// An announcement that comes again after its link has run out: another link to the same
/// file, for as long as that is awaited. A page is told of nothing else, either.
async fn again(app: &App, call: &Call, subject: SubjectId, row: &Attachment) -> Result<Answer> {
    let settings = &app.tenants.settings(call.tenant()).await?;
    let file = &keys::attachment(row.id);
    let rows = [PERSON, file.as_str()];
    let whom = Whom::subject(call.tenant(), subject).with(&rows);
    let given = update(app, whom, |life| async move {
        let now = app.clock.now();
        match life.row(file)?.try_text("state").and_then(FileState::parse) {
            Some(FileState::AwaitingUpload) => {}
            Some(_) => {
                return Err(Error::Conflict {
                    code: "uploaded",
                    detail: "The file has already been uploaded.",
                });
            }
            None => return Err(Error::NotFound),
        }
        let open = open_links(&life.door, now);
        admitted(consented(&life, settings, call)?, &open, now)?;
        let passing = Passing {
            uploads: Some((life.door.uploads.clone(), one_more(open, now))),
            ..Passing::default()
        };
        let answer = welcome(app, &life.living.key, row, now).await?;
        Ok(life.write(passing, Vec::new(), answer))
    });
    match given.await {
        Err(Error::NotFound | Error::Conflict { .. } | Error::TooMany { .. })
            if call.caller().write_only() =>
        {
            welcome_nobody(app, call, subject, row).await
        }
        given => given,
    }
}

/// The answer: the file's name, and the link to upload it by.
async fn welcome(
    app: &App,
    life: &LifeKey,
    row: &Attachment,
    now: jiff::Timestamp,
) -> Result<Answer> {
    let content = row.content.as_ref().expect("an announced file has one");
    let sha256 = STANDARD.encode(hex(&content.sha256).unwrap_or_default());
    let upload = Upload {
        object: &life.attachment_object(row.id),
        size: row.size,
        sha256: &sha256,
    };
    // Of the moment that the door is told, so that the link does not outlast what it knows.
    let upload = app.objects.upload_link(upload, now).await?;
    let until = upload.expires_at - USABLE;
    let attachment = row.id;
    Ok(Answer::json(201, &AnnouncedAttachment { attachment, upload }).good_until(until))
}

/// Stores the row through the door, with the link's end on the door, so that an erasure
/// waits for it. A first contact begins a life.
async fn admit(
    app: &App,
    call: &Call,
    subject: SubjectId,
    visitor_id: &str,
    file: &Attachment,
) -> Result<Answer> {
    let page = call.caller().write_only();
    let settings = &app.tenants.settings(call.tenant()).await?;
    let rows: &[&str] = match settings.consent_required {
        ConsentRequired::All => &[PERSON],
        _ => &[],
    };
    let whom = Whom::subject(call.tenant(), subject).with(rows);
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let stored = update(app, whom, |life| async move {
            let now = app.clock.now();
            let open = open_links(&life.door, now);
            let stored = match admitted(consented(&life, settings, call)?, &open, now) {
                Ok(()) => true,
                Err(_) if page => false,
                Err(error) => return Err(error),
            };
            let passing = Passing {
                added: Counts {
                    attachments: u64::from(stored),
                    ..Counts::default()
                },
                uploads: Some((life.door.uploads.clone(), one_more(open, now))),
                ..Passing::default()
            };
            // An id that is taken refuses the write: each try has its own.
            let mut row = file.clone();
            row.id = AttachmentId::random();
            // What is uploaded without a row is deleted on arrival: an erasure looks for it too.
            let mut writes = vec![match stored {
                true => row.add(&life.living),
                false => objects_write(&life.living.key).into(),
            }];
            let answer = welcome(app, &life.living.key, &row, now).await?;
            let answer = call.kept_with(answer, &mut writes);
            Ok(life.write(passing, writes, answer))
        });
        match stored.await {
            Err(Error::NotFound) => {}
            stored => return stored,
        }
        match group::start_life(app, call, settings, subject, visitor_id).await {
            Err(Error::Conflict { .. }) if page => {
                return welcome_nobody(app, call, subject, file).await;
            }
            begun => begun?,
        }
    }
}

/// Whether the tenant's settings let a file of this person be kept.
fn consented(life: &Life, settings: &Settings, call: &Call) -> Result<bool> {
    if settings.consent_required != ConsentRequired::All {
        return Ok(true);
    }
    let person = Person::read(life.row(PERSON)?, &life.living)?;
    Ok(person.covered(call.caller().write_only()))
}

/// Whether a file may be announced of somebody who has these open links.
fn admitted(consented: bool, open: &[Timestamp], now: Timestamp) -> Result<()> {
    if !consented {
        return Err(group::no_consent());
    }
    if open.len() < UPLOADS_OPEN {
        return Ok(());
    }
    let next = open.iter().min().copied().unwrap_or(now);
    let retry_after = u32::try_from(next.duration_since(now).as_secs() + 1).unwrap_or(1);
    Err(Error::TooMany { retry_after })
}

/// A link to a file of somebody of whom nothing is kept, under a life that nobody lives:
/// always the same for a person, as that of somebody who lives is.
async fn welcome_nobody(
    app: &App,
    call: &Call,
    subject: SubjectId,
    row: &Attachment,
) -> Result<Answer> {
    let tenant = call.tenant();
    let keys = app.keyring.tenant(tenant).await?;
    let life = keys.hash.nobody(subject);
    let nobody = LifeKey {
        tenant,
        subject,
        life,
    };
    welcome(app, &nobody, row, app.clock.now()).await
}

/// The links that have not run out.
fn open_links(door: &Door, now: Timestamp) -> Vec<Timestamp> {
    let links = door.uploads.iter().copied();
    links.filter(|until| *until > now).collect()
}

/// The open links with one more. An erasure waits for the last: of too many, the one that
/// ends first is dropped.
fn one_more(mut open: Vec<Timestamp>, now: Timestamp) -> Vec<Timestamp> {
    open.push(now + SignedDuration::from_secs(UPLOAD_SECONDS));
    open.sort_unstable();
    open.split_off(open.len().saturating_sub(UPLOADS_OPEN))
}

fn parse(call: &Call) -> Result<Announced> {
    let known = [
        "visitor_id",
        "conversation_id",
        "filename",
        "content_type",
        "size",
        "sha256",
    ];
    let mut violations = Violations::default();
    let announced = read(call, &known, &mut violations);
    violations.unless_any(announced)
}

fn read(call: &Call, known: &[&str], violations: &mut Violations) -> Option<Announced> {
    let body = violations.object(call.body(), "", known)?.lenient();
    let visitor_id = body.required_text(Record::Person, "visitor_id", violations);
    let conversation_id = body.stored_text(Record::Conversation, "conversation_id", violations);
    let filename = body.required_text(Record::Attachment, "filename", violations);
    let content_type = match body.get("content_type").and_then(Value::as_str) {
        Some(text) => media_type(text),
        // Absent, or no text.
        None => body.required_text(Record::Attachment, "content_type", violations),
    };
    if content_type.is_none() && body.get("content_type").is_some_and(Value::is_string) {
        violations.add(
            "/content_type",
            "media_type",
            "must be a media type such as image/png",
        );
    }
    let size = body
        .get("size")
        .and_then(Value::as_u64)
        .filter(|size| (1..=LARGEST).contains(size));
    if size.is_none() {
        violations.add(
            "/size",
            "range",
            &format!("must be an integer from 1 to {LARGEST}"),
        );
    }
    let sha256 = body.text("sha256", violations).map(str::to_lowercase);
    let sha256 = sha256.filter(|sha256| hex(sha256).is_some_and(|digest| digest.len() == 32));
    if sha256.is_none() {
        violations.add(
            "/sha256",
            "sha256",
            "must be the SHA-256 checksum of the file in hexadecimal",
        );
    }
    let content = AttachmentContent {
        conversation_id,
        filename: filename?,
        content_type: content_type?,
        sha256: sha256?,
    };
    Some(Announced {
        visitor_id: visitor_id?,
        size: size?,
        content,
    })
}

/// A media type in lower case and without its parameters (RFC 9110, 8.3.1; RFC 6838, 4.2): a
/// browser's recorder gives `audio/webm;codecs=opus`. None at all, as a `File` of unknown type
/// has, is that of any bytes.
fn media_type(text: &str) -> Option<String> {
    if text.chars().count() > MEDIA_TYPE {
        return None;
    }
    let (essence, _parameters) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim_matches([' ', '\t']);
    if essence.is_empty() {
        return Some(ANY_BYTES.to_owned());
    }
    let name = |part: &str| {
        (1..=63).contains(&part.len())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    let (kind, subtype) = essence.split_once('/')?;
    (name(kind) && name(subtype)).then(|| essence.to_lowercase())
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
