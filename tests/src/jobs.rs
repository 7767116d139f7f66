//! Jobs: erasures, exports and redactions, asked for with the key of our tenant's owner.

use serde_json::{Value, json};

use crate::{Reply, Service, minutes};

impl Service {
    /// Has somebody erased. The job.
    pub async fn erase(&self, subject: &str) -> Value {
        let path = format!("/v1/subjects/{subject}");
        self.delete(&path, &self.ours.owner).await.expect(202)
    }

    /// Has somebody erased who is to stay away. The job.
    pub async fn erase_and_suppress(&self, subject: &str) -> Value {
        self.erase(&format!("{subject}?suppress=true")).await
    }

    /// Has somebody erased, and waits until nothing is left: the last look comes after the last
    /// upload has come to its end.
    pub async fn forget(&self, subject: &str) {
        self.erase(subject).await;
        self.advance(minutes(45)).await;
    }

    /// Asks for an erasure in its own words. The job.
    pub async fn erasure(&self, request: Value) -> Value {
        let asked = self.post("/v1/erasures", &self.ours.owner, request);
        asked.await.expect(202)
    }

    /// What an erasure would do.
    pub async fn dry_run(&self, mut request: Value) -> Value {
        request["dry_run"] = json!(true);
        let asked = self.post("/v1/erasures", &self.ours.owner, request);
        asked.await.expect(200)
    }

    pub async fn cancel(&self, job: &Value) -> Reply {
        let path = format!("{}/cancel", path_of(job));
        self.call("POST", &path, &self.ours.owner, None).await
    }

    /// The receipt of an erasure, or of a day's expiries.
    pub async fn receipt(&self, name: &str) -> Reply {
        let path = format!("/v1/erasures/{name}/receipt");
        self.get(&path, &self.ours.owner).await
    }

    /// Asks for a copy of what is kept of somebody. The job.
    pub async fn export(&self, subject: &str) -> Value {
        let asked = self.post("/v1/exports", &self.ours.owner, json!({"subject": subject}));
        asked.await.expect(202)
    }

    /// Redacts what can be redacted at once. The answer.
    pub async fn redact(&self, subject: &str, targets: Value) -> Value {
        let request = json!({"subject": subject, "targets": targets});
        let asked = self.post("/v1/redactions", &self.ours.owner, request);
        asked.await.expect(200)
    }

    /// Waits for a job, turn by turn: its body once all that can happen now has happened.
    pub async fn job(&self, path: &str) -> Value {
        self.settle().await;
        self.get(path, &self.ours.owner).await.expect(200)
    }

    /// The same of a job by what was last said of it.
    pub async fn follow(&self, job: &Value) -> Value {
        self.job(&path_of(job)).await
    }

    /// The same of a job that must be completed then.
    pub async fn completed(&self, job: &Value) -> Value {
        let done = self.follow(job).await;
        assert_eq!(done["state"], "completed", "{done}");
        done
    }
}

/// Where a job is found.
pub fn path_of(job: &Value) -> String {
    let kind = job["kind"].as_str().expect("a kind");
    format!("/v1/{kind}s/{}", id_of(job))
}

pub fn id_of(job: &Value) -> &str {
    job["id"].as_str().expect("an id")
}
