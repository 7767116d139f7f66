//! Who is held cannot be erased: what is asked for meanwhile waits, and goes on by itself.

use lethe_tests::{Service, days, minutes};
use local::Options;
use serde_json::{Value, json};

use crate::rows;

async fn hold(service: &Service, who: &str, until: Option<Value>) {
    let mut body = json!({"reason": "litigation"});
    if let Some(until) = until {
        body["until"] = until;
    }
    let path = format!("/v1/subjects/{who}/hold");
    let owner = &service.ours.owner;
    let set = service.call("PUT", &path, owner, Some(&body)).await;
    set.expect(204);
}

async fn lift(service: &Service, who: &str) {
    let path = format!("/v1/subjects/{who}/hold");
    let owner = &service.ours.owner;
    service.call("DELETE", &path, owner, None).await.expect(204);
}

fn path(job: &Value) -> String {
    format!("/v1/erasures/{}", job["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn an_erasure_of_somebody_held_waits_and_goes_on_when_the_hold_is_lifted() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    hold(&service, &ada, None).await;
    let person = format!("/v1/subjects/{ada}");
    let job = service.call("DELETE", &person, owner, None).await;
    let job = job.expect(202);
    assert_eq!(job["state"], "blocked", "{job}");
    assert_eq!(job["blocked"], json!([{"subject": ada, "by": "hold"}]));
    assert!(job["unreadable_at"].is_null());
    service.advance(days(40)).await;
    let known = service.get(&person, owner).await.expect(200);
    assert_eq!(known["counts"]["messages"], 2, "nothing has gone");
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    let early = format!("{}/receipt", path(&job));
    service.get(&early, owner).await.expect(409);

    lift(&service, &ada).await;
    service.get(&person, owner).await.expect(404);
    service.advance(minutes(30)).await;
    let done = service.job(&path(&job)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["blocked"], json!([]));
    assert!(rows::about(&service, &ada).await.is_empty());
    let receipt = format!("{}/receipt", path(&job));
    assert_eq!(service.get(&receipt, owner).await.status, 200);
}

#[tokio::test]
async fn a_hold_that_runs_out_lets_the_erasure_go_on() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let until = json!(service.now() + days(3));
    hold(&service, &ada, Some(until)).await;
    let person = format!("/v1/subjects/{ada}");
    let job = service.call("DELETE", &person, owner, None).await;
    let job = job.expect(202);
    service.advance(days(2)).await;
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    service.advance(days(1) + minutes(45)).await;
    let done = service.job(&path(&job)).await;
    assert_eq!(done["state"], "completed", "{done}");
}

#[tokio::test]
async fn of_several_people_only_who_is_held_waits() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    let owner = &service.ours.owner;
    hold(&service, &ada, None).await;
    let body = json!({"subjects": [ada, bob], "dry_run": true});
    let dry = service.post("/v1/erasures", owner, body).await.expect(200);
    assert_eq!((&dry["subjects"], &dry["blocked"]), (&json!(2), &json!(1)));
    let body = json!({"subjects": [ada, bob]});
    let job = service.post("/v1/erasures", owner, body).await.expect(202);
    assert!(job["unreadable_at"]["records"].is_string(), "{job}");
    let bobs = format!("/v1/subjects/{bob}");
    service.get(&bobs, owner).await.expect(404);
    let waits = service.job(&path(&job)).await;
    assert_eq!(waits["state"], "blocked", "{waits}");
    assert_eq!(waits["blocked"], json!([{"subject": ada, "by": "hold"}]));
    assert!(rows::about(&service, &bob).await.is_empty());
    lift(&service, &ada).await;
    service.advance(minutes(30)).await;
    let done = service.job(&path(&job)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["stores"]["keyring"], 2);
    assert!(rows::about(&service, &ada).await.is_empty());
}

#[tokio::test]
async fn a_blocked_erasure_can_be_cancelled_and_the_rest_is_done_all_the_same() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    let owner = &service.ours.owner;
    hold(&service, &ada, None).await;
    let alone = service
        .post("/v1/erasures", owner, json!({"subjects": [ada]}))
        .await
        .expect(202);
    let both = service
        .post("/v1/erasures", owner, json!({"subjects": [ada, bob]}))
        .await
        .expect(202);
    service.cloud.settle().await;
    for job in [&alone, &both] {
        let cancel = format!("{}/cancel", path(job));
        service.call("POST", &cancel, owner, None).await.expect(200);
    }
    lift(&service, &ada).await;
    service.advance(minutes(30)).await;
    assert_eq!(service.job(&path(&alone)).await["state"], "cancelled");
    let done = service.job(&path(&both)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["stores"]["keyring"], 1);
    let adas = format!("/v1/subjects/{ada}");
    service.get(&adas, owner).await.expect(200);
}

#[tokio::test]
async fn a_tenant_that_holds_somebody_cannot_leave() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let body = json!({"tenant": true, "confirm": service.ours.id});
    hold(&service, &ada, None).await;
    let refused = service.post("/v1/erasures", owner, body.clone()).await;
    assert_eq!(refused.expect(409)["code"], "held");
    lift(&service, &ada).await;
    let job = service.post("/v1/erasures", owner, body).await.expect(202);
    // Held again within the day of grace: then it waits.
    hold(&service, &ada, None).await;
    service.advance(days(2)).await;
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    service
        .get(&format!("/v1/subjects/{ada}"), owner)
        .await
        .expect(200);
    lift(&service, &ada).await;
    for _ in 0..6 {
        service.advance(minutes(61)).await;
    }
    service
        .get(&format!("/v1/subjects/{ada}"), owner)
        .await
        .expect(401);
}

#[tokio::test]
async fn who_is_suppressed_with_their_erasure_stays_away() {
    let service = Service::with(Options {
        ttl: false,
        schedules: false,
        ..Options::default()
    })
    .await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let person = format!("/v1/subjects/{ada}?suppress=true");
    let job = service.call("DELETE", &person, owner, None).await;
    let done = service.job(&path(&job.expect(202))).await;
    assert_eq!(done["state"], "completed");
    service.cloud.clock().advance(minutes(5));
    let event = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
    let sent = service
        .post("/v1/events", &service.ours.ingest, event)
        .await;
    assert_eq!(sent.expect(200)["results"][0]["reason"], "suppressed");
    let listed = service.get("/v1/subjects?state=suppressed", owner).await;
    assert_eq!(listed.expect(200)["data"][0]["subject"], ada.as_str());
}
