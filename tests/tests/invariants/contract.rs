//! What the description says is what the service does: nothing that it refuses is taken in
//! silence, and nothing that it allows is refused. A fuzzer found each of these.

use lethe_tests::{Reply, Service};
use serde_json::json;

/// Changes somebody's name, under these headers besides.
async fn correct(service: &Service, subject: &str, headers: &[(&str, &str)]) -> Reply {
    let body = json!({"identity": {"name": "Ada"}});
    let path = format!("/v1/subjects/{subject}");
    let owner = &service.ours.owner;
    service
        .call_with("PATCH", &path, owner, Some(&body), headers)
        .await
}

#[tokio::test]
async fn an_idempotency_key_that_is_none_is_refused_and_not_passed_over() {
    let service = Service::start().await;
    let body = json!({"scopes": ["read"]});
    for key in ["", " ", "clé", &"k".repeat(256)] {
        let headers = [("idempotency-key", key)];
        let owner = &service.ours.owner;
        let reply = service
            .call_with("POST", "/v1/keys", owner, Some(&body), &headers)
            .await;
        assert_eq!(reply.faults(), ["Idempotency-Key"], "{key}");
    }
}

#[tokio::test]
async fn an_if_match_that_is_none_is_refused_and_not_passed_over() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    for none in ["", "1", "{}", "\"1", "\"1\" \"2\"", "*, \"1\"", "\"é"] {
        let reply = correct(&service, &ada, &[("if-match", none)]).await;
        assert_eq!(reply.faults(), ["If-Match"], "{none}");
    }
    for other in ["\"999\"", "W/\"1\"", "\"a,b\", \"999\"", "\"é\""] {
        let reply = correct(&service, &ada, &[("if-match", other)]).await;
        assert_eq!(reply.status, 412, "{other}: {}", reply.text);
    }
    correct(&service, &ada, &[("if-match", "*")])
        .await
        .expect(204);
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let settings = json!({"retention_days": 7.0});
    let reply = service
        .call("PUT", "/v1/settings", owner, Some(&settings))
        .await;
    assert_eq!(reply.expect(200)["retention_days"], json!(7));
    let file = json!({"visitor_id": "ada", "filename": "a.txt", "content_type": "text/plain",
        "size": 1.0, "sha256": "0".repeat(64)});
    service
        .post("/v1/attachments", owner, file)
        .await
        .expect(201);
    let settings = json!({"retention_days": 7.5});
    let reply = service
        .call("PUT", "/v1/settings", owner, Some(&settings))
        .await;
    assert_eq!(reply.faults(), ["/retention_days"]);
}

#[tokio::test]
async fn a_name_that_nothing_can_have_is_refused_wherever_it_is_asked_for() {
    let service = Service::start().await;
    let (ada, owner) = (service.acquaint("ada").await, &service.ours.owner);
    for name in ["", "%00", &"c".repeat(257)] {
        let path = format!("/v1/subjects/{ada}/records?conversation={name}");
        let reply = service.get(&path, owner).await;
        assert_eq!(reply.faults(), ["conversation"], "{name}");
    }
    for name in ["", "\0", &"c".repeat(257)] {
        let body = json!({"subject": ada, "targets": [{"conversation": name}]});
        let reply = service.post("/v1/redactions", owner, body).await;
        assert_eq!(reply.faults(), ["/targets/0/conversation"], "{name}");
        let body = json!({"visitors": ["ada", name]});
        let reply = service.post("/v1/erasures", owner, body).await;
        assert_eq!(reply.faults(), ["/visitors/1"], "{name}");
    }
    service.person(&ada).await;
}

#[tokio::test]
async fn a_limit_is_looked_at_where_one_day_is_asked_for_too() {
    let service = Service::start().await;
    let path = "/v1/activity/seals?day=2026-02-28&limit=-1";
    let reply = service.get(path, &service.ours.owner).await;
    assert_eq!(reply.faults(), ["limit"]);
}

#[tokio::test]
async fn another_method_of_a_path_is_told_which_there_are() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    for (method, path, allowed) in [
        ("POST", "/v1/health", "GET, HEAD"),
        ("TRACE", "/v1/events", "POST"),
        ("PUT", "/v1/subjects/sub_1", "PATCH, GET, DELETE, HEAD"),
        ("DELETE", "/v1/tenants?limit=1", "POST, GET, HEAD"),
    ] {
        let reply = service.call(method, path, owner, None).await;
        assert_eq!(reply.expect(405)["code"], "method_not_allowed", "{path}");
        assert_eq!(reply.header("allow"), Some(allowed), "{path}");
        let asked = service.call("OPTIONS", path, "", None).await;
        assert_eq!((asked.status, asked.text.as_str()), (204, ""), "{path}");
        assert_eq!(asked.header("allow"), Some(allowed), "{path}");
    }
    for path in [
        "/",
        "/v1",
        "/v1/subjects/",
        "/v1/subjects//records",
        "/v2/health",
    ] {
        let reply = service.get(path, owner).await;
        assert_eq!(reply.expect(404)["code"], "not_found", "{path}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[tokio::test]
async fn a_page_asks_before_it_sends_and_is_told_what_it_may() {
    let service = Service::start().await;
    let headers = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
    ];
    let reply = service
        .raw("OPTIONS", "/v1/events", &headers, Vec::new())
        .await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let methods = reply.header("access-control-allow-methods");
    assert!(methods.is_some_and(|methods| methods.contains("POST")));
}
