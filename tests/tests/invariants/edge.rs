//! What HTTP clients send in their own ways, and how large an answer may become.

use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::{Reply, Service, subject};
use serde_json::{Map, Value, json};

use crate::rows;

const VISIT: &str = r#"{"events": [{"type": "visit", "visitor_id": "ada"}]}"#;

/// Sends events as these bytes, with these headers.
async fn events(service: &Service, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let bearer = format!("Bearer {}", service.ours.ingest);
    let mut all = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    for (name, value) in headers {
        all.retain(|(other, _)| other != name);
        all.push((name, value));
    }
    service.raw("POST", "/v1/events", &all, body.to_vec()).await
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case_and_the_key_exactly() {
    let service = Service::start().await;
    let key = &service.ours.ingest;
    for scheme in ["bearer ", "BEARER ", "Bearer  ", "bEARER   "] {
        let headers = [("authorization", format!("{scheme}{key}"))];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        events(&service, &headers, VISIT.as_bytes())
            .await
            .expect(200);
    }
    for wrong in [
        key.clone(),
        format!("Basic {key}"),
        format!("Bearer {}", key.to_uppercase()),
    ] {
        let headers = [("authorization", wrong.as_str())];
        events(&service, &headers, VISIT.as_bytes())
            .await
            .expect(401);
    }
}

#[tokio::test]
async fn a_body_may_begin_with_a_byte_order_mark_and_is_not_encoded() {
    let service = Service::start().await;
    let marked = [b"\xef\xbb\xbf", VISIT.as_bytes()].concat();
    events(&service, &[], &marked).await.expect(200);
    for (coding, status) in [
        ("identity", 200),
        ("Identity, identity", 200),
        ("gzip", 415),
        ("br", 415),
        ("identity, gzip", 415),
    ] {
        let headers = [("content-encoding", coding)];
        events(&service, &headers, VISIT.as_bytes())
            .await
            .expect(status);
    }
    for (media_type, status) in [
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=\"UTF-8\"", 200),
        ("text/plain", 415),
    ] {
        let headers = [("content-type", media_type)];
        events(&service, &headers, VISIT.as_bytes())
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn head_is_answered_as_get_but_for_the_body() {
    let service = Service::start().await;
    let (ada, owner) = (service.acquaint("ada").await, &service.ours.owner);
    let nobody = format!("/v1/subjects/sub_{}", "0".repeat(32));
    let person = format!("/v1/subjects/{ada}");
    let records = format!("{person}/records?type=message");
    for (path, key, status) in [
        ("/v1/health", "", 200),
        ("/console", "", 200),
        ("/v1/openapi.json", "", 200),
        ("/.well-known/jwks.json", "", 200),
        ("/v1/settings", owner, 200),
        ("/v1/settings", "", 401),
        ("/v1/subjects", owner, 200),
        (&person, owner, 200),
        (&records, owner, 200),
        (&records, &service.ours.ingest, 403),
        (&nobody, owner, 404),
        ("/v1/exports", owner, 200),
        ("/v1/nothing", owner, 404),
        ("/v1/tenants", "", 403),
    ] {
        let get = service.get(path, key).await;
        let head = service.call("HEAD", path, key, None).await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(get.header("etag"), head.header("etag"), "{path}");
        assert_eq!(
            get.header("content-type"),
            head.header("content-type"),
            "{path}"
        );
        assert_eq!(head.text, "", "{path}");
    }
    service
        .operator("HEAD", "/v1/tenants", None)
        .await
        .expect(200);
    let refused = service.call("HEAD", "/v1/events", owner, None).await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("POST"))
    );
    let refused = service.post("/v1/health", "", json!({})).await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[tokio::test]
async fn a_plus_in_a_time_may_be_sent_unescaped() {
    let service = Service::start().await;
    let (ada, owner) = (service.acquaint("ada").await, &service.ours.owner);
    let mut found = Vec::new();
    for since in [
        "2000-01-01T00:00:00+10:00",
        "2000-01-01T00:00:00%2B10:00",
        "2000-01-01T00:00:00Z",
        "2000-01-01%2000:00:00+00:00",
    ] {
        let path = format!("/v1/subjects/{ada}/records?since={since}");
        found.push(service.get(&path, owner).await.expect(200)["data"].clone());
    }
    assert!(found.iter().all(|data| *data == found[0]));
    for since in ["2000-01-01", "+", "now"] {
        let path = format!("/v1/subjects/{ada}/records?since={since}");
        assert_eq!(
            service.get(&path, owner).await.faults(),
            ["since"],
            "{since}"
        );
    }
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_refused() {
    let service = Service::start().await;
    let bearer = format!("Bearer {}", service.ours.owner);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = r#"{"retention_days": 7, "integrations": {"clarity": {"enabled": true, "enabled": false}}}"#;
    let reply = service
        .raw("PUT", "/v1/settings", &headers, body.into())
        .await;
    let problem = reply.expect(422);
    assert_eq!(reply.faults(), ["/integrations/clarity/enabled"]);
    assert_eq!(problem["errors"][0]["code"], "duplicate");

    let body = r#"{"events": [{"type": "visit", "visitor_id": "ada", "visitor_id": "bob"},
                              {"type": "visit", "visitor_id": "eve"}]}"#;
    let results = events(&service, &[], body.as_bytes()).await.expect(200)["results"].take();
    assert_eq!(results[0]["status"], "rejected", "{results}");
    assert_eq!(results[1]["status"], "stored", "{results}");
    let body = r#"{"events": [], "events": [{"type": "visit", "visitor_id": "eve"}]}"#;
    assert_eq!(
        events(&service, &[], body.as_bytes()).await.faults(),
        ["/events"]
    );
}

/// Events that each have this many fields too many.
fn wrong(events: usize, fields: usize, name: impl Fn(usize) -> String) -> Value {
    let event = |at: usize| {
        let mut event = Map::from_iter((0..fields).map(|field| (name(field), json!(1))));
        event.insert("type".into(), "visit".into());
        event.insert("visitor_id".into(), format!("v-{at}").into());
        Value::Object(event)
    };
    json!({"events": (0..events).map(event).collect::<Vec<_>>()})
}

/// How many errors a result or a problem tells, and how many more it says there are.
fn told(answer: &Value) -> (usize, usize) {
    let errors = answer["errors"].as_array().map_or(0, Vec::len);
    let more = answer["more"].as_u64().unwrap_or(0);
    (errors, usize::try_from(more).unwrap())
}

#[tokio::test]
async fn an_answer_does_not_grow_with_what_is_wrong() {
    let service = Service::start().await;
    let short = |field| format!("{field:x}");
    let quotes = |field| format!("{}{field:x}", "\"".repeat(1_000));
    let long = |field| format!("{}{field}", "x".repeat(400_000));
    for (events, fields, body) in [
        (100, 900, wrong(100, 900, short)),
        (20, 20, wrong(20, 20, quotes)),
        (1, 2, wrong(1, 2, long)),
        (100, 21, wrong(100, 21, short)),
    ] {
        let reply = service.post("/v1/events", &service.ours.ingest, body).await;
        let results = reply.expect(200)["results"].take();
        let results = results.as_array().unwrap();
        assert!(reply.text.len() < 300_000, "{} bytes", reply.text.len());
        assert_eq!(results.len(), events);
        for result in results {
            let (errors, more) = told(result);
            assert!(errors <= 20, "{errors}");
            assert_eq!(
                (errors + more, &result["status"]),
                (fields, &json!("rejected"))
            );
        }
    }
    // One error is told, and no more.
    let body = wrong(1, 1, short);
    let reply = service.post("/v1/events", &service.ours.ingest, body).await;
    assert_eq!(told(&reply.expect(200)["results"][0]), (1, 0));

    let owner = &service.ours.owner;
    let subjects: Vec<_> = (0..2_000).map(|at| format!("nobody-{at}")).collect();
    let body = json!({"subjects": subjects});
    let problem = service.post("/v1/erasures", owner, body).await.expect(422);
    assert_eq!(told(&problem), (20, 1_980));
    let settings = Map::from_iter((0..500).map(|at| (format!("s{at}"), json!(1))));
    let settings = Value::Object(settings);
    let reply = service
        .call("PUT", "/v1/settings", owner, Some(&settings))
        .await;
    assert_eq!(told(&reply.expect(422)), (20, 480));
}

#[tokio::test]
async fn a_page_of_records_fits_into_an_answer_whatever_they_say() {
    let service = Service::start().await;
    // Two bytes in the body's JSON, four in what Lambda returns.
    let body = "\"".repeat(64 * 1024);
    let mut ada = String::new();
    for _ in 0..7 {
        let message = json!({"type": "message", "visitor_id": "ada", "conversation_id": "c",
                             "author": "end_user", "body": body});
        let stored = service.store(Value::Array(vec![message; 7])).await;
        ada = subject(&stored[0]);
    }
    let (mut read, mut pages, mut cursor) = (0, 0, String::new());
    loop {
        let path = format!("/v1/subjects/{ada}/records?type=message&limit=100{cursor}");
        let page = service.get(&path, &service.ours.owner).await.expect(200);
        for record in page["data"].as_array().unwrap() {
            assert_eq!(record["body"], body);
            read += 1;
        }
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(read, 49);
    assert!(pages > 1);
}

#[tokio::test]
async fn settings_at_fault_are_named_by_their_places() {
    let service = Service::start().await;
    let settings = json!({
        "retention_days": 31, "full_privacy": "canary", "store_ip": "canary", "store_url": 7,
        "location": 1, "hide_selectors": ["", 7, ".ok"], "consent_required": "canary",
        "integrations": {"clarity": {"enabled": "canary", "id": 1}, "other": {}}, "a/b": 1,
    });
    let owner = &service.ours.owner;
    let reply = service
        .call("PUT", "/v1/settings", owner, Some(&settings))
        .await;
    let mut places = reply.faults();
    places.sort();
    assert_eq!(
        places,
        [
            "/a~1b",
            "/consent_required",
            "/full_privacy",
            "/hide_selectors/0",
            "/hide_selectors/1",
            "/integrations/clarity/enabled",
            "/integrations/clarity/id",
            "/integrations/other",
            "/location",
            "/retention_days",
            "/store_ip",
            "/store_url",
        ]
    );
    assert!(!reply.text.contains("canary"), "{}", reply.text);
    let problem = reply.json();
    let errors = problem["errors"].as_array().unwrap().iter();
    let mut ip = errors.filter(|error| error["pointer"] == "/store_ip");
    assert_eq!(
        ip.next().unwrap()["message"],
        "must be one of: full, truncated, none"
    );
}

#[tokio::test]
async fn damaged_data_is_told_as_such_and_not_to_be_asked_for_again() {
    let service = Service::start().await;
    let ours = &service.ours;
    let rows = rows::records(&service).await;
    let is_settings = |row: &&rows::Row| row.contains_key("settings");
    let own = |row: &&rows::Row| rows::text(row, "PK").is_some_and(|it| it.contains(&ours.id));
    let mut row = rows
        .iter()
        .filter(own)
        .find(is_settings)
        .expect("settings")
        .clone();
    row.insert("settings".into(), AttributeValue::S("{".into()));
    rows::put_back(&service, &row).await;
    let reply = service.get("/v1/settings", &ours.owner).await;
    let problem = reply.expect(500);
    assert_eq!(problem["code"], "internal");
    assert_eq!(reply.header("retry-after"), None);
    service
        .get("/v1/settings", &service.theirs.owner)
        .await
        .expect(200);
}
