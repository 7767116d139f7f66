//! What grows with what is there, and what must not.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::meter::{Cost, Meter};
use lethe_tests::{Service, days};
use serde_json::json;

use crate::bare;
use crate::stage::{erase, still, talk};
use crate::table::{Line, median, ratio, show, slope};
use crate::warm::{hear_events, pair, visit};

/// Erasing 10,000 records, against a query and batch deletes of as many rows.
pub async fn erasing(quick: bool) -> Vec<Line> {
    let (messages, rounds) = if quick { (1_000, 1) } else { (10_000, 3) };
    let service = still(None).await;
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

/// A visit, and an erasure, of people with more and more records. The engine on this
/// machine has its own ways of growing, so time stands beside that of the bare calls.
pub async fn one_person(quick: bool) -> Vec<Line> {
    let sizes: &[usize] = match quick {
        true => &[100, 1_000],
        false => &[100, 1_000, 10_000, 100_000],
    };
    let (mut visits, mut erasures) = (Growth::default(), Growth::default());
    for size in sizes {
        eprintln!("  one person with {size} records");
        let meter = Meter::default();
        let service = still(Some(&meter)).await;
        let who = talk(&service, "ada", *size).await;
        let mut heard = hear_events(&service, &meter, &visit("ada")).await;
        let (ours, theirs) = pair(&service, &mut heard, 300).await;
        visits.add(*size, heard.calls.len() as f64, ours, theirs);

        meter.take();
        let (ours, job) = erase(&service, &who).await;
        let cost = Cost::of(&meter.take());
        assert!(
            job["stores"]["records"].as_u64() > Some(*size as u64),
            "{job}"
        );
        let other = talk(&service, "bea", *size).await;
        let partition = partition(&service, &other).await;
        let table = &service.cloud.app().config.records_table;
        let client = bare::heard_dynamodb(&service.cloud);
        let began = Instant::now();
        bare::delete_all(&client, table, &partition).await;
        erasures.add(*size, cost.reads + cost.writes, ours, began.elapsed());
    }
    let sizes = sizes.iter().map(usize::to_string).collect::<Vec<_>>();
    let sizes = sizes.join(", ");
    vec![
        visits.time(format!("a visit of somebody with {sizes} records: time")),
        visits.cost(
            format!("a visit of somebody with {sizes} records: calls"),
            0.05,
        ),
        erasures.time(format!("erasing somebody with {sizes} records: time")),
        erasures.cost(
            format!("erasing somebody with {sizes} records: capacity units"),
            1.05,
        ),
    ]
}

/// How something grows with the number of records.
#[derive(Default)]
struct Growth {
    costs: Vec<(f64, f64)>,
    ours: Vec<(f64, f64)>,
    shares: Vec<(f64, f64)>,
    shown: Vec<String>,
    reference: Vec<String>,
}

impl Growth {
    fn add(&mut self, size: usize, cost: f64, ours: Duration, theirs: Duration) {
        let size = size as f64;
        self.costs.push((size, cost));
        self.ours.push((size, ours.as_secs_f64()));
        self.shares.push((size, ratio(ours, theirs)));
        self.shown.push(show(ours));
        self.reference.push(show(theirs));
    }

    /// It grows no faster than the bare calls do.
    fn time(&self, what: String) -> Line {
        let (alone, bare) = (slope(&self.ours), self.reference.join(", "));
        Line::new(what)
            .ours(format!("{} (slope {alone:.2})", self.shown.join(", ")))
            .reference(format!("{bare}: bare calls"))
            .at_most(slope(&self.shares), 0.05, " slope of the ratio")
    }

    fn cost(&self, what: String, goal: f64) -> Line {
        let costs: Vec<_> = self
            .costs
            .iter()
            .map(|(_, cost)| cost.to_string())
            .collect();
        Line::new(what)
            .ours(costs.join(", "))
            .reference("itself")
            .at_most(slope(&self.costs), goal, " slope")
    }
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
    let service = still(Some(&meter)).await;
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
