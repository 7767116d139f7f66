//! Redacts what a caller points at: messages, spans of them, files, conversations. A few
//! records at once; more as a job, whose turns the worker in `delete` does.

mod parse;

use std::collections::HashMap;

use lambda_runtime::Error as Failure;
use serde_json::Value;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::jobs::JobKind;
use shared::domain::life::rekey;
use shared::domain::redaction::{self, Redacting, Status, Target, What, Work};
use shared::handlers;
use shared::http::answers::{RedactionResult, RedactionResults};
use shared::http::jobs::accepted;
use shared::http::serve::Handlers;
use shared::http::{Answer, Call};
use shared::lambda::http_only;

use parse::{Asked, Wanted};

/// Records that one request redacts; more become a job.
const AT_ONCE: u64 = 100;

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "POST /v1/redactions" => redact,
    "GET /v1/redactions" => list,
    "GET /v1/redactions/{id}" => show,
};

/// Answers one HTTP request.
///
/// # Errors
/// When the event is of another kind.
pub async fn handle(app: &App, event: Value) -> Result<Value, Failure> {
    http_only(app, event, HANDLERS).await
}

async fn list(app: &App, call: &Call) -> Result<Answer> {
    call.jobs::<Redacting>(app, JobKind::Redaction).await
}

async fn show(app: &App, call: &Call) -> Result<Answer> {
    let job = call.job::<Redacting>(app, JobKind::Redaction).await?;
    Ok(Answer::ok(&job.view()))
}

async fn redact(app: &App, call: &Call) -> Result<Answer> {
    let keys = app.keyring.tenant(call.tenant()).await?;
    let name = |subject, id: &str| keys.hash.conversation(subject, id);
    let asked = parse::asked(call.body(), call.by(), &name)?;
    let (work, mut ended) = by_life(app, call, &asked.targets).await?;
    let mut records = 0;
    for work in &work {
        records += redaction::size(app, work).await?;
    }
    if records > AT_ONCE {
        return begin_job(app, call, asked, &work, &ended, records).await;
    }
    ended.extend(redaction::at_once(app, &work, &asked.cause).await?);
    let ended: HashMap<_, _> = ended.into_iter().collect();
    let redacted = |target: &Target| {
        let status = ended.get(&target.index);
        matches!(status, Some(Status::Redacted(_)))
    };
    let lives: Vec<_> = work
        .iter()
        .filter(|work| work.targets.iter().any(redacted))
        .map(|work| work.life)
        .collect();
    let clear_by = rekey::clear_by(app, call.tenant(), &lives).await?;
    let results: Vec<_> = asked
        .targets
        .iter()
        .map(|wanted| {
            let index = wanted.target.index;
            result(
                wanted,
                ended.get(&index).copied().unwrap_or(Status::NotFound),
            )
        })
        .collect();
    Ok(Answer::ok(&RedactionResults {
        results,
        backups_clear_by: clear_by,
    }))
}

/// Groups targets by the life that each is about; those of nobody who lives are done with.
/// Nothing at all is done where one of them must not be used, or is held.
async fn by_life(
    app: &App,
    call: &Call,
    wanted: &[Wanted],
) -> Result<(Vec<Work>, Vec<(usize, Status)>)> {
    let subjects: Vec<_> = wanted.iter().map(|wanted| wanted.subject).collect();
    let present = app.present(call.tenant(), &subjects).await?;
    for person in &present {
        call.may_use(person.rules)?;
        person.rules.expect_no_hold()?;
    }
    let mut work: Vec<_> = present
        .into_iter()
        .map(|present| Work {
            life: present.key,
            targets: Vec::new(),
        })
        .collect();
    let at: HashMap<_, _> = work
        .iter()
        .enumerate()
        .map(|(at, work)| (work.life.subject, at))
        .collect();
    let mut nobody = Vec::new();
    for wanted in wanted {
        match at.get(&wanted.subject) {
            Some(at) => work[*at].targets.push(wanted.target.clone()),
            None => nobody.push((wanted.target.index, Status::NotFound)),
        }
    }
    Ok((work, nobody))
}

async fn begin_job(
    app: &App,
    call: &Call,
    asked: Asked,
    work: &[Work],
    ended: &[(usize, Status)],
    records: u64,
) -> Result<Answer> {
    let (tenant, now) = (call.tenant(), app.clock.now());
    let job = redaction::job(tenant, work, asked.cause, ended, records, now);
    let entry = redaction::requested(tenant, &job);
    let mut writes = job.begin_writes();
    writes.extend(entry);
    let answer = accepted(&job, "redactions");
    let answer = call.kept_with(answer, &mut writes);
    match app.store.transact(writes).await? {
        Ok(()) => Ok(answer),
        Err(_) => Err(Error::Unavailable("a new job's id is taken".into())),
    }
}

/// What became of a target, as the caller named it.
fn result(wanted: &Wanted, status: Status) -> RedactionResult {
    let mut result = RedactionResult {
        index: wanted.target.index,
        status: status.into(),
        message: None,
        attachment: None,
        conversation: None,
        content_hash: match status {
            Status::Redacted(left) => left,
            _ => None,
        },
    };
    match &wanted.target.what {
        What::Message(message) => result.message = Some(*message),
        What::Spans(passage) => result.message = Some(passage.message),
        What::Attachment(attachment) => result.attachment = Some(*attachment),
        What::Conversation(_) => result.conversation.clone_from(&wanted.conversation),
    }
    result
}
