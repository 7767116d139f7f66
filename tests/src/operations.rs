//! What each operation costs: its AWS calls, and the capacity units of DynamoDB that these
//! consume, beside the least that its promise needs. The one table of it: a test holds
//! every row to it, and the bench prints it.
//!
//! Everything is as it is most of the time, unless its name says otherwise: the tenant's keys
//! and settings were read less than a minute ago, rows are below 1 KB. A consistent read is one unit for 4 KB, a write
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

impl Operation {
    /// Whether it has cost what the table says, no more and no less.
    pub fn is(&self, cost: &Cost) -> bool {
        (cost.summary().as_str(), cost.reads, cost.writes) == (self.calls, self.reads, self.writes)
    }
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
    operation("visit", "BatchGetItem, UpdateItem", 1.0, 1.0, "the keyring says which life, under which key; one update of its door, conditional on the rules"),
    operation("100 visits of one person", "BatchGetItem, UpdateItem", 1.0, 1.0, "only the last is kept: as one visit"),
    operation("100 first contacts", "BatchGetItem, 100 TransactWriteItems", 100.0, 900.0, "as one; who is known is asked for all together"),
    operation("100 visits of 100 people", "BatchGetItem, 100 UpdateItem", 100.0, 100.0, "all keyring rows together; each has a door of their own"),
    operation("first contact", "BatchGetItem, TransactWriteItems", 1.0, 9.0, "is anybody known? Keyring, door, person and expiry index entry are created together, two units each, and the entry in its index"),
    operation("identify, unchanged", "2 BatchGetItem, TransactWriteItems", 2.0, 2.0, "what is known is read to be compared; then the door says whether they may be written about"),
    operation("identify, a new address", "2 BatchGetItem, TransactWriteItems", 2.0, 12.0, "door, person, the address's lookup and its reverse, and the old two removed"),
    operation("message", "2 BatchGetItem, TransactWriteItems", 2.0, 6.0, "is the conversation there? Message, the conversation's count, door"),
    operation("100 messages of one person", "3 BatchGetItem, 2 TransactWriteItems", 3.0, 208.0, "a transaction holds 100 rows: two, each with conversation and door"),
    operation("interaction", "2 BatchGetItem, TransactWriteItems", 2.0, 4.0, "the counts so far are sealed, so they are read; counts, door"),
    operation("announce a file", "2 GetItem, TransactWriteItems", 2.0, 4.0, "keyring; door (how many links are open?); row, door. The link is signed without a call"),
    operation("scan a file", "BatchGetItem, GetItem, TransactWriteItems, s3:GetObject, s3:PutObjectTagging", 3.0, 8.0, "keyring; door and row; the file; its tag; row, door, audit event and its watermark"),
    operation("correct a person", "BatchGetItem, GetItem, TransactWriteItems", 3.0, 13.0, "keyring; door and person; person, door, audit event and its watermark; keyring and job of the re-keying that takes the old value out of backups"),
    operation("lookup by visitor id", "2 BatchGetItem", 3.0, 0.0, "the id gives the subject; the keyring leads to the life, whose door and person are read together"),
    operation("lookup by e-mail", "2 BatchGetItem, 2 Query", 5.0, 0.0, "the address leads to subjects, vouched for or claimed, which lie apart so that claims are in nobody's way; then the same"),
    operation("profile", "BatchGetItem, GetItem, 4 Query", 7.0, 0.0, "keyring; door and person; who else has the user id, and who the e-mail address, vouched for or claimed"),
    operation("records, a page", "2 GetItem, 2 Query", 4.0, 0.0, "keyring; door; each type of record lies together, and two fill the page"),
    operation("people, a page of 10", "2 BatchGetItem, Query", 30.5, 0.0, "the index has names only; keyring rows; doors and persons"),
    operation("download link", "BatchGetItem, GetItem", 3.0, 0.0, "keyring; door and row. The link is signed without a call"),
    operation("redact a message", "4 BatchGetItem, GetItem, TransactWriteItems", 7.0, 8.0, "three would do: keyring; door and rows; the transaction. It reads again for each life, so that a long list is judged by the rules of its moment. The re-keying that takes the old words out of backups is noted already, by the correction"),
    operation("restrict", "3 GetItem, TransactWriteItems", 3.0, 10.0, "keyring; door; the retention as it is stored, not as it is remembered; keyring, door, list, audit event and its watermark"),
    operation("lift a restriction", "3 GetItem, TransactWriteItems", 3.0, 12.0, "the same, and the expiry index entry"),
    operation("export: the request", "2 GetItem, TransactWriteItems", 2.0, 13.0, "keyring; door; job, its turn, audit event and its watermark; the row by which an erasure knows that the bucket may hold something"),
    operation("export: the worker", "BatchGetItem, 4 GetItem, 4 Query, 2 TransactWriteItems, UpdateItem, 2 s3:GetObject, s3:PutObject", 18.0, 15.0, "the lease; the door before (by a transaction: a lost answer must not note it twice) and after, so that nobody who was erased meanwhile is packed, nor what was redacted; each type of record; each file; the job that deletes it after its day"),
    operation("erase: the request", "2 BatchGetItem, TransactWriteItems", 2.0, 13.0, "keyring; door; key removed, door closed, job, its turn, audit event and its watermark, together"),
    operation("erase: the worker", "BatchWriteItem, 2 DeleteItem, PutItem, 2 Query, 2 TransactWriteItems, UpdateItem, kms:GetPublicKey, kms:Sign, 2 s3:PutObject", 2.0, 27.0, "the lease; whom it is about, in the bucket; rows listed, the count saved, the rows removed; listed again and found empty; no row leads to a file or an export, so the bucket is not asked; clock and keyring row; the receipt, signed and kept twice"),
    operation("job", "GetItem", 1.0, 0.0, "its row"),
    operation("receipt", "GetItem", 1.0, 0.0, "its row"),
    operation("activity, a page", "GetItem, 4 Query", 5.0, 0.0, "the tenant's first day; a day has four shards"),
    operation("cleanup, nothing due", "BatchGetItem, 6 GetItem, 13 Query", 15.0, 0.0, "of two tenants: four shards of the index each, the doors of a page of index entries together, the retention in force, the last signed root and receipt; where the last sweep stopped; jobs that stalled, and whether one is overdue"),
    operation("cleanup, one person due", "BatchGetItem, 6 GetItem, 13 Query, TransactWriteItems", 15.0, 9.0, "the same, and the end of that life"),
    operation("expire: the worker", "BatchWriteItem, 2 PutItem, Query, UpdateItem", 1.0, 6.0, "the lease; rows listed, the count saved, the rows removed; the second look comes twenty minutes later, as of an erasure"),
    operation("visit, the first in a quarter of an hour", "BatchGetItem, 3 GetItem, UpdateItem, kms:Decrypt", 4.0, 1.0, "the API key, the settings, the tenant's keys in one blob that KMS opens; then as any visit"),
];

/// Performs every operation of the table, in its order: what each has cost.
pub async fn measure() -> Vec<(&'static str, Cost)> {
    let meter = Meter::default();
    let service = Service::with(Options {
        ttl: false,
        schedules: false,
        events: false,
        watch: Some(meter.watch()),
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
            "visit, the first in a quarter of an hour" => {
                service.cloud.settle().await;
                service.cloud.clock().advance(minutes(16));
                return;
            }
            "redact a message" => {
                let path = format!("/v1/subjects/{}/records?type=message&limit=1", self.who);
                let page = service.get(&path, &service.ours.read).await.expect(200);
                self.known = page["data"][0]["message"]
                    .as_str()
                    .expect("an id")
                    .to_owned();
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
            "visit" | "visit, the first in a quarter of an hour" => {
                service.visit("ada").await;
            }
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
        let swept = swept.expect("cleanup runs");
        assert_eq!(swept["failures"], 0, "{swept}");
        swept
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
