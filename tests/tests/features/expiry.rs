//! Forgetting when the time is over.

use lethe_tests::{Service, days, minutes};
use local::Options;
use serde_json::json;

use crate::rows;

/// What is left of people in the stores: their rows in `records`, and their objects.
async fn left(service: &Service, people: &[&str]) -> Vec<String> {
    let mut left = rows::files(service);
    for subject in people {
        for row in rows::about(service, subject).await {
            left.push(rows::text(&row, "SK").unwrap_or_default().to_owned());
        }
    }
    left
}

async fn thirty_days_pass(options: Options) {
    let service = Service::with(options).await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    service.attach("ada").await;
    service.advance(days(29)).await;
    service.person(&ada).await;
    service.visit("bob").await;
    service.advance(days(1) + minutes(1)).await;
    service.no_person(&ada).await;
    service.advance(days(2)).await;
    assert_eq!(
        left(&service, &[&ada]).await,
        Vec::<String>::new(),
        "nothing of ada is left"
    );
    let bob_now = service.person(&bob).await;
    assert_eq!(
        bob_now["counts"]["messages"], 2,
        "a visit on day 29 began the thirty days anew"
    );
    service.advance(days(30)).await;
    assert_eq!(
        left(&service, &[&ada, &bob]).await,
        Vec::<String>::new(),
        "nothing of anybody is left"
    );
    let erased = rows::keyring(&service)
        .await
        .iter()
        .filter(|row| rows::text(row, "state") == Some("erased"))
        .count();
    assert_eq!(erased, 2, "the keyring remembers only that they are gone");
    assert!(service.cloud.dead_letters().is_empty());
}

#[tokio::test]
async fn thirty_days_pass_and_nothing_is_left_by_ttl_and_cleanup() {
    thirty_days_pass(Options::default()).await;
}

#[tokio::test]
async fn thirty_days_pass_and_nothing_is_left_by_cleanup_without_ttl() {
    thirty_days_pass(Options {
        ttl: false,
        ..Options::default()
    })
    .await;
}

#[tokio::test]
async fn ttl_alone_begins_the_same_erasure() {
    let service = Service::with(Options {
        schedules: false,
        ..Options::default()
    })
    .await;
    let ada = service.acquaint("ada").await;
    service.advance(days(31)).await;
    // The door is gone and its erasure has begun; the last look waits for upload links.
    let rows: Vec<_> = left(&service, &[&ada]).await;
    assert_eq!(rows, ["expiry"]);
    service.advance(days(1)).await;
    service.sweep().await;
    service.cloud.settle().await;
    assert_eq!(left(&service, &[&ada]).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_expired_person_is_invisible_at_once() {
    let service = Service::by_hand().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    service.advance(days(30) - minutes(1)).await;
    service.person(&ada).await;
    service.advance(minutes(1)).await;
    service.no_person(&ada).await;
    service
        .get(&format!("/v1/subjects/{ada}/records"), owner)
        .await
        .expect(404);
    service
        .delete(&format!("/v1/subjects/{ada}"), owner)
        .await
        .expect(404);
    let found = service.lookup(json!({"visitor_id": "ada"})).await;
    assert!(found.is_empty());
    let listed = service.get("/v1/subjects", owner).await.expect(200);
    assert_eq!(listed["data"], json!([]));
    assert!(
        !left(&service, &[&ada]).await.is_empty(),
        "though nobody has swept"
    );
}

#[tokio::test]
async fn who_returns_on_day_31_before_anything_swept_begins_a_new_life() {
    let service = Service::by_hand().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    service.advance(days(31)).await;
    service.visit("ada").await;
    let person = service.person(&ada).await;
    assert_eq!(person["identity"], json!({}), "nothing of the old");
    assert_eq!(person["counts"]["messages"], 0);
    let records = service
        .get(&format!("/v1/subjects/{ada}/records"), owner)
        .await
        .expect(200);
    assert_eq!(records["data"], json!([]));
    service.advance(minutes(30)).await;
    service.sweep().await;
    service.cloud.settle().await;
    // What is left is one life: door, person and clock.
    let mut rows = left(&service, &[&ada]).await;
    rows.sort();
    assert_eq!(rows, ["door", "expiry", "person"]);
    service.person(&ada).await;
}

#[tokio::test]
async fn only_the_person_moves_the_clock() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let path = format!("/v1/subjects/{ada}");
    let owner = service.ours.owner.clone();
    let expires = async || service.person(&ada).await["expires_at"].clone();
    let before = expires().await;
    service.advance(days(1)).await;
    service
        .store(json!([
            {"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "agent", "body": "still there?"},
            {"type": "identify", "visitor_id": "ada", "custom": {"plan": "silver"}},
        ]))
        .await;
    service
        .patch(&path, &owner, json!({"identity": {"name": "A. Lovelace"}}))
        .await
        .expect(204);
    assert_eq!(expires().await, before);
    service
        .store(json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user", "body": "yes"}]))
        .await;
    assert_ne!(expires().await, before);
}

#[tokio::test]
async fn a_shorter_retention_reaches_who_is_there_already() {
    let service = Service::start().await;
    let (ada, owner) = (service.acquaint("ada").await, service.ours.owner.clone());
    service.advance(days(10)).await;
    let bob = service.visit("bob").await;
    let dry = service
        .call(
            "PUT",
            "/v1/settings?dry_run=true",
            &owner,
            Some(&json!({"retention_days": 7})),
        )
        .await;
    assert_eq!(dry.expect(200)["would_erase"], 1);
    service.person(&ada).await;
    let set = service
        .call(
            "PUT",
            "/v1/settings",
            &owner,
            Some(&json!({"retention_days": 7})),
        )
        .await;
    assert!(set.status < 300, "{}", set.text);
    service.sweep().await;
    service.no_person(&ada).await;
    let bob = service.person(&bob).await;
    let expected = (service.now() + days(7)).to_string();
    assert_eq!(
        bob["expires_at"].as_str().map(|at| at[..16].to_owned()),
        Some(expected[..16].to_owned())
    );
}

#[tokio::test]
async fn who_returns_while_their_expired_life_is_being_removed_is_welcome() {
    let service = Service::by_hand().await;
    let ada = service.acquaint("ada").await;
    service.advance(days(31)).await;
    service.sweep().await;
    service.cloud.settle().await;
    // The old life waits for its last look; the new one begins beside it.
    service.visit("ada").await;
    service.advance(minutes(30)).await;
    service.sweep().await;
    service.cloud.settle().await;
    let person = service.person(&ada).await;
    assert_eq!(person["counts"]["messages"], 0);
    let mut rows = left(&service, &[&ada]).await;
    rows.sort();
    assert_eq!(rows, ["door", "expiry", "person"]);
}
