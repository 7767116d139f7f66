//! What a hold keeps, against events as against everything else: they add what is absent,
//! and change nothing.

use lethe_tests::{Service, days, minutes, subject};
use local::Options;
use serde_json::{Value, json};

/// What becomes of these events: statuses, or reasons.
async fn send(service: &Service, events: Value) -> Vec<String> {
    let reply = service.post(
        "/v1/events",
        &service.ours.ingest,
        json!({"events": events}),
    );
    let reply = reply.await.expect(200);
    let results = reply["results"].as_array().expect("results").iter();
    let told = results.map(|it| it["reason"].as_str().or(it["status"].as_str()));
    told.map(|it| it.unwrap_or_default().to_owned()).collect()
}

/// The same from a page, which learns nothing.
async fn page(service: &Service, events: Value) {
    let reply = service.post(
        "/v1/events",
        &service.ours.collect,
        json!({"events": events}),
    );
    let reply = reply.await.expect(200);
    for result in reply["results"].as_array().expect("results") {
        assert_eq!(result["status"], "accepted", "{result}");
    }
}

async fn hold(service: &Service, subject: &str) {
    let (path, owner) = (format!("/v1/subjects/{subject}/hold"), &service.ours.owner);
    let body = json!({"reason": "litigation"});
    service
        .call("PUT", &path, owner, Some(&body))
        .await
        .expect(204);
}

/// All that is known of a person, but for when they were last seen and how much there is.
async fn known(service: &Service, subject: &str) -> (Value, Value) {
    let owner = &service.ours.owner;
    let path = format!("/v1/subjects/{subject}");
    let mut person = service.get(&path, owner).await.expect(200);
    let fields = person.as_object_mut().expect("a profile");
    fields.retain(|name, _| !["last_seen", "counts"].contains(&name.as_str()));
    let path = format!("{path}/records?limit=100");
    let records = service.get(&path, owner).await.expect(200);
    (person, records["data"].clone())
}

#[tokio::test]
async fn events_change_nothing_of_a_held_person() {
    let service = Service::with(Options {
        ttl: false,
        schedules: false,
        ..Options::default()
    })
    .await;
    let ada = service.acquaint("ada").await;
    service
        .store(json!([{"type": "identify", "visitor_id": "ada", "consent": {"basis": "consent", "source": "form"}}]))
        .await;
    hold(&service, &ada).await;
    service.advance(minutes(10)).await;
    let before = known(&service, &ada).await;
    let changes = json!([
        {"type": "identify", "visitor_id": "ada", "name": "Eve", "email": "eve@example.com"},
        {"type": "identify", "visitor_id": "ada", "custom": {"plan": "free"}},
        {"type": "identify", "visitor_id": "ada", "user_id": "u-eve", "consent": {"basis": "contract"}},
        {"type": "interaction", "visitor_id": "ada", "item_id": "help-7", "action": "clicked"},
    ]);
    assert_eq!(send(&service, changes).await, ["held"; 4]);
    page(
        &service,
        json!([
            {"type": "identify", "visitor_id": "ada", "name": "Eve", "custom": {"plan": "free"}, "consent": {"basis": "contract"}},
            {"type": "interaction", "visitor_id": "ada", "item_id": "help-7", "action": "viewed"},
            {"type": "visit", "visitor_id": "ada", "url": "https://shop.example/other", "device": {"browser": "Lynx"}},
        ]),
    )
    .await;
    // What is known already is as it was said.
    let same = json!([{"type": "identify", "visitor_id": "ada", "name": "Ada Lovelace", "custom": {"plan": "gold"}}]);
    assert_eq!(send(&service, same).await, ["stored"]);
    assert_eq!(known(&service, &ada).await, before);
    let lookup = json!({"email": "ada@example.com"});
    let found = service.post("/v1/lookup", &service.ours.owner, lookup);
    assert_eq!(
        found.await.expect(200)["subjects"][0]["subject"],
        json!(ada)
    );
    // A visit says when they were last seen: that the clock goes by once the hold is lifted.
    let visit = json!([{"type": "visit", "visitor_id": "ada", "ip": "198.51.100.7"}]);
    for _ in 0..3 {
        service.advance(days(20)).await;
        assert_eq!(send(&service, visit.clone()).await, ["stored"]);
    }
    assert_eq!(known(&service, &ada).await, before);
    let (path, owner) = (format!("/v1/subjects/{ada}"), &service.ours.owner);
    let shown = service.get(&path, owner).await.expect(200);
    assert_eq!(shown["last_seen"], json!(service.now()));
    let hold = format!("{path}/hold");
    service.call("DELETE", &hold, owner, None).await.expect(204);
    assert_eq!(send(&service, visit).await, ["stored"]);
    let shown = service.get(&path, owner).await.expect(200);
    assert_eq!(shown["network"]["ip"], "198.51.100.0");
}

#[tokio::test]
async fn events_add_to_a_held_person_what_is_absent() {
    let service = Service::start().await;
    let message = json!({"type": "message", "visitor_id": "bob", "conversation_id": "c-1",
                         "author": "end_user", "body": "one", "id": "0190e000-0000-7000-8000-000000000001"});
    let bob = subject(&service.store(json!([message])).await[0]);
    hold(&service, &bob).await;
    service.advance(minutes(10)).await;
    let mut told = message.clone();
    told["body"] = json!("another");
    let more = |title: &str| json!({"type": "message", "visitor_id": "bob", "conversation_id": "c-1", "title": title, "author": "end_user", "body": "two"});
    let added = json!([
        told,
        {"type": "identify", "visitor_id": "bob", "name": "Bob", "custom": {"plan": "gold"}, "consent": {"basis": "contract"}},
        {"type": "identify", "visitor_id": "bob", "name": "Eve", "email": "bob@example.com"},
        more("First"),
        more("Second"),
        {"type": "interaction", "visitor_id": "bob", "item_id": "help-1", "action": "viewed"},
        {"type": "visit", "visitor_id": "bob", "url": "https://shop.example/first"},
        {"type": "session", "visitor_id": "bob", "member": "mem_1", "action": "started"},
    ]);
    let mut expected = vec!["duplicate"];
    expected.resize(8, "stored");
    assert_eq!(send(&service, added).await, expected);
    page(
        &service,
        json!([more("Third"), {"type": "visit", "visitor_id": "bob", "url": "https://shop.example/second"}]),
    )
    .await;
    let file = service.upload("bob", "a.txt", "text/plain", b"hello").await;
    let (person, records) = known(&service, &bob).await;
    assert_eq!(person["identity"], json!({"name": "Bob"}));
    assert_eq!(person["contact"], json!({"email": "bob@example.com"}));
    assert_eq!(person["custom"], json!({"plan": "gold"}));
    assert_eq!(person["consent"]["basis"], "contract");
    assert_eq!(
        person["network"],
        json!({"url": "https://shop.example/first"})
    );
    let records = records.as_array().expect("records");
    let titles: Vec<_> = records
        .iter()
        .filter_map(|it| it["title"].as_str())
        .collect();
    assert_eq!(titles, ["First"]);
    let mut bodies: Vec<_> = records
        .iter()
        .filter_map(|it| it["body"].as_str())
        .collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["one", "two", "two", "two"]);
    assert!(records.iter().any(|it| it["attachment"] == json!(file)));
}
