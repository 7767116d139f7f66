//! What pages and servers send in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lethe_tests::{Service, minutes, subject};
use serde_json::{Value, json};

#[tokio::test]
async fn every_kind_of_event_is_stored_and_read_back() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.store(json!([{"type": "session", "visitor_id": "ada", "member": "mem_1", "action": "started"}])).await;
    let person = service.person(&ada).await;
    assert_eq!(person["visitor_id"], "ada");
    assert_eq!(
        person["identity"],
        json!({"user_id": "u-ada", "name": "Ada Lovelace"})
    );
    assert_eq!(person["contact"], json!({"email": "ada@example.com"}));
    assert_eq!(person["custom"], json!({"plan": "gold"}));
    assert_eq!(
        person["network"],
        json!({"ip": "203.0.113.0", "url": "https://shop.example/cart"})
    );
    assert_eq!(
        person["device"],
        json!({"browser": "Firefox", "os": "Linux"})
    );
    assert_eq!(person["verified"], true);
    assert_eq!(
        person["counts"],
        json!({"conversations": 1, "messages": 2, "attachments": 0, "interactions": 1})
    );
    let records = service
        .get(&format!("/v1/subjects/{ada}/records"), &service.ours.owner)
        .await
        .expect(200);
    let kinds: Vec<_> = records["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["type"].clone())
        .collect();
    assert_eq!(kinds, ["conversation", "message", "message", "interaction"]);
    let log = service
        .get("/v1/activity?kind=session.started", &service.ours.owner)
        .await
        .expect(200);
    assert_eq!(log["data"][0]["by"], "mem_1");
}

#[tokio::test]
async fn one_bad_event_never_spoils_the_others() {
    let service = Service::start().await;
    let results = service.send(&service.ours.ingest, json!([
        {"type": "visit", "visitor_id": "ada"},
        {"type": "visit", "visitor_id": "bob", "dom": "<html>", "keystrokes": "abc"},
        "no event",
        {"type": "message", "visitor_id": "ada", "conversation_id": "c", "author": "end_user", "body": 7},
        {"type": "visit", "visitor_id": "eve", "at": "2026-02-27T12:00:00Z"},
        {"type": "visit"},
        {"type": "interaction", "visitor_id": "eve", "item_id": "i", "action": "hovered"},
        {"type": "visit", "visitor_id": "bob"},
    ])).await;
    let pointers = |at: usize| {
        let errors = results[at]["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(results[0]["status"], "stored");
    assert_eq!(pointers(1), ["/events/1/dom", "/events/1/keystrokes"]);
    assert_eq!(pointers(2), ["/events/2"]);
    assert_eq!(pointers(3), ["/events/3/body"]);
    assert_eq!(pointers(4), ["/events/4/at"]);
    assert_eq!(pointers(5), ["/events/5/visitor_id"]);
    assert_eq!(pointers(6), ["/events/6/action"]);
    assert_eq!(results[7]["status"], "stored");
    assert!(
        !json!(results).to_string().contains("<html>"),
        "a submitted value is never echoed"
    );
}

#[tokio::test]
async fn a_bad_request_says_what_would_be_right() {
    let service = Service::start().await;
    let key = &service.ours.ingest;
    assert_eq!(
        service.post("/v1/events", key, json!({})).await.faults(),
        ["/events"]
    );
    assert_eq!(
        service
            .post("/v1/events", key, json!({"events": []}))
            .await
            .faults(),
        ["/events"]
    );
    assert_eq!(
        service
            .post("/v1/events", key, json!({"events": [], "x": 1}))
            .await
            .faults(),
        ["/x", "/events"]
    );
    let many = vec![json!({"type": "visit", "visitor_id": "v"}); 101];
    assert_eq!(
        service
            .post("/v1/events", key, json!({"events": many}))
            .await
            .faults(),
        ["/events"]
    );
    assert_eq!(
        service
            .post("/v1/events?tenant=x", key, json!({"events": []}))
            .await
            .faults(),
        ["tenant"]
    );

    let auth = format!("Bearer {key}");
    let json_type = [
        ("authorization", auth.as_str()),
        ("content-type", "application/json"),
    ];
    service
        .raw("POST", "/v1/events", &json_type, b"{".to_vec())
        .await
        .expect(400);
    let text = [
        ("authorization", auth.as_str()),
        ("content-type", "text/plain"),
    ];
    service
        .raw("POST", "/v1/events", &text, b"{}".to_vec())
        .await
        .expect(415);
    service
        .raw(
            "POST",
            "/v1/events",
            &json_type,
            vec![b' '; 1024 * 1024 + 1],
        )
        .await
        .expect(413);
    service
        .post("/v1/events", "lethe_0_0_0", json!({}))
        .await
        .expect(401);
    let problem = service
        .post("/v1/events", &service.ours.read, json!({}))
        .await;
    assert_eq!(
        problem.header("content-type"),
        Some("application/problem+json")
    );
    problem.expect(403);
}

#[tokio::test]
async fn a_page_learns_nothing_of_anybody() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let page = &service.ours.collect;
    let visit = |visitor: &str| json!({"type": "visit", "visitor_id": visitor});
    let accepted = json!({"index": 0, "status": "accepted"});
    assert_eq!(service.send_one(page, visit("ada")).await, accepted);
    assert_eq!(service.send_one(page, visit("nobody")).await, accepted);
    service.erase(&ada).await;
    assert_eq!(
        service.send_one(page, visit("ada")).await,
        accepted,
        "while being erased"
    );
    for path in [
        "/v1/subjects",
        &format!("/v1/subjects/{ada}"),
        "/v1/settings",
        "/v1/activity",
    ] {
        service.get(path, page).await.expect(403);
    }
    let config = service.get("/v1/privacy-config", page).await.expect(200);
    assert_eq!(config["full_privacy"], false);
}

#[tokio::test]
async fn what_a_page_says_of_identity_counts_once_the_server_vouches_for_it() {
    let service = Service::start().await;
    let identify = |name: &str| json!({"type": "identify", "visitor_id": "ada", "name": name, "email": "ada@example.com"});
    service
        .send_one(&service.ours.collect, identify("Ada"))
        .await;
    let found = service.lookup(json!({"visitor_id": "ada"})).await;
    let ada = subject(&found[0]);
    assert_eq!(service.person(&ada).await["verified"], false);

    let id = key_id(&service.ours.ingest);
    let token = |sub: &str, minutes: i64, secret: &str| {
        let exp = service.now().as_second() + minutes * 60;
        let header = Header {
            kid: Some(id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        encode(
            &header,
            &json!({"sub": sub, "exp": exp, "name": "Ada L.", "email": "ada@example.com"}),
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    };
    let secret = service.ours.ingest.clone();
    let with = |token: String| {
        let mut event = identify("Ada L.");
        event["visitor_token"] = json!(token);
        event
    };
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    for bad in [
        token("bob", 5, &secret),
        token("ada", -5, &secret),
        token("ada", 60 * 48, &secret),
        token("ada", 5, "another secret"),
        format!("{none}.e30."),
        "nonsense".to_owned(),
    ] {
        let refused = service.send_one(&service.ours.collect, with(bad)).await;
        assert_eq!(
            refused["errors"][0]["pointer"], "/events/0/visitor_token",
            "{refused}"
        );
    }
    assert_eq!(service.person(&ada).await["identity"]["name"], "Ada");
    let accepted = service
        .send_one(&service.ours.collect, with(token("ada", 5, &secret)))
        .await;
    assert_eq!(accepted["status"], "accepted");
    let vouched = service.person(&ada).await;
    assert_eq!(
        (&vouched["verified"], &vouched["identity"]["name"]),
        (&json!(true), &json!("Ada L."))
    );
    // Nobody vouches for this one, so it replaces nothing.
    service
        .send_one(&service.ours.collect, identify("Mallory"))
        .await;
    assert_eq!(service.person(&ada).await["identity"]["name"], "Ada L.");
}

/// The id in a key's text.
fn key_id(token: &str) -> String {
    format!("key_{}", token.split('_').nth(2).unwrap())
}

#[tokio::test]
async fn payment_card_numbers_are_masked_wherever_they_stand() {
    let service = Service::start().await;
    let card = "4111 1111 1111 1111";
    service
        .store(json!([
            {"type": "identify", "visitor_id": "ada", "name": card, "custom": {"note": card}},
            {"type": "message", "visitor_id": "ada", "conversation_id": "c", "title": card, "author": "end_user", "body": format!("pay {card}!")},
        ]))
        .await;
    let refused = service
        .send_one(
            &service.ours.ingest,
            json!({"type": "visit", "visitor_id": "4111111111111111"}),
        )
        .await;
    assert_eq!(refused["errors"][0]["code"], "card_number");
    let found = service.lookup(json!({"visitor_id": "ada"})).await;
    let ada = subject(&found[0]);
    let records = service
        .get(
            &format!("/v1/subjects/{ada}/records?type=message"),
            &service.ours.owner,
        )
        .await
        .expect(200);
    assert_eq!(records["data"][0]["body"], "pay ████ ████ ████ ████!");
    assert!(!service.person(&ada).await.to_string().contains("4111"));
}

#[tokio::test]
async fn settings_decide_what_is_kept() {
    let service = Service::start().await;
    let settings = json!({"full_privacy": true, "store_ip": "truncated", "store_url": "none", "consent_required": "identity"});
    let set = service
        .call("PUT", "/v1/settings", &service.ours.owner, Some(&settings))
        .await;
    assert!(set.status < 300, "{}", set.text);
    let visit = json!([{"type": "visit", "visitor_id": "ada", "url": "https://x.example/a?b=c", "ip": "203.0.113.77",
        "device": {"browser": "Firefox", "device_id": "D-1", "country": "DE"}}]);
    let ada = subject(&service.store(visit).await[0]);
    let identify =
        json!({"type": "identify", "visitor_id": "ada", "name": "Ada", "custom": {"plan": "gold"}});
    assert_eq!(
        service
            .send_one(&service.ours.ingest, identify.clone())
            .await["reason"],
        "no_consent"
    );
    let mut consenting = identify;
    consenting["consent"] = json!({"basis": "consent", "source": "widget", "given_by": "self"});
    assert_eq!(
        service.send_one(&service.ours.ingest, consenting).await["status"],
        "stored"
    );
    let person = service.person(&ada).await;
    assert_eq!(person["network"], json!({"ip": "203.0.113.0"}));
    assert_eq!(person["device"], json!({"browser": "Firefox"}));
    assert_eq!(person["custom"], json!({}));
    assert_eq!(person["identity"], json!({"name": "Ada"}));
    assert_eq!(person["consent"]["basis"], "consent");
}

#[tokio::test]
async fn a_message_sent_twice_is_stored_once() {
    let service = Service::start().await;
    let message = |body: &str| {
        json!({"type": "message", "visitor_id": "ada", "conversation_id": "c", "author": "end_user", "body": body,
               "id": "0190e000-0000-7000-8000-000000000001"})
    };
    let first = service.send_one(&service.ours.ingest, message("one")).await;
    let again = service.send_one(&service.ours.ingest, message("two")).await;
    assert_eq!(
        (first["status"].as_str(), again["status"].as_str()),
        (Some("stored"), Some("duplicate"))
    );
    assert_eq!(first["message"], again["message"]);
    let twice = service
        .post(
            "/v1/events",
            &service.ours.ingest,
            json!({"events": [message("3"), message("4"), {"type": "visit", "visitor_id": "ada"}]}),
        )
        .await
        .expect(200);
    let statuses: Vec<_> = twice["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["status"].clone())
        .collect();
    assert_eq!(statuses, ["duplicate", "duplicate", "stored"]);
    assert_eq!(
        service.person(&subject(&first)).await["counts"]["messages"],
        1
    );
}

#[tokio::test]
async fn a_hundred_messages_and_fifty_callers_lose_nothing() {
    let service = Service::start().await;
    let message = |n: usize| json!({"type": "message", "visitor_id": "ada", "conversation_id": format!("c-{}", n % 7), "author": "end_user", "body": "x".repeat(n)});
    let results = service
        .store(Value::Array((1..=100).map(message).collect()))
        .await;
    let ada = subject(&results[0]);
    let calls = (0..50).map(|n| service.send_one(&service.ours.ingest, message(n + 1)));
    for result in futures::future::join_all(calls).await {
        assert_eq!(result["status"], "stored", "{result}");
    }
    let person = service.person(&ada).await;
    assert_eq!(
        (
            &person["counts"]["messages"],
            &person["counts"]["conversations"]
        ),
        (&json!(150), &json!(7))
    );
}

#[tokio::test]
async fn an_older_visit_does_not_replace_a_later_one() {
    let service = Service::start().await;
    service.visit("ada").await;
    service.advance(minutes(10)).await;
    let visit = |url: &str, at: i64| json!([{"type": "visit", "visitor_id": "ada", "url": url, "at": (service.now() - minutes(at)).to_string()}]);
    service.store(visit("https://x.example/later", 1)).await;
    let ada = subject(&service.store(visit("https://x.example/earlier", 5)).await[0]);
    let person = service.person(&ada).await;
    assert_eq!(person["network"]["url"], "https://x.example/later");
    assert_eq!(
        person["last_seen"],
        (service.now() - minutes(1)).to_string()
    );
}

#[tokio::test]
async fn a_person_is_corrected_by_a_merge_patch() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let (path, owner) = (format!("/v1/subjects/{ada}"), &service.ours.owner);
    let tag = service
        .get(&path, owner)
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let patch = json!({"identity": {"name": "A. King", "user_id": null}, "contact": {"email": "king@example.com"}, "custom": {"plan": null, "tier": 2}});
    let matching = [("if-match", tag.as_str())];
    service
        .call_with("PATCH", &path, owner, Some(&patch), &matching)
        .await
        .expect(204);
    service
        .call_with("PATCH", &path, owner, Some(&patch), &matching)
        .await
        .expect(412);
    let person = service.person(&ada).await;
    assert_eq!(person["identity"], json!({"name": "A. King"}));
    assert_eq!(person["custom"], json!({"tier": 2}));
    for (lookup, found) in [
        (json!({"email": "ada@example.com"}), 0),
        (json!({"email": "KING@example.com"}), 1),
        (json!({"user_id": "u-ada"}), 0),
    ] {
        let results = service.lookup(lookup).await;
        assert_eq!(results.len(), found);
    }
    let wrong = json!({"identity": {"visitor_id": "x", "email": "y"}, "contact": {"email": "no"}, "device": {}});
    let mut faults = service
        .call("PATCH", &path, owner, Some(&wrong))
        .await
        .faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "/contact/email",
            "/device",
            "/identity/email",
            "/identity/visitor_id"
        ]
    );
    service
        .call("PATCH", &path, &service.ours.ingest, Some(&patch))
        .await
        .expect(403);
}
