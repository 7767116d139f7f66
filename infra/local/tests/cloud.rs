//! The platform itself, with functions that only note how they were called.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use emulators::Storage;
use futures::future::BoxFuture;
use http::request::Builder;
use http::{Request, Response, StatusCode};
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Error;
use lethe_local::client::Client;
use lethe_local::functions::{Handler, Roster, roster};
use lethe_local::{Cloud, Options};
use serde_json::{Value, json};
use shared::aws::s3::Upload;
use shared::base::clock::Clock;

type Calls = Arc<Mutex<Vec<(&'static str, Value)>>>;

/// A cloud whose functions are all `answer`, given the name and the event.
struct Stage {
    cloud: Cloud,
    calls: Calls,
    http: Client,
}

async fn stage_with(
    options: Options,
    answer: impl Fn(&'static str, Value) -> BoxFuture<'static, Result<Value, Error>>
    + Send
    + Sync
    + 'static,
) -> Stage {
    let calls = Calls::default();
    let answer = Arc::new(answer);
    let dummy = |name: &'static str| -> Handler {
        let (calls, answer) = (calls.clone(), answer.clone());
        Arc::new(move |_, event| {
            calls.lock().unwrap().push((name, event.clone()));
            answer(name, event)
        })
    };
    let functions = roster()
        .into_keys()
        .map(|name| (name, dummy(name)))
        .collect::<Roster>();
    let cloud = Cloud::start(Options {
        functions,
        ..options
    })
    .await
    .unwrap();
    Stage {
        cloud,
        calls,
        http: Client::default(),
    }
}

async fn stage(
    answer: impl Fn(&'static str, &Value) -> Result<Value, Error> + Send + Sync + 'static,
) -> Stage {
    let clock = Clock::frozen(Timestamp::from_second(1_800_000_000).unwrap());
    stage_with(
        Options {
            clock,
            ..Options::default()
        },
        move |name, event| {
            let result = answer(name, &event);
            Box::pin(async { result })
        },
    )
    .await
}

fn ok(_: &'static str, _: &Value) -> Result<Value, Error> {
    Ok(json!({"statusCode": 204}))
}

impl Stage {
    fn request(&self, method: &str, path: &str) -> Builder {
        let url = format!("{}{path}", self.cloud.url());
        Request::builder().method(method).uri(url)
    }

    async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Response<Bytes> {
        self.http.send(request.body(body).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.send(self.request("GET", path), "").await;
        let body = serde_json::from_slice(response.body());
        (response.status(), body.unwrap_or_default())
    }

    fn calls(&self, function: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(name, _)| *name == function)
            .map(|(_, event)| event.clone())
            .collect()
    }

    /// The sort keys of every record that the function was called with, call by call.
    fn keys(&self, function: &str) -> Vec<Vec<String>> {
        let key = |record: &Value| {
            record["dynamodb"]["Keys"]["SK"]["S"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let stream = |event: &Value| Some(event["Records"].as_array()?.iter().map(key).collect());
        self.calls(function).iter().filter_map(stream).collect()
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let credentials = aws_sdk_dynamodb::config::Credentials::new("a", "b", None, None, "test");
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
            .credentials_provider(credentials)
            .endpoint_url(self.cloud.dynamo().endpoint());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    async fn put(&self, sort_key: &str, expires_at: Option<Timestamp>) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let expires_at = expires_at.map(|at| AttributeValue::N(at.as_second().to_string()));
        let put = self.dynamodb().put_item();
        let put = put.table_name(&self.cloud.app().config.records_table);
        let mut put = put
            .item("PK", text("tenant#sub#life"))
            .item("SK", text(sort_key));
        if let Some(at) = expires_at {
            put = put.item("expires_at", at);
        }
        put.send().await.unwrap();
    }
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn request_becomes_an_event_and_a_result_becomes_a_response() {
    let stage = stage(|_, event| {
        Ok(json!({
            "statusCode": 201,
            "headers": {"Location": "/here", "content-type": "application/json", "access-control-allow-origin": "evil"},
            "cookies": ["a=1", "b=2"],
            "body": event.to_string(),
        }))
    })
    .await;
    let sent = stage
        .request("PATCH", "/v1/subjects/sub%5F1?a=1&a=2&b=%20x+y&c")
        .header("X-Thing", "one")
        .header("X-Thing", "two")
        .header("cookie", "k=v; l=w")
        .header("x-forwarded-for", "203.0.113.9");
    let response = stage.send(sent, "{\"é\": 1}").await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["location"], "/here");
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
    let event = json(&response);
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "PATCH /v1/subjects/{subject}");
    assert_eq!(event["rawPath"], "/v1/subjects/sub%5F1");
    assert_eq!(event["rawQueryString"], "a=1&a=2&b=%20x+y&c");
    assert_eq!(
        event["queryStringParameters"],
        json!({"a": "1,2", "b": " x y", "c": ""})
    );
    assert_eq!(event["pathParameters"], json!({"subject": "sub_1"}));
    assert_eq!(event["headers"]["x-thing"], "one,two");
    assert_eq!(
        event["headers"]["x-forwarded-for"],
        "203.0.113.9, 127.0.0.1"
    );
    assert_eq!(event["headers"].get("cookie"), None);
    assert_eq!(event["cookies"], json!(["k=v", "l=w"]));
    assert_eq!(event["body"], "{\"é\": 1}");
    assert_eq!(event["isBase64Encoded"], false);
    let context = &event["requestContext"];
    assert_eq!(
        context["http"]["sourceIp"], "127.0.0.1",
        "whatever the request claims"
    );
    assert_eq!(context["http"]["method"], "PATCH");
    assert_eq!(context["timeEpoch"], 1_800_000_000_000_i64);
    assert_eq!(context["time"], "15/Jan/2027:08:00:00 +0000");
    assert_eq!(context.get("authorizer"), None);
}

#[tokio::test]
async fn request_ids_are_unique_and_told() {
    let stage = stage(|_, event| Ok(json!({"id": event["requestContext"]["requestId"]}))).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let response = stage.send(stage.request("GET", "/v1/settings"), "").await;
        let told = response.headers()["apigw-requestid"].to_str().unwrap();
        assert_eq!(json(&response)["id"], told);
        seen.push(told.to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn binary_bodies_travel_as_base64_both_ways() {
    let stage = stage(|_, event| {
        Ok(json!({"statusCode": 200, "isBase64Encoded": event["isBase64Encoded"], "body": event["body"]}))
    })
    .await;
    let bytes = vec![0_u8, 159, 146, 150, 255];
    let response = stage
        .send(stage.request("POST", "/v1/events"), bytes.clone())
        .await;
    assert_eq!(response.body(), &bytes);
}

#[tokio::test]
async fn what_no_route_takes_goes_to_the_default_route() {
    let stage = stage(ok).await;
    let paths = [
        "/",
        "/v1",
        "/v1/event",
        "/v1/events/",
        "/v2/events",
        "/console/x",
        "/v1/events", // only POST
    ];
    for path in paths {
        stage.get(path).await;
    }
    let calls = stage.calls("console");
    let taken: Vec<_> = calls.iter().map(|event| &event["rawPath"]).collect();
    assert_eq!(taken, paths);
    for event in &calls {
        assert_eq!(event["routeKey"], "$default");
        assert_eq!(event["requestContext"]["routeKey"], "$default");
        assert!(event.get("pathParameters").is_none());
    }
    assert_eq!(stage.calls.lock().unwrap().len(), paths.len());
}

#[tokio::test]
async fn too_large_a_body_is_refused() {
    let stage = stage(ok).await;
    let send = |size: usize| stage.send(stage.request("POST", "/v1/events"), vec![b'x'; size]);
    assert_eq!(send(10 * 1024 * 1024).await.status(), 204);
    assert_eq!(send(10 * 1024 * 1024 + 1).await.status(), 413);
    assert_eq!(stage.calls("ingest").len(), 1);
}

#[tokio::test]
async fn failure_of_a_function_tells_the_client_nothing() {
    let stage = stage(|name, _| match name {
        "ingest" => panic!("secret"),
        "access" => Err("secret".into()),
        "admin" => Ok(json!({"statusCode": "secret"})),
        "export" => Ok(json!({"statusCode": 200, "body": "x".repeat(6 * 1024 * 1024 + 1)})),
        _ => Ok(json!({"statusCode": 200, "headers": {"x": "se\ncret"}})),
    })
    .await;
    for path in [
        "/v1/privacy-config",
        "/v1/subjects",
        "/v1/settings",
        "/v1/exports",
        "/console",
    ] {
        let expected = (
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"message": "Internal Server Error"}),
        );
        assert_eq!(stage.get(path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn function_that_takes_longer_than_its_timeout_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    let text = std::fs::read_to_string(Options::default().template).unwrap();
    assert!(text.contains("Timeout: 5 #"));
    std::fs::write(&path, text.replace("Timeout: 5 #", "Timeout: 1 #")).unwrap();
    let forever =
        |_, _| -> BoxFuture<'static, Result<Value, Error>> { Box::pin(std::future::pending()) };
    let stage = stage_with(
        Options {
            template: path,
            ..Options::default()
        },
        forever,
    )
    .await;
    assert_eq!(
        stage.get("/v1/health").await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn operator_routes_need_the_operator_key() {
    let stage = stage(|_, event| {
        Ok(json!({"iam": event["requestContext"]["authorizer"]["iam"]["userId"]}))
    })
    .await;
    let key = stage.cloud.operator_key().to_owned();
    let ask = |header: Option<String>| {
        let request = stage.request("GET", "/v1/tenants");
        let request = header.into_iter().fold(request, |request, value| {
            request.header("authorization", value)
        });
        stage.send(request, "")
    };
    for wrong in [
        None,
        Some(key.clone()),
        Some(format!("Bearer {key}x")),
        Some("Bearer ".to_owned()),
    ] {
        let response = ask(wrong).await;
        assert_eq!(response.status(), 403);
        assert_eq!(json(&response), json!({"message": "Forbidden"}));
    }
    assert!(stage.calls("admin").is_empty());
    let response = ask(Some(format!("Bearer {key}"))).await;
    assert_eq!(json(&response), json!({"iam": "operator"}));
}

#[tokio::test]
async fn cors_is_the_gateways() {
    let stage = stage(ok).await;
    let preflight = stage
        .request("OPTIONS", "/v1/events")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST");
    let response = stage.send(preflight, "").await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert_eq!(
        response.headers()["access-control-allow-methods"],
        "GET,POST,PUT,PATCH,DELETE"
    );
    let headers = "authorization,content-type,idempotency-key,if-match";
    assert_eq!(response.headers()["access-control-allow-headers"], headers);
    let answered = stage
        .request("POST", "/v1/events")
        .header("origin", "https://shop.example");
    assert_eq!(
        stage.send(answered, "").await.headers()["access-control-allow-origin"],
        "*"
    );
    let missing = stage
        .request("GET", "/nowhere")
        .header("origin", "https://shop.example");
    assert_eq!(
        stage.send(missing, "").await.headers()["access-control-allow-origin"],
        "*"
    );
}

#[tokio::test]
async fn stream_records_reach_the_functions_that_ask_for_them() {
    let stage = stage(|_, _| Ok(Value::Null)).await;
    for key in [
        "person",
        "turn#erasure#1",
        "turn#export#1",
        "turn#redaction#1",
        "turn#other#1",
        "door",
    ] {
        stage.put(key, None).await;
    }
    stage.cloud.settle().await;
    assert_eq!(
        stage.keys("delete").concat(),
        ["turn#erasure#1", "turn#redaction#1"]
    );
    assert_eq!(stage.keys("export").concat(), ["turn#export#1"]);
    stage.cloud.settle().await;
    assert_eq!(stage.keys("delete").concat().len(), 2, "each comes once");
}

#[tokio::test]
async fn failed_records_are_tried_again_in_order_and_then_buried() {
    let sequence = |record: &Value| record["dynamodb"]["SequenceNumber"].clone();
    let stage = stage(move |_, event| {
        let records = event["Records"].as_array().unwrap();
        let bad = records
            .iter()
            .find(|record| record["dynamodb"]["Keys"]["SK"]["S"] == "turn#erasure#2");
        let failures: Vec<_> = bad
            .iter()
            .map(|record| json!({"itemIdentifier": sequence(record)}))
            .collect();
        Ok(json!({"batchItemFailures": failures}))
    })
    .await;
    for number in 1..=4 {
        stage.put(&format!("turn#erasure#{number}"), None).await;
    }
    stage.cloud.settle().await;
    let letters = stage.cloud.dead_letters();
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(letter.function, "delete");
    assert_eq!(
        letter.event["Records"][0]["dynamodb"]["Keys"]["SK"]["S"],
        "turn#erasure#2"
    );
    let tries = stage
        .keys("delete")
        .iter()
        .filter(|keys| keys.contains(&"turn#erasure#2".to_owned()))
        .count();
    assert!(
        (6..=7).contains(&tries),
        "once, five tries more, and once as a part of its batch: {tries}"
    );
    assert_eq!(
        stage.keys("delete").last().unwrap().last().unwrap(),
        "turn#erasure#4"
    );
    let (status, body) = stage.get("/local/dead-letters").await;
    assert_eq!(
        (status, &body["data"][0]["function"]),
        (StatusCode::OK, &json!("delete"))
    );
}

#[tokio::test]
async fn batch_that_fails_as_a_whole_is_bisected() {
    let stage = stage(
        |_, event| match event.to_string().contains("turn#export#3") {
            true => Err("poison".into()),
            false => Ok(Value::Null),
        },
    )
    .await;
    for number in 1..=6 {
        stage.put(&format!("turn#export#{number}"), None).await;
    }
    stage.cloud.settle().await;
    let letters = stage.cloud.dead_letters();
    assert_eq!(letters.len(), 1, "only the one that fails: {letters:?}");
    for number in [1, 2, 4, 5, 6] {
        let key = format!("turn#export#{number}");
        let handled =
            |keys: &Vec<String>| keys.contains(&key) && !keys.contains(&"turn#export#3".to_owned());
        assert_eq!(
            stage
                .keys("export")
                .iter()
                .filter(|keys| handled(keys))
                .count(),
            1,
            "{key}"
        );
    }
}

#[tokio::test]
async fn uploads_reach_scan_and_what_it_cannot_handle_is_buried() {
    let stage = stage(|_, event| match event.to_string().contains("poison") {
        true => Err("poison".into()),
        false => Ok(Value::Null),
    })
    .await;
    for object in [
        "attachments/ten/life/1",
        "exports/ten/life/2",
        "attachments/ten/life/poison",
    ] {
        let upload = Upload {
            object,
            size: 3,
            // SHA-256 of "abc".
            sha256: "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        };
        let app = stage.cloud.app();
        let link = app.objects.upload_link(upload, app.clock.now());
        let link = link.await.unwrap();
        let put = Request::put(&link.url);
        let put = link.headers.iter().fold(put, |put, (name, value)| {
            put.header(name, value.as_str().unwrap())
        });
        let response = stage.send(put, "abc").await;
        assert_eq!(response.status(), 200, "{:?}", response.body());
    }
    stage.cloud.settle().await;
    let key = |event: &Value| {
        event["Records"][0]["s3"]["object"]["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let seen: Vec<_> = stage.calls("scan").iter().map(key).collect();
    let poison = "attachments/ten/life/poison";
    assert_eq!(seen, ["attachments/ten/life/1", poison, poison, poison]);
    assert_eq!(stage.cloud.dead_letters().len(), 1);
}

#[tokio::test]
async fn settling_waits_for_what_events_cause() {
    let next = Arc::new(Mutex::new(
        None::<tokio::sync::mpsc::UnboundedSender<usize>>,
    ));
    let (sender, mut turns) = tokio::sync::mpsc::unbounded_channel::<usize>();
    *next.lock().unwrap() = Some(sender);
    let (asked, done) = (next.clone(), Arc::new(tokio::sync::Semaphore::new(0)));
    let written = done.clone();
    let stage = stage_with(Options::default(), move |name, event| {
        let (asked, written) = (asked.clone(), written.clone());
        Box::pin(async move {
            for record in event["Records"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|_| name == "delete")
            {
                let key = record["dynamodb"]["Keys"]["SK"]["S"].as_str().unwrap();
                let turn: usize = key.rsplit('#').next().unwrap().parse().unwrap();
                if turn < 20 {
                    asked
                        .lock()
                        .unwrap()
                        .as_ref()
                        .unwrap()
                        .send(turn + 1)
                        .unwrap();
                    written.acquire().await.unwrap().forget();
                }
            }
            Ok(Value::Null)
        })
    })
    .await;
    stage.put("turn#erasure#1", None).await;
    let writer = async {
        while let Some(turn) = turns.recv().await {
            stage.put(&format!("turn#erasure#{turn}"), None).await;
            done.add_permits(1);
        }
    };
    tokio::select! {
        () = stage.cloud.settle() => {}
        () = writer => unreachable!(),
    }
    assert_eq!(stage.keys("delete").concat().len(), 20);
}

#[tokio::test]
async fn time_that_passes_expires_items_and_runs_schedules() {
    let stage = stage(|_, _| Ok(Value::Null)).await;
    let start = stage.cloud.clock().now();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    stage.put("door", Some(start + days(3))).await;
    stage.cloud.advance(days(2)).await;
    assert!(stage.keys("delete").is_empty());
    let moved = stage.request("POST", "/local/clock");
    let body = json(&stage.send(moved, r#"{"advance": "28d"}"#).await);
    assert_eq!(body["ahead_seconds"], 30 * 24 * 60 * 60);
    assert_eq!(body["now"], json!(start + days(30)));
    assert_eq!(stage.keys("delete").concat(), ["door"]);
    let removal = &stage.calls("delete")[0]["Records"][0];
    assert_eq!(
        (&removal["eventName"], &removal["userIdentity"]["type"]),
        (&json!("REMOVE"), &json!("Service"))
    );
    let runs = stage.calls("cleanup");
    assert!(
        (30..=35).contains(&runs.len()),
        "about one a day: {}",
        runs.len()
    );
    assert_eq!(runs[0]["detail-type"], "Scheduled Event");
}

#[tokio::test]
async fn time_can_pass_without_expiry_or_without_schedules() {
    let day = SignedDuration::from_hours(24);
    for (ttl, schedules) in [(true, false), (false, true)] {
        let clock = Clock::frozen(Timestamp::from_second(1_800_000_000).unwrap());
        let options = Options {
            clock,
            ttl,
            schedules,
            ..Options::default()
        };
        let stage = stage_with(options, |_, _| Box::pin(async { Ok(Value::Null) })).await;
        stage
            .put("door", Some(stage.cloud.clock().now() + day))
            .await;
        stage.cloud.advance(day * 2).await;
        assert_eq!(stage.keys("delete").is_empty(), !ttl);
        assert_eq!(stage.calls("cleanup").is_empty(), !schedules);
        stage.cloud.run_schedule("cleanup").await.unwrap();
        stage.cloud.sweep_ttl().await;
        assert_eq!(stage.keys("delete").concat(), ["door"]);
    }
}

#[tokio::test]
async fn clock_is_not_for_web_pages_and_tells_what_is_wrong() {
    let stage = stage(ok).await;
    let post = || stage.request("POST", "/local/clock");
    let page = post().header("origin", "https://evil.example");
    let response = stage.send(page, r#"{"advance":"1d"}"#).await;
    assert_eq!(response.status(), 403);
    for (body, status) in [("", 400), ("{}", 422), (r#"{"advance":"soon"}"#, 422)] {
        let response = stage.send(post(), body).await;
        assert_eq!(response.status(), status);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
    let deleted = stage.request("DELETE", "/local/clock");
    assert_eq!(stage.send(deleted, "").await.status(), 405);
    assert_eq!(stage.get("/local/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(stage.get("/local/clock").await.1["ahead_seconds"], 0);
}

#[tokio::test]
async fn what_was_handled_is_remembered_between_two_starts() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let storage = Storage::Folder(PathBuf::from(folder.path()));
        stage_with(
            Options {
                storage,
                ..Options::default()
            },
            |_, _| Box::pin(async { Ok(Value::Null) }),
        )
    };
    let first = start().await;
    first.put("turn#erasure#1", None).await;
    first.cloud.advance(SignedDuration::from_hours(48)).await;
    let key = first.cloud.operator_key().to_owned();
    assert_eq!(first.keys("delete").concat(), ["turn#erasure#1"]);
    first.cloud.stop().await;

    let second = start().await;
    assert_eq!(second.cloud.operator_key(), key);
    assert_eq!(second.cloud.clock().ahead(), SignedDuration::from_hours(48));
    second.put("turn#erasure#2", None).await;
    second.cloud.settle().await;
    assert_eq!(second.keys("delete").concat(), ["turn#erasure#2"]);
}
