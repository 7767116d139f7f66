//! What each operation costs: its AWS calls, and the capacity units of DynamoDB that these
//! consume, beside the least that its promise needs. The one table of it: a test holds
//! every row to it, and the bench prints it.
//!
//! Everything is as it is most of the time: the tenant's keys and settings were read less
//! than a minute ago, rows are below 1 KB. A consistent read is one unit for 4 KB, a write
//! one for 1 KB, and two in a transaction (Amazon DynamoDB Developer Guide, "Read and write
//! operations").

use local::Options;
use serde_json::{Value, json};

use crate::meter::{Cost, Meter};
use crate::{Service, days, minutes, sha256};

/// What an operation may cost.
pub struct Operation {
    pub name: &'static str,
    /// As [`Cost::summary`] has it.
    pub calls: &'static str,
    pub reads: f64,
    pub writes: f64,
    /// Why it cannot be done with less.
    pub least: &'static str,
}

const fn operation(
    name: &'static str,
    calls: &'static str,
    reads: f64,
    writes: f64,
    least: &'static str,
) -> Operation {
    Operation {
        name,
        calls,
        reads,
        writes,
        least,
    }
}

#[rustfmt::skip]
pub const OPERATIONS: &[Operation] = &[
    operation("visit", "", 0.0, 0.0, "the keyring says which life and under which key; one update of its door, conditional on the rules"),
    operation("100 visits of one person", "", 0.0, 0.0, "only the last one is kept: as one visit"),
    operation("100 first contacts", "", 0.0, 0.0, ""),
    operation("100 visits of 100 people", "", 0.0, 0.0, "all keyring rows at once; each has a door of their own"),
    operation("first contact", "", 0.0, 0.0, "nobody is known yet; keyring, door, person and clock begin together (the clock is in the index too)"),
    operation("identify, unchanged", "", 0.0, 0.0, "what is known is read to be compared; the door says that they may be written to"),
    operation("identify, a new address", "", 0.0, 0.0, "person, lookup and its reverse, the old two removed, through the door"),
    operation("message", "", 0.0, 0.0, "whether the conversation is there; message, its conversation's count and the door"),
    operation("100 messages of one person", "", 0.0, 0.0, "a transaction holds 100 rows, so two"),
    operation("interaction", "", 0.0, 0.0, "the counts so far; counts and the door"),
    operation("announce a file", "", 0.0, 0.0, "keyring, door (who has too many links open?); row and door. The link is signed without a call"),
    operation("scan a file", "", 0.0, 0.0, "keyring, door and row; the file; its tag; row, door and activity"),
    operation("correct a person", "", 0.0, 0.0, "keyring, door and person; person, door and activity"),
    operation("lookup by visitor id", "", 0.0, 0.0, "the id gives the subject; keyring rows, then doors and persons, which only the keyring's life leads to"),
    operation("lookup by e-mail", "", 0.0, 0.0, "the address leads to subjects; then the same"),
    operation("profile", "", 0.0, 0.0, "keyring; door and person; who shares the e-mail address, and who the user id"),
    operation("records, a page", "", 0.0, 0.0, "keyring, door; each type of record lies together"),
    operation("people, a page of 10", "", 0.0, 0.0, "the index has names only; keyring rows, then doors and persons"),
    operation("download link", "", 0.0, 0.0, "keyring; door and row. The link is signed without a call"),
    operation("redact a message", "", 0.0, 0.0, ""),
    operation("restrict", "", 0.0, 0.0, ""),
    operation("lift a restriction", "", 0.0, 0.0, ""),
    operation("export: the request", "", 0.0, 0.0, ""),
    operation("export: the worker", "", 0.0, 0.0, ""),
    operation("erase: the request", "", 0.0, 0.0, "keyring, door; key removed, door closed, job, its turn, activity, together"),
    operation("erase: the worker", "", 0.0, 0.0, ""),
    operation("job", "", 0.0, 0.0, "its row"),
    operation("receipt", "", 0.0, 0.0, "its row"),
    operation("activity, a page", "", 0.0, 0.0, "a day has four shards"),
    operation("cleanup, nothing due", "", 0.0, 0.0, ""),
    operation("cleanup, one person due", "", 0.0, 0.0, ""),
    operation("expire: the worker", "", 0.0, 0.0, ""),
];

/// Performs every operation of the table, in its order: what each has cost.
pub async fn measure() -> Vec<(&'static str, Cost)> {
    let meter = Meter::default();
    let service = Service::with(Options {
        ttl: false,
        schedules: false,
        events: false,
        listen: Some(meter.listener()),
        ..Options::default()
    })
    .await;
    let mut stage = Stage::set(service).await;
    let mut costs = Vec::new();
    for operation in OPERATIONS {
        stage.prepare(operation.name).await;
        meter.take();
        stage.perform(operation.name).await;
        costs.push((operation.name, Cost::of(&meter.take())));
    }
    costs
}

/// A service with somebody of whom everything is known, and somebody seen only once.
struct Stage {
    service: Service,
    who: String,
    file: String,
    /// What the next operation has to know of the one before.
    known: String,
}

impl Stage {
    async fn set(service: Service) -> Stage {
        let who = service.acquaint("ada").await;
        let file = service.upload("ada", "a.txt", "text/plain", b"hello").await;
        service.visit("once").await;
        Stage {
            service,
            who,
            file,
            known: String::new(),
        }
    }

    /// What is there before the operation. Keys and settings were read just now.
    async fn prepare(&mut self, operation: &str) {
        let service = &self.service;
        match operation {
            "scan a file" => {
                let announced = self.announce().await;
                let reply = service.put(&announced["upload"], b"hello").await;
                assert_eq!(reply.status, 200, "{}", reply.text);
                return;
            }
            "redact a message" => {
                let path = format!("/v1/subjects/{}/records?type=message&limit=1", self.who);
                let page = service.get(&path, &service.ours.read).await.expect(200);
                self.known = page["data"][0]["message"].as_str().expect("an id").to_owned();
            }
            "cleanup, nothing due" => {
                service.cloud.settle().await;
                // An hour before the first are due, who comes back. What is done once a
                // day is done.
                service.cloud.clock().advance(days(30) - minutes(60));
                service.store(visits(|n| format!("v-{n}"))).await;
                service.visit("new").await;
                service.visit("ada").await;
                self.sweep().await;
            }
            "erase: the request" => self.known = service.acquaint("leaving").await,
            "cleanup, one person due" => service.cloud.clock().advance(minutes(120)),
            _ => {}
        }
        if !operation.ends_with("the worker") {
            service.cloud.settle().await;
        }
        let (key, whom) = (&service.ours.read, json!({"visitor_id": "ada"}));
        service.post("/v1/lookup", key, whom).await.expect(200);
    }

    async fn perform(&mut self, operation: &str) {
        let (service, who) = (&self.service, &self.who);
        let (owner, read) = (&service.ours.owner, &service.ours.read);
        let person = format!("/v1/subjects/{who}");
        let identify = |email: &str| json!([{"type": "identify", "visitor_id": "ada", "name": "Ada Lovelace", "email": email}]);
        match operation {
            "visit" => drop(service.visit("ada").await),
            "100 visits of one person" => drop(service.store(visits(|_| "ada".into())).await),
            "100 first contacts" | "100 visits of 100 people" => {
                service.store(visits(|n| format!("v-{n}"))).await;
            }
            "first contact" => drop(service.visit("new").await),
            "identify, unchanged" => drop(service.store(identify("ada@example.com")).await),
            "identify, a new address" => drop(service.store(identify("a@example.org")).await),
            "message" => drop(service.store(json!([message(0)])).await),
            "100 messages of one person" => {
                drop(service.store((1..=100).map(message).collect()).await);
            }
            "interaction" => {
                let viewed = json!([{"type": "interaction", "visitor_id": "ada", "item_id": "help-7",
                                     "action": "viewed"}]);
                service.store(viewed).await;
            }
            "announce a file" => drop(self.announce().await),
            "scan a file" | "erase: the worker" | "export: the worker" | "expire: the worker" => {
                service.cloud.settle().await;
            }
            "correct a person" => {
                let body = json!({"identity": {"name": "Ada King"}});
                let reply = service.call("PATCH", &person, owner, Some(&body)).await;
                reply.expect(204);
            }
            "lookup by visitor id" => {
                let body = json!({"visitor_id": "ada"});
                service.post("/v1/lookup", read, body).await.expect(200);
            }
            "lookup by e-mail" => {
                let body = json!({"email": "a@example.org"});
                service.post("/v1/lookup", read, body).await.expect(200);
            }
            "profile" => drop(service.get(&person, read).await.expect(200)),
            "records, a page" => {
                let path = format!("{person}/records?limit=10");
                service.get(&path, read).await.expect(200);
            }
            "people, a page of 10" => {
                let page = service.get("/v1/subjects?limit=10", read).await.expect(200);
                assert_eq!(page["data"].as_array().map(Vec::len), Some(10));
            }
            "download link" => {
                let path = format!("{person}/attachments/{}", self.file);
                let answer = service.get(&path, read).await.expect(200);
                assert_eq!(answer["state"], "clean");
            }
            "redact a message" => {
                let body = json!({"subject": who, "targets": [{"message": self.known}]});
                service
                    .post("/v1/redactions", owner, body)
                    .await
                    .expect(200);
            }
            "restrict" => {
                let path = format!("{person}/restriction");
                let reply = service.call("PUT", &path, owner, Some(&json!({}))).await;
                reply.expect(204);
            }
            "lift a restriction" => {
                let path = format!("{person}/restriction");
                service.call("DELETE", &path, owner, None).await.expect(204);
            }
            "export: the request" => {
                let body = json!({"subject": who});
                service.post("/v1/exports", owner, body).await.expect(202);
            }
            "erase: the request" => {
                let path = format!("/v1/subjects/{}", self.known);
                let job = service.call("DELETE", &path, owner, None).await.expect(202);
                self.known = format!("/v1/erasures/{}", job["id"].as_str().expect("an id"));
            }
            "job" => {
                let job = service.get(&self.known, owner).await.expect(200);
                assert_eq!(job["state"], "completed");
            }
            "receipt" => {
                let path = format!("{}/receipt", self.known);
                assert_eq!(service.get(&path, owner).await.status, 200);
            }
            "activity, a page" => drop(service.get("/v1/activity", owner).await.expect(200)),
            "cleanup, nothing due" => assert_eq!(self.sweep().await["expired"], 0),
            "cleanup, one person due" => assert_eq!(self.sweep().await["expired"], 1),
            other => panic!("nobody knows how to perform {other}"),
        }
    }

    async fn announce(&self) -> Value {
        let (service, body) = (&self.service, b"hello");
        let file = json!({"visitor_id": "ada", "filename": "b.txt", "content_type": "text/plain",
                          "size": body.len(), "sha256": sha256(body)});
        let key = &service.ours.ingest;
        service.post("/v1/attachments", key, file).await.expect(201)
    }

    /// One run of cleanup, without what it hands to others.
    async fn sweep(&self) -> Value {
        let event = include_str!("../../events/cleanup.schedule.json");
        let event = serde_json::from_str(event).expect("an event");
        let swept = self.service.cloud.invoke("cleanup", event).await;
        swept.expect("cleanup runs")
    }
}

fn visits(visitor: impl Fn(usize) -> String) -> Value {
    let visit =
        |n| json!({"type": "visit", "visitor_id": visitor(n), "url": "https://shop.example/"});
    (0..100).map(visit).collect()
}

fn message(n: usize) -> Value {
    json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user",
           "body": format!("message {n}")})
}
