//! A warm function against the same AWS calls made bare: what Lethe itself adds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_tests::Service;
use lethe_tests::meter::Meter;
use local::functions::roster;
use serde_json::{Value, json};
use shared::aws::clients::Clients;
use shared::base::config::Config;
use shared::domain::app::App;

use crate::bare::{self, Calls};
use crate::stage::still;
use crate::table::{Line, median, ratio, show};

const GOAL: f64 = 1.15;
/// Pairs that are thrown away: connections and caches get warm.
const WARM_UP: usize = 50;

pub async fn lines(quick: bool) -> Vec<Line> {
    let pairs = if quick { 100 } else { 1500 };
    let meter = Meter::default();
    let service = still(Some(&meter)).await;
    let subject = service.acquaint("ada").await;
    let message = json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                          "author": "end_user", "body": "Where is my invoice?"}]);
    let heard = [
        ("visit", hear_events(&service, &meter, &visit("ada")).await),
        ("message", hear_events(&service, &meter, &message).await),
        (
            "profile read",
            hear_profile(&service, &meter, &subject).await,
        ),
    ];
    let mut lines = Vec::new();
    for (name, mut heard) in heard {
        let (ours, theirs) = pair(&service, &mut heard, pairs).await;
        let calls = heard.calls.len();
        lines.push(
            Line::new(format!("warm {name}"))
                .ours(show(ours))
                .reference(format!(
                    "{}: its {calls} calls by the bare SDK",
                    show(theirs)
                ))
                .at_most(ratio(ours, theirs), GOAL, "×"),
        );
    }
    lines
}

pub fn visit(visitor: &str) -> Value {
    json!([{"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart"}])
}

/// A request that a function answers, and the calls that it was heard to make for it.
pub struct Heard {
    pub function: &'static str,
    pub event: Value,
    pub calls: Calls,
}

/// Takes turns, one by us and one bare, so that whatever else goes on meets both. The
/// median of each.
pub async fn pair(service: &Service, heard: &mut Heard, pairs: usize) -> (Duration, Duration) {
    let app = Arc::new(app(service));
    let handler = roster()[heard.function].clone();
    let client = bare::dynamodb(&service.cloud);
    let (mut ours, mut theirs) = (Vec::<Duration>::new(), Vec::new());
    for turn in 0..pairs + WARM_UP {
        let event = heard.event.clone();
        let began = Instant::now();
        let answer = handler(app.clone(), event).await.expect("an answer");
        let took = began.elapsed();
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let began = Instant::now();
        heard.calls.make(&client).await;
        if turn >= WARM_UP {
            ours.push(took);
            theirs.push(began.elapsed());
        }
    }
    (median(&mut ours), median(&mut theirs))
}

/// Events of one request, stored once to hear the calls that they take.
pub async fn hear_events(service: &Service, meter: &Meter, events: &Value) -> Heard {
    service.store(events.clone()).await;
    meter.take();
    service.store(events.clone()).await;
    let body = json!({"events": events}).to_string();
    Heard {
        function: "ingest",
        event: event(
            "POST",
            "/v1/events",
            "/v1/events",
            &service.ours.ingest,
            body,
        ),
        calls: Calls::of(&meter.take()),
    }
}

async fn hear_profile(service: &Service, meter: &Meter, subject: &str) -> Heard {
    let (path, key) = (format!("/v1/subjects/{subject}"), &service.ours.read);
    service.get(&path, key).await.expect(200);
    meter.take();
    service.get(&path, key).await.expect(200);
    let mut event = event("GET", "/v1/subjects/{subject}", &path, key, String::new());
    event["pathParameters"] = json!({"subject": subject});
    Heard {
        function: "access",
        event,
        calls: Calls::of(&meter.take()),
    }
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
    let clients = Clients::new(&bare::sdk(cloud), &config.endpoints);
    App::new(config, clients, cloud.clock().clone())
}

/// What API Gateway sends.
fn event(method: &str, route: &str, path: &str, key: &str, body: String) -> Value {
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
