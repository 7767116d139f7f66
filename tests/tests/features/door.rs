//! The door: whatever is sent, erased, expires or returns, in whatever order and at the
//! same time, nothing of an ended life survives and nothing of the new one is harmed.
//!
//! Each round plays random deeds of one person at random times, some of them at once.
//! `LETHE_SEED` plays a printed seed again.

use futures::future::join_all;
use jiff::SignedDuration;
use lethe_tests::{Service, days, minutes};
use local::Options;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::rows;

/// Interleavings in all.
const ROUNDS: usize = 520;
/// People who live through them at the same time, one round each.
const TOGETHER: usize = 26;

#[derive(Clone, Copy, Debug)]
enum Deed {
    Visit,
    Identify,
    Message,
    Interaction,
    Upload,
    Erase,
    /// The erasure's or expiry's turns are delivered again, late.
    Repeat,
    Cleanup,
    Ttl,
}

fn deed(rng: &mut StdRng) -> Deed {
    match rng.random_range(0..14) {
        0..=2 => Deed::Visit,
        3..=5 => Deed::Identify,
        6..=7 => Deed::Message,
        8 => Deed::Interaction,
        9 => Deed::Upload,
        10 => Deed::Erase,
        11 => Deed::Repeat,
        12 => Deed::Cleanup,
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
            json!({"type": "message", "visitor_id": visitor, "conversation_id": mark, "author": "end_user", "body": mark})
        }
        Deed::Interaction => {
            json!({"type": "interaction", "visitor_id": visitor, "item_id": mark, "action": "viewed"})
        }
        Deed::Upload => return upload(service, visitor, mark).await,
        Deed::Erase => {
            let reply = service
                .call(
                    "DELETE",
                    &format!("/v1/subjects/{}", person.subject),
                    owner,
                    None,
                )
                .await;
            assert!(matches!(reply.status, 202 | 404), "{}", reply.text);
            return;
        }
        Deed::Repeat => return repeat(service, mark).await,
        Deed::Cleanup => {
            service
                .cloud
                .run_schedule("cleanup")
                .await
                .expect("a sweep ends well");
            return;
        }
        Deed::Ttl => return service.cloud.sweep_ttl().await,
    };
    let reply = service
        .post(
            "/v1/events",
            &service.ours.ingest,
            json!({"events": [event]}),
        )
        .await;
    let result = &reply.expect(200)["results"][0];
    assert!(
        matches!(result["status"].as_str(), Some("stored" | "ignored")),
        "{result}"
    );
}

async fn upload(service: &Service, visitor: &str, mark: &str) {
    let body = mark.as_bytes();
    let announced = json!({"visitor_id": visitor, "filename": mark, "content_type": "text/plain",
        "size": body.len(), "sha256": lethe_tests::sha256(body)});
    let reply = service
        .post("/v1/attachments", &service.ours.ingest, announced)
        .await;
    if reply.status == 201 {
        service.put(&reply.json()["upload"], body).await;
    } else {
        assert_eq!(reply.json()["code"], "erasing", "{}", reply.text);
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
        service
            .cloud
            .invoke("delete", record)
            .await
            .expect("a late turn ends well");
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
            objects: rows::objects(service),
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
    if let Some(email) = profile["contact"]["email"].as_str() {
        let found = service
            .post("/v1/lookup", owner, json!({"email": email}))
            .await
            .expect(200);
        assert_eq!(
            found["subjects"].as_array().map(Vec::len),
            Some(1),
            "seed {seed}: {email}"
        );
    }
}

/// One interleaving for each of some people at once, in a service of their own.
async fn round(seed: u64) {
    let options = Options {
        ttl: false,
        schedules: false,
        ..Options::default()
    };
    let service = Service::with(options).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut people = Vec::new();
    for n in 0..TOGETHER {
        let visitor = format!("v-{seed}-{n}");
        let subject = service.visit(&visitor).await;
        people.push(Person { visitor, subject });
    }
    for step in 0..4 {
        // Time moves for all; everything else happens to each of them, and at once.
        service.cloud.clock().advance(passing(&mut rng));
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
    // Let everything come to rest: the last links run out, and two sweeps look again.
    for _ in 0..3 {
        service.cloud.clock().advance(minutes(20));
        service
            .cloud
            .run_schedule("cleanup")
            .await
            .expect("a sweep ends well");
        service.cloud.settle().await;
    }
    let stored = Stored::read(&service).await;
    for person in &people {
        check(&service, person, &stored, seed).await;
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
