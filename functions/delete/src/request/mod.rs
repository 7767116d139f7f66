//! Requests to forget. When the answer is sent, what was asked to go cannot be read.

pub mod cancel;
mod few;
mod many;
mod parse;
mod people;
mod preview;
mod tenant;

use jiff::{SignedDuration, Timestamp};
use shared::aws::dynamo::Write;
use shared::base::error::{Error, Result};
use shared::base::id::{JobId, SubjectId};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::receipt::Lives;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keyring::BLOCKED;
use shared::domain::keys::{LifeKey, receipts};
use shared::http::{Answer, Call};

use crate::end::{Present, TOGETHER, present};
use preview::preview;

/// How long a job that waits for somebody else is left alone.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What was asked for.
#[derive(Default)]
struct Erase {
    whom: Whom,
    suppress: bool,
    reason: Option<String>,
    reference: Option<String>,
    dry_run: bool,
}

enum Whom {
    People(Vec<SubjectId>),
    /// Everybody, and the tenant, not before this moment.
    Tenant(Timestamp),
}

impl Default for Whom {
    fn default() -> Whom {
        Whom::People(Vec::new())
    }
}

/// `DELETE /v1/subjects/{subject}`
pub async fn erase_one(app: &App, call: &Call) -> Result<Answer> {
    if let Some(job) = many::begun(app, call).await? {
        return many::end_all(app, job).await;
    }
    let subject = call.subject()?;
    let suppress = call.flag("suppress")?;
    let related = match call.query("include_related") {
        None => false,
        Some("user_id") => true,
        Some(_) => return Err(Error::field("include_related", "choice", "must be user_id")),
    };
    let mut people = vec![subject];
    if related {
        people.extend(people::related(app, call.tenant(), subject, "user_id").await?);
    }
    let erase = Erase {
        whom: Whom::People(people),
        suppress,
        ..Erase::default()
    };
    begin(app, call, erase).await
}

/// `POST /v1/erasures`
pub async fn erase(app: &App, call: &Call) -> Result<Answer> {
    if let Some(job) = many::begun(app, call).await? {
        return many::end_all(app, job).await;
    }
    let erase = parse::parse(app, call).await?;
    begin(app, call, erase).await
}

async fn begin(app: &App, call: &Call, erase: Erase) -> Result<Answer> {
    match &erase.whom {
        Whom::Tenant(_) if erase.dry_run => {
            let people = people::everybody(app, call.tenant()).await?;
            let present = present(app, call.tenant(), &people).await?;
            Ok(Answer::ok(&preview(app, &present).await?))
        }
        Whom::Tenant(not_before) => tenant::begin(app, call, &erase, *not_before).await,
        Whom::People(people) => {
            let found = present(app, call.tenant(), people).await?;
            if found.is_empty() {
                return Err(Error::NotFound);
            }
            if erase.dry_run {
                return Ok(Answer::ok(&preview(app, &found).await?));
            }
            if found.len() <= TOGETHER {
                return few::begin(app, call, &erase, people, found).await;
            }
            expect_room(&found)?;
            many::begin(app, call, &erase, found).await
        }
    }
}

/// As many erasures may wait for a hold, and no more.
fn expect_room(found: &[Present]) -> Result<()> {
    let full = |it: &Present| it.entry.rules.held && it.entry.blocked.len() >= BLOCKED;
    match found.iter().any(full) {
        true => Err(Error::Conflict {
            code: "held",
            detail: "Too many erasures are waiting for the legal hold on one of these people. \
                     Lift the hold, or cancel some of the erasures.",
        }),
        false => Ok(()),
    }
}

impl Erase {
    fn erasing(&self) -> Erasing {
        let mut erasing = Erasing::default();
        erasing.suppress = self.suppress;
        erasing
    }

    /// What the caller said about it.
    fn note(&self, job: &mut Job<Erasing>) {
        job.outcome.reason.clone_from(&self.reason);
        job.outcome.reference.clone_from(&self.reference);
    }
}

fn job(
    call: &Call,
    erase: &Erase,
    found: &[Present],
    erasing: Erasing,
    now: Timestamp,
) -> (Job<Erasing>, Vec<Write>) {
    let lives: Vec<_> = found
        .iter()
        .map(|it| (it.entry.key, it.door.counts.total()))
        .collect();
    let (mut job, lists) = Job::erasure(JobKind::Erasure, call.tenant(), &lives, erasing, now);
    erase.note(&mut job);
    (job, lists)
}

/// The log's entry.
fn requested(call: &Call, job: &Job<Erasing>, found: &[Present], now: Timestamp) -> Vec<Write> {
    let lives: Vec<LifeKey> = found.iter().map(|it| it.entry.key).collect();
    let mut about = Lives::of(&lives).about();
    about.push(job.key.id.to_string());
    entry::writes(&[entry::Entry {
        tenant: call.tenant(),
        event: AuditEvent::ErasureRequested,
        by: &call.by(),
        about: &about,
        at: now,
        happened_at: None,
    }])
}

/// `GET /v1/erasures`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    call.jobs::<Erasing>(app, JobKind::Erasure).await
}

/// `GET /v1/erasures/{id}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let job = call.job::<Erasing>(app, JobKind::Erasure).await?;
    Ok(Answer::ok(&job.view()))
}

/// `GET /v1/erasures/{id}/receipt`: of a job, or of the expiries of a day.
pub async fn receipt(app: &App, call: &Call) -> Result<Answer> {
    let name = call.path("id").unwrap_or_default();
    let day = name.parse::<jiff::civil::Date>().ok();
    let day = day.is_some_and(|day| day.to_string() == name);
    if !day && JobId::parse(name).is_none() {
        return Err(Error::NotFound);
    }
    if let Some(row) = app.store.get(&receipts(call.tenant()), name).await? {
        return Ok(Answer::text("application/jose", row.text("jws")?));
    }
    if !day {
        call.job::<Erasing>(app, JobKind::Erasure).await?;
        let detail = "The erasure has not completed yet. The receipt is issued on completion.";
        return Err(Error::Conflict {
            code: "not_completed",
            detail,
        });
    }
    Err(Error::NotFound)
}
