//! What is done while calls fail: what lies there before, and what clients, events and
//! schedules then do.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use lethe_tests::{hours, minutes, sha256};
use serde_json::{Value, json};

use super::Play;

type Part = for<'a> fn(&'a mut Play) -> BoxFuture<'a, ()>;

pub struct Scenario {
    pub name: &'static str,
    pub prepare: Part,
    /// Every call in it may fail.
    pub act: Part,
}

macro_rules! scenarios {
    ($($name:literal: $prepare:ident, $act:ident;)*) => {
        pub const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: $name,
            prepare: |play| $prepare(play).boxed(),
            act: |play| $act(play).boxed(),
        }),*];
    };
}

scenarios! {
    "ingest": nobody, ingest;
    "redaction": somebody, redact;
    "long-redaction": somebody_who_talks, redact_all;
    "erasure": somebody_exported, erase;
    "erasure-of-many": many, erase_many;
    "expiry": somebody_whose_time_is_over, expire;
    "expiry-by-ttl": somebody_whose_time_is_over, expire_by_ttl;
    "return": somebody_whose_time_is_over, come_back;
    "export": somebody, export;
    "tenant": somebody_exported, leave;
    "hold-lifted": somebody_blocked, lift;
    "hold-run-out": somebody_blocked_for_an_hour, run_out;
    "erasure-cancelled": somebody_blocked, cancel;
}

const MESSAGES: [&str; 2] = [
    "00000000-0000-7000-8000-000000000001",
    "00000000-0000-7000-8000-000000000002",
];

async fn nobody(_: &mut Play) {}

async fn somebody(play: &mut Play) {
    let service = &play.service;
    let events = json!([
        {"type": "visit", "visitor_id": "ada", "url": "https://shop.example/cart", "ip": "203.0.113.9",
         "device": {"browser": "Firefox", "os": "Linux"}},
        {"type": "identify", "visitor_id": "ada", "user_id": "u-ada", "name": "Ada Lovelace",
         "email": "ada@example.com", "custom": {"plan": "gold"}},
        {"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "title": "Invoice",
         "author": "end_user", "body": "Where is my invoice?", "id": MESSAGES[0]},
        {"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "agent",
         "member": "mem_1", "body": "On its way.", "id": MESSAGES[1]},
        {"type": "interaction", "visitor_id": "ada", "item_id": "help-7", "action": "viewed"},
    ]);
    let results = service.store(events).await;
    let subject = lethe_tests::subject(&results[0]);
    let file = service.attach("ada").await;
    let path = format!("/v1/subjects/{subject}/records?type=message");
    let messages = service.get(&path, &service.ours.owner).await.expect(200);
    play.known = json!({"subject": subject, "attachment": file, "messages": messages["data"]});
}

async fn somebody_who_talks(play: &mut Play) {
    somebody(play).await;
    for part in 0..2 {
        let said = (0..60).map(|at| {
            json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                   "author": "end_user", "body": format!("And {part} {at}?")})
        });
        play.service.store(said.collect()).await;
    }
}

async fn somebody_exported(play: &mut Play) {
    somebody(play).await;
    let body = json!({"subject": play.known["subject"]});
    play.service
        .post("/v1/exports", &play.service.ours.owner, body)
        .await
        .expect(202);
    play.service.cloud.settle().await;
}

async fn many(play: &mut Play) {
    let visits = names().map(|name| json!({"type": "visit", "visitor_id": name}));
    play.service.store(visits.collect()).await;
}

/// More than end in one transaction.
fn names() -> impl Iterator<Item = String> {
    (0..21).map(|at| format!("v-{at}"))
}

/// A life of a day, since a month would have thirty days of activity to seal.
async fn somebody_whose_time_is_over(play: &mut Play) {
    let owner = play.service.ours.owner.clone();
    let settings = json!({"retention_days": 1});
    let set = play
        .service
        .call("PUT", "/v1/settings", &owner, Some(&settings));
    assert_eq!(set.await.status, 200);
    play.service.advance(minutes(2)).await;
    somebody_exported(play).await;
    // The first day is sealed, so that the sweep to come finds nothing else to do.
    play.service.advance(hours(14)).await;
    let _swept = play.clean_up().await;
    play.service.advance(hours(10)).await;
}

async fn ingest(play: &mut Play) {
    let key = &play.service.ours.ingest;
    let first = json!({"events": [
        {"type": "visit", "visitor_id": "ada", "url": "https://shop.example/cart"},
        {"type": "identify", "visitor_id": "ada", "email": "ada@example.com", "name": "Ada"},
        {"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user",
         "body": "Where is my invoice?", "id": MESSAGES[0]},
        {"type": "interaction", "visitor_id": "ada", "item_id": "help-7", "action": "viewed"},
    ]});
    let again = json!({"events": [
        {"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user",
         "body": "Hello?"},
        {"type": "identify", "visitor_id": "ada", "email": "ada@example.org"},
        {"type": "interaction", "visitor_id": "ada", "item_id": "help-7", "action": "viewed"},
    ]});
    let visit = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
    for events in [first, again, visit] {
        let reply = play.ask("POST", "/v1/events", key, Some(&events)).await;
        for result in reply.expect(200)["results"].as_array().expect("results") {
            let stored = result["status"] == "stored" || result["status"] == "duplicate";
            assert!(stored, "{result}");
        }
    }
    let body = b"hello";
    let announced = json!({"visitor_id": "ada", "conversation_id": "c-1", "filename": "note.txt",
        "content_type": "text/plain", "size": body.len(), "sha256": sha256(body)});
    let reply = play
        .ask("POST", "/v1/attachments", key, Some(&announced))
        .await;
    let sent = play.service.put(&reply.expect(201)["upload"], body).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    play.service.cloud.settle().await;
}

async fn redact(play: &mut Play) {
    let known = &play.known;
    let spans = json!([{"start": 0, "end": 5}]);
    let [one, other] = [&known["messages"][0], &known["messages"][1]];
    let some = json!({"subject": known["subject"], "targets": [
        {"message": one["message"]},
        {"message": other["message"], "content_hash": other["content_hash"], "spans": spans},
        {"attachment": known["attachment"]},
    ]});
    let all = json!({"subject": known["subject"], "targets": [{"conversation": "c-1"}]});
    for body in [some, all] {
        let owner = &play.service.ours.owner;
        let reply = play.ask("POST", "/v1/redactions", owner, Some(&body)).await;
        for result in reply.expect(200)["results"].as_array().expect("results") {
            assert_eq!(result["status"], "redacted", "{result}");
        }
    }
}

async fn redact_all(play: &mut Play) {
    let body = json!({"subject": play.known["subject"], "targets": [{"conversation": "c-1"}]});
    let owner = &play.service.ours.owner;
    let reply = play.ask("POST", "/v1/redactions", owner, Some(&body)).await;
    reply.expect(202);
    play.service.cloud.settle().await;
}

async fn erase(play: &mut Play) {
    let path = format!("/v1/subjects/{}", text(&play.known["subject"]));
    let owner = &play.service.ours.owner;
    let reply = play.ask("DELETE", &path, owner, None).await;
    // Asked again after it was done: there is no such person.
    assert!(matches!(reply.status, 202 | 404), "{}", reply.text);
    let gone = play.ask("GET", &path, owner, None).await;
    gone.expect(404);
    play.service.cloud.settle().await;
    last_look(play).await;
}

async fn erase_many(play: &mut Play) {
    let body = json!({"visitors": names().collect::<Vec<_>>(), "reference": "R-1"});
    let owner = &play.service.ours.owner;
    let reply = play.ask("POST", "/v1/erasures", owner, Some(&body)).await;
    reply.expect(202);
    // What the worker does for each is what it does for one.
    play.line.look_away();
    play.service.cloud.settle().await;
    last_look(play).await;
}

async fn expire(play: &mut Play) {
    let _swept = play.clean_up().await;
    last_look(play).await;
    receipt_of_the_day(play).await;
}

async fn expire_by_ttl(play: &mut Play) {
    play.service.cloud.sweep_ttl().await;
    last_look(play).await;
}

async fn come_back(play: &mut Play) {
    let key = &play.service.ours.ingest;
    let visit = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
    let reply = play.ask("POST", "/v1/events", key, Some(&visit)).await;
    assert_eq!(reply.expect(200)["results"][0]["status"], "stored");
    play.service.cloud.settle().await;
    last_look(play).await;
}

async fn export(play: &mut Play) {
    let body = json!({"subject": play.known["subject"]});
    let owner = &play.service.ours.owner;
    let reply = play.ask("POST", "/v1/exports", owner, Some(&body)).await;
    reply.expect(202);
    play.service.cloud.settle().await;
}

async fn leave(play: &mut Play) {
    let tenant = &play.service.ours;
    let soon = play.service.now() + minutes(60);
    let body = json!({"tenant": true, "confirm": tenant.id, "not_before": soon});
    let reply = play
        .ask("POST", "/v1/erasures", &tenant.owner, Some(&body))
        .await;
    reply.expect(202);
    play.service.advance(minutes(61)).await;
    // Keys, the tenant's key, everybody, and a last look: each waits for the one before.
    for _ in 0..5 {
        play.hand_over().await;
        play.service.advance(minutes(15)).await;
    }
}

/// Somebody held, and another who is not, with an erasure of both and one of the first alone,
/// who is to stay away.
async fn somebody_blocked(play: &mut Play) {
    block(play, None).await;
}

async fn somebody_blocked_for_an_hour(play: &mut Play) {
    block(play, Some(minutes(60))).await;
    // The day before is sealed, so that the sweep to come finds nothing else to do.
    let _swept = play.clean_up().await;
    play.service.advance(minutes(60)).await;
}

async fn block(play: &mut Play, held_for: Option<SignedDuration>) {
    somebody(play).await;
    let service = &play.service;
    let bob = service.visit("bob").await;
    let ada = text(&play.known["subject"]);
    let owner = &service.ours.owner;
    let mut body = json!({"reason": "litigation"});
    if let Some(time) = held_for {
        body["until"] = json!(service.now() + time);
    }
    let path = format!("/v1/subjects/{ada}/hold");
    service
        .call("PUT", &path, owner, Some(&body))
        .await
        .expect(204);
    let both = service.erasure(json!({"subjects": [ada, bob]})).await;
    let path = format!("/v1/subjects/{ada}?suppress=true");
    service.delete(&path, owner).await.expect(202);
    service.cloud.settle().await;
    play.known["job"] = both["id"].clone();
}

async fn lift(play: &mut Play) {
    let path = format!("/v1/subjects/{}/hold", text(&play.known["subject"]));
    let owner = &play.service.ours.owner;
    let reply = play.ask("DELETE", &path, owner, None).await;
    // Asked again after all of it was done: there is no such person.
    assert!(matches!(reply.status, 204 | 404), "{}", reply.text);
    stays_away(play).await;
    play.service.cloud.settle().await;
    last_look(play).await;
}

async fn run_out(play: &mut Play) {
    let _swept = play.clean_up().await;
    stays_away(play).await;
    play.service.cloud.settle().await;
    last_look(play).await;
}

/// From the moment that the hold has ended.
async fn stays_away(play: &Play) {
    let key = &play.service.ours.ingest;
    let visit = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
    let reply = play.ask("POST", "/v1/events", key, Some(&visit)).await;
    assert_eq!(reply.expect(200)["results"][0]["reason"], "suppressed");
}

/// Of the erasure of both: the other is gone, and the one who is held stays so.
async fn cancel(play: &mut Play) {
    let path = format!("/v1/erasures/{}/cancel", text(&play.known["job"]));
    let owner = &play.service.ours.owner;
    let reply = play.ask("POST", &path, owner, None).await;
    // Asked again after it was done: it goes on for the other.
    assert!(matches!(reply.status, 200 | 409), "{}", reply.text);
    play.service.cloud.settle().await;
    last_look(play).await;
}

/// When the last upload has come to its end.
async fn last_look(play: &Play) {
    play.service.advance(minutes(21)).await;
    play.hand_over().await;
}

/// When the day is over: sealed, with a receipt of who expired on it.
async fn receipt_of_the_day(play: &Play) {
    play.service.advance(hours(14)).await;
    let _swept = play.clean_up().await;
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
