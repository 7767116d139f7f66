//! What a hold keeps, against events as against everything else: they add what is absent,
//! and change nothing.

use lethe_tests::{Service, days, minutes, subject};
use serde_json::{Value, json};

/// The same from a page, which learns nothing.
async fn page(service: &Service, events: Value) {
    for result in service.send(&service.ours.collect, events).await {
        assert_eq!(result["status"], "accepted", "{result}");
    }
}

/// All that is known of a person, but for when they were last seen and how much there is.
async fn known(service: &Service, subject: &str) -> (Value, Value) {
    let owner = &service.ours.owner;
    let path = format!("/v1/subjects/{subject}");
    let mut person = service.person(subject).await;
    let fields = person.as_object_mut().expect("a profile");
    fields.retain(|name, _| !["last_seen", "counts"].contains(&name.as_str()));
    let path = format!("{path}/records?limit=100");
    let records = service.get(&path, owner).await.expect(200);
    (person, records["data"].clone())
}

#[tokio::test]
async fn events_change_nothing_of_a_held_person() {
    let service = Service::by_hand().await;
    let ada = service.acquaint("ada").await;
    service
        .store(json!([{"type": "identify", "visitor_id": "ada", "consent": {"basis": "consent", "source": "form"}}]))
        .await;
    service.hold(&ada).await;
    service.advance(minutes(10)).await;
    let before = known(&service, &ada).await;
    let changes = json!([
        {"type": "identify", "visitor_id": "ada", "name": "Eve", "email": "eve@example.com"},
        {"type": "identify", "visitor_id": "ada", "custom": {"plan": "free"}},
        {"type": "identify", "visitor_id": "ada", "user_id": "u-eve", "consent": {"basis": "contract"}},
        {"type": "interaction", "visitor_id": "ada", "item_id": "help-7", "action": "clicked"},
    ]);
    assert_eq!(service.try_store(changes).await, ["held"; 4]);
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
    assert_eq!(service.try_store(same).await, ["stored"]);
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
        assert_eq!(service.try_store(visit.clone()).await, ["stored"]);
    }
    assert_eq!(known(&service, &ada).await, before);
    let (path, owner) = (format!("/v1/subjects/{ada}"), &service.ours.owner);
    let shown = service.person(&ada).await;
    assert_eq!(shown["last_seen"], json!(service.now()));
    let hold = format!("{path}/hold");
    service.delete(&hold, owner).await.expect(204);
    assert_eq!(service.try_store(visit).await, ["stored"]);
    let shown = service.person(&ada).await;
    assert_eq!(shown["network"]["ip"], "198.51.100.0");
}

#[tokio::test]
async fn events_add_to_a_held_person_what_is_absent() {
    let service = Service::start().await;
    let message = json!({"type": "message", "visitor_id": "bob", "conversation_id": "c-1",
                         "author": "end_user", "body": "one", "id": "0190e000-0000-7000-8000-000000000001"});
    let bob = subject(&service.store(json!([message])).await[0]);
    service.hold(&bob).await;
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
    assert_eq!(service.try_store(added).await, expected);
    page(
        &service,
        json!([more("Third"), {"type": "visit", "visitor_id": "bob", "url": "https://shop.example/second"}]),
    )
    .await;
    let file = service.attach("bob").await;
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
