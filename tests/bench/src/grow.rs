//! What grows with what is there, and what must not.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::meter::{Cost, Meter};
use lethe_tests::{Service, days};
use local::Options;
use serde_json::json;

use crate::bare;
use crate::stage::{erase, still, talk};
use crate::table::{Line, median, ratio, show, slope};

/// Erasing 10,000 records, against a query and batch deletes of as many rows.
pub async fn erasing(quick: bool) -> Vec<Line> {
    let (messages, rounds) = if quick { (1_000, 1) } else { (10_000, 3) };
    let service = still().await;
    let client = bare::dynamodb(&service.cloud);
    let table = service.cloud.app().config.records_table.clone();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let who = talk(&service, &format!("ours-{round}"), messages).await;
        ours.push(erase(&service, &who).await.0);
        let who = talk(&service, &format!("theirs-{round}"), messages).await;
        let partition = partition(&service, &who).await;
        let began = Instant::now();
        let deleted = bare::delete_all(&client, &table, &partition).await;
        theirs.push(began.elapsed());
        assert!(deleted > messages, "only {deleted} rows");
        service.cloud.settle().await;
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    vec![
        Line::new(format!(
            "erasing {messages} records, request and worker, looked at twice"
        ))
        .ours(show(ours))
        .reference(format!("{}: bare query and batch deletes", show(theirs)))
        .at_most(ratio(ours, theirs), 1.25, "×"),
    ]
}

/// The partition of somebody's life.
async fn partition(service: &Service, who: &str) -> String {
    let client = bare::dynamodb(&service.cloud);
    let key = AttributeValue::S(format!("{}#{who}", service.ours.id));
    let keyring = &service.cloud.app().config.keyring_table;
    let call = client.get_item().table_name(keyring).key("PK", key.clone());
    let row = call
        .send()
        .await
        .expect("GetItem")
        .item
        .expect("a keyring row");
    let life = row["life"].as_s().expect("a life");
    format!("{}#{life}", key.as_s().expect("a text"))
}

/// A visit, and an erasure, of people with more and more records.
pub async fn one_person(quick: bool) -> Vec<Line> {
    let sizes: &[usize] = if quick {
        &[100, 1_000]
    } else {
        &[100, 1_000, 10_000, 100_000]
    };
    let (mut visits, mut erasures) = (Vec::new(), Vec::new());
    let (mut visited, mut erased) = (Vec::new(), Vec::new());
    for size in sizes {
        eprintln!("  one person with {size} records");
        let service = still().await;
        let who = talk(&service, "ada", *size).await;
        let mut times = Vec::new();
        for _ in 0..300 {
            let began = Instant::now();
            service.visit("ada").await;
            times.push(began.elapsed());
        }
        let visit = median(&mut times);
        let (erasure, job) = erase(&service, &who).await;
        assert!(
            job["stores"]["records"].as_u64() > Some(*size as u64),
            "{job}"
        );
        visits.push((*size as f64, visit.as_secs_f64()));
        erasures.push((*size as f64, erasure.as_secs_f64()));
        visited.push(show(visit));
        erased.push(show(erasure));
    }
    let sizes = sizes
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    vec![
        Line::new(format!("a visit of somebody with {sizes} records"))
            .ours(visited.join(", "))
            .reference("itself")
            .at_most(slope(&visits), 0.05, " slope"),
        Line::new(format!("erasing somebody with {sizes} records"))
            .ours(erased.join(", "))
            .reference("itself")
            .at_most(slope(&erasures), 1.05, " slope"),
    ]
}

/// Cleanup with as many due, among more and more who are not.
pub async fn sweeping(quick: bool) -> Vec<Line> {
    let (due, sizes): (usize, &[usize]) = match quick {
        true => (100, &[200, 2_000]),
        false => (1_000, &[1_000, 10_000, 100_000]),
    };
    let (mut times, mut units) = (Vec::new(), Vec::new());
    let (mut shown, mut consumed) = (Vec::new(), Vec::new());
    for size in sizes {
        eprintln!("  {due} due among {size} people");
        let (time, cost) = sweep(due, *size).await;
        times.push((*size as f64, time.as_secs_f64()));
        units.push((*size as f64, cost.reads + cost.writes));
        shown.push(show(time));
        consumed.push(format!("{}", cost.reads + cost.writes));
    }
    let sizes = sizes
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    vec![
        Line::new(format!("cleanup, {due} due among {sizes} people: time"))
            .ours(shown.join(", "))
            .reference("itself")
            .at_most(slope(&times), 0.05, " slope"),
        Line::new(format!(
            "cleanup, {due} due among {sizes} people: capacity units"
        ))
        .ours(consumed.join(", "))
        .reference("itself")
        .at_most(slope(&units), 0.05, " slope"),
    ]
}

async fn sweep(due: usize, size: usize) -> (Duration, Cost) {
    let meter = Meter::default();
    let service = Service::with(Options {
        ttl: false,
        schedules: false,
        events: false,
        listen: Some(meter.listener()),
        ..Options::default()
    })
    .await;
    meet(&service, 0, due).await;
    // Later than all who are due have been seen, and long before they are.
    service.cloud.clock().advance(days(20));
    meet(&service, due, size).await;
    service
        .cloud
        .clock()
        .advance(days(10) + lethe_tests::minutes(1));
    meter.take();
    let event = include_str!("../../../events/cleanup.schedule.json");
    let event = serde_json::from_str(event).expect("an event");
    let began = Instant::now();
    let swept = service
        .cloud
        .invoke("cleanup", event)
        .await
        .expect("a sweep");
    let took = began.elapsed();
    assert_eq!(swept["expired"], due, "{swept}");
    (took, Cost::of(&meter.take()))
}

/// People who are seen for the first time, from one number to another.
async fn meet(service: &Service, from: usize, to: usize) {
    let numbers: Vec<_> = (from..to).collect();
    for some in numbers.chunks(100) {
        let visit = |n: &usize| json!({"type": "visit", "visitor_id": format!("v-{n}"), "url": "https://shop.example/"});
        service.store(some.iter().map(visit).collect()).await;
    }
}
