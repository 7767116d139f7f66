//! The log: one line a request, that names nobody.

use std::collections::BTreeSet;

use lethe_tests::{Reply, Service};
use serde_json::Value;

use crate::requests::{self, Request};

/// The lines about a request.
fn lines(reply: &Reply) -> Vec<Value> {
    let id = reply.header("x-request-id").expect("every answer has one");
    lethe_tests::logs::text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"))
        .filter(|line| line["request_id"] == id)
        .collect()
}

async fn send(service: &Service, request: &Request, bearer: &str) -> Reply {
    let (path, body) = (&request.path, request.body.as_ref());
    service.call(request.method(), path, bearer, body).await
}

/// The one line about the request.
#[track_caller]
fn one_line(request: &Request, reply: &Reply, tenant: Option<&str>) {
    let lines = lines(reply);
    let [line] = lines.as_slice() else {
        panic!("{}: {lines:?}", request.route)
    };
    let row = shared::http::routes::find(&request.route).expect("a row of the route table");
    assert_eq!(line["message"], "request");
    assert_eq!(line["function"], row.function, "{line}");
    assert_eq!(line["route"], row.key, "{line}");
    assert_eq!(line["status"], reply.status, "{line}");
    assert_eq!(line["tenant"].as_str(), tenant, "{line}");
    assert!(line["duration_ms"].is_u64(), "{line}");
    let named: BTreeSet<_> = line.as_object().expect("an object").keys().collect();
    let known = [
        "timestamp",
        "level",
        "message",
        "request_id",
        "tenant",
        "function",
        "route",
        "status",
        "outcome",
        "duration_ms",
    ];
    assert!(
        named.iter().all(|name| known.contains(&name.as_str())),
        "{line}"
    );
    assert_eq!(
        reply.header("apigw-requestid"),
        reply.header("x-request-id"),
        "the gateway's id is the request's"
    );
}

#[tokio::test]
async fn every_request_is_one_line_in_the_log() {
    let service = Service::start().await;
    let stage = requests::stage(&service).await;
    for route in requests::routes(&service) {
        let request = stage.request(&route);
        let row = shared::http::routes::find(&route).expect("a row of the route table");
        let reply = send(&service, &request, &request.bearer).await;
        assert_eq!(reply.status, request.status, "{route}: {}", reply.text);
        let keyed = matches!(row.access, shared::http::routes::Access::Key(_));
        let tenant = keyed.then_some(stage.tenant.id.as_str());
        one_line(&request, &reply, tenant);
        if keyed {
            let refused = send(&service, &request, "nonsense").await;
            assert_eq!(refused.status, 401, "{route}");
            one_line(&request, &refused, None);
        }
    }
}

#[tokio::test]
async fn a_repeated_request_is_a_line_of_its_own() {
    let service = Service::start().await;
    let stage = requests::stage(&service).await;
    let request = stage.request("POST /v1/exports");
    let headers = [("idempotency-key", "once")];
    for outcome in ["ok", "repeated"] {
        let (path, body) = (&request.path, request.body.as_ref());
        let reply = service
            .call_with("POST", path, &request.bearer, body, &headers)
            .await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        one_line(&request, &reply, Some(&stage.tenant.id));
        assert_eq!(lines(&reply)[0]["outcome"], outcome);
    }
}
