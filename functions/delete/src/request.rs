//! Requests to forget. When the answer is sent, what was asked to go cannot be read.

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::app::App;
use shared::error::{Error, Result};
use shared::faults::{self, Faults};
use shared::http::jobs::accepted;
use shared::http::{Answer, Call};
use shared::id::Subject;
use shared::store::activity::{self, Deed};
use shared::store::jobs::{Job, JobKind};
use shared::store::keys::LifeKey;
use shared::store::lives::{Door, erase_writes};

/// People in one request: each needs two rows of the one transaction.
const PEOPLE: usize = 40;
const TRIES: u32 = 8;

/// What was asked for.
struct Erase {
    people: Vec<Subject>,
    reason: Option<String>,
    reference: Option<String>,
    dry_run: bool,
}

/// `DELETE /v1/subjects/{subject}`
pub async fn erase_one(app: &App, call: &Call) -> Result<Answer> {
    let people = vec![call.subject()?];
    begin(
        app,
        call,
        Erase {
            people,
            reason: None,
            reference: None,
            dry_run: false,
        },
    )
    .await
}

/// `POST /v1/erasures`
pub async fn erase(app: &App, call: &Call) -> Result<Answer> {
    let erase = parse(app, call).await?;
    begin(app, call, erase).await
}

/// One transaction: keys gone, doors closed, job written. Then the answer.
async fn begin(app: &App, call: &Call, erase: Erase) -> Result<Answer> {
    for _ in 0..TRIES {
        let lives = living(app, call, &erase.people).await?;
        if lives.is_empty() {
            return Err(Error::NotFound);
        }
        if erase.dry_run {
            return Ok(Answer::ok(counts(&lives)));
        }
        let now = app.clock.now();
        let job = job(call, &erase, &lives, now);
        let mut writes = job.begin_writes();
        let entries = app.keyring.entries(call.tenant(), &erase.people).await?;
        for (life, door) in &lives {
            let entry = entries.get(&life.subject).filter(|it| it.key == *life);
            writes.extend(
                entry
                    .map(|it| erase_writes(it, Some(door), false))
                    .unwrap_or_default(),
            );
        }
        let mut about: Vec<_> = lives
            .iter()
            .map(|(life, _)| life.life.to_string())
            .collect();
        about.push(job.key.id.to_string());
        let by = call.by();
        let deed = Deed::ErasureRequested;
        let entry = activity::Entry {
            tenant: call.tenant(),
            deed,
            by: &by,
            about: &about,
            at: now,
            happened_at: None,
        };
        writes.extend(activity::writes(&[entry]));
        if app.store.transact(writes).await?.is_ok() {
            return Ok(accepted(&job, "erasures"));
        }
        // Somebody began, ended or was handed a link meanwhile: look again.
    }
    Err(Error::Unavailable(
        "these lives change faster than they can be ended".into(),
    ))
}

/// Those of the people who live, with their doors.
async fn living(app: &App, call: &Call, people: &[Subject]) -> Result<Vec<(LifeKey, Door)>> {
    let present = app.present(call.tenant(), people).await?;
    Ok(present.into_iter().map(|it| (it.key, it.door)).collect())
}

fn job(call: &Call, erase: &Erase, lives: &[(LifeKey, Door)], now: Timestamp) -> Job {
    let counted = lives
        .iter()
        .map(|(life, door)| (*life, door.counts.total()))
        .collect();
    let until = lives
        .iter()
        .filter_map(|(_, door)| door.uploads_until())
        .max();
    let mut job = Job::erasure(JobKind::Erasure, call.tenant(), counted, until, now);
    if let Some(reason) = &erase.reason {
        job.outcome["reason"] = json!(reason);
    }
    if let Some(reference) = &erase.reference {
        job.outcome["reference"] = json!(reference);
    }
    job
}

/// What an erasure would remove, by the doors' own counts.
fn counts(lives: &[(LifeKey, Door)]) -> Value {
    let sum = |count: fn(&Door) -> u64| lives.iter().map(|(_, door)| count(door)).sum::<u64>();
    json!({
        "dry_run": true,
        "subjects": lives.len(),
        "stores": {
            "keyring": lives.len(),
            "records": {
                "conversations": sum(|door| door.counts.conversations),
                "messages": sum(|door| door.counts.messages),
                "interactions": sum(|door| door.counts.interactions),
            },
            "attachments": sum(|door| door.counts.attachments),
        },
    })
}

async fn parse(app: &App, call: &Call) -> Result<Erase> {
    let known = [
        "subjects",
        "visitors",
        "lookup",
        "all",
        "reason",
        "reference",
        "dry_run",
    ];
    let mut faults = Faults::default();
    let Some(body) = faults.object(call.body(), "", &known) else {
        faults.end()?;
        return Err(Error::NotJson);
    };
    let reason = "must match [A-Za-z0-9._-]{1,64}";
    let reason = body
        .parsed("reason", reason, &mut faults, faults::code)
        .map(str::to_owned);
    let reference = "must match [A-Za-z0-9._-]{1,64}";
    let reference = body
        .parsed("reference", reference, &mut faults, faults::code)
        .map(str::to_owned);
    let (dry_run, all) = (
        body.flag("dry_run", &mut faults),
        body.flag("all", &mut faults),
    );
    let subjects = body.list("subjects", PEOPLE, &mut faults);
    let visitors = body.list("visitors", PEOPLE, &mut faults);
    let lookup = body.get("lookup");
    let given = ["subjects", "visitors", "lookup"]
        .iter()
        .filter(|name| body.has(name))
        .count();
    if given != 1 {
        faults.add(
            "",
            "exactly_one",
            "must hold exactly one of subjects, visitors and lookup",
        );
    }
    if all && lookup.is_none() {
        faults.add("/all", "not_allowed", "belongs to a lookup");
    }
    let keys = app.keyring.tenant(call.tenant()).await?;
    let mut people = Vec::new();
    for (at, name) in subjects.into_iter().flatten().enumerate() {
        match name.as_str().and_then(Subject::parse) {
            Some(subject) => people.push(subject),
            None => faults.add(format!("/subjects/{at}"), "format", "must be a subject"),
        }
    }
    for (at, name) in visitors.into_iter().flatten().enumerate() {
        match name.as_str() {
            Some(visitor) => people.push(keys.hash.subject(visitor)),
            None => faults.add(format!("/visitors/{at}"), "type", "must be a string"),
        }
    }
    faults.end()?;
    if let Some(lookup) = lookup {
        people = found(app, call, lookup, all).await?;
    }
    Ok(Erase {
        people,
        reason,
        reference,
        dry_run,
    })
}

/// Those whom a lookup finds: by values that the tenant vouches for, and one person only
/// unless all are meant.
async fn found(app: &App, call: &Call, lookup: &Value, all: bool) -> Result<Vec<Subject>> {
    let expected = "must hold exactly one of visitor_id, user_id, email and phone";
    let refused = || Error::field("/lookup", "exactly_one", expected);
    let fields = lookup
        .as_object()
        .filter(|fields| fields.len() == 1)
        .ok_or_else(refused)?;
    let (kind, value) = fields.iter().next().ok_or_else(refused)?;
    let known = kind == "visitor_id"
        || shared::catalog::FIELDS
            .iter()
            .any(|field| field.lookup && field.name == kind);
    let value = value.as_str().filter(|_| known).ok_or_else(refused)?;
    let mut present = app.find(call.tenant(), kind, value).await?;
    if kind != "visitor_id" {
        present.retain(|it| it.verified);
    }
    let people: Vec<_> = present.into_iter().map(|it| it.key.subject).collect();
    if people.len() > 1 && !all {
        return Err(Error::Ambiguous(people));
    }
    Ok(people)
}

/// `GET /v1/erasures`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    call.jobs(app, JobKind::Erasure).await
}

/// `GET /v1/erasures/{id}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    Ok(Answer::ok(call.job(app, JobKind::Erasure).await?.body()))
}
