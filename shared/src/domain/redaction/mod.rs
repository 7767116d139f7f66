//! Redaction: what a request, or a turn of its job, takes out of records for good. Owns
//! targets, what became of them, and how a long list of them is worked through.
//!
//! Every target names its life. Every step may be the last before a crash, and every step
//! may be done again: what is redacted stays so, and is a success when asked for again.

mod rows;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aws::dynamo::{Attribute, Filter, Query, Range};
use crate::base::error::{Error, Result, found};
use crate::base::id::{AttachmentId, JobId, KeyedHash, MessageId, TenantId};
use crate::base::named::named;
use crate::domain::app::App;
use crate::domain::audit::entry::{self, AuditEvent, Entry};
use crate::domain::audit::mask::mask;
use crate::domain::jobs::{Job, JobKind, JobState};
use crate::domain::keys::{self, LifeKey};
use crate::domain::life::rekey;
use crate::domain::life::update::{Life, Whom};
use crate::domain::records::rows::Record;
use crate::domain::turn::{End, Halt, Turn};
use crate::schema::spans::Span;
use rows::Piece;

/// Targets that are read and redacted together.
const STEP: usize = 50;
/// How often a turn saves how far it is.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Something to redact: the progress in the caller's list, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub index: usize,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Message(MessageId),
    Spans(Passage),
    Attachment(AttachmentId),
    /// Its title, its messages, and the files of both.
    Conversation(KeyedHash),
}

/// Parts of a message's body, as it read when the caller chose them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    pub message: MessageId,
    pub content_hash: KeyedHash,
    pub spans: Vec<Span>,
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is redacted, now or before. Where a body is left, its fingerprint.
    Redacted(Option<KeyedHash>),
    NotFound,
    /// The body is no longer the one whose spans were chosen.
    Stale,
    /// A span lies outside the body.
    Invalid,
    /// A hold was put on the person before it was redacted.
    Held,
}

named! {
    /// What became of a target.
    pub enum TargetStatus {
        Redacted = "redacted",
        NotFound = "not_found",
        /// The body is no longer the one whose spans were chosen.
        Stale = "stale",
        /// A span lies outside the body.
        Invalid = "invalid",
        Held = "held",
    }
}

impl From<Status> for TargetStatus {
    fn from(status: Status) -> TargetStatus {
        match status {
            Status::Redacted(_) => TargetStatus::Redacted,
            Status::NotFound => TargetStatus::NotFound,
            Status::Stale => TargetStatus::Stale,
            Status::Invalid => TargetStatus::Invalid,
            Status::Held => TargetStatus::Held,
        }
    }
}

/// The targets within one life.
#[derive(Clone, Debug)]
pub struct Work {
    pub life: LifeKey,
    pub targets: Vec<Target>,
}

/// On whose behalf, for the activity log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cause {
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip)]
    pub job: Option<JobId>,
}

impl Cause {
    /// What an audit event is about, besides the redacted data.
    pub fn about(&self) -> impl Iterator<Item = String> {
        let job = self.job.map(|job| job.to_string());
        let reason = self.reason.as_deref();
        let reason = reason.map(|reason| format!("reason:{}", mask(reason)));
        job.into_iter().chain(reason)
    }
}

/// How far a list of work is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    work: usize,
    target: usize,
    /// Within a conversation: the message to go on after.
    after: Option<String>,
}

/// What one step did.
#[derive(Default)]
struct Step {
    /// The targets that are now done with.
    ended: Vec<(usize, Status)>,
    records: u64,
}

/// What a job is to do. A life stands as its partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redacting {
    cause: Cause,
    work: Vec<(String, Vec<Target>)>,
}

/// What has become of a job's targets.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Redaction")]
pub struct Outcome {
    pub results: Results,
    /// The targets that were not redacted, in no order.
    pub failed: Vec<Missed>,
    /// The time from which no backup can restore the redacted data. `null` if nothing was
    /// redacted.
    pub backups_clear_by: Option<Timestamp>,
}

/// The number of targets by what became of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RedactionCounts")]
pub struct Results {
    pub redacted: u64,
    pub not_found: u64,
    pub stale: u64,
    pub invalid: u64,
    pub held: u64,
}

/// A target that was not redacted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FailedTarget")]
pub struct Missed {
    /// The target's place in the request.
    pub index: usize,
    pub status: TargetStatus,
}

impl Outcome {
    /// Counts targets by status, and lists those that were not redacted.
    fn tally(&mut self, ended: &[(usize, Status)]) {
        for (index, status) in ended {
            *match status {
                Status::Redacted(_) => &mut self.results.redacted,
                Status::NotFound => &mut self.results.not_found,
                Status::Stale => &mut self.results.stale,
                Status::Invalid => &mut self.results.invalid,
                Status::Held => &mut self.results.held,
            } += 1;
            if !matches!(status, Status::Redacted(_)) {
                self.failed.push(Missed {
                    index: *index,
                    status: (*status).into(),
                });
            }
        }
    }
}

impl crate::domain::jobs::Work for Redacting {
    type Progress = Progress;
    type Outcome = Outcome;
}

/// The number of records in a work item, without the files of conversations.
///
/// # Errors
/// [`Error::Unavailable`], as everywhere below.
pub async fn size(app: &App, work: &Work) -> Result<u64> {
    let conversations: Vec<_> = work
        .targets
        .iter()
        .filter_map(|target| match target.what {
            What::Conversation(hash) => Some(hash),
            _ => None,
        })
        .collect();
    let mut sorts: Vec<_> = conversations
        .iter()
        .copied()
        .map(keys::conversation)
        .collect();
    sorts.sort_unstable();
    sorts.dedup();
    let partition = work.life.partition();
    let wanted: Vec<_> = sorts
        .into_iter()
        .map(|sort| (partition.clone(), sort))
        .collect();
    let rows = app.store.get_many(&wanted).await?;
    let messages: u64 = rows.iter().map(|row| row.count("messages")).sum();
    Ok(work.targets.len() as u64 + messages)
}

/// Redacts everything in this request. Returns the status of each target.
///
/// # Errors
/// [`Error::Unavailable`]: some of it may be done; the request can be repeated.
pub async fn at_once(app: &App, work: &[Work], cause: &Cause) -> Result<Vec<(usize, Status)>> {
    let mut progress = Progress::default();
    let mut ended = Vec::new();
    while progress.work < work.len() {
        ended.extend(step(app, work, &mut progress, cause).await?.ended);
    }
    Ok(ended)
}

/// The job for this work of `total` records, of which some targets are already done.
pub fn job(
    tenant: TenantId,
    work: &[Work],
    cause: Cause,
    ended: &[(usize, Status)],
    total: u64,
    now: Timestamp,
) -> Job<Redacting> {
    let subjects = work.iter().map(|work| work.life.subject).collect();
    let work = work
        .iter()
        .map(|work| (work.life.partition(), work.targets.clone()))
        .collect();
    let spec = Redacting { cause, work };
    let mut job = Job::new(tenant, JobKind::Redaction, subjects, spec, now);
    job.outcome.tally(ended);
    job.total = total;
    job
}

/// Works on a redaction until it is complete, or the turn's time is over.
///
/// # Errors
/// [`Halt::Failed`]: the turn can be done again.
pub async fn work(turn: &mut Turn<'_, Redacting>) -> Result<End, Halt> {
    let broken = || Error::Corrupt("a redaction is not as it was written".into());
    let app = turn.app;
    let mut cause = turn.job.spec.cause.clone();
    cause.job = Some(turn.job.key.id);
    let work = turn.job.spec.work.iter().map(|(life, targets)| {
        Some(Work {
            life: LifeKey::parse(life)?,
            targets: targets.clone(),
        })
    });
    let work: Vec<_> = work.collect::<Option<_>>().ok_or_else(broken)?;
    let mut saved_at = Instant::now();
    while turn.job.progress.work < work.len() {
        let step = step(app, &work, &mut turn.job.progress, &cause).await?;
        turn.job.done += step.records;
        turn.job.outcome.tally(&step.ended);
        if turn.job.progress.work < work.len() {
            turn.still_time()?;
        }
        if saved_at.elapsed() >= SAVE_EVERY {
            turn.save().await?;
            saved_at = Instant::now();
        }
    }
    let job = &mut turn.job;
    if job.outcome.results.redacted > 0 {
        let lives: Vec<_> = work.iter().map(|work| work.life).collect();
        job.outcome.backups_clear_by = rekey::clear_by(app, job.key.tenant, &lives).await?;
    }
    job.total = job.done;
    let about: Vec<_> = cause
        .about()
        .chain([format!("records:{}", job.done)])
        .collect();
    let (tenant, event) = (job.key.tenant, AuditEvent::RedactionCompleted);
    let entry = Entry::new(tenant, event, "lethe", &about, app.clock.now());
    Ok(End::Job(JobState::Completed, entry::writes(&[entry])))
}

/// Processes the next few targets of one life, or one page of a conversation.
async fn step(app: &App, all: &[Work], progress: &mut Progress, cause: &Cause) -> Result<Step> {
    let work = &all[progress.work];
    let step = match work.targets.get(progress.target) {
        None => Step::default(),
        Some(Target {
            index,
            what: What::Conversation(hash),
        }) => conversation(app, &work.life, (*index, *hash), progress, cause).await?,
        Some(_) => {
            let left = work.targets[progress.target..].iter();
            let targets: Vec<_> = left
                .map_while(|target| Some((target.index, Piece::of(&target.what)?)))
                .take(STEP)
                .collect();
            progress.target += targets.len();
            let (indexes, pieces): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
            let statuses = rows::redact(app, &work.life, &pieces, cause).await?;
            Step {
                records: pieces.len() as u64,
                ended: indexes.into_iter().zip(statuses).collect(),
            }
        }
    };
    if progress.target >= work.targets.len() {
        *progress = Progress {
            work: progress.work + 1,
            ..Progress::default()
        };
    }
    Ok(step)
}

/// One page of a conversation: some messages and their files. The last page includes the
/// conversation's own files and its title.
async fn conversation(
    app: &App,
    life: &LifeKey,
    (index, hash): (usize, KeyedHash),
    progress: &mut Progress,
    cause: &Cause,
) -> Result<Step> {
    let mut step = Step::default();
    let read = || page(app, life, hash, progress.after.as_deref());
    let (sorts, next) = match read().await {
        // Re-keyed since its key was read.
        Err(Error::Unreadable) => read().await?,
        page => page?,
    };
    let pieces: Vec<_> = sorts.into_iter().map(Piece::whole).collect();
    let statuses = rows::redact(app, life, &pieces, cause).await?;
    let found = statuses
        .iter()
        .any(|status| matches!(status, Status::Redacted(_)));
    step.records = statuses.len() as u64;
    if statuses.contains(&Status::Held) {
        step.ended.push((index, Status::Held));
        progress.after = None;
        progress.target += 1;
        return Ok(step);
    }
    let begun = progress.after.is_some();
    progress.after = next;
    if progress.after.is_none() {
        let status = if found || begun {
            Status::Redacted(None)
        } else {
            Status::NotFound
        };
        step.ended.push((index, status));
        progress.target += 1;
    }
    Ok(step)
}

/// The sort keys of one page of a conversation's records, and the message to continue after.
async fn page(
    app: &App,
    life: &LifeKey,
    hash: KeyedHash,
    after: Option<&str>,
) -> Result<(Vec<String>, Option<String>)> {
    let Some(Life { living, .. }) = found(app.life(Whom::life(life)).await)? else {
        return Ok((Vec::new(), None));
    };
    let partition = life.partition();
    // Read before its messages: a conversation that begins between the two reads is later than
    // this redaction, and must not be reported as redacted when its first message is not.
    let own = keys::conversation(hash);
    let begun = app.store.get(&partition, &own).await?.is_some();
    let messages = app
        .store
        .query(Query {
            partition: &partition,
            range: Range::Prefix(&keys::messages_of(hash)),
            ascending: true,
            limit: Some(STEP),
            after: after.map(str::to_owned),
        })
        .await?;
    let mut sorts = Vec::new();
    for row in &messages.rows {
        sorts.push(row.sort().to_owned());
        if let Some(Record::Message(message)) = Record::read(row, &living)? {
            let files = message.content.attachments.iter();
            let files = files.filter_map(|name| AttachmentId::parse(name));
            sorts.extend(files.map(keys::attachment));
        }
    }
    if messages.next.is_none() {
        sorts.extend(begun.then_some(own));
        sorts.extend(files_of(app, &partition, hash).await?);
    }
    sorts.sort_unstable();
    sorts.dedup();
    Ok((sorts, messages.next))
}

/// The attachments that were announced for a conversation.
async fn files_of(app: &App, partition: &str, hash: KeyedHash) -> Result<Vec<String>> {
    let of_it = vec![(":conversation", hash.to_string().into())];
    files_where(app, partition, "conversation = :conversation", &of_it).await
}

/// Deletes the remaining redacted files. A request or turn does this itself; a stream record
/// of the same transaction triggers it again in case it was interrupted.
///
/// # Errors
/// [`Error::Unavailable`] when a store does not answer.
pub async fn purge(app: &App, life: &LifeKey) -> Result<()> {
    let marked = vec![(":true", true.into())];
    for sort in files_where(app, &life.partition(), "purging = :true", &marked).await? {
        if let Some(file) = keys::parse_attachment(&sort) {
            rows::purge(app, life, file).await?;
        }
    }
    Ok(())
}

/// The attachments of a life that match a filter expression.
async fn files_where(
    app: &App,
    partition: &str,
    expression: &str,
    values: &[(&str, Attribute)],
) -> Result<Vec<String>> {
    let mut sorts = Vec::new();
    let mut after = None;
    loop {
        let query = Query {
            partition,
            range: Range::Prefix("attachment#"),
            ascending: true,
            limit: None,
            after,
        };
        let filter = Filter {
            expression,
            names: &[],
            values: values.to_vec(),
        };
        let page = app.store.query_where(query, Some(filter)).await?;
        sorts.extend(page.rows.iter().map(|row| row.sort().to_owned()));
        after = page.next;
        if after.is_none() {
            return Ok(sorts);
        }
    }
}

/// The audit event's subject for records redacted in one transaction.
fn entry_about(life: &LifeKey, records: usize, cause: &Cause) -> Vec<String> {
    [life.life.to_string(), format!("records:{records}")]
        .into_iter()
        .chain(cause.about())
        .collect()
}

/// The writes that log the request of a job.
pub fn requested(tenant: TenantId, job: &Job<Redacting>) -> Vec<crate::aws::dynamo::Write> {
    let cause = &job.spec.cause;
    let about: Vec<_> = std::iter::once(job.key.id.to_string())
        .chain(cause.about())
        .collect();
    entry::writes(&[entry::Entry {
        tenant,
        event: AuditEvent::RedactionRequested,
        by: &cause.by,
        about: &about,
        at: job.created_at,
        happened_at: None,
    }])
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn targets_are_kept_as_pseudonyms_and_read_back() {
        let message = MessageId {
            conversation: KeyedHash([1; 16]),
            uuid: Uuid::from_u128(2),
        };
        let passage = Passage {
            message,
            content_hash: KeyedHash([3; 16]),
            spans: vec![Span { start: 0, end: 4 }],
        };
        let all = [
            What::Message(message),
            What::Spans(passage),
            What::Attachment(AttachmentId::random()),
            What::Conversation(KeyedHash([4; 16])),
        ];
        let targets: Vec<_> = all
            .into_iter()
            .enumerate()
            .map(|(index, what)| Target { index, what })
            .collect();
        let text = json!(targets).to_string();
        assert!(text.contains(r#""spans":[[0,4]]"#), "{text}");
        let read: Vec<Target> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, targets);
        let read: Vec<Target> = serde_json::from_value(json!(targets)).unwrap();
        assert_eq!(read, targets);
    }
}
