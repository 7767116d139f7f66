//! Jobs as callers read them: one by its id, and lists by state and subject.

use super::{Answer, Call};
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, SubjectId};
use crate::domain::app::App;
use crate::domain::jobs::{Job, JobFilter, JobKey, JobKind, JobState, Work};
use crate::schema::violations::Violations;

impl Call {
    /// The job of a kind that the path's `{id}` names.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a job.
    pub async fn job<W: Work>(&self, app: &App, kind: JobKind) -> Result<Job<W>> {
        let id = self
            .path("id")
            .and_then(JobId::parse)
            .ok_or(Error::NotFound)?;
        let key = JobKey {
            tenant: self.tenant(),
            kind,
            id,
        };
        let job = app.store.job(key).await?;
        let kept = job.filter(|job: &Job<W>| !job.outlived(app.clock.now()));
        kept.ok_or(Error::NotFound)
    }

    /// A page of the tenant's jobs of a kind, newest first, by `?state=&subject=`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming a parameter.
    pub async fn jobs<W: Work>(&self, app: &App, kind: JobKind) -> Result<Answer> {
        let (limit, after) = (self.limit()?, self.cursor::<String>(app).await?);
        let filter = self.job_filter()?;
        let (jobs, next) = app
            .store
            .jobs::<W>(self.tenant(), kind, &filter, limit, after)
            .await?;
        let now = app.clock.now();
        let kept = jobs.iter().filter(|job| !job.outlived(now));
        self.page(app, kept.map(Job::view).collect(), next).await
    }

    fn job_filter(&self) -> Result<JobFilter> {
        let mut violations = Violations::default();
        let state = self.query("state").map(JobState::parse);
        if state == Some(None) {
            violations.add("state", "format", "must be a job state");
        }
        let subject = self.query("subject").map(SubjectId::parse);
        if subject == Some(None) {
            violations.add("subject", "format", "must be a subject ID");
        }
        violations.end()?;
        Ok(JobFilter {
            state: state.flatten(),
            subject: subject.flatten(),
        })
    }
}

/// The answer to a request that began a job.
pub fn accepted<W: Work>(job: &Job<W>, collection: &str) -> Answer {
    Answer::json(202, &job.view()).header("location", format!("/v1/{collection}/{}", job.key.id))
}
