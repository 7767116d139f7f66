//! The local run of a service: its time, and what its stores hold, past every function.

use jiff::SignedDuration;
use local::Options;
use shared::base::id::{SubjectId, TenantId};
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keyring::Entry;

use crate::Service;

/// Time moves, and only what a test calls for happens.
pub fn by_hand() -> Options {
    Options {
        ttl: false,
        schedules: false,
        ..Options::default()
    }
}

impl Service {
    /// Starts with neither TTL nor schedules.
    pub async fn by_hand() -> Service {
        Service::with(by_hand()).await
    }

    /// Moves time, and nothing else happens.
    pub fn skip(&self, by: SignedDuration) {
        self.cloud.clock().advance(by);
    }

    /// Moves time, sweeps, and lets everything happen that this causes.
    pub async fn pass(&self, by: SignedDuration) {
        self.skip(by);
        self.sweep().await;
        self.cloud.settle().await;
    }

    pub fn tenant(&self) -> TenantId {
        TenantId::parse(&self.ours.id).expect("a tenant")
    }

    /// The keyring row of somebody who is known.
    pub async fn entry(&self, subject: &str) -> Entry {
        let subject = SubjectId::parse(subject).expect("a subject");
        let keyring = &self.cloud.app().keyring;
        let entry = keyring.entry(self.tenant(), subject).await;
        entry.expect("the store answers").expect("they are known")
    }

    /// An erasure as a request leaves it that wrote its lists and its job, and died before it
    /// ended anybody.
    pub async fn left_behind(&self, people: &[String], suppress: bool) -> Job<Erasing> {
        let app = self.cloud.app();
        let subjects: Vec<_> = people
            .iter()
            .map(|it| SubjectId::parse(it).expect("a subject"))
            .collect();
        let present = app.present(self.tenant(), &subjects).await;
        let present = present.expect("the store answers");
        let lives: Vec<_> = present.iter().map(|it| (it.key, 2)).collect();
        let mut erasing = Erasing::default();
        erasing.suppress = suppress;
        let (kind, now) = (JobKind::Erasure, self.now());
        let (mut job, mut writes) = Job::erasure(kind, self.tenant(), &lives, erasing, now);
        writes.push(job.prepare_write());
        for write in writes {
            let written = app.store.write(write).await;
            written.expect("the store answers").expect("a new job");
        }
        job
    }
}
