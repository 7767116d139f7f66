//! Tenants are walled off: every route, with every id of the other tenant, answers as if
//! the thing did not exist. The routes come from the template, so a new one is covered by
//! itself; one whose parameters nobody knows makes the test fail.

use lethe_tests::{Service, Tenant};
use serde_json::{Value, json};

/// Ids of everything that a tenant has.
struct Ids {
    tenant: String,
    subject: String,
    attachment: String,
    message: String,
    key: String,
    erasure: String,
    redaction: String,
    export: String,
}

async fn everything(service: &Service) -> Ids {
    let owner = &service.ours.owner;
    let subject = service.acquaint("ada").await;
    let attachment = service
        .upload("ada", "note.txt", "text/plain", b"hello")
        .await;
    let messages = service
        .get(
            &format!("/v1/subjects/{subject}/records?type=message"),
            owner,
        )
        .await
        .expect(200);
    let message = messages["data"][0]["message"].as_str().unwrap().to_owned();
    let id = |body: &Value| body["id"].as_str().expect("a job has an id").to_owned();
    let export = id(&service
        .post("/v1/exports", owner, json!({"subject": subject}))
        .await
        .expect(202));
    let bob = service.acquaint("bob").await;
    let erasure = id(&service
        .call("DELETE", &format!("/v1/subjects/{bob}"), owner, None)
        .await
        .expect(202));
    // Enough messages that their redaction becomes a job.
    let messages: Vec<_> = (0..100)
        .map(|n| json!({"type": "message", "visitor_id": "eve", "conversation_id": "long", "author": "end_user", "body": n.to_string()}))
        .collect();
    let eve = service.store(Value::Array(messages)).await[0]["subject"].clone();
    service.store(json!([{"type": "message", "visitor_id": "eve", "conversation_id": "long", "author": "agent", "body": "x"}])).await;
    let redaction = id(&service
        .post(
            "/v1/redactions",
            owner,
            json!({"subject": eve, "targets": [{"conversation": "long"}]}),
        )
        .await
        .expect(202));
    let keys = service.get("/v1/keys", owner).await.expect(200);
    let key = keys["data"][0]["id"].as_str().unwrap().to_owned();
    service.settle().await;
    Ids {
        tenant: service.ours.id.clone(),
        subject,
        attachment,
        message,
        key,
        erasure,
        redaction,
        export,
    }
}

/// A path with its parameters put in.
fn filled(path: &str, ids: &Ids) -> String {
    let id = match path.split('/').nth(2) {
        Some("keys") => &ids.key,
        Some("erasures") => &ids.erasure,
        Some("redactions") => &ids.redaction,
        Some("exports") => &ids.export,
        _ => "",
    };
    let path = path
        .replace("{tenant}", &ids.tenant)
        .replace("{subject}", &ids.subject)
        .replace("{attachment}", &ids.attachment);
    let path = if id.is_empty() {
        path
    } else {
        path.replace("{id}", id)
    };
    assert!(
        !path.contains('{'),
        "this test does not know the parameters of {path}"
    );
    path
}

/// A body that each route would carry out, for routes that take one.
fn body(route: &str, ids: &Ids) -> Option<Value> {
    Some(match route {
        "PATCH /v1/subjects/{subject}" => json!({"identity": {"name": "Mallory"}}),
        "PUT /v1/subjects/{subject}/hold" => json!({"reason": "litigation"}),
        "POST /v1/erasures" => json!({"subjects": [ids.subject]}),
        "POST /v1/exports" => json!({"subject": ids.subject}),
        _ => return None,
    })
}

/// The same of what never was.
fn nothing(ids: &Ids) -> Ids {
    let other = |id: &str| {
        let (prefix, hex) = id.split_once('_').unwrap();
        format!("{prefix}_{}", "0".repeat(hex.len()))
    };
    Ids {
        tenant: other(&ids.tenant),
        subject: other(&ids.subject),
        attachment: other(&ids.attachment),
        message: other(&ids.message),
        key: other(&ids.key),
        erasure: other(&ids.erasure),
        redaction: other(&ids.redaction),
        export: other(&ids.export),
    }
}

/// An answer without what differs between any two requests.
fn comparable(text: &str) -> Value {
    let mut body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    }
    body
}

async fn answers_as_nothing(service: &Service, them: &Tenant, route: &str, ids: &Ids) {
    let (method, path) = route.split_once(' ').unwrap();
    let none = nothing(ids);
    let real = service
        .call(
            method,
            &filled(path, ids),
            &them.owner,
            body(route, ids).as_ref(),
        )
        .await;
    let unreal = service
        .call(
            method,
            &filled(path, &none),
            &them.owner,
            body(route, &none).as_ref(),
        )
        .await;
    assert_eq!(real.status, 404, "{route}: {}", real.text);
    assert_eq!(
        (unreal.status, comparable(&unreal.text)),
        (404, comparable(&real.text)),
        "{route}"
    );
}

#[tokio::test]
async fn another_tenants_thing_looks_exactly_like_nothing_on_every_route() {
    let service = Service::start().await;
    let ids = everything(&service).await;
    let mut tried = 0;
    for route in service.routes() {
        let key = route.key();
        // The operator's routes want another signature, whatever they name.
        if route.operator || (!key.contains('{') && body(&key, &ids).is_none()) {
            continue;
        }
        answers_as_nothing(&service, &service.theirs, &key, &ids).await;
        tried += 1;
    }
    assert!(tried >= 10, "{tried} routes name a thing");

    let theirs = &service.theirs.owner;
    let targets = json!({"subject": ids.subject, "targets": [{"message": ids.message}, {"attachment": ids.attachment}, {"conversation": "c-1"}]});
    let reply = service.post("/v1/redactions", theirs, targets).await;
    assert!(
        reply.status == 404 || !reply.text.contains("\"redacted\""),
        "{}",
        reply.text
    );
    for list in [
        "/v1/subjects",
        "/v1/erasures",
        "/v1/redactions",
        "/v1/exports",
    ] {
        assert_eq!(
            service.get(list, theirs).await.expect(200)["data"],
            json!([]),
            "{list}"
        );
    }
    let found = service
        .post("/v1/lookup", theirs, json!({"email": "ada@example.com"}))
        .await
        .expect(200);
    assert_eq!(found["subjects"], json!([]));
    let log = service
        .get("/v1/activity", theirs)
        .await
        .expect(200)
        .to_string();
    for id in [
        &ids.key,
        &ids.erasure,
        &ids.redaction,
        &ids.export,
        &ids.attachment,
    ] {
        assert!(!log.contains(id.as_str()));
    }
    // Nothing of it has changed anything.
    let person = service
        .get(
            &format!("/v1/subjects/{}", ids.subject),
            &service.ours.owner,
        )
        .await
        .expect(200);
    assert_eq!(person["identity"]["name"], "Ada Lovelace");
    assert_eq!(person["counts"]["messages"], 2);
}

#[tokio::test]
async fn the_same_visitor_of_two_tenants_is_two_people() {
    let service = Service::start().await;
    let ours = service.visit("ada").await;
    let event = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
    let reply = service
        .post("/v1/events", &service.theirs.ingest, event)
        .await
        .expect(200);
    assert_ne!(reply["results"][0]["subject"], json!(ours));
}

#[tokio::test]
async fn a_cursor_is_worth_nothing_to_anybody_else() {
    let service = Service::start().await;
    for visitor in ["a", "b", "c", "d", "e"] {
        service.visit(visitor).await;
    }
    let page = service
        .get("/v1/subjects?limit=1", &service.ours.owner)
        .await
        .expect(200);
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let path = format!("/v1/subjects?limit=1&cursor={cursor}");
    service.get(&path, &service.ours.owner).await.expect(200);
    assert_eq!(
        service.get(&path, &service.theirs.owner).await.faults(),
        ["cursor"]
    );
    let elsewhere = format!("/v1/keys?cursor={cursor}");
    assert_eq!(
        service.get(&elsewhere, &service.ours.owner).await.faults(),
        ["cursor"]
    );
}

#[tokio::test]
async fn without_a_key_or_with_a_wrong_one_no_door_opens() {
    let service = Service::start().await;
    let ids = nothing(&everything(&service).await);
    let ours = &service.ours.owner;
    let mut guessed = ours.clone();
    guessed.replace_range(
        guessed.len() - 4..,
        if ours.ends_with("0000") {
            "1111"
        } else {
            "0000"
        },
    );
    for route in service.routes() {
        let key = route.key();
        let Some(row) = shared::http::routes::find(&key) else {
            panic!("{key} is in no table")
        };
        let (method, path) = key.split_once(' ').unwrap();
        for bearer in ["", "nonsense", guessed.as_str()] {
            let reply = service
                .call(
                    method,
                    &filled(path, &ids),
                    bearer,
                    body(&key, &ids).as_ref(),
                )
                .await;
            let expected = match row.access {
                shared::http::routes::Access::Public => 200,
                shared::http::routes::Access::Key(_) => 401,
                shared::http::routes::Access::Operator => 403,
            };
            assert_eq!(reply.status, expected, "{key}: {}", reply.text);
        }
    }
}
