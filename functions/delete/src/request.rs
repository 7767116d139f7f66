//! Requests to forget. When the answer is sent, what was asked to go cannot be read.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::aws::dynamo::{Write, in_transactions};
use shared::base::error::{Error, Lacks, Result};
use shared::base::id::{JobId, SubjectId};
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::offboarding::{self, GRACE};
use shared::domain::erasure::receipt::Lives;
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind, JobState};
use shared::domain::keyring::{BLOCKED, block_write, unblock_write};
use shared::domain::keys::{JobKey, LifeKey, receipts};
use shared::domain::life::door::erase_writes;
use shared::http::jobs::accepted;
use shared::http::routes::Scope;
use shared::http::{Answer, Call};
use shared::schema::catalog::{self, Record};
use shared::schema::violations::{self, Object, Violations};

use crate::end::{Present, TOGETHER, end, present};
use crate::erasure::set_ended;
use crate::people;
use crate::preview::preview;

/// People in one request.
pub const PEOPLE: usize = 5000;
/// How far ahead the erasure of a tenant may be asked for.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How long a job that waits for somebody else is left alone.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The part of a request under which it notes the job that it has begun.
const BEGUN: &str = "job";

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
    if let Some(job) = begun(app, call).await? {
        return end_all(app, job).await;
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
    if let Some(job) = begun(app, call).await? {
        return end_all(app, job).await;
    }
    let erase = parse(app, call).await?;
    begin(app, call, erase).await
}

async fn begin(app: &App, call: &Call, erase: Erase) -> Result<Answer> {
    match &erase.whom {
        Whom::Tenant(_) if erase.dry_run => {
            let people = people::everybody(app, call.tenant()).await?;
            let present = present(app, call.tenant(), &people).await?;
            Ok(Answer::ok(preview(app, &present).await?))
        }
        Whom::Tenant(not_before) => begin_tenant(app, call, &erase, *not_before).await,
        Whom::People(people) => {
            let found = present(app, call.tenant(), people).await?;
            if found.is_empty() {
                return Err(Error::NotFound);
            }
            if erase.dry_run {
                return Ok(Answer::ok(preview(app, &found).await?));
            }
            if found.len() <= TOGETHER {
                return begin_few(app, call, &erase, people, found).await;
            }
            expect_room(&found)?;
            begin_many(app, call, &erase, found).await
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

/// One transaction: keys gone, doors closed, job written; on the rows of those who are held
/// it is noted that it waits. Then the answer.
async fn begin_few(
    app: &App,
    call: &Call,
    erase: &Erase,
    people: &[SubjectId],
    mut found: Vec<Present>,
) -> Result<Answer> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        if !tries.first() {
            found = present(app, call.tenant(), people).await?;
        }
        if found.is_empty() {
            return Err(Error::NotFound);
        }
        expect_room(&found)?;
        let now = app.clock.now();
        let (held, free): (Vec<_>, Vec<_>) = found.iter().partition(|it| it.entry.rules.held);
        let mut erasing = erase.erasing();
        erasing.ended = !free.is_empty();
        erasing.uploads_until = free.iter().filter_map(|it| it.door.uploads_until()).max();
        let (mut job, lists) = job(call, erase, &found, erasing, now);
        let blocked: Vec<_> = held.iter().map(|it| it.entry.key.subject).collect();
        set_ended(app, &mut job, &blocked, now);
        let mut writes = lists;
        match free.is_empty() {
            true => {
                job.state = JobState::Blocked;
                writes.push(job.begin_later(now + DAY));
            }
            false => writes.extend(job.begin_writes()),
        }
        let id = job.key.id;
        writes.extend(held.iter().map(|it| block_write(&it.entry, id)));
        let end = |it: &&Present| erase_writes(&it.entry, Some(&it.door), erase.suppress);
        writes.extend(free.iter().flat_map(end));
        writes.extend(requested(call, &job, &found, now));
        let answer = accepted(&job, "erasures");
        let answer = call.kept_with(answer, &mut writes);
        if app.store.transact(writes).await?.is_ok() {
            return Ok(answer);
        }
        // Somebody began, ended, was held or was handed a link meanwhile: look again.
    }
}

/// The job with its list first, then the lives end, then the answer. Should this die in the
/// middle, the worker ends the rest.
async fn begin_many(app: &App, call: &Call, erase: &Erase, found: Vec<Present>) -> Result<Answer> {
    let now = app.clock.now();
    let (mut job, lists) = job(call, erase, &found, erase.erasing(), now);
    for list in lists {
        let _new = app.store.write(list).await?;
    }
    let mut writes = requested(call, &job, &found, now);
    writes.push(job.prepare_write());
    let id = job.key.id.to_string();
    let once = call.once();
    writes.extend(once.map(|once| once.part_write(BEGUN, &id, now)));
    if app.store.transact(writes).await?.is_err() {
        return Err(Error::Unavailable("a new job's id is taken".into()));
    }
    end_all(app, job).await
}

/// The job that this very request has begun, when it came before and died half way.
async fn begun(app: &App, call: &Call) -> Result<Option<Job<Erasing>>> {
    let (tenant, Some(once)) = (call.tenant(), call.once()) else {
        return Ok(None);
    };
    let id = app.store.part(once, BEGUN, app.clock.now()).await?;
    let Some(id) = id.as_deref().and_then(JobId::parse) else {
        return Ok(None);
    };
    let kind = JobKind::Erasure;
    app.store.job(JobKey { tenant, kind, id }).await
}

/// Ends all lives of a job that is prepared, and hands it over. Where the worker has taken the
/// job up meanwhile, both end what is left, so that everybody is unreadable in the answer.
async fn end_all(app: &App, mut job: Job<Erasing>) -> Result<Answer> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        if !tries.first() {
            job = app.store.job(job.key).await?.ok_or(Error::NotFound)?;
        }
        let over = job.finished_at.is_some();
        if over || job.spec.ended || job.state == JobState::Blocked {
            return Ok(accepted(&job, "erasures"));
        }
        let lives = app.store.all_lives_of(job.key, &job.spec).await?;
        let Some(ended) = end(app, &job, &lives).await? else {
            continue;
        };
        if job.turn > 0 {
            return Ok(accepted(&job, "erasures"));
        }
        let now = app.clock.now();
        job.spec.uploads_until = ended.uploads_until;
        set_ended(app, &mut job, &ended.blocked, now);
        let waits = ended.blocked.len() == job.spec.count;
        job.spec.ended = !waits;
        let saved = if waits {
            job.state = JobState::Blocked;
            app.store.wait_until(&mut job, now + DAY).await?
        } else {
            app.store.next_turn(&mut job, now).await?
        };
        if saved {
            return Ok(accepted(&job, "erasures"));
        }
    }
}

/// Everybody, and the tenant: only its owner may ask for it.
async fn begin_tenant(
    app: &App,
    call: &Call,
    erase: &Erase,
    not_before: Timestamp,
) -> Result<Answer> {
    let caller = call.caller();
    let owner = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Collect)
        .all(|scope| caller.may(scope));
    if !owner {
        return Err(Error::Forbidden(Lacks::Ownership));
    }
    let mut job = offboarding::job(call.tenant(), not_before, app.clock.now());
    erase.note(&mut job);
    let mut more = Vec::new();
    let answer = call.kept_with(accepted(&job, "erasures"), &mut more);
    offboarding::begin(app, call.tenant(), &call.by(), job, more).await?;
    Ok(answer)
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

async fn parse(app: &App, call: &Call) -> Result<Erase> {
    let known = [
        "subjects",
        "visitors",
        "lookup",
        "all",
        "tenant",
        "confirm",
        "not_before",
        "suppress",
        "reason",
        "reference",
        "dry_run",
    ];
    let mut violations = Violations::default();
    let Some(body) = violations.object(call.body(), "", &known) else {
        return Err(violations.into());
    };
    let mut code = |name| {
        let expected = "must match [A-Za-z0-9._-]{1,64}";
        let code = body.parsed(name, expected, &mut violations, violations::code);
        code.map(str::to_owned)
    };
    let (reason, reference) = (code("reason"), code("reference"));
    let mut flag = |name| body.flag(name, &mut violations);
    let (all, tenant) = (flag("all"), flag("tenant"));
    let (suppress, dry_run) = (flag("suppress"), flag("dry_run"));
    let named = ["subjects", "visitors", "lookup"];
    let given = named.iter().filter(|name| body.has(name)).count() + usize::from(tenant);
    if given != 1 {
        let expected = "must have exactly one of: subjects, visitors, lookup, tenant";
        violations.add("", "exactly_one", expected);
    }
    if all && !body.has("lookup") {
        violations.add("/all", "not_allowed", "is allowed only with lookup");
    }
    if suppress && tenant {
        violations.add("/suppress", "not_allowed", "is not allowed with tenant");
    }
    let not_before = not_before(app, call, &body, tenant, &mut violations);
    let lookup = body
        .get("lookup")
        .and_then(|it| violations::lookup(it, "/lookup", &mut violations));
    let keys = app.keyring.tenant(call.tenant()).await?;
    let name = |visitor: &str| {
        let visitor = catalog::text(Record::Person, "visitor_id", visitor).ok()?;
        Some(keys.hash.subject(&visitor))
    };
    let mut people = listed(&body, "subjects", SubjectId::parse, &mut violations);
    people.extend(listed(&body, "visitors", name, &mut violations));
    violations.end()?;
    if let Some((kind, value)) = lookup {
        people = people::found(app, call.tenant(), kind, &value, all).await?;
    }
    let whom = match tenant {
        true => Whom::Tenant(not_before),
        false => Whom::People(people),
    };
    Ok(Erase {
        whom,
        suppress,
        reason,
        reference,
        dry_run,
    })
}

/// People in a list of the body.
fn listed(
    body: &Object<'_>,
    name: &str,
    parse: impl Fn(&str) -> Option<SubjectId>,
    violations: &mut Violations,
) -> Vec<SubjectId> {
    let list = body.list(name, PEOPLE, violations).unwrap_or_default();
    let mut people = Vec::new();
    for (at, value) in list.iter().enumerate() {
        match value.as_str().and_then(&parse) {
            Some(subject) => people.push(subject),
            None => violations.add(format!("/{name}/{at}"), "format", "must be a valid ID"),
        }
    }
    people
}

/// When the erasure of a tenant begins: a day ahead unless said.
fn not_before(
    app: &App,
    call: &Call,
    body: &Object<'_>,
    tenant: bool,
    violations: &mut Violations,
) -> Timestamp {
    let now = app.clock.now();
    let confirmed = body.text("confirm", violations) == Some(&call.tenant().to_string());
    let dry = body.get("dry_run") == Some(&json!(true));
    if tenant && !confirmed && !dry {
        violations.add("/confirm", "confirm", "must be the tenant's own ID");
    }
    let expected = "must be an RFC 3339 timestamp within the next 30 days";
    let parse = |text: &str| {
        let at: Timestamp = text.parse().ok()?;
        (at >= now && at <= now + FURTHEST).then_some(at)
    };
    let at = body.parsed("not_before", expected, violations, parse);
    for name in ["confirm", "not_before"] {
        if body.has(name) && !tenant {
            violations.add(
                format!("/{name}"),
                "not_allowed",
                "is allowed only with tenant",
            );
        }
    }
    at.unwrap_or(now + GRACE)
}

/// `GET /v1/erasures`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    call.jobs(app, JobKind::Erasure).await
}

/// `GET /v1/erasures/{id}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let job = call.job::<Erasing>(app, JobKind::Erasure).await?;
    Ok(Answer::ok(job.body()))
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

/// `POST /v1/erasures/{id}/cancel`: what has not gone yet stays.
pub async fn cancel(app: &App, call: &Call) -> Result<Answer> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let mut job: Job<Erasing> = call.job(app, JobKind::Erasure).await?;
        let now = app.clock.now();
        let waits =
            job.state == JobState::Blocked || (job.state == JobState::Queued && job.spec.tenant);
        if !waits {
            let detail = "Only an erasure that is blocked or has not started can be cancelled.";
            return Err(Error::Conflict {
                code: "not_cancellable",
                detail,
            });
        }
        let about = [job.key.id.to_string()];
        let mut writes = entry::writes(&[entry::Entry {
            tenant: call.tenant(),
            event: AuditEvent::ErasureCancelled,
            by: &call.by(),
            about: &about,
            at: now,
            happened_at: None,
        }]);
        if job.spec.tenant {
            writes.extend(offboarding::cancel_writes(&mut job, now));
        } else {
            let Some(unblock) = unblock_writes(app, &job).await? else {
                // The hold on one of them has ended, and with it perhaps their life.
                let _refused = app.store.transact(job.wake_writes(now).into()).await?;
                continue;
            };
            writes.extend(unblock);
            if job.outcome.unreadable_at.is_none() {
                writes.extend(job.lists_end_writes(now));
                writes.push(job.finish_write(JobState::Cancelled, now));
            } else {
                // Others have gone: for them it goes on to its receipt.
                job.spec.ended = true;
                job.outcome.cancelled = job.outcome.blocked.replace(Vec::new());
                job.state = JobState::Queued;
                writes.extend(job.next_writes(now));
            }
        }
        if app.store.transact(writes).await?.is_ok() {
            return Ok(Answer::ok(job.body()));
        }
        // It went on meanwhile: look again.
    }
}

/// The writes that take a blocked erasure off the holds that it waits for: each of those must
/// be in force still. Of very many, all but the last are written already. `None` when a hold
/// has been lifted: then the erasure goes on.
async fn unblock_writes(app: &App, job: &Job<Erasing>) -> Result<Option<Vec<Write>>> {
    let excluded: HashSet<_> = job.outcome.excluded().collect();
    let mut lives = app.store.all_lives_of(job.key, &job.spec).await?;
    lives.retain(|life| excluded.contains(&life.subject));
    let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
    let entries = app.keyring.entries(job.key.tenant, &subjects).await?;
    let held = |life: &LifeKey| {
        let entry = entries.get(&life.subject);
        entry.is_some_and(|entry| entry.key == *life && entry.rules.held)
    };
    if !lives.iter().all(held) {
        return Ok(None);
    }
    let unblock = |life: &LifeKey| unblock_write(life, job.key.id);
    let mut writes: Vec<_> = lives.iter().map(unblock).collect();
    let rest = writes.split_off(writes.len().min(TOGETHER));
    for some in in_transactions(rest) {
        if !some.is_empty() && app.store.transact(some).await?.is_err() {
            return Ok(None);
        }
    }
    Ok(Some(writes))
}
