//! Somebody with many records, and a worker that is called with one turn. What the rows
//! of the table share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use lethe_tests::meter::Meter;
use lethe_tests::{Service, subject};
use local::Options;
use serde_json::{Value, json};

/// A service in which nothing happens by itself; who is given hears every call.
pub async fn still(meter: Option<&Meter>) -> Service {
    Service::with(Options {
        ttl: false,
        schedules: false,
        events: false,
        watch: meter.map(Meter::watch),
        ..Options::default()
    })
    .await
}

/// Writes messages of one person, in conversations of 1,000. Their subject.
pub async fn talk(service: &Service, visitor: &str, messages: usize) -> String {
    let who = service.visit(visitor).await;
    let numbers: Vec<_> = (0..messages).collect();
    let requests = numbers.chunks(100).map(async |some| {
        let event = |n: &usize| {
            json!({"type": "message", "visitor_id": visitor, "conversation_id": format!("c-{}", n / 1000),
                   "author": "end_user", "body": format!("message {n}")})
        };
        let results = service.store(some.iter().map(event).collect()).await;
        assert_eq!(subject(&results[0]), who);
    });
    futures::stream::iter(requests)
        .buffer_unordered(2)
        .collect::<Vec<_>>()
        .await;
    service.cloud.settle().await;
    who
}

/// Erases somebody: the request and its worker's turn, until all is gone. How long both
/// took, without what the stream does in between.
pub async fn erase(service: &Service, who: &str) -> (Duration, Value) {
    let owner = &service.ours.owner;
    let path = format!("/v1/subjects/{who}");
    let began = Instant::now();
    let job = service.call("DELETE", &path, owner, None).await.expect(202);
    let mut took = began.elapsed();
    let id = job["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/erasures/{id}");
    for number in 1..100 {
        let turn = turn(&service.ours.id, "erasure", &id, number);
        let began = Instant::now();
        service.cloud.invoke("delete", turn).await.expect("a turn");
        took += began.elapsed();
        let job = service.get(&path, owner).await.expect(200);
        if job["state"] == "completed" {
            return (took, job);
        }
    }
    panic!("the erasure does not end");
}

/// What the table's stream says of a job's turn.
pub fn turn(tenant: &str, worker: &str, job: &str, number: usize) -> Value {
    json!({"Records": [{
        "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "dynamodb": {
            "Keys": {
                "PK": {"S": format!("{tenant}#jobs#{worker}")},
                "SK": {"S": format!("turn#{worker}#{job}#{number}")},
            },
            "SequenceNumber": "1", "SizeBytes": 100, "StreamViewType": "KEYS_ONLY",
        },
    }]})
}

/// A function's own program, as it was built.
///
/// # Errors
/// When it was not.
pub fn bootstrap(bootstraps: &Path, function: &str) -> Result<PathBuf, String> {
    let path = bootstraps.join(function).join("bootstrap");
    match path.exists() {
        true => Ok(path),
        false => Err(format!(
            "{} is not there: build the functions first (--help says how), or name their folder",
            path.display()
        )),
    }
}
