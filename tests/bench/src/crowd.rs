//! Many writes of one person against the same writes spread over a hundred.

use std::time::{Duration, Instant};

use lethe_tests::Service;
use serde_json::{Value, json};

use crate::stage::still;
use crate::table::{Line, median, ratio, show};

const GOAL: f64 = 2.0;
const CALLERS: usize = 50;

pub async fn lines(quick: bool) -> Vec<Line> {
    let rounds = if quick { 3 } else { 21 };
    let service = still(None).await;
    // All of them are known, and so are their conversations.
    store(
        &service,
        (0..100).map(|n| message(&format!("v-{n}"))).collect(),
    )
    .await;
    store(&service, vec![message("one")]).await;
    vec![
        together(&service, rounds).await,
        at_once(&service, rounds).await,
    ]
}

/// A request of 100 messages.
async fn together(service: &Service, rounds: usize) -> Line {
    let (mut one, mut spread) = (Vec::new(), Vec::new());
    let before = messages(service, "one").await;
    for _ in 0..rounds {
        one.push(store(service, (0..100).map(|_| message("one")).collect()).await);
        let many = (0..100).map(|n| message(&format!("v-{n}"))).collect();
        spread.push(store(service, many).await);
    }
    let none_lost = messages(service, "one").await - before == 100 * rounds as u64;
    let (one, spread) = (median(&mut one), median(&mut spread));
    Line::new("100 messages of one person in one request")
        .ours(show(one))
        .reference(format!("{}: of 100 people", show(spread)))
        .at_most(ratio(one, spread), GOAL, "×")
        .and(none_lost, "none lost")
}

/// 50 callers at once, a message each.
async fn at_once(service: &Service, rounds: usize) -> Line {
    let (mut one, mut spread) = (Vec::new(), Vec::new());
    let before = messages(service, "one").await;
    for _ in 0..rounds {
        one.push(call(service, |_| "one".to_owned()).await);
        spread.push(call(service, |n| format!("v-{n}")).await);
    }
    let none_lost = messages(service, "one").await - before == (CALLERS * rounds) as u64;
    let (one, spread) = (median(&mut one), median(&mut spread));
    Line::new(format!("one person written by {CALLERS} callers at once"))
        .ours(show(one))
        .reference(format!("{}: {CALLERS} people", show(spread)))
        .at_most(ratio(one, spread), GOAL, "×")
        .and(none_lost, "none lost")
}

async fn call(service: &Service, visitor: impl Fn(usize) -> String) -> Duration {
    let began = Instant::now();
    let calls = (0..CALLERS).map(|n| store(service, vec![message(&visitor(n))]));
    futures::future::join_all(calls).await;
    began.elapsed()
}

async fn store(service: &Service, events: Vec<Value>) -> Duration {
    let began = Instant::now();
    service.store(events.into()).await;
    began.elapsed()
}

fn message(visitor: &str) -> Value {
    json!({"type": "message", "visitor_id": visitor, "conversation_id": "c-1", "author": "end_user",
           "body": "Where is my invoice?"})
}

async fn messages(service: &Service, visitor: &str) -> u64 {
    let who = service.visit(visitor).await;
    let path = format!("/v1/subjects/{who}");
    let profile = service.get(&path, &service.ours.read).await.expect(200);
    profile["counts"]["messages"].as_u64().expect("a number")
}
