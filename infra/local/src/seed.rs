//! The demo: two tenants and their synthetic people, sent through the functions' public routes
//! over the past thirty days.
//!
//! Everything is generated from a fixed seed, so every demo holds the same people. Nobody in
//! it exists: addresses are from the documentation ranges (RFC 5737), domains from RFC 2606.

use std::collections::BTreeMap;

use fake::Fake;
use fake::faker::name::raw::{FirstName, LastName};
use fake::locales::EN;
use fake::rand::rngs::StdRng;
use fake::rand::{RngExt, SeedableRng};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::state::{Demo, Other};

const SEED: u64 = 20_250_525;
/// The number of days over which people were last seen.
const DAYS: usize = 30;
const PEOPLE: usize = 240;
const OTHER_PEOPLE: usize = 60;
/// Events in one request.
const BATCH: usize = 100;

const PAGES: [&str; 8] = [
    "/pricing",
    "/docs/start",
    "/login",
    "/account",
    "/cart",
    "/help/refunds",
    "/blog",
    "/",
];
const BROWSERS: [(&str, &str); 5] = [
    ("Firefox 145", "Linux"),
    ("Chrome 142", "Windows 11"),
    ("Safari 26", "macOS 26"),
    ("Safari 26", "iOS 26"),
    ("Chrome 142", "Android 16"),
];
const TOPICS: [(&str, &str, &str); 8] = [
    (
        "Invoice",
        "I cannot find my last invoice.",
        "It is under Account, then Billing.",
    ),
    (
        "Refund",
        "How long does a refund take?",
        "Five working days, to the card you paid with.",
    ),
    (
        "Sign-in",
        "The sign-in link does not arrive.",
        "I have sent you a new one just now.",
    ),
    (
        "Delivery",
        "My parcel is late, where is it?",
        "It left our warehouse this morning.",
    ),
    (
        "Trial",
        "Can my trial be extended by a week?",
        "Done: it now ends next Friday.",
    ),
    (
        "Export",
        "I would like a copy of my data.",
        "You can have it today, I will start it.",
    ),
    (
        "Bug",
        "The page stays white when I save.",
        "Thank you, we are looking into it.",
    ),
    (
        "Plan",
        "What does the gold plan cost?",
        "It is 49 a month, billed yearly.",
    ),
];
const PLANS: [&str; 3] = ["free", "silver", "gold"];
const ACTIONS: [&str; 3] = ["loaded", "viewed", "clicked"];
const HELP_ITEMS: [&str; 5] = [
    "tour-start",
    "tip-search",
    "tip-invite",
    "faq-billing",
    "whats-new",
];

/// Seeds both tenants. Calls `progress` with the number of seeded people and the total.
///
/// # Errors
/// An unexpected response of a function.
pub async fn seed(cloud: &Cloud, progress: impl Fn(usize, usize)) -> Result<Demo, String> {
    let mut rng = StdRng::seed_from_u64(SEED);
    // Replays the demo's past day by day, so that only valid data is stored.
    cloud
        .clock()
        .advance(-SignedDuration::from_hours(24 * DAYS as i64));
    let (tenant, keys) = tenant(cloud).await?;
    let (other, other_keys) = self::tenant(cloud).await?;
    let total = PEOPLE + OTHER_PEOPLE;
    let mut done = 0;
    progress(done, total);
    for day in 0..DAYS {
        let share = |people: usize| people * (day + 1) / DAYS - people * day / DAYS;
        for (keys, people) in [(&keys, PEOPLE), (&other_keys, OTHER_PEOPLE)] {
            let mut events = Vec::new();
            for _ in 0..share(people) {
                events.extend(person(&mut rng, cloud));
                done += 1;
            }
            for batch in events.chunks(BATCH) {
                send(cloud, &keys["ingest"], batch).await?;
            }
        }
        progress(done, total);
        cloud.clock().advance(SignedDuration::from_hours(24));
    }
    Ok(Demo {
        tenant,
        keys,
        other: Other {
            tenant: other,
            keys: other_keys,
        },
    })
}

/// Creates a tenant with the keys of the demo.
async fn tenant(cloud: &Cloud) -> Result<(String, BTreeMap<String, String>), String> {
    let created = call(cloud, "admin", "POST /v1/tenants", None, &json!({}), 201).await?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or("an answer lacks a key".to_owned())
    };
    let owner = text(&created["keys"]["owner"])?;
    let mut keys = BTreeMap::from([("owner".to_owned(), owner.clone())]);
    for scope in ["collect", "ingest", "read"] {
        let body = json!({"scopes": [scope]});
        let made = call(cloud, "admin", "POST /v1/keys", Some(&owner), &body, 201).await?;
        keys.insert(scope.to_owned(), text(&made["secret"])?);
    }
    Ok((text(&created["tenant"])?, keys))
}

async fn send(cloud: &Cloud, key: &str, events: &[Value]) -> Result<(), String> {
    let body = json!({"events": events});
    let answer = call(cloud, "ingest", "POST /v1/events", Some(key), &body, 200).await?;
    let results = answer["results"]
        .as_array()
        .ok_or("an answer lacks its results")?;
    match results.iter().find(|result| result["status"] != "stored") {
        None => Ok(()),
        Some(refused) => Err(format!("an event of the demo was not stored: {refused}")),
    }
}

/// One person's events up to the day on which they were last seen.
fn person(rng: &mut StdRng, cloud: &Cloud) -> Vec<Value> {
    let (first, last): (String, String) = (
        FirstName(EN).fake_with_rng(rng),
        LastName(EN).fake_with_rng(rng),
    );
    let number = rng.random_range(1_000..10_000);
    let visitor = format!("v-{}-{number}", last.to_lowercase());
    let ago = |minutes: i64| (cloud.clock().now() - SignedDuration::from_mins(minutes)).to_string();
    let (browser, os) = BROWSERS[rng.random_range(0..BROWSERS.len())];
    let mut events = vec![json!({
        "type": "visit",
        "visitor_id": visitor,
        "at": ago(rng.random_range(60..600)),
        "url": format!("https://shop.example{}", PAGES[rng.random_range(0..PAGES.len())]),
        "ip": format!("203.0.113.{}", rng.random_range(1..255)),
        "device": {"browser": browser, "os": os, "language": "en"},
    })];
    if rng.random_bool(0.7) {
        let email = format!(
            "{}.{}{}@example.com",
            first.to_lowercase(),
            last.to_lowercase(),
            number % 100
        );
        events.push(json!({
            "type": "identify",
            "visitor_id": visitor,
            "user_id": format!("u-{number}"),
            "first_name": first,
            "last_name": last,
            "name": format!("{first} {last}"),
            "email": email,
            "phone": format!("+1 555 01{:02} {:03}", number % 100, number % 1000),
            "custom": {"plan": (PLANS[number % PLANS.len()])},
            "consent": {"basis": "contract", "source": "checkout", "given_by": "self"},
        }));
    }
    if rng.random_bool(0.5) {
        let (title, question, reply) = TOPICS[rng.random_range(0..TOPICS.len())];
        let conversation = format!("c-{number}");
        let said = |author: &str, member: Option<&str>, body: &str, minutes: i64| {
            let mut event = json!({
                "type": "message",
                "visitor_id": visitor,
                "conversation_id": conversation,
                "title": title,
                "author": author,
                "body": body,
                "at": ago(minutes),
            });
            if let Some(member) = member {
                event["member"] = json!(member);
            }
            event
        };
        events.push(said("end_user", None, question, 50));
        events.push(said(
            "agent",
            Some("mem_demo"),
            &format!("Hello {first}. {reply}"),
            45,
        ));
        events.push(said("end_user", None, "Perfect, thank you!", 40));
    }
    for _ in 0..rng.random_range(0..3) {
        events.push(json!({
            "type": "interaction",
            "visitor_id": visitor,
            "item_id": (HELP_ITEMS[rng.random_range(0..HELP_ITEMS.len())]),
            "action": (ACTIONS[rng.random_range(0..ACTIONS.len())]),
            "scope": "shop",
            "at": ago(rng.random_range(1..40)),
        }));
    }
    events
}

/// Calls a route as API Gateway would, and expects this status.
async fn call(
    cloud: &Cloud,
    function: &str,
    route: &str,
    key: Option<&str>,
    body: &Value,
    expected: u16,
) -> Result<Value, String> {
    let (method, path) = route.split_once(' ').unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "routeKey": route,
            "stage": "$default",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        },
        "isBase64Encoded": false,
        "body": body.to_string(),
    });
    match key {
        Some(key) => event["headers"]["authorization"] = json!(format!("Bearer {key}")),
        None => event["requestContext"]["authorizer"] = json!({"iam": {"userId": "operator"}}),
    }
    let answer = cloud
        .invoke(function, event)
        .await
        .map_err(|e| format!("{function}: {e}"))?;
    let body = answer["body"].as_str().unwrap_or_default();
    if answer["statusCode"] != expected {
        return Err(format!("{route} answered {}: {body}", answer["statusCode"]));
    }
    serde_json::from_str(body).map_err(|e| format!("{route} answered no JSON: {e}"))
}
