//! What a person is or says stays where it may: sealed in the tables, in the bodies of
//! files, and in answers to whoever may read it. Marked values are sent through every
//! route of the template, in requests that succeed and in requests that are refused;
//! then tables, objects' keys and headers, the log, and every other answer are searched.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lethe_tests::{Reply, Service, days};
use serde_json::{Value, json};
use shared::http::routes::{Access, Scope};
use shared::schema::catalog::{FIELDS, Record};

use crate::requests::{self, ADDRESS, MARK, NAME, PHONE, Request, Stage};
use crate::rows;

/// Routes whose answers hold a person's data, or names that the caller gave.
const READS: [&str; 3] = [
    "GET /v1/subjects/{subject}",
    "GET /v1/subjects/{subject}/records",
    "POST /v1/redactions",
];

/// How a marked value may look where it is not sealed.
struct Needles {
    /// Compared without case.
    plain: Vec<String>,
    /// Base64 is another text in another case.
    exact: Vec<String>,
}

impl Needles {
    fn of(words: &[&str]) -> Needles {
        let (mut plain, mut exact) = (Vec::new(), Vec::new());
        for word in words {
            plain.push(word.to_lowercase());
            for word in [(*word).to_owned(), word.to_lowercase()] {
                let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
                plain.push(hex);
                exact.extend((0..3).map(|shift| base64_inside(&word, shift)));
            }
        }
        Needles { plain, exact }
    }

    /// All that no store and no log may hold.
    fn all() -> Needles {
        Needles::of(&[MARK, NAME, ADDRESS, PHONE])
    }

    #[track_caller]
    fn absent(&self, place: &str, text: &str) {
        let lower = text.to_lowercase();
        let found = self.plain.iter().find_map(|needle| lower.find(needle));
        let found = found.or_else(|| self.exact.iter().find_map(|needle| text.find(needle)));
        if let Some(at) = found {
            let around: String = text.chars().skip(at.saturating_sub(80)).take(240).collect();
            panic!("{place} holds a marked value: {around}");
        }
    }
}

/// What the base64 of any text has in it that holds the word so many bytes after a
/// multiple of three.
fn base64_inside(word: &str, shift: usize) -> String {
    let text = STANDARD.encode(format!("{}{word}", "\0".repeat(shift)));
    let text = text.trim_end_matches('=');
    // The characters at both ends also stand for bits of what is around the word.
    let (from, to) = ((shift * 8).div_ceil(6), (shift + word.len()) * 8 / 6);
    text[from..to].to_owned()
}

/// Sends requests, and checks every answer.
struct Sender<'a> {
    service: &'a Service,
    sent: usize,
}

impl Sender<'_> {
    async fn send(&mut self, request: &Request, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        self.sent += 1;
        let bearer = format!("Bearer {}", request.bearer);
        let once = format!("{MARK}once{}", self.sent);
        let page = format!("https://{MARK}.example");
        let cookie = format!("{NAME}={MARK}");
        let mut all = vec![
            ("user-agent", MARK),
            ("referer", page.as_str()),
            ("cookie", cookie.as_str()),
            ("x-forwarded-for", ADDRESS),
        ];
        let given = |name: &str| headers.iter().any(|(other, _)| *other == name);
        let ours = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", once.as_str()),
            ("origin", page.as_str()),
        ];
        all.extend(ours.into_iter().filter(|(name, _)| !given(name)));
        all.extend(headers);
        let reply = self
            .service
            .raw(request.method(), &request.path, &all, body)
            .await;
        check(request, &reply);
        reply
    }

    async fn send_json(&mut self, request: &Request) -> Reply {
        self.send(request, &[], bytes(request)).await
    }
}

fn bytes(request: &Request) -> Vec<u8> {
    let body = request.body.as_ref().map(Value::to_string);
    body.unwrap_or_default().into()
}

/// No header, no cursor and no error holds a marked value, nor any answer that is not a
/// person's data. Names of unknown fields are repeated in pointers, and there alone.
#[track_caller]
fn check(request: &Request, reply: &Reply) {
    let place = format!("{} {}: {}", request.route, request.path, reply.status);
    assert!(reply.status != 500 && reply.status != 503, "{place}");
    let needles = Needles::all();
    for (name, value) in &reply.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        needles.absent(&place, &format!("{name}: {value}"));
    }
    let mut body = serde_json::from_str(&reply.text).unwrap_or(json!(reply.text));
    if let Some(cursor) = body["next_cursor"].as_str() {
        needles.absent(&place, cursor);
        let opened = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
        needles.absent(&place, &latin(&opened));
    }
    if reply.status < 300 && READS.contains(&request.route.as_str()) {
        return;
    }
    for pointer in take_pointers(&mut body) {
        Needles::of(&[MARK, ADDRESS, PHONE]).absent(&place, &pointer);
    }
    needles.absent(&place, &body.to_string());
}

/// Takes the pointers out of an answer.
fn take_pointers(body: &mut Value) -> Vec<String> {
    match body {
        Value::Object(fields) => {
            let pointer = fields.remove("pointer").map(|it| it.to_string());
            let inner = fields.values_mut().flat_map(take_pointers);
            inner.chain(pointer).collect()
        }
        Value::Array(items) => items.iter_mut().flat_map(take_pointers).collect(),
        _ => Vec::new(),
    }
}

/// Bytes as text in which every byte is one character.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// What is refused at the edge, or by the route, though not for what its body says.
async fn refused_around(sender: &mut Sender<'_>, stage: &Stage, route: &str) {
    let row = shared::http::routes::find(route).expect("a row of the route table");
    let mut request = stage.request(route);
    let good = bytes(&request);
    for bearer in [
        MARK.to_owned(),
        format!("lethe_{MARK}_{MARK}_{MARK}"),
        stage.tenant.collect.clone(),
    ] {
        if !request.bearer.is_empty() && bearer != request.bearer {
            let headers = [("authorization", format!("Bearer {bearer}"))];
            let headers = headers.each_ref().map(|(name, it)| (*name, it.as_str()));
            let reply = sender.send(&request, &headers, good.clone()).await;
            let collects =
                |it: &Access| matches!(it, Access::Key(it) if it.contains(&Scope::Collect));
            let refused = matches!(reply.status, 401 | 403);
            assert!(refused || collects(&row.access), "{route}: {}", reply.text);
        }
    }
    let path = request.path.clone();
    for name in row.query {
        request.path = format!("{path}?{name}={MARK}");
        sender.send(&request, &[], good.clone()).await;
    }
    request.path = format!("{path}?{NAME}={MARK}");
    let reply = sender.send(&request, &[], good.clone()).await;
    assert_eq!(reply.status, 422, "{route}: {}", reply.text);
    for parameter in ["{subject}", "{attachment}", "{id}"] {
        if route.contains(parameter) {
            let filled = |name: &str| match name {
                _ if name == parameter => MARK.to_owned(),
                "{subject}" => stage.subject.clone(),
                _ => name.to_owned(),
            };
            let (_, path) = route.split_once(' ').expect("method and path");
            let segments: Vec<_> = path.split('/').map(filled).collect();
            request.path = segments.join("/");
            let reply = sender.send(&request, &[], good.clone()).await;
            assert!(matches!(reply.status, 404 | 422), "{}", reply.text);
        }
    }
    request.path = path;
    let half = format!("{{\"visitor_id\": \"{MARK}").into_bytes();
    let large = MARK.repeat(row.body / MARK.len() + 1).into_bytes();
    if row.body > 0 {
        assert_eq!(sender.send(&request, &[], half.clone()).await.status, 400);
        let text = [("content-type", MARK)];
        assert_eq!(sender.send(&request, &text, half).await.status, 415);
        assert_eq!(sender.send(&request, &[], large).await.status, 413);
    }
}

/// Every value of a body in turn, and the whole of it, replaced by what does not belong
/// there. Some of it is taken: text is text.
async fn refused_within(sender: &mut Sender<'_>, stage: &Stage, route: &str) {
    let mut request = stage.request(route);
    let Some(good) = request.body.clone() else {
        return;
    };
    let text = json!(format!(
        "`{MARK}`, expected {MARK}: {PHONE} or {MARK}@{MARK}"
    ));
    let wrong = [text.clone(), json!([text]), json!({NAME: text})];
    for place in places(&good, "") {
        for wrong in &wrong {
            let mut body = good.clone();
            *body.pointer_mut(&place).expect("it is there") = wrong.clone();
            request.body = Some(body);
            sender.send_json(&request).await;
        }
        let mut body = good.clone();
        if let Some(Value::Object(fields)) = body.pointer_mut(&place) {
            fields.insert(NAME.to_owned(), text.clone());
            request.body = Some(body);
            sender.send_json(&request).await;
        }
    }
}

/// What a page sends, from where its key may be used and from elsewhere, vouched for by
/// nobody.
async fn from_a_page(sender: &mut Sender<'_>, stage: &Stage) {
    let made = json!({"scopes": ["collect"], "allowed_origins": ["https://shop.example"]});
    let made = sender.service.post("/v1/keys", &stage.tenant.owner, made);
    let mut request = stage.request("POST /v1/events");
    request.bearer = made.await.expect(201)["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    let mut events = requests::events("page");
    for event in events.as_array_mut().expect("a list") {
        let event = event.as_object_mut().expect("an event");
        event.remove("ip");
        event.remove("user_id");
    }
    let mut vouched = events[1].clone();
    let part = |it: Value| URL_SAFE_NO_PAD.encode(it.to_string());
    let (header, claims) = (json!({"alg": "HS256", "kid": MARK}), json!({"sub": MARK}));
    vouched["visitor_token"] = json!(format!("{}.{}.{MARK}", part(header), part(claims)));
    events.as_array_mut().expect("a list").push(vouched);
    request.body = Some(json!({"events": events}));
    assert_eq!(sender.send_json(&request).await.status, 403, "elsewhere");
    let here = [("origin", "https://shop.example")];
    let reply = sender
        .send(&request, &here, bytes(&request))
        .await
        .expect(200);
    let results = reply["results"].as_array().expect("results").iter();
    let taken: Vec<_> = results.map(|it| it["status"] == "accepted").collect();
    let by_agents = [3, 5];
    for (at, taken) in taken.into_iter().enumerate() {
        let wanted = !by_agents.contains(&at) && at != 6;
        assert_eq!(taken, wanted, "{at}: {reply}");
    }
}

/// The pointers to a value and to everything in it.
fn places(value: &Value, at: &str) -> Vec<String> {
    let mut found = vec![at.to_owned()];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.extend(places(value, &format!("{at}/{name}")));
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                found.extend(places(value, &format!("{at}/{index}")));
            }
        }
        _ => {}
    }
    found
}

/// Everything that an attribute says.
fn texts(value: &AttributeValue, found: &mut Vec<String>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => found.push(text.clone()),
        AttributeValue::B(bytes) => found.push(latin(bytes.as_ref())),
        AttributeValue::Ss(all) | AttributeValue::Ns(all) => found.extend(all.iter().cloned()),
        AttributeValue::Bs(all) => found.extend(all.iter().map(|it| latin(it.as_ref()))),
        AttributeValue::L(all) => all.iter().for_each(|it| texts(it, found)),
        AttributeValue::M(all) => {
            for (name, value) in all {
                found.push(name.clone());
                texts(value, found);
            }
        }
        AttributeValue::Bool(_) | AttributeValue::Null(_) => {}
        _ => panic!("an attribute of an unknown type"),
    }
}

/// Neither table, no object's key, headers or tags, and no line of the log holds a
/// marked value.
async fn nothing_is_in_the_clear(service: &Service) {
    let needles = Needles::all();
    let log = lethe_tests::logs::text();
    let all = rows::all(service).await;
    let ours = |text: &str| text.contains(&service.ours.id);
    let row_of_ours = |row: &rows::Row| rows::text(row, "PK").is_some_and(ours);
    assert!(
        ours(&log) && all.iter().any(row_of_ours),
        "the search is not blind"
    );
    for row in all {
        let place = format!("{:?} {:?}", row.get("PK"), row.get("SK"));
        let mut found = Vec::new();
        for (name, value) in &row {
            found.push(name.clone());
            texts(value, &mut found);
        }
        for text in found {
            needles.absent(&place, &text);
        }
    }
    for held in service.cloud.objects().everything() {
        let said = format!("{} {:?} {:?}", held.key, held.headers, held.tags);
        needles.absent(&held.key, &said);
    }
    for line in log.lines() {
        needles.absent("the log", line);
    }
}

/// The people's own data is there for who may read it: the search is not blind.
async fn everything_can_be_read(sender: &mut Sender<'_>, stage: &Stage) {
    let mut read = String::new();
    for route in READS.iter().filter(|route| route.starts_with("GET")) {
        read.push_str(&sender.send_json(&stage.request(route)).await.text);
    }
    for field in FIELDS {
        let mut sent = requests::value(field, "kept");
        if field.record == Record::Attachment && field.name == "content_type" {
            // So that a file could be found clean.
            sent = json!("text/plain");
        }
        let sent = match &sent {
            Value::Object(fields) => fields.values().next().cloned().unwrap_or_default(),
            _ => sent,
        };
        assert!(read.contains(&sent.to_string()), "{} {read}", field.name);
    }
}

#[tokio::test]
async fn what_a_person_is_or_says_is_nowhere_in_the_clear() {
    let service = Service::start().await;
    let stage = requests::stage(&service).await;
    let mut sender = Sender {
        service: &service,
        sent: 0,
    };
    everything_can_be_read(&mut sender, &stage).await;
    let routes = requests::routes(&service);
    for route in &routes {
        refused_around(&mut sender, &stage, route).await;
        refused_within(&mut sender, &stage, route).await;
    }
    from_a_page(&mut sender, &stage).await;
    service.cloud.settle().await;
    nothing_is_in_the_clear(&service).await;
    for route in &routes {
        let request = stage.request(route);
        let body = bytes(&request);
        let once = [("idempotency-key", format!("{MARK}{route}"))];
        let once = once.each_ref().map(|(name, it)| (*name, it.as_str()));
        let reply = sender.send(&request, &once, body.clone()).await;
        assert_eq!(reply.status, request.status, "{route}: {}", reply.text);
        if shared::http::routes::find(route).is_some_and(|row| row.once) {
            let again = sender.send(&request, &once, body).await;
            assert_eq!(again.status, request.status, "{route}: {}", again.text);
        }
    }
    service.cloud.settle().await;
    nothing_is_in_the_clear(&service).await;
    service.advance(days(31)).await;
    nothing_is_in_the_clear(&service).await;
    assert!(sender.sent > 300, "{} requests", sender.sent);
}

#[tokio::test]
async fn the_same_value_sealed_twice_looks_different() {
    let service = Service::start().await;
    let message = json!({"type": "message", "visitor_id": "ada", "conversation_id": "c", "author": "end_user", "body": "same"});
    let other = json!({"type": "message", "visitor_id": "bob", "conversation_id": "c", "author": "end_user", "body": "same"});
    let events = json!([message, message, other]);
    service.store(events.clone()).await;
    let headers = [("idempotency-key", "one"), ("idempotency-key", "two")];
    for header in headers {
        let body = json!({"events": [message]});
        let key = &service.ours.ingest;
        service
            .call_with("POST", "/v1/events", key, Some(&body), &[header])
            .await
            .expect(200);
    }
    let mut seen = HashSet::new();
    let mut sealed = 0;
    for row in rows::all(&service).await {
        for (name, value) in &row {
            if let Ok(bytes) = value.as_b() {
                assert!(seen.insert(bytes.as_ref().to_vec()), "{name} of {row:?}");
                sealed += 1;
            }
        }
    }
    assert!(sealed > 20, "{sealed} sealed attributes");
}

#[test]
fn a_marked_value_is_found_in_every_form() {
    let needles = Needles::all();
    for before in ["", "a", "ab", "abc"] {
        for word in [MARK, NAME, ADDRESS, PHONE] {
            let text = format!("{before}{word}{before}");
            let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
            let forms = [
                text.clone(),
                text.to_lowercase(),
                hex,
                STANDARD.encode(&text),
                URL_SAFE_NO_PAD.encode(text.to_lowercase()),
            ];
            for form in forms {
                let missed = std::panic::catch_unwind(|| needles.absent("", &form)).is_ok();
                assert!(!missed, "{form}");
            }
        }
    }
    needles.absent("", "nothing of the kind");
}
