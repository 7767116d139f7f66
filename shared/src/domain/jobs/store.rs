//! Jobs in DynamoDB: read, listed, taken up and saved behind their fence.

use jiff::Timestamp;

use super::{Job, JobFilter, JobKey, JobKind, JobState, LEASE, Work, new_fence};
use crate::aws::dynamo::{Attribute, Filter, Item, Page, Query, Range, Refusal, Store, Write};
use crate::base::error::Result;
use crate::base::id::{JobId, TenantId};
use crate::domain::keys;

impl Store {
    /// One job.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`], as everywhere below.
    pub async fn job<W: Work>(&self, key: JobKey) -> Result<Option<Job<W>>> {
        let row = self
            .get(&keys::jobs(key.tenant, key.kind), &key.id.to_string())
            .await?;
        row.as_ref().map(Job::read).transpose()
    }

    /// Several jobs, those that are there, in no order.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn jobs_named<W: Work>(&self, jobs: &[JobKey]) -> Result<Vec<Job<W>>> {
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
    pub async fn save_job<W: Work>(&self, job: &mut Job<W>, now: Timestamp) -> Result<bool> {
        let item = job.live_item(now + LEASE);
        self.save(job, item).await
    }

    async fn save<W: Work>(&self, job: &mut Job<W>, item: Item) -> Result<bool> {
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
    pub async fn save_job_with<W: Work>(
        &self,
        job: &mut Job<W>,
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
    pub async fn next_turn<W: Work>(&self, job: &mut Job<W>, now: Timestamp) -> Result<bool> {
        let writes = job.next_writes(now).to_vec();
        Ok(self.transact(writes).await?.is_ok())
    }

    /// Saves the job and lets it wait: cleanup hands over its next turn at `until`.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn wait_until<W: Work>(&self, job: &mut Job<W>, until: Timestamp) -> Result<bool> {
        let item = job.live_item(until);
        self.save(job, item).await
    }

    /// One page of a tenant's jobs of a kind whose ids lie between two bounds, oldest first.
    ///
    /// # Errors
    /// As [`Store::job`].
    pub async fn jobs_between<W: Work>(
        &self,
        tenant: TenantId,
        kind: JobKind,
        (from, until): (JobId, JobId),
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<Job<W>>, Option<String>)> {
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
    pub async fn jobs<W: Work>(
        &self,
        tenant: TenantId,
        kind: JobKind,
        filter: &JobFilter,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<Job<W>>, Option<String>)> {
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
        let mut jobs: Vec<Job<W>> = Vec::new();
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
