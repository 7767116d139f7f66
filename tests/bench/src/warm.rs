//! A warm function against the same AWS calls made bare: what Lethe itself adds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_tests::Service;
use lethe_tests::meter::{Meter, Noted};
use local::Options;
use local::functions::roster;
use serde_json::{Value, json};
use shared::app::App;
use shared::config::Config;

use crate::bare::{self, Calls};
use crate::table::{Line, median, ratio, show};

const GOAL: f64 = 1.15;
/// Pairs that are thrown away: connections and caches get warm.
const WARM_UP: usize = 50;

pub async fn lines(quick: bool) -> Vec<Line> {
    let pairs = if quick { 100 } else { 1500 };
    let meter = Meter::default();
    let service = Service::with(Options {
        schedules: false,
        events: false,
        listen: Some(meter.listener()),
        ..Options::default()
    })
    .await;
    let subject = service.acquaint("ada").await;
    let visit = json!([{"type": "visit", "visitor_id": "ada", "url": "https://shop.example/cart"}]);
    let message = json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                          "author": "end_user", "body": "Where is my invoice?"}]);
    service.store(visit.clone()).await;
    service.store(message.clone()).await;
    service
        .get(&format!("/v1/subjects/{subject}"), &service.ours.read)
        .await;
    let mut lines = Vec::new();
    for (name, events) in [
        ("visit", Some(visit)),
        ("message", Some(message)),
        ("profile read", None),
    ] {
        meter.take();
        let (function, event) = match events {
            Some(events) => {
                service.store(events.clone()).await;
                let body = json!({"events": events}).to_string();
                (
                    "ingest",
                    event(
                        "POST",
                        "/v1/events",
                        "/v1/events",
                        &service.ours.ingest,
                        body,
                    ),
                )
            }
            None => {
                let path = format!("/v1/subjects/{subject}");
                service.get(&path, &service.ours.read).await.expect(200);
                let mut event = event(
                    "GET",
                    "/v1/subjects/{subject}",
                    &path,
                    &service.ours.read,
                    String::new(),
                );
                event["pathParameters"] = json!({"subject": subject});
                ("access", event)
            }
        };
        lines.push(pair(&service, name, function, event, &meter.take(), pairs).await);
    }
    lines
}

/// Takes turns, one by us and one bare, so that whatever else goes on meets both.
async fn pair(
    service: &Service,
    name: &str,
    function: &str,
    event: Value,
    noted: &[Noted],
    pairs: usize,
) -> Line {
    let app = Arc::new(app(service));
    let handler = roster()[function].clone();
    let client = bare::dynamodb(&service.cloud);
    let mut calls = Calls::of(noted);
    let (mut ours, mut theirs) = (Vec::<Duration>::new(), Vec::new());
    for turn in 0..pairs + WARM_UP {
        let event = event.clone();
        let began = Instant::now();
        let answer = handler(app.clone(), event).await.expect("an answer");
        let took = began.elapsed();
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let began = Instant::now();
        calls.make(&client).await;
        if turn >= WARM_UP {
            ours.push(took);
            theirs.push(began.elapsed());
        }
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    Line::new(format!("warm {name}"))
        .ours(show(ours))
        .reference(format!(
            "{}: its {} calls by the bare SDK",
            show(theirs),
            calls.len()
        ))
        .at_most(ratio(ours, theirs), GOAL, "×")
}

/// What a function is given, past the wire that listens.
fn app(service: &Service) -> App {
    let cloud = &service.cloud;
    let environment = cloud.environment("ingest").expect("it has the function");
    let variable = |name: &str| match name {
        "AWS_ENDPOINT_URL_DYNAMODB" => Some(cloud.dynamo().endpoint().to_owned()),
        "AWS_ENDPOINT_URL_S3" => Some(cloud.objects().endpoint().to_owned()),
        "AWS_ENDPOINT_URL_KMS" => Some(cloud.kms().endpoint().to_owned()),
        name => environment.get(name).cloned(),
    };
    let config = Config::read(variable).expect("all of it");
    App::new(config, &bare::sdk(cloud), cloud.clock().clone())
}

/// What API Gateway sends.
pub fn event(method: &str, route: &str, path: &str, key: &str, body: String) -> Value {
    let event = include_str!("../../../events/ingest.http.json");
    let mut event: Value = serde_json::from_str(event).expect("an event");
    let route = format!("{method} {route}");
    event["routeKey"] = json!(route);
    event["rawPath"] = json!(path);
    event["headers"]["authorization"] = json!(format!("Bearer {key}"));
    event["headers"]["content-length"] = json!(body.len().to_string());
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    event["requestContext"]["routeKey"] = json!(route);
    event["body"] = json!(body);
    event
}
