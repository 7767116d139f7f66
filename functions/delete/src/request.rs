//! Requests to forget. When the answer is sent, what was asked to go cannot be read.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use shared::app::App;
use shared::error::{Error, FieldError, Result};
use shared::http::{Answer, Call};
use shared::id::{JobId, Subject};
use shared::store::activity::{self, Deed};
use shared::store::jobs::{Job, JobFilter, JobKey, JobKind, JobState};
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
    begin(app, call, Erase { people, reason: None, reference: None, dry_run: false }).await
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
        for (life, door) in &lives {
            writes.extend(erase_writes(life, Some(door)));
        }
        let mut about: Vec<_> = lives.iter().map(|(life, _)| life.life.to_string()).collect();
        about.push(job.key.id.to_string());
        let by = call.by();
        let deed = Deed::ErasureRequested;
        let entry = activity::Entry { tenant: call.tenant(), deed, by: &by, about: &about, at: now };
        writes.push(activity::write(&entry));
        if app.store.transact(writes).await?.is_ok() {
            let location = format!("/v1/erasures/{}", job.key.id);
            return Ok(Answer::json(202, job.body()).header("location", location));
        }
        // Somebody began, ended or was handed a link meanwhile: look again.
    }
    Err(Error::Unavailable("these lives change faster than they can be ended".into()))
}

/// Those of the people who live, with their doors.
async fn living(app: &App, call: &Call, people: &[Subject]) -> Result<Vec<(LifeKey, Door)>> {
    let present = app.present(call.tenant(), people).await?;
    Ok(present.into_iter().map(|it| (it.key, it.door)).collect())
}

fn job(call: &Call, erase: &Erase, lives: &[(LifeKey, Door)], now: Timestamp) -> Job {
    let counted = lives.iter().map(|(life, door)| (*life, door.counts.total())).collect();
    let until = lives.iter().filter_map(|(_, door)| door.uploads_until()).max();
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
    let mut fields = call.object()?.clone();
    let mut errors = Vec::new();
    let reason = code(&mut fields, "reason", &mut errors);
    let reference = code(&mut fields, "reference", &mut errors);
    let dry_run = flag(&mut fields, "dry_run", &mut errors);
    let all = flag(&mut fields, "all", &mut errors);
    let subjects = names(&mut fields, "subjects", &mut errors);
    let visitors = names(&mut fields, "visitors", &mut errors);
    let lookup = fields.remove("lookup");
    for name in fields.keys() {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        errors.push(FieldError::new(pointer, "unknown", "is not a field of this request"));
    }
    let given = [subjects.is_some(), visitors.is_some(), lookup.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        let expected = "must hold exactly one of subjects, visitors and lookup";
        errors.push(FieldError::new("", "exactly_one", expected));
    }
    if all && lookup.is_none() {
        errors.push(FieldError::new("/all", "not_allowed", "belongs to a lookup"));
    }
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let people = match (subjects, visitors, lookup) {
        (Some(subjects), _, _) => parse_subjects(&subjects)?,
        (_, Some(visitors), _) => {
            let keys = app.keyring.tenant(call.tenant()).await?;
            visitors.iter().map(|visitor| keys.hash.subject(visitor)).collect()
        }
        (_, _, lookup) => found(app, call, &lookup.unwrap_or_default(), all).await?,
    };
    Ok(Erase { people, reason, reference, dry_run })
}

/// Those whom a lookup finds: by values that the tenant vouches for, and one person only
/// unless all are meant.
async fn found(app: &App, call: &Call, lookup: &Value, all: bool) -> Result<Vec<Subject>> {
    let expected = "must hold exactly one of visitor_id, user_id, email and phone";
    let refused = || Error::field("/lookup", "exactly_one", expected);
    let fields = lookup.as_object().filter(|fields| fields.len() == 1).ok_or_else(refused)?;
    let (kind, value) = fields.iter().next().ok_or_else(refused)?;
    let known = kind == "visitor_id"
        || shared::catalog::FIELDS.iter().any(|field| field.lookup && field.name == kind);
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

fn parse_subjects(names: &[String]) -> Result<Vec<Subject>> {
    let parse = |(at, name): (usize, &String)| {
        Subject::parse(name).ok_or_else(|| {
            FieldError::new(format!("/subjects/{at}"), "subject", "must be an id of a subject")
        })
    };
    let (known, errors): (Vec<_>, Vec<_>) =
        names.iter().enumerate().map(parse).partition(std::result::Result::is_ok);
    if errors.is_empty() {
        return Ok(known.into_iter().flatten().collect());
    }
    Err(Error::Invalid(errors.into_iter().filter_map(std::result::Result::err).collect()))
}

fn names(
    fields: &mut Map<String, Value>,
    name: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Vec<String>> {
    let value = fields.remove(name)?;
    let list = value.as_array().map(|list| {
        list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<_>>()
    });
    let complete = value.as_array().map(Vec::len) == list.as_ref().map(Vec::len);
    match list {
        Some(list) if complete && (1..=PEOPLE).contains(&list.len()) => Some(list),
        _ => {
            let expected = format!("must be a list of 1 to {PEOPLE} names");
            errors.push(FieldError::new(format!("/{name}"), "length", expected));
            Some(Vec::new())
        }
    }
}

fn flag(fields: &mut Map<String, Value>, name: &str, errors: &mut Vec<FieldError>) -> bool {
    match fields.remove(name) {
        None => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => {
            errors.push(FieldError::new(format!("/{name}"), "type", "must be true or false"));
            false
        }
    }
}

/// A code: what is kept for good holds no free text.
fn code(
    fields: &mut Map<String, Value>,
    name: &str,
    errors: &mut Vec<FieldError>,
) -> Option<String> {
    let value = fields.remove(name)?;
    let plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let code = value.as_str().filter(plain).map(str::to_owned);
    if code.is_none() {
        let expected = "must match [A-Za-z0-9._-]{1,64}";
        errors.push(FieldError::new(format!("/{name}"), "pattern", expected));
    }
    code
}

/// `GET /v1/erasures`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let filter = JobFilter {
        state: call
            .query("state")
            .map(|state| {
                let expected = || Error::field("state", "choice", "must be a state of a job");
                JobState::parse(state).ok_or_else(expected)
            })
            .transpose()?,
        subject: call
            .query("subject")
            .map(|subject| {
                let expected = || Error::field("subject", "subject", "must be an id of a subject");
                Subject::parse(subject).ok_or_else(expected)
            })
            .transpose()?,
    };
    let (limit, after) = (call.limit()?, call.cursor(app).await?);
    let (jobs, next) =
        app.store.jobs(call.tenant(), JobKind::Erasure, &filter, limit, after).await?;
    call.page(app, jobs.iter().map(Job::body).collect(), next).await
}

/// `GET /v1/erasures/{id}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let id = call.path("id").and_then(JobId::parse).ok_or(Error::NotFound)?;
    let key = JobKey { tenant: call.tenant(), kind: JobKind::Erasure, id };
    let job = app.store.job(key).await?.ok_or(Error::NotFound)?;
    Ok(Answer::ok(job.body()))
}
