//! The door: whatever is sent, redacted, exported, held, erased, cancelled, expires or
//! returns, in whatever order and at the same time, nothing of an ended life survives, nothing
//! of the new one is harmed, nothing redacted comes back, nobody comes back who is to stay
//! away, and no job is left.
//!
//! Each round plays random deeds of one person at random times, some of them at once, and
//! transactions meet conflicts that are not there. `LETHE_SEED` plays a printed seed again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use lethe_tests::{Reply, Service, by_hand, days, minutes};
use local::Options;
use local::wire::{Decide, Fate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::rows;

/// Interleavings in all.
const ROUNDS: usize = if cfg!(feature = "long") { 5_200 } else { 26 };
/// Of so many transactions one meets a conflict.
const CONFLICTS: u64 = 9;
/// People who live through them at the same time, one round each.
const TOGETHER: usize = 26;

#[derive(Clone, Copy, Debug)]
enum Deed {
    Visit,
    Identify,
    Message,
    Interaction,
    /// An agent's message, which does not move the clock.
    Answer,
    Upload,
    /// Of what an earlier message said, or the latest.
    Redact,
    Export,
    Hold,
    /// One that runs out by itself.
    HoldUntil,
    Lift,
    Erase,
    /// And the person is to stay away.
    Suppress,
    /// The latest erasure is cancelled, if it still waits.
    Cancel,
    /// The erasure's or expiry's turns are delivered again, late.
    Repeat,
    Cleanup,
    Ttl,
}

fn deed(rng: &mut StdRng) -> Deed {
    match rng.random_range(0..26) {
        0..=2 => Deed::Visit,
        3..=4 => Deed::Identify,
        5..=8 => Deed::Message,
        9 => Deed::Answer,
        10 => Deed::Interaction,
        11 => Deed::Upload,
        12..=13 => Deed::Redact,
        14 => Deed::Export,
        15 => Deed::Hold,
        16 => Deed::Lift,
        17..=18 => Deed::Erase,
        19 => Deed::Repeat,
        20 => Deed::Cleanup,
        21 => Deed::Suppress,
        22 => Deed::HoldUntil,
        23 => Deed::Cancel,
        24 => Deed::Hold,
        _ => Deed::Ttl,
    }
}

/// How far time moves between two steps: often enough to the end of a life, or past it.
fn passing(rng: &mut StdRng) -> SignedDuration {
    [minutes(7), minutes(7), days(15), days(30), days(31)][rng.random_range(0..5)]
}

/// One person of the test.
struct Person {
    visitor: String,
    subject: String,
    /// The conversations that were begun, and those that are known to be redacted.
    said: Mutex<Vec<String>>,
    redacted: Mutex<HashSet<String>>,
    /// The erasures that were asked for, but for those that were cancelled, and whether the
    /// person is to stay away.
    erasures: Mutex<Vec<(String, bool)>>,
}

impl Person {
    fn conversation(&self, mark: &str) -> Option<String> {
        let said = self.said.lock().expect("no holder panics");
        let at = mark.bytes().map(usize::from).sum::<usize>();
        (!said.is_empty()).then(|| said[at % said.len()].clone())
    }
}

/// Sends a request as a good client does: again when the service asks for patience.
async fn send(
    service: &Service,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> Reply {
    for _ in 0..20 {
        let reply = service.call(method, path, key, body).await;
        if reply.status != 503 {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{method} {path} is never answered");
}

/// Does a deed; `mark` stands in everything that it sends.
async fn act(service: &Service, person: &Person, deed: Deed, mark: &str) {
    let (visitor, owner) = (&person.visitor, &service.ours.owner);
    let event = match deed {
        Deed::Visit => {
            json!({"type": "visit", "visitor_id": visitor, "url": format!("https://x.example/{mark}")})
        }
        Deed::Identify => {
            json!({"type": "identify", "visitor_id": visitor, "name": mark, "email": format!("{visitor}@same.example")})
        }
        Deed::Message => {
            person
                .said
                .lock()
                .expect("no holder panics")
                .push(mark.to_owned());
            json!({"type": "message", "visitor_id": visitor, "conversation_id": mark, "author": "end_user", "body": mark})
        }
        Deed::Answer => {
            json!({"type": "message", "visitor_id": visitor, "conversation_id": mark, "author": "agent",
                   "member": "mem_1", "body": mark})
        }
        Deed::Interaction => {
            json!({"type": "interaction", "visitor_id": visitor, "item_id": mark, "action": "viewed"})
        }
        Deed::Upload => return upload(service, visitor, mark).await,
        Deed::Redact => return redact(service, person, mark).await,
        Deed::Export => {
            let body = json!({"subject": person.subject});
            let reply = send(service, "POST", "/v1/exports", owner, Some(&body)).await;
            assert!(matches!(reply.status, 202 | 404), "{}", reply.text);
            return;
        }
        Deed::Hold | Deed::HoldUntil => {
            let path = format!("/v1/subjects/{}/hold", person.subject);
            let mut body = json!({"reason": "litigation"});
            if matches!(deed, Deed::HoldUntil) {
                body["until"] = json!(service.now() + days(15));
            }
            let reply = send(service, "PUT", &path, owner, Some(&body)).await;
            assert!(matches!(reply.status, 204 | 404), "{}", reply.text);
            return;
        }
        Deed::Lift => return lift(service, person).await,
        Deed::Erase => return erase(service, person, false).await,
        Deed::Suppress => return erase(service, person, true).await,
        Deed::Cancel => return cancel(service, person).await,
        Deed::Repeat => return repeat(service, mark).await,
        Deed::Cleanup => {
            service.sweep().await;
            return;
        }
        Deed::Ttl => return service.cloud.sweep_ttl().await,
    };
    let body = json!({"events": [event]});
    let reply = send(
        service,
        "POST",
        "/v1/events",
        &service.ours.ingest,
        Some(&body),
    )
    .await;
    let result = &reply.expect(200)["results"][0];
    assert!(
        matches!(result["status"].as_str(), Some("stored" | "ignored")),
        "{result}"
    );
}

async fn redact(service: &Service, person: &Person, mark: &str) {
    let Some(conversation) = person.conversation(mark) else {
        return;
    };
    let body = json!({"subject": person.subject, "targets": [{"conversation": conversation}]});
    let owner = &service.ours.owner;
    let reply = send(service, "POST", "/v1/redactions", owner, Some(&body)).await;
    if reply.status == 409 {
        assert_eq!(reply.json()["code"], "held", "{}", reply.text);
        return;
    }
    let result = &reply.expect(200)["results"][0];
    if result["status"] == "redacted" {
        let mut redacted = person.redacted.lock().expect("no holder panics");
        redacted.insert(conversation);
    }
}

async fn erase(service: &Service, person: &Person, suppress: bool) {
    let query = if suppress { "?suppress=true" } else { "" };
    let path = format!("/v1/subjects/{}{query}", person.subject);
    let reply = send(service, "DELETE", &path, &service.ours.owner, None).await;
    if reply.status != 404 {
        let job = reply.expect(202)["id"].as_str().expect("an id").to_owned();
        let mut erasures = person.erasures.lock().expect("no holder panics");
        erasures.push((job, suppress));
    }
}

async fn cancel(service: &Service, person: &Person) {
    let known = || person.erasures.lock().expect("no holder panics");
    let Some((job, _)) = known().last().cloned() else {
        return;
    };
    let (path, owner) = (format!("/v1/erasures/{job}"), &service.ours.owner);
    let cancelled = format!("{path}/cancel");
    let reply = send(service, "POST", &cancelled, owner, None).await;
    assert!(matches!(reply.status, 200 | 404 | 409), "{}", reply.text);
    // By this request, or by another one at the same time.
    let shown = send(service, "GET", &path, owner, None).await;
    if shown.status == 200 && shown.json()["state"] == "cancelled" {
        known().retain(|(it, _)| *it != job);
    }
}

async fn lift(service: &Service, person: &Person) {
    let path = format!("/v1/subjects/{}/hold", person.subject);
    let reply = send(service, "DELETE", &path, &service.ours.owner, None).await;
    assert!(matches!(reply.status, 204 | 404), "{}", reply.text);
}

async fn upload(service: &Service, visitor: &str, mark: &str) {
    let body = mark.as_bytes();
    let announced = json!({"visitor_id": visitor, "filename": mark, "content_type": "text/plain",
        "size": body.len(), "sha256": lethe_tests::sha256(body)});
    let ingest = &service.ours.ingest;
    let reply = send(service, "POST", "/v1/attachments", ingest, Some(&announced)).await;
    if reply.status == 201 {
        service.put(&reply.json()["upload"], body).await;
    } else {
        let code = reply.json()["code"].clone();
        assert!(code == "erasing" || code == "suppressed", "{}", reply.text);
    }
}

/// Hands some of the turns that were ever written to the worker once more; `mark` says which.
async fn repeat(service: &Service, mark: &str) {
    let mut rows = rows::records(service).await;
    rows.retain(|row| rows::text(row, "SK").is_some_and(|sort| sort.starts_with("turn#")));
    rows.sort_by_key(|row| rows::text(row, "SK").map(str::to_owned));
    let first = mark.bytes().map(usize::from).sum::<usize>() % rows.len().max(1);
    for row in rows.iter().cycle().skip(first).take(rows.len().min(5)) {
        let (pk, sk) = (
            rows::text(row, "PK").unwrap(),
            rows::text(row, "SK").unwrap(),
        );
        let record = json!({"Records": [{"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb":
            {"SequenceNumber": "1", "Keys": {"PK": {"S": pk}, "SK": {"S": sk}}}}]});
        let function = match sk.starts_with("turn#export#") {
            true => "export",
            false => "delete",
        };
        let done = service.cloud.invoke(function, record).await;
        done.expect("a late turn ends well");
    }
}

/// What the stores hold, read once for all who are checked.
struct Stored {
    keyring: Vec<rows::Row>,
    records: Vec<rows::Row>,
    objects: Vec<String>,
}

impl Stored {
    async fn read(service: &Service) -> Stored {
        Stored {
            keyring: rows::keyring(service).await,
            records: rows::records(service).await,
            objects: rows::files(service),
        }
    }
}

/// The life that the keyring says goes on, if its door stands and is not over.
async fn current_life(service: &Service, person: &Person, stored: &Stored) -> Option<String> {
    let row = stored
        .keyring
        .iter()
        .find(|row| rows::text(row, "PK").is_some_and(|key| key.ends_with(&person.subject)))?;
    let alive = rows::text(row, "state") == Some("active");
    let life = rows::text(row, "life")?.to_owned();
    let seen = service
        .get(
            &format!("/v1/subjects/{}", person.subject),
            &service.ours.owner,
        )
        .await;
    assert!(alive || seen.status == 404, "only who is active is seen");
    (seen.status == 200).then_some(life)
}

/// Whatever is stored belongs to the current life, and all that was counted is there.
async fn check(service: &Service, person: &Person, stored: &Stored, seed: u64) {
    let life = current_life(service, person, stored).await;
    for row in stored
        .records
        .iter()
        .filter(|row| rows::is_about(row, &person.subject))
    {
        let key = format!(
            "{} {}",
            rows::text(row, "PK").unwrap(),
            rows::text(row, "SK").unwrap()
        );
        let of = rows::text(row, "life").map_or(key.clone(), str::to_owned);
        let ours = life.as_ref().is_some_and(|life| of.contains(life));
        assert!(
            ours,
            "seed {seed}: something of an ended life survives: {key}"
        );
    }
    for object in stored
        .objects
        .iter()
        .filter(|key| key.contains(&person.subject))
    {
        assert!(
            life.as_ref().is_some_and(|life| object.contains(life)),
            "seed {seed}: {object}"
        );
    }
    if life.is_none() {
        return;
    }
    let owner = &service.ours.owner;
    let profile = service
        .get(&format!("/v1/subjects/{}", person.subject), owner)
        .await
        .expect(200);
    let records = service
        .get(
            &format!("/v1/subjects/{}/records?limit=100", person.subject),
            owner,
        )
        .await
        .expect(200);
    let records = records["data"].as_array().expect("records").clone();
    for (kind, counted) in [
        ("message", "messages"),
        ("conversation", "conversations"),
        ("interaction", "interactions"),
        ("attachment", "attachments"),
    ] {
        let found = records.iter().filter(|row| row["type"] == kind).count();
        assert_eq!(profile["counts"][counted], found, "seed {seed}: {counted}");
    }
    let redacted = person.redacted.lock().expect("no holder panics").clone();
    for row in records.iter().filter(|row| row["type"] == "message") {
        let conversation = row["conversation_id"].as_str().expect("it belongs to one");
        assert!(
            !redacted.contains(conversation) || row["redacted"] == true,
            "seed {seed}: what was redacted is back: {row}"
        );
    }
    if let Some(email) = profile["contact"]["email"].as_str() {
        let found = service.lookup(json!({"email": email})).await;
        assert_eq!(found.len(), 1, "seed {seed}: {email}");
    }
}

/// Who is to stay away by an erasure that was not cancelled does; nobody else.
async fn check_away(service: &Service, person: &Person, stored: &Stored, seed: u64) {
    let erasures = person.erasures.lock().expect("no holder panics").clone();
    let away = erasures.iter().any(|(_, suppress)| *suppress);
    let row = stored.keyring.iter().find(|row| {
        let key = rows::text(row, "PK").unwrap_or_default();
        key.ends_with(&person.subject)
    });
    let suppressed = row.is_some_and(|row| row.contains_key("suppressed"));
    assert_eq!(suppressed, away, "seed {seed}: {row:?}");
    let alive = current_life(service, person, stored).await.is_some();
    assert!(!away || !alive, "seed {seed}: {row:?}");
    for flag in ["held", "blocked"] {
        let left = row.is_some_and(|row| row.contains_key(flag));
        assert!(!left, "seed {seed}: {flag} is left: {row:?}");
    }
}

/// Lets some transactions meet a conflict, whatever they write.
fn conflicts(seed: u64) -> Decide {
    let asked = AtomicU64::new(seed);
    Arc::new(move |call| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        match call.operation.as_str() {
            "TransactWriteItems" if number.is_multiple_of(CONFLICTS) => Fate::Conflict,
            _ => Fate::Pass,
        }
    })
}

/// One interleaving for each of some people at once, in a service of their own.
async fn round(seed: u64) {
    let options = Options {
        wire: Some(conflicts(seed)),
        ..by_hand()
    };
    let service = Service::with(options).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut people = Vec::new();
    for n in 0..TOGETHER {
        let visitor = format!("v-{seed}-{n}");
        let subject = service.visit(&visitor).await;
        people.push(Person {
            visitor,
            subject,
            said: Mutex::default(),
            redacted: Mutex::default(),
            erasures: Mutex::default(),
        });
    }
    for step in 0..4 {
        // Time moves for all; everything else happens to each of them, and at once.
        service.skip(passing(&mut rng));
        let deeds: Vec<(&Person, Deed, String)> = people
            .iter()
            .flat_map(|person| {
                let some = rng.random_range(1..4);
                (0..some)
                    .map(|at| (person, deed(&mut rng), format!("m{step}x{at}")))
                    .collect::<Vec<_>>()
            })
            .collect();
        join_all(
            deeds
                .iter()
                .map(|(person, deed, mark)| act(&service, person, *deed, mark)),
        )
        .await;
        if rng.random_bool(0.5) {
            service.cloud.settle().await;
        }
    }
    // Let everything come to rest: nobody is held any more, the last links run out, the
    // next re-keying may begin, and sweeps look again.
    join_all(people.iter().map(|person| lift(&service, person))).await;
    for wait in [20, 20, 20, 25 * 60, 20, 20, 20] {
        service.pass(minutes(wait)).await;
    }
    let stored = Stored::read(&service).await;
    for person in &people {
        check(&service, person, &stored, seed).await;
        check_away(&service, person, &stored, seed).await;
    }
    for row in &stored.records {
        let sort = rows::text(row, "SK").unwrap_or_default();
        let partition = rows::text(row, "PK").unwrap_or_default();
        // A tenant's rotation never ends.
        let job = sort.starts_with("job_") && !partition.ends_with("#rotation");
        let job = job && row.contains_key("created_at");
        assert!(
            !job || row.contains_key("finished_at"),
            "seed {seed}: a job is stuck: {row:?}"
        );
    }
    for entry in &stored.keyring {
        assert!(
            !entry.contains_key("retiring_key"),
            "seed {seed}: a key never retires: {entry:?}"
        );
    }
    let left: Vec<Value> = service
        .cloud
        .dead_letters()
        .iter()
        .map(|letter| json!(format!("{letter:?}")))
        .collect();
    assert!(left.is_empty(), "seed {seed}: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_an_ended_life_survives_and_nothing_of_a_new_one_is_harmed() {
    let first = std::env::var("LETHE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let rounds = ROUNDS.div_ceil(TOGETHER) as u64;
    let start = first.unwrap_or(1);
    let end = if first.is_some() {
        start + 1
    } else {
        start + rounds
    };
    eprintln!(
        "{} interleavings, seeds {start} to {}",
        (end - start) as usize * TOGETHER,
        end - 1
    );
    for seed in start..end {
        round(seed).await;
    }
}
