//! Jobs: work that outlives a request, done in turns. Owns their rows and the hand-over
//! from turn to turn; knows nothing of what the work is.
//!
//! A turn is a row of its own, so the table's stream hands it to the worker. Every write of
//! a job gives it a new fence, and happens only if the job is still as it was read: whoever
//! works on an older turn, or on what has been cancelled since, can save nothing. While a job
//! is not over it stands in the index `due` at the moment when cleanup should look at it,
//! so one whose worker died, or that waits for a link to run out, is taken up again.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::aws::dynamo::{Attribute, Filter, Item, Page, Query, Range, Refusal, Store, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, SubjectId, TenantId};
use crate::base::recovery::KEPT;
use crate::domain::keys::{self, JOBS_DUE};
pub use crate::domain::keys::{JobKey, JobKind};

/// How long cleanup leaves a turn alone: longer than a worker may run.
const LEASE: SignedDuration = SignedDuration::from_mins(6);
/// A turn's row is needed until the stream has handed it over.
pub(super) const TURN_KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Queued,
    Running,
    /// Waits for somebody to lift a hold.
    Blocked,
    /// Waits, then looks again whether anything is left.
    Verifying,
    Completed,
    /// Something could not be removed: it is tried again each day.
    Partial,
    Failed,
    Cancelled,
}

impl JobState {
    pub const ALL: [JobState; 8] = [
        JobState::Queued,
        JobState::Running,
        JobState::Blocked,
        JobState::Verifying,
        JobState::Completed,
        JobState::Partial,
        JobState::Failed,
        JobState::Cancelled,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Blocked => "blocked",
            JobState::Verifying => "verifying",
            JobState::Completed => "completed",
            JobState::Partial => "partial",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    pub fn parse(name: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.name() == name)
    }

    pub const fn over(self) -> bool {
        matches!(
            self,
            JobState::Completed | JobState::Failed | JobState::Cancelled
        )
    }
}

/// One job, as stored. `spec` (what to do), `progress` (how far it is) and `outcome` (what
/// the kind adds to the public body) belong to the worker; nothing personal stands in them.
#[derive(Clone, Debug)]
pub struct Job {
    pub key: JobKey,
    pub state: JobState,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub done: u64,
    pub total: u64,
    pub subjects: Vec<SubjectId>,
    pub spec: Value,
    pub progress: Value,
    pub outcome: Value,
    pub turn: u64,
    /// When cleanup looks at it; as read, and while it is not over.
    pub look_at: Option<Timestamp>,
    fence: String,
}

/// A word that no other write of a job has.
fn new_fence() -> String {
    let mut bytes = [0; 8];
    crate::crypto::fill_random(&mut bytes);
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

impl Job {
    pub fn new(tenant: TenantId, kind: JobKind, subjects: Vec<SubjectId>, now: Timestamp) -> Job {
        Job {
            key: JobKey {
                tenant,
                kind,
                id: JobId::at(now),
            },
            state: JobState::Queued,
            created_at: now,
            finished_at: None,
            done: 0,
            total: 0,
            subjects,
            spec: Value::Null,
            progress: Value::Null,
            outcome: json!({}),
            turn: 1,
            look_at: None,
            fence: new_fence(),
        }
    }

    fn item(&self) -> Item {
        let sort = self.key.id.to_string();
        let subjects: Vec<_> = self.subjects.iter().map(SubjectId::to_string).collect();
        Item::new(&keys::jobs(self.key.tenant, self.key.kind), &sort)
            .with("state", self.state.name())
            .with("created_at", self.created_at)
            .with_some("finished_at", self.finished_at)
            .with("done", self.done)
            .with("total", self.total)
            .with_some("subjects", (!subjects.is_empty()).then_some(subjects))
            .with("spec", self.spec.to_string())
            .with("progress", self.progress.to_string())
            .with("outcome", self.outcome.to_string())
            .with("turn", self.turn)
            .with("fence", self.fence.clone())
    }

    fn read(row: &Item) -> Result<Job> {
        let broken = || Error::Corrupt("a job is not as it was written".into());
        let (tenant, kind) = row.partition().split_once("#jobs#").ok_or_else(broken)?;
        let json = |name| serde_json::from_str(row.text(name)?).map_err(|_| broken());
        Ok(Job {
            key: JobKey {
                tenant: TenantId::parse(tenant).ok_or_else(broken)?,
                kind: JobKind::parse(kind).ok_or_else(broken)?,
                id: JobId::parse(row.sort()).ok_or_else(broken)?,
            },
            state: JobState::parse(row.text("state")?).ok_or_else(broken)?,
            created_at: row.time("created_at")?,
            finished_at: row.try_time("finished_at"),
            done: row.count("done"),
            total: row.count("total"),
            subjects: row
                .texts("subjects")
                .iter()
                .filter_map(|text| SubjectId::parse(text))
                .collect(),
            spec: json("spec")?,
            progress: json("progress")?,
            outcome: json("outcome")?,
            turn: row.count("turn"),
            look_at: row.try_text("due_sk").and_then(keys::job_due_at),
            fence: row.text("fence")?.to_owned(),
        })
    }

    /// The row while the job is not over: due when cleanup should look at it.
    fn live_item(&self, look_at: Timestamp) -> Item {
        self.item()
            .with("due_pk", JOBS_DUE)
            .with("due_sk", keys::job_due(self.key, look_at))
    }

    fn turn_write(&self, now: Timestamp) -> Write {
        let partition = keys::jobs(self.key.tenant, self.key.kind);
        let turn = Item::new(&partition, &keys::turn(self.key, self.turn))
            .with("expires_at", (now + TURN_KEPT).as_second());
        Write::put(turn).only_new()
    }

    /// The job and its first turn: part of the transaction that causes it.
    pub fn begin_writes(&self) -> Vec<Write> {
        let now = self.created_at;
        vec![
            Write::put(self.live_item(now + LEASE)).only_new(),
            self.turn_write(now),
        ]
    }

    /// The job without a turn: cleanup hands over its first at `look_at`, unless somebody
    /// does so before.
    pub fn begin_later(&mut self, look_at: Timestamp) -> Write {
        self.turn = 0;
        Write::put(self.live_item(look_at)).only_new()
    }

    /// The job without a turn, until its preparation has ended; should that die, cleanup
    /// hands the job over.
    pub fn prepare_write(&mut self) -> Write {
        self.begin_later(self.created_at + LEASE)
    }

    /// The job and its next turn: part of the transaction that lets it go on.
    pub fn next_writes(&mut self, now: Timestamp) -> [Write; 2] {
        self.turn += 1;
        [
            self.saved(self.live_item(now + LEASE), &new_fence()),
            self.turn_write(now),
        ]
    }

    /// The job's next turn and nothing else of it, now that what it waited for is over: what a
    /// worker has saved since the job was read stays, and a worker that is at it still is
    /// fenced off.
    pub fn wake_writes(&self, now: Timestamp) -> [Write; 2] {
        let mut next = self.clone();
        next.turn += 1;
        let partition = keys::jobs(self.key.tenant, self.key.kind);
        let wake = Write::update(&partition, &self.key.id.to_string())
            .set("state", JobState::Queued.name())
            .set("turn", next.turn)
            .set("due_sk", keys::job_due(self.key, now + LEASE))
            .set("fence", new_fence())
            .if_is("turn", self.turn)
            .if_none("finished_at");
        [wake, next.turn_write(now)]
    }

    /// Saves the job under a new fence, if it is still as it was read and not over.
    fn saved(&self, item: Item, fence: &str) -> Write {
        Write::put(item.with("fence", fence))
            .if_is("fence", self.fence.clone())
            .if_none("finished_at")
    }

    /// Lets a transaction depend on the job being as it was read and not over.
    pub fn check(&self) -> Write {
        let partition = keys::jobs(self.key.tenant, self.key.kind);
        Write::check(&partition, &self.key.id.to_string())
            .if_is("fence", self.fence.clone())
            .if_none("finished_at")
    }

    /// The job at its end: part of the transaction that ends it. It leaves the index, and TTL
    /// removes it when it is no longer kept.
    pub fn finish_write(&mut self, state: JobState, now: Timestamp) -> Write {
        self.state = state;
        self.finished_at = Some(now);
        let until = now + KEPT;
        self.saved(
            self.item().with("expires_at", until.as_second()),
            &new_fence(),
        )
    }

    /// Deletes the job, unless a later turn has taken over.
    pub fn delete_write(&self) -> Write {
        let partition = keys::jobs(self.key.tenant, self.key.kind);
        Write::delete(&partition, &self.key.id.to_string()).if_is("turn", self.turn)
    }

    /// Whether the job has been over for so long that nothing of it is needed any more, though
    /// TTL may not have come to it yet.
    pub fn outlived(&self, now: Timestamp) -> bool {
        self.finished_at.is_some_and(|at| at + KEPT <= now)
    }

    /// What every job's body holds; the kind adds its outcome.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "id": self.key.id.to_string(),
            "kind": self.key.kind.name(),
            "state": self.state.name(),
            "progress": {"done": self.done, "total": self.total.max(self.done)},
            "created_at": self.created_at,
            "finished_at": self.finished_at,
        });
        if let (Value::Object(body), Value::Object(outcome)) = (&mut body, &self.outcome) {
            body.extend(outcome.clone());
        }
        body
    }
}

impl Store {
    /// One job.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as everywhere below.
    pub async fn job(&self, key: JobKey) -> Result<Option<Job>> {
        let row = self
            .get(&keys::jobs(key.tenant, key.kind), &key.id.to_string())
            .await?;
        row.as_ref().map(Job::read).transpose()
    }

    /// Several jobs, those that are there, in no order.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn jobs_named(&self, jobs: &[JobKey]) -> Result<Vec<Job>> {
        let row = |job: &JobKey| (keys::jobs(job.tenant, job.kind), job.id.to_string());
        let rows: Vec<_> = jobs.iter().map(row).collect();
        self.get_many(&rows).await?.iter().map(Job::read).collect()
    }

    /// Takes up a turn: the job, if this turn is its latest and it is not over.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn take_turn(&self, key: JobKey, turn: u64, now: Timestamp) -> Result<Option<Job>> {
        let partition = keys::jobs(key.tenant, key.kind);
        let write = Write::update(&partition, &key.id.to_string())
            .set("state", JobState::Running.name())
            .set("due_sk", keys::job_due(key, now + LEASE))
            .set("fence", new_fence())
            .if_is("turn", turn)
            .if_none("finished_at");
        match self.write(write).await? {
            Ok(row) => Job::read(&row).map(Some),
            Err(Refusal::Condition { .. }) => Ok(None),
        }
    }

    /// Saves how far a turn is. False when somebody else has written the job since.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn save_job(&self, job: &mut Job, now: Timestamp) -> Result<bool> {
        let item = job.live_item(now + LEASE);
        self.save(job, item).await
    }

    async fn save(&self, job: &mut Job, item: Item) -> Result<bool> {
        let fence = new_fence();
        let saved = match self.write(job.saved(item, &fence)).await? {
            Ok(_) => true,
            // It may be this very write, sent again after its answer was lost.
            Err(Refusal::Condition { row, .. }) => {
                row.is_some_and(|row| row.try_text("fence") == Some(&fence))
            }
        };
        if saved {
            job.fence = fence;
        }
        Ok(saved)
    }

    /// Saves how far a turn is, together with more that depends on it.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn save_job_with(
        &self,
        job: &mut Job,
        mut more: Vec<Write>,
        now: Timestamp,
    ) -> Result<bool> {
        let fence = new_fence();
        more.push(job.saved(job.live_item(now + LEASE), &fence));
        let saved = self.transact(more).await?.is_ok();
        if saved {
            job.fence = fence;
        }
        Ok(saved)
    }

    /// Saves the job and hands over to its next turn.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn next_turn(&self, job: &mut Job, now: Timestamp) -> Result<bool> {
        let writes = job.next_writes(now).to_vec();
        Ok(self.transact(writes).await?.is_ok())
    }

    /// Saves the job and lets it wait: cleanup hands over its next turn at `until`.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn wait_until(&self, job: &mut Job, until: Timestamp) -> Result<bool> {
        let item = job.live_item(until);
        self.save(job, item).await
    }

    /// One page of a tenant's jobs of a kind whose ids lie between two bounds, oldest first.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn jobs_between(
        &self,
        tenant: TenantId,
        kind: JobKind,
        (from, until): (JobId, JobId),
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<Job>, Option<String>)> {
        let (partition, from, until) = (
            keys::jobs(tenant, kind),
            from.to_string(),
            until.to_string(),
        );
        let query = Query {
            partition: &partition,
            range: Range::Between(&from, &until),
            ascending: true,
            limit: Some(limit),
            after,
        };
        let Page { rows, next } = self.query(query).await?;
        Ok((rows.iter().map(Job::read).collect::<Result<_>>()?, next))
    }

    /// One page of a tenant's jobs of a kind, newest first.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn jobs(
        &self,
        tenant: TenantId,
        kind: JobKind,
        filter: &JobFilter,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<Job>, Option<String>)> {
        let mut values: Vec<(&str, Attribute)> = Vec::new();
        let mut names = Vec::new();
        let expression = match (filter.subject, filter.state) {
            (Some(subject), _) => {
                values.push((":subject", subject.to_string().into()));
                "contains(subjects, :subject)"
            }
            (None, Some(state)) => {
                names.push(("#state", "state"));
                values.push((":state", state.name().into()));
                "#state = :state"
            }
            (None, None) => "attribute_exists(created_at)",
        };
        let partition = keys::jobs(tenant, kind);
        let query = Query {
            partition: &partition,
            range: Range::Prefix("job_"),
            ascending: false,
            limit: Some(limit),
            after,
        };
        let Page { rows, next } = self
            .query_where(
                query,
                Some(Filter {
                    expression,
                    names: &names,
                    values,
                }),
            )
            .await?;
        let mut jobs: Vec<Job> = Vec::new();
        for row in &rows {
            let job = match keys::job_of_list(row.sort()) {
                None => Some(Job::read(row)?),
                // A long list stands beside its job.
                Some(id) if jobs.iter().all(|job| job.key.id != id) => {
                    self.job(JobKey { tenant, kind, id }).await?
                }
                Some(_) => None,
            };
            jobs.extend(job.filter(|job| filter.state.is_none_or(|state| job.state == state)));
        }
        Ok((jobs, next))
    }
}

/// Which jobs of a kind to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub subject: Option<SubjectId>,
}
