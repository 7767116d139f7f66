//! Re-keying: what was redacted goes from backups too, and nothing else does, whatever
//! happens meanwhile.
//!
//! `LETHE_SEED` plays a printed seed of the interleavings again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures::future::{join, join_all, poll_fn};
use jiff::{SignedDuration, Timestamp};
use lethe_tests::{NOON, Service, by_hand, days, hours, minutes};
use local::Options;
use local::functions::Handler;
use local::template::RESTORING;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use shared::aws::dynamo::Item;
use shared::base::error::Error;
use shared::domain::jobs::{Job, JobFilter, JobKind, JobState};
use shared::domain::keyring::Living;
use shared::domain::keys;
use shared::domain::life::door::{Passing, Shut};
use shared::domain::records::rows::reseal;

use crate::{late, rows};

/// From a redaction until the re-keying that it causes has been done.
const SITTING: SignedDuration = minutes(30);

fn at(offset: SignedDuration) -> String {
    (NOON.parse::<Timestamp>().expect("a time") + offset).to_string()
}

/// The life that goes on, as whoever reads the keyring now can open it.
async fn living(service: &Service, subject: &str) -> Living {
    let entry = service.entry(subject).await;
    let living = service.cloud.app().keyring.open(&entry).await;
    living.expect("the keys open").expect("they live")
}

async fn jobs(service: &Service) -> Vec<Job> {
    let store = &service.cloud.app().store;
    let filter = JobFilter::default();
    let jobs = store.jobs(service.tenant(), JobKind::Rekey, &filter, 1000, None);
    jobs.await.expect("the store answers").0
}

/// The rows of a person's life that hold something sealed.
async fn sealed(service: &Service, subject: &str) -> Vec<rows::Row> {
    sealed_of(rows::records(service).await, subject)
}

fn sealed_of(mut rows: Vec<rows::Row>, subject: &str) -> Vec<rows::Row> {
    rows.retain(|row| rows::is_about(row, subject) && bytes(row).next().is_some());
    rows
}

fn bytes(row: &rows::Row) -> impl Iterator<Item = (&str, &[u8])> {
    let bytes = row
        .iter()
        .map(|(name, value)| Some((name.as_str(), value.as_b().ok()?.as_ref())));
    bytes.flatten()
}

/// Under which keys a life's rows are sealed.
fn generations(rows: &[rows::Row]) -> BTreeSet<u64> {
    let key = |row: &rows::Row| row["key"].as_n().expect("a number").parse().expect("one");
    rows.iter().map(key).collect()
}

/// How many of a row's parts the life can open.
fn opens(row: &rows::Row, living: &Living) -> usize {
    let text = |name| rows::text(row, name).expect("a key");
    let opened = bytes(row).filter(|(part, bytes)| {
        let item = Item::new(text("PK"), text("SK")).with(part, bytes.to_vec());
        match living.open_json::<Value>(&item, part) {
            Ok(value) => value.is_some(),
            Err(Error::Unreadable) => false,
            Err(other) => panic!("{part}: {other}"),
        }
    });
    opened.count()
}

async fn redact(service: &Service, subject: &str, target: Value) -> Value {
    let body = json!({"subject": subject, "targets": [target]});
    let reply = service
        .post("/v1/redactions", &service.ours.owner, body)
        .await;
    reply.expect(200)
}

/// Redacts the first message. The answer.
async fn redact_first(service: &Service, subject: &str) -> Value {
    let message = service.records(subject, "message").await.remove(0);
    redact(service, subject, json!({"message": message["message"]})).await
}

/// A person's whole answers, to be compared.
async fn all(service: &Service, subject: &str) -> [Value; 2] {
    let read = async |path: &str| {
        let path = format!("/v1/subjects/{subject}{path}");
        service.get(&path, &service.ours.owner).await.expect(200)
    };
    [read("").await, read("/records?limit=100").await]
}

#[tokio::test]
async fn what_was_redacted_opens_under_no_key_once_its_life_is_rekeyed() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let file = service.attach("ada").await;
    let backup = sealed(&service, &subject).await;
    assert_eq!(generations(&backup), [1].into());
    let before = living(&service, &subject).await;
    let parts = |rows: &[rows::Row]| rows.iter().map(|row| bytes(row).count()).sum::<usize>();
    let opened: usize = backup.iter().map(|row| opens(row, &before)).sum();
    assert_eq!(opened, parts(&backup), "all that is bytes is sealed");
    let old_key = rows::keyring(&service).await;
    let old_key = old_key.iter().find_map(|row| row.get("data_key")).cloned();

    let answer = redact_first(&service, &subject).await;
    assert_eq!(answer["backups_clear_by"], at(minutes(15) + days(2)));
    let expected = all(&service, &subject).await;
    service.advance(SITTING).await;

    let now = sealed(&service, &subject).await;
    assert_eq!(generations(&now), [2].into());
    assert_eq!(now.len(), backup.len());
    for row in rows::keyring(&service).await {
        assert!(!row.contains_key("retiring_key") && !row.contains_key("rekey"));
        let kept = row.values().any(|value| Some(value) == old_key.as_ref());
        assert!(!kept, "the old key is gone");
    }
    assert_eq!(all(&service, &subject).await, expected);
    let path = format!("/v1/subjects/{subject}/attachments/{file}");
    let file = service.get(&path, &service.ours.read).await.expect(200);
    assert_eq!(lethe_tests::fetch(&file["download"]).await.1, b"hello");

    let after = living(&service, &subject).await;
    assert!(now.iter().all(|row| opens(row, &after) > 0));
    assert!(backup.iter().all(|row| opens(row, &after) == 0));
    for row in backup
        .iter()
        .filter(|row| rows::text(row, "SK").is_some_and(|sort| sort.starts_with("message#")))
    {
        rows::put_back(&service, row).await;
    }
    let path = format!("/v1/subjects/{subject}/records?type=message");
    let restored = service.get(&path, &service.ours.read).await;
    assert_eq!(restored.expect(503)["code"], "unavailable");

    let log = service
        .get("/v1/activity?kind=person.rekeyed", &service.ours.owner)
        .await
        .expect(200);
    assert_eq!(log["data"][0]["about"][0], json!(after.key.life));
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_life_is_rekeyed_at_most_once_a_day() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let [first, second] = &service.records(&subject, "message").await[..] else {
        panic!("two messages")
    };
    let target = |message: &Value| json!({"message": message["message"]});
    redact(&service, &subject, target(first)).await;
    service.advance(SITTING).await;
    assert_eq!(service.entry(&subject).await.generation, 2);
    service.advance(minutes(60)).await;
    let answer = redact(&service, &subject, target(second)).await;
    // A day after the first began, a day of room, and the day of the keyring's recovery.
    assert_eq!(answer["backups_clear_by"], at(minutes(15) + days(3)));
    service.advance(days(1) - minutes(90)).await;
    assert_eq!(service.entry(&subject).await.generation, 2);
    service.advance(SITTING).await;
    assert_eq!(service.entry(&subject).await.generation, 3);
    let rows = sealed(&service, &subject).await;
    assert_eq!(generations(&rows), [3].into());
    let done = jobs(&service).await;
    assert!(done.iter().all(|job| job.state == JobState::Completed));
    assert_eq!(done.len(), 2);
}

#[tokio::test]
async fn what_is_redacted_in_one_sitting_goes_with_one_rekeying() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    for message in service.records(&subject, "message").await {
        let answer = redact(&service, &subject, json!({"message": message["message"]})).await;
        assert_eq!(answer["backups_clear_by"], at(minutes(15) + days(2)));
        service.advance(minutes(5)).await;
    }
    let backup = sealed(&service, &subject).await;
    service.advance(SITTING).await;
    assert_eq!(jobs(&service).await.len(), 1);
    let after = living(&service, &subject).await;
    assert_eq!(after.generation, 2);
    assert!(backup.iter().all(|row| opens(row, &after) == 0));
}

#[tokio::test]
async fn only_what_redacts_something_has_a_life_rekeyed() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let unknown = json!({"message": format!("msg_{}", "0".repeat(64))});
    let answer = redact(&service, &subject, unknown).await;
    assert_eq!(answer["backups_clear_by"], Value::Null);
    assert!(jobs(&service).await.is_empty());
    let first = redact_first(&service, &subject).await;
    // Asked again, it is as redacted as before, and says so; and what is over is over.
    assert_eq!(redact_first(&service, &subject).await, first);
    service.advance(SITTING).await;
    let retired = service.entry(&subject).await.retired_at;
    let clear_by = (retired.expect("a key has been retired") + days(1)).to_string();
    assert!(clear_by.as_str() < first["backups_clear_by"].as_str().expect("a time"));
    for _ in 0..2 {
        let again = redact_first(&service, &subject).await;
        assert_eq!(again["backups_clear_by"], clear_by.as_str());
        service.advance(days(4)).await;
    }
    assert_eq!(jobs(&service).await.len(), 1);
    assert_eq!(service.entry(&subject).await.generation, 2);
}

/// Has a person's life changed by a request, and re-keyed: nothing of it opens that a backup
/// from before holds.
async fn goes_from_backups(method: &str, what: &str, body: Option<Value>) {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let consent = json!({"basis": "consent", "source": "form"});
    let consent = json!({"type": "identify", "visitor_id": "ada", "consent": consent});
    service.store(json!([consent])).await;
    let backup = sealed(&service, &subject).await;
    let path = format!("/v1/subjects/{subject}{what}");
    let owner = &service.ours.owner;
    service
        .call(method, &path, owner, body.as_ref())
        .await
        .expect(204);
    let expected = all(&service, &subject).await;
    service.advance(SITTING).await;
    let after = living(&service, &subject).await;
    assert_eq!(after.generation, 2, "{method} {body:?}");
    assert!(backup.iter().all(|row| opens(row, &after) == 0));
    assert_eq!(all(&service, &subject).await, expected);
    // What comes after within a day goes with the next, and waits for it.
    let again = json!({"custom": {"plan": "silver"}});
    service.correct(&subject, again).await;
    let coming = service.entry(&subject).await.rekey.expect("another");
    assert_eq!(coming.at.to_string(), at(minutes(15) + days(1)));
}

#[tokio::test]
async fn a_value_that_is_corrected_goes_from_backups_too() {
    goes_from_backups("PATCH", "", Some(json!({"identity": {"name": "Ada King"}}))).await;
}

#[tokio::test]
async fn a_value_that_is_removed_goes_from_backups_too() {
    goes_from_backups("PATCH", "", Some(json!({"contact": {"email": null}}))).await;
}

#[tokio::test]
async fn what_rested_on_a_withdrawn_consent_goes_from_backups_too() {
    goes_from_backups("DELETE", "/consent", None).await;
}

#[tokio::test]
async fn a_correction_that_takes_nothing_away_has_no_life_rekeyed() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let same = json!({"identity": {"name": "Ada Lovelace", "username": "ada"}});
    service.correct(&subject, same).await;
    assert!(jobs(&service).await.is_empty());
}

#[tokio::test]
async fn whoever_read_the_keyring_before_reads_again() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let early = living(&service, &subject).await;
    redact_first(&service, &subject).await;
    service.advance(SITTING).await;
    let store = &service.cloud.app().store;
    let row = store.get(&early.key.partition(), "person").await;
    let row = row.expect("the store answers").expect("it is there");
    let refused = early.open_json::<Value>(&row, "identity");
    assert!(matches!(refused, Err(Error::Unreadable)));
    // And nothing that they have sealed can be stored.
    let passing = Passing::default();
    let writes = Vec::new();
    let passed = store.through_door(&early, &passing, writes, service.now());
    let passed = passed.await.expect("the store answers");
    assert!(matches!(passed, Err(Shut::Rules)));
}

/// What a function is asked for, and the call with which it looks at a person's door, having
/// read the keyring; then come the rows.
const READS: [(&str, &str, &str, &str); 10] = [
    ("GET", "/v1/subjects/{}", "access", "BatchGetItem"),
    ("GET", "/v1/subjects/{}/records", "access", "GetItem"),
    ("DELETE", "/v1/subjects/{}/consent", "admin", "BatchGetItem"),
    ("PATCH", "/v1/subjects/{}", "ingest", "BatchGetItem"),
    ("POST", "/v1/events", "ingest", ""),
    (
        "DELETE",
        "/v1/subjects/{}?include_related=user_id",
        "delete",
        "BatchGetItem",
    ),
    ("POST", "/v1/redactions", "redact", "BatchGetItem"),
    ("POST", "/v1/redactions?conversation", "redact", "GetItem"),
    ("POST", "/v1/attachments", "ingest", "BatchGetItem"),
    ("POST", "/v1/attachments?again", "ingest", "BatchGetItem"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_read_the_keyring_just_before_a_rekeying_does_what_they_are_asked_all_the_same() {
    let (service, brake) = late::braked(Options::default()).await;
    let owner = service.ours.owner.clone();
    let set = async |settings: Value| {
        let changed = service
            .call("PUT", "/v1/settings", &owner, Some(&settings))
            .await;
        assert!(changed.status < 300, "{}", changed.text);
    };
    for (n, (method, asked, function, reads)) in READS.into_iter().enumerate() {
        let (visitor, key) = (format!("v-{n}"), format!("key-{n}"));
        let subject = service.acquaint(&visitor).await;
        let consent =
            json!({"type": "identify", "visitor_id": visitor, "consent": {"basis": "consent"}});
        service.store(json!([consent])).await;
        let path = asked.split(['?']).next().expect("a path");
        let path = if asked.contains("{}") {
            asked.replace("{}", &subject)
        } else {
            path.to_owned()
        };
        let left = service.records(&subject, "message").await.remove(1)["message"].clone();
        let target = match asked.ends_with("conversation") {
            true => json!({"conversation": "c-1"}),
            false => json!({"message": left}),
        };
        let body = match path.as_str() {
            "/v1/events" => {
                json!({"events": [{"type": "identify", "visitor_id": visitor, "name": "Grace"}]})
            }
            "/v1/attachments" => json!({"visitor_id": visitor, "filename": "a.txt", "size": 5,
                "content_type": "text/plain", "sha256": lethe_tests::sha256(b"hello")}),
            "/v1/redactions" => json!({"subject": subject, "targets": [target]}),
            _ => json!({"identity": {"name": "Grace"}}),
        };
        let body = matches!(method, "POST" | "PATCH").then_some(body);
        let (asking, owner) = (service.clone(), owner.clone());
        let ask = async move || {
            let once = [("idempotency-key", key.as_str())];
            asking
                .call_with(method, &path, &owner, body.as_ref(), &once)
                .await
        };
        if asked.ends_with("again") {
            ask().await.expect(201);
            service.advance(minutes(10)).await;
        }
        redact_first(&service, &subject).await;
        if asked.contains("attachments") {
            // Then the person is read for their consent.
            set(json!({"consent_required": "all"})).await;
        }
        let life = service.entry(&subject).await.key.life.to_string();
        // A message is read with the door, which the request has looked at before, alone.
        let with_it = match asked {
            "/v1/redactions" => "message#",
            _ => life.as_str(),
        }
        .to_owned();
        brake.hold(function, move |call| {
            (reads.is_empty() || call.operation == reads)
                && [life.as_str(), "\"door\"", with_it.as_str()]
                    .iter()
                    .all(|it| call.mentions(it))
        });
        let answer = tokio::spawn(async move { ask().await });
        brake.reached();
        service.advance(SITTING).await;
        let generation = living(&service, &subject).await.generation;
        assert_eq!(
            (generation, service.entry(&subject).await.rekeying()),
            (2, false)
        );
        brake.release();
        let answer = answer.await.expect("it is answered");
        assert!(answer.status < 300, "{method} {asked}: {}", answer.text);
        set(json!({"consent_required": "none"})).await;
    }
}

/// How far a function may go before its process ends: in steps of its future.
struct Steps(Arc<AtomicUsize>);

const ALL_STEPS: usize = usize::MAX / 2;

impl Steps {
    fn allow(&self, steps: usize) {
        self.0.store(steps, Ordering::SeqCst);
    }
}

/// A service whose worker ends in the middle of its work, and is not heard of again.
async fn mortal(options: Options) -> (Service, Steps) {
    let left = Arc::new(AtomicUsize::new(ALL_STEPS));
    let mut functions = local::functions::roster();
    let (real, steps) = (functions["delete"].clone(), left.clone());
    let mortal: Handler = Arc::new(move |app, event| {
        let steps = steps.clone();
        let over_http = event.get("Records").is_none();
        let mut work = real(app, event);
        Box::pin(poll_fn(move |context| {
            let take = |left: usize| left.checked_sub(1);
            let one = steps.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            if one.is_err() && !over_http {
                return Poll::Ready(Ok(json!({"batchItemFailures": []})));
            }
            work.as_mut().poll(context)
        }))
    });
    functions.insert("delete", mortal);
    let options = Options {
        functions,
        ..options
    };
    (Service::with(options).await, Steps(left))
}

/// Somebody whose re-keying has been cut off: some rows are sealed under the new key, and
/// some under the old.
struct Midway {
    service: Service,
    steps: Steps,
    subject: String,
}

impl Midway {
    async fn new() -> Midway {
        let options = Options {
            parameters: RESTORING,
            ..Options::default()
        };
        let (service, steps) = mortal(options).await;
        let subject = service.acquaint("ada").await;
        let message = |at: usize| {
            json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-2",
                   "author": "end_user", "body": format!("number {at}")})
        };
        service.store((0..60).map(message).collect()).await;
        redact_first(&service, &subject).await;
        service.cloud.settle().await;
        for more in 1..100 {
            steps.allow(more * 10);
            service.advance(minutes(15)).await;
            steps.allow(0);
            let rows = sealed(&service, &subject).await;
            if generations(&rows) == [1, 2].into() {
                return Midway {
                    service,
                    steps,
                    subject,
                };
            }
        }
        panic!("it is never cut off in the middle");
    }

    /// The worker lives on; cleanup hands over what was cut off.
    async fn go_on(&self) {
        self.service.cloud.settle().await;
        self.steps.allow(ALL_STEPS);
        self.service.advance(SITTING).await;
    }
}

#[tokio::test]
async fn what_is_written_while_a_life_is_rekeyed_is_kept() {
    let midway = Midway::new().await;
    let (service, subject) = (&midway.service, &midway.subject);
    assert!(service.entry(subject).await.rekeying());
    let before = all(service, subject).await;
    assert_eq!(before[1]["data"].as_array().map(Vec::len), Some(65));
    let answer = json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                        "title": "Another title", "author": "end_user", "body": "and more"});
    let visit = json!({"type": "visit", "visitor_id": "ada", "url": "https://shop.example/",
                       "device": {"browser": "Netscape"}});
    let again = json!({"type": "interaction", "visitor_id": "ada", "item_id": "help-7",
                       "action": "clicked"});
    let named = json!({"type": "identify", "visitor_id": "ada", "phone": "+49 151 2345678"});
    service.store(json!([answer, visit, again, named])).await;
    let patch = json!({"identity": {"name": "Grace Hopper"}});
    service.correct(subject, patch).await;
    let file = service.attach("ada").await;
    let expected = all(service, subject).await;
    midway.go_on().await;

    let rows = sealed(service, subject).await;
    assert_eq!(generations(&rows), [2].into());
    assert!(!service.entry(subject).await.rekeying());
    assert_eq!(all(service, subject).await, expected);
    let [profile, records] = expected;
    assert_eq!(profile["identity"]["name"], "Grace Hopper");
    assert_eq!(profile["contact"]["phone"], "+49 151 2345678");
    assert_eq!(profile["device"]["browser"], "Netscape");
    assert_eq!(profile["counts"]["messages"], 63);
    let bodies = service.records(subject, "message").await;
    let bodies = bodies.iter().filter(|it| it.get("body").is_some());
    assert_eq!(bodies.count(), 62, "all but the one that was redacted");
    for kept in ["Another title", "and more", &file] {
        assert!(records.to_string().contains(kept), "{kept}");
    }
}

#[tokio::test]
async fn a_row_that_changes_while_it_is_sealed_anew_stays_as_it_became() {
    let midway = Midway::new().await;
    let (service, subject) = (&midway.service, &midway.subject);
    let store = &service.cloud.app().store;
    let living = living(service, subject).await;
    let partition = living.key.partition();
    let mut old = Vec::new();
    for row in store.query_all(&partition, "message#").await.expect("rows") {
        if row.count("key") == 1 {
            old.push((row.clone(), reseal(&row, &living).expect("it opens")));
        }
    }
    let known = service.records(subject, "message").await;
    for message in &known {
        redact(service, subject, json!({"message": message["message"]})).await;
    }
    assert!(!old.is_empty());
    for (_, write) in &old {
        let refused = store.write(write.clone()).await.expect("it answers");
        assert!(refused.is_err());
    }
    let bodies = service.records(subject, "message").await;
    assert!(bodies.iter().all(|it| it.get("body").is_none()));

    service.erase(subject).await;
    midway.go_on().await;
    for (row, write) in old {
        let refused = store.write(write).await.expect("it answers");
        assert!(refused.is_err());
        let now = store.get(&partition, row.sort()).await.expect("it answers");
        assert!(now.is_none(), "what is gone stays gone");
    }
}

#[tokio::test]
async fn a_redaction_while_a_life_is_rekeyed_leads_to_another() {
    let midway = Midway::new().await;
    let (service, subject) = (&midway.service, &midway.subject);
    let backup = sealed(service, subject).await;
    let begun = service.entry(subject).await.rekeyed_at.expect("it has");
    let clear_by = async |message: &Value| {
        let answer = redact(service, subject, json!({"message": message["message"]})).await;
        answer["backups_clear_by"].clone()
    };
    let known = service.records(subject, "message").await;
    // The first was redacted before it began.
    assert_eq!(clear_by(&known[0]).await, (begun + days(2)).to_string());
    for message in &known[1..] {
        assert_eq!(clear_by(message).await, (begun + days(3)).to_string());
    }
    midway.go_on().await;
    let after = living(service, subject).await;
    assert_eq!(after.generation, 2);
    let still: usize = backup.iter().map(|row| opens(row, &after)).sum();
    assert!(still > 0, "some was sealed under the new key already");
    service.advance(days(1)).await;
    let after = living(service, subject).await;
    assert_eq!(after.generation, 3);
    assert!(backup.iter().all(|row| opens(row, &after) == 0));
    let bodies = service.records(subject, "message").await;
    assert_eq!(bodies.len(), 62);
    assert!(bodies.iter().all(|it| it.get("body").is_none()));
    service.advance(days(3)).await;
    assert_eq!(
        service.entry(subject).await.generation,
        3,
        "and to no third"
    );
}

#[tokio::test]
async fn a_rekeying_whose_job_a_restore_has_lost_goes_on() {
    let midway = Midway::new().await;
    let (service, subject) = (&midway.service, &midway.subject);
    redact(service, subject, json!({"conversation": "c-1"})).await;
    let before = service.entry(subject).await;
    assert!(before.rekeying() && before.rekey.is_some());
    let lost: Vec<_> = jobs(service)
        .await
        .iter()
        .map(|job| job.key.id.to_string())
        .collect();
    assert_eq!(lost.len(), 2);
    let store = &service.cloud.app().store;
    let partition = keys::jobs(service.tenant(), JobKind::Rekey);
    store
        .delete_many(&partition, &lost)
        .await
        .expect("it answers");
    for resumed in [2, 0] {
        let order = json!({"restored": "records", "dry_run": false});
        let replayed = service.cloud.invoke("restore", order).await;
        let replayed = replayed.expect("it ends well");
        assert_eq!(replayed["rekeyings_repaired"], resumed, "{replayed}");
    }
    midway.go_on().await;
    assert_eq!(service.entry(subject).await.generation, 2);
    service.advance(days(1)).await;
    let after = service.entry(subject).await;
    assert_eq!(after.generation, 3);
    assert!(!after.rekeying() && after.rekey.is_none());
    let rows = sealed(service, subject).await;
    assert_eq!(generations(&rows), [3].into());
}

/// The life has ended while it was re-keyed: both keys are gone, and what follows is new.
async fn ended(midway: Midway) {
    let (service, subject) = (&midway.service, &midway.subject);
    for row in rows::keyring(service).await {
        let keys = ["data_key", "retiring_key", "rekey"];
        assert!(keys.iter().all(|key| !row.contains_key(*key)), "{row:?}");
    }
    midway.go_on().await;
    assert!(rows::about(service, subject).await.is_empty());
    let jobs = jobs(service).await;
    assert_eq!(jobs[0].state, JobState::Cancelled);
    service.acquaint("ada").await;
    service.advance(days(2)).await;
    assert_eq!(service.entry(subject).await.generation, 1);
    assert_eq!(service.records(subject, "message").await.len(), 2);
}

#[tokio::test]
async fn an_erasure_ends_a_rekeying() {
    let midway = Midway::new().await;
    let path = format!("/v1/subjects/{}", midway.subject);
    let owner = &midway.service.ours.owner;
    midway.service.delete(&path, owner).await.expect(202);
    ended(midway).await;
}

#[tokio::test]
async fn an_expiry_ends_a_rekeying() {
    let midway = Midway::new().await;
    midway.service.advance(days(31)).await;
    ended(midway).await;
}

#[tokio::test]
async fn a_turn_that_comes_late_or_again_changes_nothing() {
    let midway = Midway::new().await;
    let (service, subject) = (&midway.service, &midway.subject);
    midway.go_on().await;
    // Another is to come, and none of those that were may begin it.
    redact(service, subject, json!({"conversation": "c-2"})).await;
    let before = late::everything(service).await;
    let turns = late::turns(service, "rekey").await;
    assert!(turns.len() > 2, "it was cut off again and again");
    for turn in turns.iter().chain(&turns) {
        let late = service.cloud.invoke("delete", turn.clone()).await;
        assert_eq!(
            late.expect("it ends well"),
            json!({"batchItemFailures": []})
        );
    }
    service.cloud.settle().await;
    assert_eq!(late::everything(service).await, before);
}

/// Interleavings in all.
const ROUNDS: usize = if cfg!(feature = "long") { 200 } else { 25 };
/// People who live through them at the same time, one round each.
const TOGETHER: usize = 25;

/// One person of the interleavings, and what must have become of what they said.
struct Person {
    visitor: String,
    subject: String,
    /// By their ids: bodies, gone where redacted.
    said: BTreeMap<String, Option<String>>,
    erased: bool,
}

#[derive(Clone, Debug)]
enum Deed {
    Say(String),
    Redact(String),
    Visit,
    Read,
    Erase,
}

/// What a deed told.
enum Told {
    Said(String, String),
    Redacted(String),
    Erased,
    Nothing,
}

fn deeds(rng: &mut StdRng, person: &Person, step: usize) -> Vec<Deed> {
    let some = rng.random_range(0..4);
    let deed = |at: usize| {
        let known: Vec<_> = person.said.keys().collect();
        match rng.random_range(0..20) {
            0..=7 => Deed::Say(format!("{} {step} {at}", person.visitor)),
            8..=14 if !known.is_empty() => {
                Deed::Redact(known[rng.random_range(0..known.len())].clone())
            }
            15..=16 => Deed::Read,
            // Alone in its step: what else happens then may be before it, or after.
            17 if some == 1 => Deed::Erase,
            _ => Deed::Visit,
        }
    };
    (0..some).map(deed).collect()
}

async fn act(service: &Service, person: &Person, deed: Deed) -> Told {
    let (visitor, subject, owner) = (&person.visitor, &person.subject, &service.ours.owner);
    let path = format!("/v1/subjects/{subject}");
    match deed {
        Deed::Say(body) => {
            let event = json!({"type": "message", "visitor_id": visitor, "conversation_id": "c",
                               "author": "end_user", "body": body});
            let events = json!({"events": [event]});
            let reply = service
                .post("/v1/events", &service.ours.ingest, events)
                .await;
            let result = reply.expect(200)["results"][0].clone();
            match result["message"].as_str() {
                Some(id) if result["status"] == "stored" => Told::Said(id.to_owned(), body),
                _ => {
                    assert_eq!(result["status"], "ignored", "{result}");
                    Told::Nothing
                }
            }
        }
        Deed::Redact(message) => {
            let answer = redact(service, subject, json!({"message": message})).await;
            assert_eq!(answer["results"][0]["status"], "redacted", "{answer}");
            assert!(answer["backups_clear_by"].is_string(), "{answer}");
            Told::Redacted(message)
        }
        Deed::Visit => {
            let event =
                json!({"type": "visit", "visitor_id": visitor, "url": "https://x.example/"});
            service.send(&service.ours.ingest, json!([event])).await;
            Told::Nothing
        }
        Deed::Read => {
            let path = format!("{path}/records");
            let reply = service.get(&path, owner).await;
            assert!(matches!(reply.status, 200 | 404), "{}", reply.text);
            Told::Nothing
        }
        Deed::Erase => {
            let reply = service.delete(&path, owner).await;
            assert!(matches!(reply.status, 202 | 404), "{}", reply.text);
            Told::Erased
        }
    }
}

impl Person {
    fn learn(&mut self, told: Told) {
        match told {
            Told::Said(id, body) => {
                self.said.insert(id, Some(body));
            }
            Told::Redacted(id) => {
                self.said.insert(id, None);
            }
            Told::Erased => {
                self.said.clear();
                self.erased = true;
            }
            Told::Nothing => {}
        }
    }
}

/// Nothing is lost, nothing that was redacted is readable, and the keyring is at rest.
async fn check(
    service: &Service,
    person: &Person,
    stored: &[rows::Row],
    backups: &[rows::Row],
    seed: u64,
) {
    let entry = service.entry(&person.subject).await;
    let at_rest = !entry.rekeying() && entry.rekey.is_none();
    assert!(at_rest, "seed {seed}: {}", person.visitor);
    let open = service.cloud.app().keyring.open(&entry).await;
    let Some(living) = open.expect("the keys open") else {
        assert!(person.erased && person.said.is_empty(), "seed {seed}");
        return;
    };
    let generations = generations(&sealed_of(stored.to_vec(), &person.subject));
    assert_eq!(generations, [entry.generation].into(), "seed {seed}");
    let kept: BTreeMap<_, _> = service
        .records(&person.subject, "message")
        .await
        .into_iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().map(str::to_owned);
            (text("message").expect("an id"), text("body"))
        })
        .collect();
    assert_eq!(kept, person.said, "seed {seed}: {}", person.visitor);
    for row in backups {
        let text = |name| rows::text(row, name).unwrap_or_default();
        if !text("PK").contains(&living.key.life.to_string()) || opens(row, &living) == 0 {
            continue;
        }
        let parts: Vec<_> = text("SK").split('#').collect();
        if let ["message", conversation, uuid] = parts[..] {
            let id = format!("msg_{conversation}{uuid}");
            let item = Item::new(text("PK"), text("SK"));
            let item = item.with(
                "content",
                row["content"].as_b().expect("bytes").as_ref().to_vec(),
            );
            let content: Value = living
                .open_json(&item, "content")
                .expect("it opens")
                .expect("it is there");
            let body = content["body"].as_str().map(str::to_owned);
            assert_eq!(body, person.said[&id], "seed {seed}: a backup still opens");
        }
    }
}

async fn round(seed: u64) {
    let options = by_hand();
    let (service, steps) = mortal(options).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut people = Vec::new();
    for n in 0..TOGETHER {
        let visitor = format!("v-{seed}-{n}");
        let subject = service.visit(&visitor).await;
        people.push(Person {
            visitor,
            subject,
            said: BTreeMap::new(),
            erased: false,
        });
    }
    let mut backups = Vec::new();
    for step in 0..6 {
        let passing = [minutes(4), minutes(16), minutes(45), days(1)][rng.random_range(0..4)];
        service.skip(passing);
        let allowed = [50, 200, 1000, ALL_STEPS, ALL_STEPS][rng.random_range(0..5)];
        steps.allow(allowed);
        let deeds: Vec<_> = people
            .iter()
            .enumerate()
            .flat_map(|(n, person)| {
                deeds(&mut rng, person, step)
                    .into_iter()
                    .map(move |it| (n, it))
            })
            .collect();
        let acts = deeds.into_iter().map(|(n, deed)| {
            let (service, person) = (&service, &people[n]);
            async move { (n, act(service, person, deed).await) }
        });
        let (told, _) = join(join_all(acts), service.sweep()).await;
        for (n, told) in told {
            people[n].learn(told);
        }
        if rng.random_bool(0.5) {
            service.cloud.settle().await;
        }
        backups.extend(rows::records(&service).await);
    }
    // Let everything come to rest: what was cut off, and what waits for its day.
    service.cloud.settle().await;
    steps.allow(ALL_STEPS);
    for _ in 0..4 {
        service.pass(hours(13)).await;
    }
    let stored = rows::records(&service).await;
    for person in &people {
        check(&service, person, &stored, &backups, seed).await;
    }
    let rekeyed = jobs(&service).await;
    assert!(rekeyed.iter().all(|job| job.state.over()), "seed {seed}");
    assert!(rekeyed.len() > TOGETHER / 2, "{}", rekeyed.len());
    assert!(service.cloud.dead_letters().is_empty(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_meanwhile_nothing_is_lost_and_nothing_redacted_stays() {
    let seed = std::env::var("LETHE_SEED").ok();
    let first = seed.and_then(|seed| seed.parse().ok());
    let start: u64 = first.unwrap_or(1);
    let rounds = first.map_or(ROUNDS.div_ceil(TOGETHER) as u64, |_| 1);
    let end = start + rounds;
    eprintln!("{ROUNDS} interleavings, seeds {start} to {}", end - 1);
    for seed in start..end {
        round(seed).await;
    }
}
