//! What a play came to, in a form that two plays can be compared by: what callers see, and
//! what lies in the stores, without times and random names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emulators::s3::Held;
use lethe_tests::{Service, days};
use serde_json::{Map, Value, json};
use zip::ZipArchive;

use super::Play;
use crate::rows::{self, Row};

/// Everything that must not depend on what failed.
pub(super) async fn outcome(play: &Play) -> Value {
    let service = &play.service;
    let letters = service.cloud.dead_letters();
    let letters = letters
        .iter()
        .map(|it| format!("{}: {}", it.function, it.problem));
    json!({
        "people": people(service).await,
        "found by email": found(service).await,
        "jobs": jobs(service).await,
        "tenants": seen(&service.get("/v1/tenants", service.cloud.operator_key()).await),
        "rows": records(service).await,
        "keyring": keyring(service).await,
        "dead letters": letters.collect::<Vec<_>>(),
        "objects": objects(service).await,
    })
}

/// Every line in which two outcomes differ.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", expected, found, &mut differences);
    differences
}

fn compare(place: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let of = |it: &Map<String, Value>| it.get(name).cloned().unwrap_or_default();
                compare(
                    &format!("{place}/{name}"),
                    &of(one),
                    &of(other),
                    differences,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{place}/{at}"), one, other, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("{place}: expected {expected}, found {found}")),
    }
}

async fn people(service: &Service) -> Value {
    let mut people = Vec::new();
    let owner = &service.ours.owner;
    let listed = service.get("/v1/subjects?limit=100", owner).await;
    if listed.status != 200 {
        return seen(&listed);
    }
    for person in listed.json()["data"].as_array().into_iter().flatten() {
        let subject = person["subject"].as_str().unwrap_or_default();
        let path = format!("/v1/subjects/{subject}");
        let records = all_records(service, &path).await;
        let mut files = Vec::new();
        for record in &records {
            if let Some(file) = record["attachment"].as_str() {
                files.push(attachment(service, &format!("{path}/attachments/{file}")).await);
            }
        }
        people.push(json!({
            "person": seen(&service.get(&path, owner).await),
            "records": plain(&records.into()),
            "files": files,
        }));
    }
    sorted(people)
}

/// Every page of a person's records.
async fn all_records(service: &Service, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}/records?limit=100{cursor}");
        let page = service.get(&page, &service.ours.owner).await.expect(200);
        all.extend(page["data"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn attachment(service: &Service, path: &str) -> Value {
    let reply = service.get(path, &service.ours.owner).await;
    let body = reply.json();
    let content = match &body["download"] {
        Value::Null => Value::Null,
        link => json!(String::from_utf8_lossy(&lethe_tests::fetch(link).await.1)),
    };
    json!({"state": body["state"], "content": content})
}

async fn found(service: &Service) -> Value {
    let lookup = json!({"email": "ada@example.com"});
    seen(
        &service
            .post("/v1/lookup", &service.ours.owner, lookup)
            .await,
    )
}

async fn jobs(service: &Service) -> Value {
    let mut jobs = Map::new();
    for kind in ["erasures", "exports", "redactions"] {
        let path = format!("/v1/{kind}");
        let listed = service.get(&path, &service.ours.owner).await;
        if listed.status != 200 {
            jobs.insert(kind.to_owned(), seen(&listed));
            continue;
        }
        let mut all = Vec::new();
        for job in listed.json()["data"].as_array().into_iter().flatten() {
            let id = job["id"].as_str().unwrap_or_default();
            let one = service
                .get(&format!("{path}/{id}"), &service.ours.owner)
                .await;
            let mut shown = plain(&one.json());
            if kind == "exports" {
                shown["downloads"] = copies(&one.json()).await;
            }
            if kind == "erasures" {
                let receipt = format!("{path}/{id}/receipt");
                let receipt = service.get(&receipt, &service.ours.owner).await;
                shown["receipt"] = json!(claims(&receipt.text));
            }
            all.push(shown);
        }
        jobs.insert(kind.to_owned(), sorted(all));
    }
    jobs.into()
}

/// The files in each of an export's archives.
async fn copies(job: &Value) -> Value {
    let mut copies = Vec::new();
    for link in job["downloads"].as_array().into_iter().flatten() {
        let bytes = lethe_tests::fetch(link).await.1;
        let archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
        let mut names: Vec<_> = archive
            .file_names()
            .flatten()
            .map(|name| path(&name))
            .collect();
        names.sort_unstable();
        copies.push(json!(names));
    }
    copies.into()
}

/// How many rows of each kind there are in `records`.
pub async fn records(service: &Service) -> Value {
    let kind = |row: &Row| {
        let (partition, sort) = (rows::text(row, "PK")?, rows::text(row, "SK")?);
        // Kept for a repetition, and handed over: both run out by themselves.
        if partition.contains("#once#") || sort.starts_with("turn#") {
            return None;
        }
        if partition.contains("#activity#") {
            return Some(format!("activity: {}", rows::text(row, "kind")?));
        }
        let name = |key: &str| key.split('#').map(masked).collect::<Vec<_>>().join("#");
        Some(format!("{} {}", name(partition), name(sort)))
    };
    counted(rows::records(service).await.iter().filter_map(kind))
}

pub async fn keyring(service: &Service) -> Value {
    let state = |row: &Row| {
        let of = rows::text(row, "state").unwrap_or("no state");
        let held = row.contains_key("data_key") || row.contains_key("tenant_keys");
        let key = if held { "with a key" } else { "without a key" };
        format!("{of}, {key}")
    };
    counted(rows::keyring(service).await.iter().map(state))
}

/// How many objects there are of each kind, once what ages out in days has: an export's
/// first try may have left an archive, or an upload, that nobody knows of. What is written
/// anew under the same name has older versions, which age out too.
async fn objects(service: &Service) -> Value {
    let exports = |held: &Held| held.key.starts_with("exports/");
    for _ in 0..3 {
        if !service.cloud.objects().everything().iter().any(exports) {
            break;
        }
        service.advance(days(1)).await;
        service.cloud.sweep_ttl().await;
    }
    let held = service.cloud.objects().everything();
    let names = held
        .into_iter()
        .map(|held| (held.key, format!("{:?}", held.kind)));
    let area = |(key, kind): (String, String)| {
        let area = key.split('/').next().unwrap_or_default().to_owned();
        format!("{area}: {kind}")
    };
    counted(names.collect::<BTreeSet<_>>().into_iter().map(area))
}

fn counted(kinds: impl Iterator<Item = String>) -> Value {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_insert(0) += 1;
    }
    json!(counts)
}

/// An answer as it can be compared.
fn seen(reply: &lethe_tests::Reply) -> Value {
    match reply.status {
        200 => plain(&reply.json()),
        status => json!(status),
    }
}

/// Without what is another at each run. Lists in an order of their own.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let random = ["content_hash", "iat", "root"];
            let shown = fields
                .iter()
                .filter(|(name, _)| !random.contains(&name.as_str()));
            shown.map(|(name, it)| (name.clone(), plain(it))).collect()
        }
        Value::Array(list) => sorted(list.iter().map(plain).collect()),
        Value::String(text) => claims(text).unwrap_or_else(|| json!(masked(text))),
        other => other.clone(),
    }
}

/// What a receipt says, if it is one.
fn claims(jws: &str) -> Option<Value> {
    let claims = jws.starts_with("eyJ").then(|| jws.split('.').nth(1))??;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    Some(plain(&serde_json::from_slice(&claims).ok()?))
}

fn sorted(mut list: Vec<Value>) -> Value {
    list.sort_by_key(Value::to_string);
    list.into()
}

fn path(name: &str) -> String {
    name.split('/').map(masked).collect::<Vec<_>>().join("/")
}

/// A text without its random part: what it names, if it names something.
fn masked(text: &str) -> String {
    const NAMES: [&str; 8] = [
        "ten_", "sub_", "life_", "job_", "msg_", "att_", "key_", "act_",
    ];
    if let Some(name) = NAMES.iter().find(|name| text.starts_with(*name)) {
        return (*name).to_owned();
    }
    let date = text
        .as_bytes()
        .get(..10)
        .is_some_and(|day| day[4] == b'-' && day[7] == b'-');
    let random = text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    match text {
        _ if date => "time".to_owned(),
        _ if random => "hash".to_owned(),
        _ if text.starts_with("http") => "link".to_owned(),
        _ => text.to_owned(),
    }
}
