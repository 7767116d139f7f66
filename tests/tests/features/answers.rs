//! Answers of AWS that are lost. What was asked for has happened, the SDK asks again, and
//! whoever waits for the answer notices nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use lethe_tests::{Service, by_hand};
use local::Options;
use local::wire::{Call, Fate};
use serde_json::{Value, json};

use crate::faults::outcome;
use crate::requests;

/// A service without time of its own, and what becomes of its calls while `fails` is set.
async fn service(decide: impl Fn(&Call) -> Fate + Send + Sync + 'static) -> (Service, Switch) {
    let fails = Switch::default();
    let switch = fails.clone();
    let options = Options {
        wire: Some(Arc::new(move |call: &Call| match switch.is_on() {
            true => decide(call),
            false => Fate::Pass,
        })),
        ..by_hand()
    };
    (Service::with(options).await, fails)
}

#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn set(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Carries out a request of every route, and says what lies in the tables then.
async fn every_route(decide: impl Fn(&Call) -> Fate + Send + Sync + 'static) -> Value {
    let (service, fails) = service(decide).await;
    let stage = requests::stage(&service).await;
    for route in requests::routes(&service) {
        let request = stage.request(&route);
        fails.set(true);
        request.carry_out(&service).await;
        service.cloud.settle().await;
        fails.set(false);
    }
    let letters = service.cloud.dead_letters();
    let letters: Vec<_> = letters.iter().map(|it| &it.problem).collect();
    assert!(letters.is_empty(), "{letters:?}");
    json!({
        "records": outcome::records(&service).await,
        "keyring": outcome::keyring(&service).await,
    })
}

#[tokio::test]
async fn every_route_answers_as_ever_though_the_first_answer_to_each_call_is_lost() {
    let heard = every_route(|_| Fate::Pass).await;
    let lost = every_route(|call| match call.attempt {
        1 => Fate::LoseAnswer,
        _ => Fate::Pass,
    });
    assert_eq!(lost.await, heard);
}

/// Its answer is lost, and DynamoDB is at it for longer than the SDK asks.
#[tokio::test]
async fn a_transaction_that_is_still_running_is_asked_for_by_its_name_until_it_ends() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    let (service, fails) = service(move |call| {
        if call.operation != "TransactWriteItems" {
            return Fate::Pass;
        }
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Fate::LoseAnswer,
            1..8 => Fate::InProgress,
            _ => Fate::Pass,
        }
    })
    .await;
    let owner = &service.ours.owner;
    let before = service.get("/v1/keys", owner).await.expect(200);
    fails.set(true);
    service
        .post("/v1/keys", owner, json!({"scopes": ["read"]}))
        .await
        .expect(201);
    fails.set(false);
    assert_eq!(tries.load(Ordering::SeqCst), 9);
    let after = service.get("/v1/keys", owner).await.expect(200);
    let keys = |list: &Value| list["data"].as_array().expect("keys").len();
    assert_eq!(keys(&after), keys(&before) + 1);
}
