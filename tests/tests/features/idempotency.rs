//! `Idempotency-Key`: what was asked for once is done once, answered alike for a day, and
//! kept in a form that only the same request opens.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::{Reply, Service, days, hours, minutes};
use serde_json::{Value, json};
use shared::aws::dynamo::Item;
use shared::crypto::{Aad, HashKey, Purpose};

use crate::requests;
use crate::rows::{self, Row};

async fn under(
    service: &Service,
    name: &str,
    (method, path): (&str, &str),
    body: Option<&Value>,
) -> Reply {
    let owner = &service.ours.owner;
    let headers = [("idempotency-key", name)];
    service.call_with(method, path, owner, body, &headers).await
}

/// All rows that are kept under idempotency keys.
async fn kept(service: &Service) -> Vec<Row> {
    let mut all = rows::records(service).await;
    all.retain(|row| rows::text(row, "PK").is_some_and(|key| key.contains("#once#")));
    all
}

/// Every key that can be had without the request: by purpose, and made of less than it.
fn keys_without_the_request(hash: &HashKey, by: &str, name: &[u8]) -> Vec<HashKey> {
    let parts: [&[&[u8]]; 4] = [&[], &[by.as_bytes()], &[name], &[by.as_bytes(), name]];
    let purposes = ["request", "once", "fingerprint", "part"];
    let made = |purpose| parts.map(|parts| hash.within(purpose, parts));
    purposes.into_iter().flat_map(made).collect()
}

#[tokio::test]
async fn what_is_kept_of_a_request_is_opened_by_nothing_but_the_same_request() {
    let service = Service::start().await;
    let stage = requests::stage(&service).await;
    let before = kept(&service).await.len();
    let mut sent = BTreeSet::new();
    for route in requests::routes(&service) {
        let request = stage.request(&route);
        if !shared::http::routes::find(&route).is_some_and(|row| row.once) {
            continue;
        }
        let headers = [("idempotency-key", route.as_str())];
        let (method, body) = (request.method(), request.body.as_ref());
        let reply = service
            .call_with(method, &request.path, &request.bearer, body, &headers)
            .await;
        assert_eq!(reply.status, request.status, "{route}: {}", reply.text);
        sent.insert(route);
        service.cloud.settle().await;
    }
    assert!(sent.len() >= 9, "{sent:?}");
    let rows = kept(&service).await;
    assert!(rows.len() - before >= sent.len(), "each has a row");

    let app = service.cloud.app();
    let tenant = service.tenant();
    let keys = app.keyring.tenant(tenant).await.expect("it has keys");
    let by = |bearer: &str| format!("key_{}", bearer.split('_').nth(2).expect("an id"));
    let callers = [&service.ours.owner, &service.ours.ingest].map(|it| by(it));
    for row in rows {
        let (partition, sort) = (
            rows::text(&row, "PK").unwrap(),
            rows::text(&row, "SK").unwrap(),
        );
        for name in row.keys() {
            let known = [
                "PK",
                "SK",
                "holder",
                "fingerprint",
                "held_until",
                "expires_at",
                "answer",
                "status",
            ];
            assert!(known.contains(&name.as_str()), "{name}");
        }
        assert!(
            sort == "once" || is_hash(sort.strip_prefix("part#").expect("a part")),
            "{sort}"
        );
        let Some(AttributeValue::B(bytes)) = row.get("answer") else {
            panic!("{partition} {sort} has no sealed answer")
        };
        let item = Item::default().with("answer", bytes.clone().into_inner());
        let sealed = item.sealed("answer").expect("bytes");
        let place = Aad {
            partition,
            row: sort,
            part: "answer",
        };
        for purpose in [Purpose::DataKey, Purpose::ApiKey, Purpose::Cursor] {
            assert!(keys.open(purpose, place, &sealed).is_err(), "{partition}");
        }
        assert!(keys.hash.sealing().open(place, &sealed).is_err());
        for (by, name) in callers
            .iter()
            .flat_map(|by| sent.iter().map(move |it| (by, it)))
        {
            for key in keys_without_the_request(&keys.hash, by, name.as_bytes()) {
                assert!(key.sealing().open(place, &sealed).is_err(), "{partition}");
            }
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn a_repetition_is_answered_alike_when_the_person_is_gone() {
    let service = Service::start().await;
    let events = json!({"events": [
        {"type": "identify", "visitor_id": "ada", "name": "Ada", "shoe size": 38},
        {"type": "message", "visitor_id": "ada", "conversation_id": "ida@mail.example",
         "author": "end_user", "body": "hello"}]});
    let ingest = &service.ours.ingest;
    let once = [("idempotency-key", "events-1")];
    let send = || service.call_with("POST", "/v1/events", ingest, Some(&events), &once);
    let first = send().await.expect(200);
    let ada = lethe_tests::subject(&first["results"][1]);
    let target = json!({"subject": ada, "targets": [{"conversation": "ida@mail.example"}]});
    let redact = |body: Value| {
        let service = &service;
        async move { under(service, "redact-1", ("POST", "/v1/redactions"), Some(&body)).await }
    };
    let redacted = redact(target.clone()).await.expect(200);
    assert_eq!(redacted["results"][0]["conversation"], "ida@mail.example");

    service.erase(&ada).await;
    service.advance(hours(23)).await;
    assert_eq!(send().await.expect(200), first);
    assert_eq!(redact(target.clone()).await.expect(200), redacted);
    let mut other = target.clone();
    other["targets"] = json!([{"conversation": "c-2"}]);
    assert_eq!(redact(other).await.faults(), ["Idempotency-Key"]);
    for row in kept(&service).await {
        let said = format!("{row:?}");
        for word in [ada.as_str(), "msg_", "shoe size", "ida@mail"] {
            assert!(!said.contains(word), "{word} in {said}");
        }
    }
    // A day later the key is free, and the request about nobody.
    service.advance(minutes(61)).await;
    let gone = redact(target).await.expect(200);
    assert_eq!(gone["results"][0]["status"], "not_found");
}

#[tokio::test]
async fn an_erasure_that_is_sent_again_leaves_the_next_life_alone() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let path = format!("/v1/subjects/{ada}");
    let erase = |path: String| {
        let service = &service;
        async move { under(service, "erase-1", ("DELETE", &path), None).await }
    };
    let first = erase(path.clone()).await.expect(202);
    service.advance(minutes(30)).await;
    service.acquaint("ada").await;
    let again = erase(path.clone()).await;
    assert!(
        again
            .header("location")
            .is_some_and(|it| it.contains(first["id"].as_str().unwrap()))
    );
    assert_eq!(again.expect(202), first);
    service.person(&ada).await;
    // The same key asks for something else: of somebody else, or with another choice.
    let bob = service.acquaint("bob").await;
    for other in [
        format!("{path}?suppress=true"),
        format!("/v1/subjects/{bob}"),
    ] {
        assert_eq!(erase(other).await.faults(), ["Idempotency-Key"]);
    }
    service.person(&bob).await;
    // A day later it is another request.
    service.advance(hours(24)).await;
    let later = erase(path.clone()).await.expect(202);
    assert_ne!(later["id"], first["id"]);
    service.no_person(&ada).await;
}

#[tokio::test]
async fn an_erasure_of_somebody_held_is_asked_for_once() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let ada = service.acquaint("ada").await;
    let path = format!("/v1/subjects/{ada}");
    let hold = json!({"reason": "litigation"});
    service
        .call("PUT", &format!("{path}/hold"), owner, Some(&hold))
        .await
        .expect(204);
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let job = under(&service, "erase-1", ("DELETE", &path), None).await;
        ids.insert(job.expect(202)["id"].to_string());
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_refused_request_frees_its_key_at_once() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let path = format!("/v1/subjects/{ada}");
    under(&service, "one", ("DELETE", &path), None)
        .await
        .expect(202);
    service.advance(minutes(30)).await;
    under(&service, "two", ("DELETE", &path), None)
        .await
        .expect(404);
    service.visit("ada").await;
    under(&service, "two", ("DELETE", &path), None)
        .await
        .expect(202);
}

#[tokio::test]
async fn a_cancellation_that_is_sent_again_is_a_success() {
    let service = Service::start().await;
    let job = service
        .erasure(json!({"tenant": true, "confirm": service.ours.id}))
        .await;
    let path = format!("/v1/erasures/{}/cancel", job["id"].as_str().unwrap());
    let first = under(&service, "cancel-1", ("POST", &path), None).await;
    let again = under(&service, "cancel-1", ("POST", &path), None).await;
    assert_eq!(first.expect(200), again.expect(200));
    under(&service, "cancel-2", ("POST", &path), None)
        .await
        .expect(409);
}

#[tokio::test]
async fn a_tenant_that_is_asked_for_twice_is_created_once() {
    let service = Service::start().await;
    let operator = service.cloud.operator_key();
    let create = |name: &'static str| {
        let (body, once) = (json!({}), [("idempotency-key", name)]);
        let service = &service;
        async move {
            let reply = service.call_with("POST", "/v1/tenants", operator, Some(&body), &once);
            reply.await.expect(201)
        }
    };
    let first = create("one").await;
    let again = create("one").await;
    assert!(first["keys"]["owner"].is_string());
    assert_eq!(
        again,
        json!({"tenant": first["tenant"], "keys": {}}),
        "no secret twice"
    );
    assert_ne!(create("two").await["tenant"], first["tenant"]);
    // The operator's key is not a tenant's.
    under(
        &service,
        "one",
        ("POST", "/v1/keys"),
        Some(&json!({"scopes": ["read"]})),
    )
    .await
    .expect(201);
    service.advance(days(1)).await;
    assert_ne!(create("one").await["tenant"], first["tenant"]);
}

#[tokio::test]
async fn a_request_that_never_ended_keeps_others_out_for_half_a_minute() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let path = format!("/v1/subjects/{ada}");
    under(&service, "one", ("DELETE", &path), None)
        .await
        .expect(202);
    // As it was before the answer: its function died.
    let [row] = &kept(&service).await[..] else {
        panic!("one request was sent")
    };
    let key = |name: &str| row[name].clone();
    rows::client(&service)
        .update_item()
        .table_name(&service.cloud.app().config.records_table)
        .key("PK", key("PK"))
        .key("SK", key("SK"))
        .update_expression("REMOVE answer")
        .send()
        .await
        .expect("it answers");
    let running = under(&service, "one", ("DELETE", &path), None).await;
    assert_eq!(running.expect(409)["code"], "running");
    service.skip(minutes(1) / 2);
    under(&service, "one", ("DELETE", &path), None)
        .await
        .expect(404);
}
