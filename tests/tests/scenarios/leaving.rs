//! A tenant leaves, or stays: whatever its owner, the operator and the worker do at the same
//! moment, one of the two happens as a whole. Who is told that it stays, or that somebody is
//! held, keeps keys and people; otherwise everything goes.
//!
//! Each round lets many tenants come to the moment at which they leave, and lets some of them
//! be taken back, held and used just then, while calls of the functions take longer by random.
//! `LETHE_SEED` plays a printed seed again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use lethe_tests::{Reply, Service, by_hand, minutes};
use local::Options;
use local::wire::{Call, Fate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::{late, rows};

/// Interleavings in all.
const ROUNDS: usize = if cfg!(feature = "long") { 600 } else { 30 };
/// Tenants that leave at the same time.
const TOGETHER: usize = 10;

/// A tenant that leaves, with one person.
struct Leaver {
    id: String,
    owner: String,
    person: String,
    job: String,
}

/// What is done just then, and when.
#[derive(Clone, Copy, Debug)]
struct Plan {
    cancel: Option<u64>,
    hold: Option<u64>,
    key: Option<u64>,
    visit: Option<u64>,
}

impl Plan {
    fn random(rng: &mut StdRng) -> Plan {
        let mut at = |often: f64| rng.random_bool(often).then(|| rng.random_range(0..120));
        Plan {
            cancel: at(0.6),
            hold: at(0.5),
            key: at(0.3),
            visit: at(0.3),
        }
    }
}

/// What was answered to each.
#[derive(Debug, Default)]
struct Told {
    cancel: Option<Reply>,
    hold: Option<Reply>,
    key: Option<Reply>,
}

impl Leaver {
    async fn new(service: &Service) -> Leaver {
        let made = service
            .operator("POST", "/v1/tenants", Some(&json!({})))
            .await;
        let made = made.expect(201);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (id, owner) = (text(&made["tenant"]), text(&made["keys"]["owner"]));
        let events = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
        let visit = service.post("/v1/events", &owner, events).await.expect(200);
        let soon = service.now() + minutes(1);
        let body = json!({"tenant": true, "confirm": id, "not_before": soon});
        let job = service.post("/v1/erasures", &owner, body).await.expect(202);
        Leaver {
            id,
            owner,
            person: lethe_tests::subject(&visit["results"][0]),
            job: text(&job["id"]),
        }
    }

    async fn cancel(&self, service: &Service) -> Reply {
        let path = format!("/v1/erasures/{}/cancel", self.job);
        service.call("POST", &path, &self.owner, None).await
    }

    async fn hold(&self, service: &Service) -> Reply {
        let path = format!("/v1/subjects/{}/hold", self.person);
        let body = json!({"reason": "litigation"});
        service.call("PUT", &path, &self.owner, Some(&body)).await
    }

    async fn new_key(&self, service: &Service) -> Reply {
        let path = format!("/v1/tenants/{}/keys", self.id);
        service.operator("POST", &path, Some(&json!({}))).await
    }

    /// The status that its owner is answered.
    async fn owner_sees(&self, service: &Service, key: &str) -> u16 {
        let path = format!("/v1/subjects/{}", self.person);
        service.get(&path, key).await.status
    }

    async fn act(&self, service: &Service, plan: Plan) -> Told {
        let at = async |millis: u64| tokio::time::sleep(Duration::from_millis(millis)).await;
        let cancel = async {
            at(plan.cancel?).await;
            Some(self.cancel(service).await)
        };
        let hold = async {
            at(plan.hold?).await;
            Some(self.hold(service).await)
        };
        let key = async {
            at(plan.key?).await;
            Some(self.new_key(service).await)
        };
        let visit = async {
            at(plan.visit?).await;
            let events = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
            let reply = service.post("/v1/events", &self.owner, events).await;
            assert!(matches!(reply.status, 200 | 401), "{}", reply.text);
            Some(())
        };
        let (cancel, hold, key, _) = tokio::join!(cancel, hold, key, visit);
        Told { cancel, hold, key }
    }

    /// Both is whole: everything stays, or everything goes.
    async fn check(&self, service: &Service, told: &Told, record: &Value, seed: u64) {
        let status = |reply: &Option<Reply>| reply.as_ref().map(|reply| reply.status);
        let (cancelled, held) = (status(&told.cancel), status(&told.hold));
        let of = format!("seed {seed}: {} {told:?} {record}", self.id);
        for answered in [cancelled, held] {
            assert!(
                matches!(answered, None | Some(200 | 204 | 401 | 409)),
                "{of}"
            );
        }
        if let Some(reply) = told.hold.as_ref().filter(|it| it.status == 409) {
            assert_eq!(reply.json()["code"], "leaving", "{of}");
        }
        let ledger = format!("ledger/{}/", self.id);
        let noted = rows::objects(service)
            .iter()
            .any(|it| it.starts_with(&ledger));
        let new = told.key.as_ref().filter(|reply| reply.status == 201);
        let new = new.map(|reply| reply.json()["secret"].as_str().expect("a key").to_owned());
        let keys: Vec<_> = [Some(self.owner.clone()), new]
            .into_iter()
            .flatten()
            .collect();
        let stays = cancelled == Some(200) || held == Some(204);
        for key in &keys {
            let expected = if stays { 200 } else { 401 };
            assert_eq!(self.owner_sees(service, key).await, expected, "{of}");
        }
        assert_eq!(noted, !stays, "{of}: what a replay goes by");
        let state = match (stays, cancelled) {
            (false, _) => "erased",
            (true, Some(200)) => "active",
            (true, _) => "leaving",
        };
        assert_eq!(record["state"], state, "{of}");
    }
}

/// The operator's list.
async fn records(service: &Service) -> Vec<Value> {
    let listed = service.operator("GET", "/v1/tenants?limit=100", None).await;
    listed.expect(200)["data"]
        .as_array()
        .expect("a list")
        .clone()
}

async fn round(seed: u64) {
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    let racing = Arc::new(AtomicBool::new(false));
    let (delays, on) = (rng.clone(), racing.clone());
    let options = Options {
        wire: Some(Arc::new(move |_: &Call| {
            let mut rng = delays.lock().unwrap();
            match on.load(Ordering::SeqCst) && rng.random_bool(0.4) {
                true => Fate::Delay(Duration::from_millis(rng.random_range(1..12))),
                false => Fate::Pass,
            }
        })),
        ..by_hand()
    };
    let service = Service::with(options).await;
    let leavers = join_all((0..TOGETHER).map(|_| Leaver::new(&service))).await;
    service.skip(minutes(2));
    // Their keys are remembered by then, as those of whoever calls often.
    join_all(leavers.iter().map(|it| it.owner_sees(&service, &it.owner))).await;
    let plans: Vec<_> = {
        let mut rng = rng.lock().unwrap();
        leavers.iter().map(|_| Plan::random(&mut rng)).collect()
    };
    racing.store(true, Ordering::SeqCst);
    let acts = leavers.iter().zip(&plans);
    let acts = join_all(acts.map(|(leaver, plan)| leaver.act(&service, *plan)));
    let (told, ()) = tokio::join!(acts, async {
        let swept = service.cloud.run_schedule("cleanup").await;
        assert_eq!(swept.expect("a sweep ends well")["failures"], 0);
        service.cloud.settle().await;
    });
    racing.store(false, Ordering::SeqCst);
    for _ in 0..6 {
        service.skip(minutes(61));
        let swept = service.cloud.run_schedule("cleanup").await;
        assert_eq!(
            swept.expect("a sweep ends well")["failures"],
            0,
            "seed {seed}"
        );
        service.cloud.settle().await;
    }
    let records = records(&service).await;
    for (leaver, told) in leavers.iter().zip(&told) {
        let record = records.iter().find(|it| it["tenant"] == leaver.id.as_str());
        leaver
            .check(&service, told, record.expect("its record"), seed)
            .await;
    }
    assert!(service.cloud.dead_letters().is_empty(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_taken_back_held_and_used_as_it_leaves_stays_or_goes_as_a_whole() {
    let first = std::env::var("LETHE_SEED");
    let first: Option<u64> = first.ok().and_then(|seed| seed.parse().ok());
    let rounds = ROUNDS.div_ceil(TOGETHER) as u64;
    let seeds = first.map_or(1..rounds + 1, |seed| seed..seed + 1);
    eprintln!(
        "{} interleavings, seeds {seeds:?}",
        seeds.clone().count() * TOGETHER
    );
    for seed in seeds {
        round(seed).await;
    }
}

/// A service in which one tenant has begun to leave, by keys that are remembered.
async fn begun() -> (Service, Leaver) {
    let service = Service::by_hand().await;
    let leaver = Leaver::new(&service).await;
    service.skip(minutes(2));
    assert_eq!(leaver.owner_sees(&service, &leaver.owner).await, 200);
    service.get("/v1/settings", &leaver.owner).await.expect(200);
    assert_eq!(service.sweep().await["jobs_resumed"], 1);
    service.cloud.settle().await;
    (service, leaver)
}

#[tokio::test]
async fn nobody_can_be_held_once_their_tenant_is_being_erased() {
    let (service, leaver) = begun().await;
    let refused = leaver.hold(&service).await;
    assert_eq!(refused.expect(409)["code"], "leaving");
    let body = json!({"scopes": ["read"]});
    let refused = service.post("/v1/keys", &leaver.owner, body).await;
    assert_eq!(
        refused.expect(409)["code"],
        "leaving",
        "nor is there another key"
    );
    let refused = leaver.new_key(&service).await;
    assert_eq!(refused.expect(409)["code"], "leaving");
    for _ in 0..5 {
        service.pass(minutes(16)).await;
    }
    let records = records(&service).await;
    let record = records.iter().find(|it| it["tenant"] == leaver.id.as_str());
    assert_eq!(record.expect("its record")["state"], "erased");
    leaver.new_key(&service).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_that_is_answered_just_before_its_tenant_goes_keeps_the_tenant() {
    let options = by_hand();
    let (service, brake) = late::braked(options).await;
    let leaver = Leaver::new(&service).await;
    service.skip(minutes(2));
    // The worker has seen nobody held, and is about to note that the tenant is going.
    brake.hold("delete", |call| call.mentions("going"));
    let sweeping = service.clone();
    let swept = tokio::spawn(async move { sweeping.sweep().await });
    brake.reached();
    leaver.hold(&service).await.expect(204);
    brake.release();
    swept.await.expect("it sweeps");
    service.cloud.settle().await;
    for _ in 0..5 {
        service.pass(minutes(61)).await;
    }
    assert_eq!(leaver.owner_sees(&service, &leaver.owner).await, 200);
    let path = format!("/v1/erasures/{}", leaver.job);
    let job = service.get(&path, &leaver.owner).await.expect(200);
    assert_eq!(job["state"], "blocked");
    // While it stays, others can be held, and it can be taken back.
    let path = format!("/v1/subjects/{}/hold", leaver.person);
    service.delete(&path, &leaver.owner).await.expect(204);
    leaver.hold(&service).await.expect(204);
    leaver.cancel(&service).await.expect(200);
}

#[tokio::test]
async fn a_receipt_counts_everybody_once_however_late_the_index_is() {
    let service = Service::by_hand().await;
    let leaver = Leaver::new(&service).await;
    // As a late index does: it lists somebody who has gone, by a row that stands for them.
    let tenant = shared::base::id::TenantId::parse(&leaver.id).expect("a tenant");
    for n in 0..3_u8 {
        let gone = shared::domain::keys::LifeKey {
            tenant,
            subject: shared::base::id::SubjectId::from(shared::base::id::KeyedHash([n; 16])),
            life: shared::base::id::LifeId::random(),
        };
        let late = shared::aws::dynamo::Item::new(&format!("{tenant}#late"), &n.to_string())
            .with("due_pk", gone.due_partition())
            .with(
                "due_sk",
                gone.due_sort(shared::domain::keys::day_of(service.now())),
            );
        let write = shared::aws::dynamo::Write::put(late);
        let written = service.cloud.app().store.write(write).await;
        written.expect("an answer").expect("no condition");
    }
    for _ in 0..6 {
        service.pass(minutes(16)).await;
    }
    let records = records(&service).await;
    let record = records.iter().find(|it| it["tenant"] == leaver.id.as_str());
    let receipt = record.expect("its record")["receipt"]
        .as_str()
        .expect("a receipt")
        .to_owned();
    let claims = receipt.split('.').nth(1).expect("claims");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims);
    let claims: Value = serde_json::from_slice(&claims.expect("base64")).expect("JSON");
    assert_eq!(claims["lives"]["count"], 1, "{claims}");
    assert_eq!(claims["stores"]["keyring"], 1, "{claims}");
}

#[tokio::test]
async fn the_operator_gives_the_owner_of_a_tenant_another_key() {
    let service = Service::start().await;
    let path = format!("/v1/tenants/{}/keys", service.ours.id);
    let made = service
        .operator("POST", &path, Some(&json!({})))
        .await
        .expect(201);
    let key = made["secret"].as_str().expect("it is shown");
    service.get("/v1/settings", key).await.expect(200);
    let scopes = |key: Value| -> Vec<String> {
        let scopes = key["scopes"].as_array().cloned().unwrap_or_default();
        scopes
            .iter()
            .filter_map(|it| Some(it.as_str()?.to_owned()))
            .collect()
    };
    let listed = service.get("/v1/keys", key).await.expect(200);
    let shown = listed["data"].as_array().expect("a list").iter();
    let shown = { shown }
        .find(|it| it["id"] == made["id"])
        .expect("it is listed")
        .clone();
    assert!(shown["secret"].is_null());
    assert_eq!(scopes(shown), scopes(made.clone()));
    assert!(!scopes(made.clone()).contains(&"collect".to_owned()));
    let log = service.get("/v1/activity?kind=key.created", key).await;
    let newest = &log.expect(200)["data"][0];
    assert_eq!(newest["about"], json!([made["id"]]));
    let by = newest["by"].as_str().expect("somebody");
    assert!(by.starts_with("operator:"), "{by}");

    // For nobody but the operator, and of no tenant that there is not.
    for refused in [&service.ours.owner, &service.theirs.owner] {
        let reply = service.post(&path, refused, json!({})).await;
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    for unknown in ["ten_00000000000000000000000000000000", "ten_1", "x"] {
        let path = format!("/v1/tenants/{unknown}/keys");
        let reply = service.operator("POST", &path, Some(&json!({}))).await;
        reply.expect(404);
    }
    let named = json!({"scopes": ["read"]});
    let reply = service.operator("POST", &path, Some(&named)).await;
    assert_eq!(reply.faults(), ["/scopes"]);
}
