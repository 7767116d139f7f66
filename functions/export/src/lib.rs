//! Exports: a copy of what is known about a person, for that person (GDPR Art. 15 and 20).
//!
//! A request makes a job; a turn of the job, handed over by the table's stream, writes one
//! ZIP under the life's prefix; a download link is made at each GET. An export belongs to
//! one life: it can be begun, finished and fetched only while that life goes on. It is of
//! one edition, too: a redaction, a correction or a withdrawn consent begins the next one,
//! and withdraws what was made before.

mod archive;
mod choice;
mod contents;
mod discard;
mod door;
mod names;
mod page;
mod processing;
mod request;
mod table;
mod worker;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::base::error::{Error, Result, found};
use shared::base::id::{SubjectId, TenantId};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::export::{Download, Kind, Made, Outcome};
use shared::domain::jobs::{Job, JobKind, JobState, Work};
use shared::domain::keys::LifeKey;
use shared::domain::life::door::{LifeWrite, Passing, objects_write};
use shared::domain::life::update::{Whom, update};
use shared::domain::people::lookups::Whose;
use shared::handlers;
use shared::http::jobs::accepted;
use shared::http::serve::{Handlers, serve};
use shared::http::{Answer, Call};
use shared::lambda::Trigger;

use archive::Stored;
use request::{Named, Wanted};

/// How long an archive can be fetched; then it is deleted. It is a person in one file, made
/// to be fetched, not kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The routes that this function answers.
pub const HANDLERS: Handlers = handlers! {
    "POST /v1/exports" => begin,
    "GET /v1/exports" => list,
    "GET /v1/exports/{id}" => show,
};

/// # Errors
/// When the event is of a kind that this function is not woken by.
pub async fn handle(app: &App, event: Value) -> Result<Value, lambda_runtime::Error> {
    match Trigger::parse(event)? {
        Trigger::Http(request) => Ok(serve(app, *request, HANDLERS).await),
        Trigger::Stream(batch) => Ok(worker::work_on(app, &batch).await),
        _ => Err("export is called over HTTP and by the table's stream".into()),
    }
}

/// What a job is to do. Stored with it: nothing personal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spec {
    /// The life's partition.
    life: String,
    kind: Kind,
    /// Whether agents are named.
    include_agents: bool,
}

impl Work for Spec {
    type Progress = Option<Stored>;
    type Outcome = Outcome;
}

impl Spec {
    fn life(&self) -> Result<LifeKey> {
        let broken = || Error::Corrupt("an export is not as it was written".into());
        LifeKey::parse(&self.life).ok_or_else(broken)
    }
}

async fn begin(app: &App, call: &Call) -> Result<Answer> {
    let wanted = &Wanted::parse(call.body())?;
    let tenant = call.tenant();
    let subject = only_one(app, tenant, &wanted.whom).await?;
    update(app, Whom::subject(tenant, subject), |life| async move {
        let living = &life.living;
        call.may_use(living.rules)?;
        let now = app.clock.now();
        let spec = Spec {
            life: living.key.partition(),
            kind: wanted.kind,
            include_agents: wanted.include_agents,
        };
        let mut job = Job::new(tenant, JobKind::Export, vec![subject], spec, now);
        job.total = life.door.counts.total();
        job.outcome.subject = Some(subject);
        job.outcome.export = Some(wanted.kind);
        let by = call.by();
        let about = [living.key.life.to_string(), job.key.id.to_string()];
        let entry = Entry::new(tenant, AuditEvent::ExportRequested, &by, &about, now);
        let mut writes: Vec<LifeWrite> = job
            .begin_writes()
            .into_iter()
            .map(LifeWrite::from)
            .collect();
        // Its erasure looks into the bucket, from here on.
        writes.push(objects_write(&living.key).into());
        writes.extend(entry::writes(&[entry]));
        let answer = call.kept_with(accepted(&job, "exports"), &mut writes);
        Ok(life.write(Passing::default(), writes, answer))
    })
    .await
}

/// The one person who is meant. An unverified value names nobody: what a web page says
/// about an e-mail address must not hand out what is known about its owner.
async fn only_one(app: &App, tenant: TenantId, named: &Named) -> Result<SubjectId> {
    let (kind, value) = match named {
        Named::Subject(subject) => return Ok(*subject),
        Named::Lookup(kind, value) => (*kind, value),
    };
    let found = app.find(tenant, kind, value, Whose::Vouched).await?;
    match found.as_slice() {
        [] => Err(Error::NotFound),
        [one] => Ok(one.key.subject),
        several => Err(Error::Ambiguous(
            several.iter().map(|person| person.key.subject).collect(),
        )),
    }
}

async fn list(app: &App, call: &Call) -> Result<Answer> {
    call.jobs::<Spec>(app, JobKind::Export).await
}

/// A job, with links to what it made.
async fn show(app: &App, call: &Call) -> Result<Answer> {
    let mut job = call.job(app, JobKind::Export).await?;
    let (withdrawn, download) = made(app, call, &job).await?;
    job.outcome.made = Some(Made {
        withdrawn,
        downloads: Vec::from_iter(download),
    });
    Ok(Answer::ok(&job.view()))
}

/// Whether what a job made is withdrawn: its life has ended, or says something else by now;
/// and else the link to it, made anew.
async fn made(app: &App, call: &Call, job: &Job<Spec>) -> Result<(bool, Option<Download>)> {
    let (JobState::Completed, Some(stored)) = (job.state, &job.progress) else {
        return Ok((false, None));
    };
    let life = job.spec.life()?;
    let Some(read) = found(app.life(Whom::life(&life)).await)? else {
        return Ok((true, None));
    };
    call.may_use(read.living.rules)?;
    if stored.edition != read.door.edition {
        return Ok((true, None));
    }
    let now = app.clock.now();
    if job.finished_at.is_none_or(|at| now >= at + KEPT) {
        return Ok((false, None));
    }
    let object = life.export_object(job.key.id, stored.edition);
    let link = app.objects.download_link(&object, &stored.version).await?;
    let download = Download {
        name: format!("{}.zip", job.key.id),
        size: stored.size,
        sha256: stored.sha256.clone(),
        url: link.url,
        expires_at: link.expires_at,
    };
    Ok((false, Some(download)))
}
