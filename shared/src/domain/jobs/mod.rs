//! Jobs: work that outlives a request, done in turns. Owns their rows and the hand-over
//! from turn to turn; knows nothing of what the work is.
//!
//! A turn is a row of its own, so the table's stream hands it to the worker. Every write of
//! a job gives it a new fence, and happens only if the job is still as it was read: whoever
//! works on an older turn, or on what has been cancelled since, can save nothing. While a job
//! is not over it stands in the index `due` at the moment when cleanup should look at it,
//! so one whose worker died, or that waits for a link to run out, is taken up again.

mod store;

use std::fmt::Debug;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aws::dynamo::{Item, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, SubjectId, TenantId};
use crate::base::named::named;
use crate::base::recovery::KEPT;
use crate::domain::keys::{self, JOBS_DUE};
pub use crate::domain::keys::{JobKey, JobKind};

/// How long cleanup leaves a turn alone: longer than a worker may run.
const LEASE: SignedDuration = SignedDuration::from_mins(6);
/// A turn's row is needed until the stream has handed it over.
pub(super) const TURN_KEPT: SignedDuration = SignedDuration::from_hours(24);

named! {
    pub enum JobState {
        Queued = "queued",
        Running = "running",
        /// Waits for somebody to lift a hold.
        Blocked = "blocked",
        /// Waits, then verifies that nothing is left.
        Verifying = "verifying",
        Completed = "completed",
        /// Something could not be removed: it is tried again each day.
        Partial = "partial",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl JobState {
    pub const fn over(self) -> bool {
        matches!(
            self,
            JobState::Completed | JobState::Failed | JobState::Cancelled
        )
    }
}

/// What a job is about: its specification, how far it is, and what the kind adds to the
/// public body. All three are stored with it, and hold nothing personal.
pub trait Work: Clone + Debug + Serialize + DeserializeOwned + Send + Sync {
    type Progress: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync;
    type Outcome: Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync;
}

/// A job of whatever kind: for those who list jobs, and hand over their turns.
impl Work for Value {
    type Progress = Value;
    type Outcome = Value;
}

/// A job that needs to know no more than its tenant: a rotation.
impl Work for () {
    type Progress = ();
    type Outcome = ();
}

/// One job, as stored.
#[derive(Clone, Debug)]
pub struct Job<W: Work = Value> {
    pub key: JobKey,
    pub state: JobState,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub done: u64,
    pub total: u64,
    pub subjects: Vec<SubjectId>,
    pub spec: W,
    pub progress: W::Progress,
    pub outcome: W::Outcome,
    pub turn: u64,
    /// When cleanup looks at it; as read, and while it is not over.
    pub look_at: Option<Timestamp>,
    fence: String,
}

fn broken() -> Error {
    Error::Corrupt("a job is not as it was written".into())
}

impl Job {
    /// The job as one of its kind.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not as it was written.
    pub fn typed<W: Work>(self) -> Result<Job<W>> {
        Ok(Job {
            key: self.key,
            state: self.state,
            created_at: self.created_at,
            finished_at: self.finished_at,
            done: self.done,
            total: self.total,
            subjects: self.subjects,
            spec: serde_json::from_value(self.spec).map_err(|_| broken())?,
            progress: serde_json::from_value(self.progress).map_err(|_| broken())?,
            outcome: serde_json::from_value(self.outcome).map_err(|_| broken())?,
            turn: self.turn,
            look_at: self.look_at,
            fence: self.fence,
        })
    }
}

fn text(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("what jobs hold has text keys")
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| broken())
}

/// A word that no other write of a job has.
fn new_fence() -> String {
    let mut bytes = [0; 8];
    crate::crypto::fill_random(&mut bytes);
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

impl<W: Work> Job<W> {
    pub fn new(
        tenant: TenantId,
        kind: JobKind,
        subjects: Vec<SubjectId>,
        spec: W,
        now: Timestamp,
    ) -> Job<W> {
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
            spec,
            progress: W::Progress::default(),
            outcome: W::Outcome::default(),
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
            .with("spec", text(&self.spec))
            .with("progress", text(&self.progress))
            .with("outcome", text(&self.outcome))
            .with("turn", self.turn)
            .with("fence", self.fence.clone())
    }

    fn read(row: &Item) -> Result<Job<W>> {
        let (tenant, kind) = row.partition().split_once("#jobs#").ok_or_else(broken)?;
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
            spec: parse(row.text("spec")?)?,
            progress: parse(row.text("progress")?)?,
            outcome: parse(row.text("outcome")?)?,
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

    /// The job as the API shows it.
    pub fn view(&self) -> JobView<W::Outcome> {
        JobView {
            id: self.key.id,
            kind: self.key.kind,
            state: self.state,
            progress: Share {
                done: self.done,
                total: self.total.max(self.done),
            },
            created_at: self.created_at,
            finished_at: self.finished_at,
            outcome: self.outcome.clone(),
        }
    }
}

/// A job, and what its kind adds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{O}Job")]
pub struct JobView<O> {
    id: JobId,
    kind: JobKind,
    state: JobState,
    progress: Share,
    created_at: Timestamp,
    /// `null` while the job has not ended.
    finished_at: Option<Timestamp>,
    #[serde(flatten)]
    outcome: O,
}

/// How much of a job is done.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobProgress")]
struct Share {
    done: u64,
    total: u64,
}

/// Which jobs of a kind to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub subject: Option<SubjectId>,
}
