//! A held person cannot be erased: an erasure that is requested meanwhile waits, and resumes by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use lethe_tests::{Service, assert_has, by_hand, days, hours, id_of, minutes, subject};
use local::Options;
use local::wire::Fate;
use serde_json::{Value, json};
use shared::domain::keyring::BLOCKED;

use crate::{late, rows};

/// Who stays away.
async fn suppressed(service: &Service) -> Vec<String> {
    let listed = service.in_state("suppressed").await;
    let mut subjects: Vec<_> = listed.iter().map(subject).collect();
    subjects.sort();
    subjects
}

#[tokio::test]
async fn an_erasure_of_somebody_held_waits_and_goes_on_when_the_hold_is_lifted() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.hold(&ada).await;
    let job = service.erase(&ada).await;
    assert_eq!(job["state"], "blocked", "{job}");
    assert_eq!(job["blocked"], json!([{"subject": ada, "by": "hold"}]));
    assert!(job["unreadable_at"].is_null());
    service.advance(days(40)).await;
    let known = service.person(&ada).await;
    assert_eq!(known["counts"]["messages"], 2, "nothing has gone");
    assert_eq!(service.follow(&job).await["state"], "blocked");
    service.receipt(id_of(&job)).await.expect(409);

    service.lift_hold(&ada).await;
    service.no_person(&ada).await;
    service.advance(minutes(30)).await;
    let done = service.completed(&job).await;
    assert_eq!(done["blocked"], json!([]));
    assert!(rows::about(&service, &ada).await.is_empty());
    assert_eq!(service.receipt(id_of(&job)).await.status, 200);
}

#[tokio::test]
async fn a_hold_that_runs_out_lets_the_erasure_go_on() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let until = service.now() + days(3);
    service.hold_until(&ada, until).await;
    let job = service.erase(&ada).await;
    service.advance(days(2)).await;
    assert_eq!(service.follow(&job).await["state"], "blocked");
    service.advance(days(1) + minutes(45)).await;
    service.completed(&job).await;
}

#[tokio::test]
async fn of_several_people_only_who_is_held_waits() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    service.hold(&ada).await;
    let dry = service.dry_run(json!({"subjects": [ada, bob]})).await;
    assert_has(&dry, json!({"subjects": 2, "blocked": 1}));
    let job = service.erasure(json!({"subjects": [ada, bob]})).await;
    assert!(job["unreadable_at"]["records"].is_string(), "{job}");
    service.no_person(&bob).await;
    let waits = service.follow(&job).await;
    assert_eq!(waits["state"], "blocked", "{waits}");
    assert_eq!(waits["blocked"], json!([{"subject": ada, "by": "hold"}]));
    assert!(rows::about(&service, &bob).await.is_empty());
    service.lift_hold(&ada).await;
    service.advance(minutes(30)).await;
    let done = service.completed(&job).await;
    assert_eq!(done["stores"]["keyring"], 2);
    assert!(rows::about(&service, &ada).await.is_empty());
}

#[tokio::test]
async fn a_blocked_erasure_can_be_cancelled_and_the_rest_is_done_all_the_same() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    service.hold(&ada).await;
    let alone = service.erasure(json!({"subjects": [ada]})).await;
    let both = service.erasure(json!({"subjects": [ada, bob]})).await;
    service.cloud.settle().await;
    for job in [&alone, &both] {
        service.cancel(job).await.expect(200);
    }
    service.lift_hold(&ada).await;
    service.advance(minutes(30)).await;
    assert_eq!(service.follow(&alone).await["state"], "cancelled");
    let done = service.completed(&both).await;
    assert_eq!(done["stores"]["keyring"], 1);
    service.person(&ada).await;
}

#[tokio::test]
async fn a_tenant_that_holds_somebody_cannot_leave() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let body = json!({"tenant": true, "confirm": service.ours.id});
    service.hold(&ada).await;
    let refused = service.post("/v1/erasures", owner, body.clone()).await;
    assert_eq!(refused.expect(409)["code"], "held");
    service.lift_hold(&ada).await;
    let job = service.erasure(body).await;
    // Held again within the day of grace: then it waits.
    service.hold(&ada).await;
    service.advance(days(2)).await;
    assert_eq!(service.follow(&job).await["state"], "blocked");
    service.person(&ada).await;
    service.lift_hold(&ada).await;
    for _ in 0..6 {
        service.advance(minutes(61)).await;
    }
    service
        .get(&format!("/v1/subjects/{ada}"), owner)
        .await
        .expect(401);
}

#[tokio::test]
async fn who_is_suppressed_with_their_erasure_stays_away() {
    let service = Service::by_hand().await;
    let ada = service.acquaint("ada").await;
    let job = service.erase_and_suppress(&ada).await;
    service.completed(&job).await;
    service.skip(minutes(5));
    assert_eq!(service.try_visit("ada").await, "suppressed");
    assert_eq!(suppressed(&service).await, [ada]);
}

/// Has somebody who is held erased more often than can wait, all at once. The jobs that wait.
async fn erase_often(service: &Service, who: &str) -> Vec<Value> {
    let (path, owner) = (format!("/v1/subjects/{who}"), &service.ours.owner);
    let asked = join_all((0..60).map(|_| service.delete(&path, owner))).await;
    let (waiting, refused): (Vec<_>, Vec<_>) = asked.iter().partition(|it| it.status == 202);
    assert_eq!(waiting.len(), 40);
    for reply in refused {
        assert_eq!(reply.expect(409)["code"], "held");
    }
    waiting.iter().map(|it| it.json()).collect()
}

#[tokio::test]
async fn a_hold_bars_no_more_erasures_than_it_can_let_go_and_ends_whatever_waits() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    let visit = json!({"type": "visit", "visitor_id": "eve"});
    let eve = subject(&service.send_one(&service.theirs.ingest, visit).await);
    service.hold(&ada).await;
    let mut jobs = erase_often(&service, &ada).await;
    let until = service.now() + days(1);
    service.hold_until(&bob, until).await;
    jobs.extend(erase_often(&service, &bob).await);
    let path_of_eve = format!("/v1/subjects/{eve}");
    let body = json!({"reason": "litigation", "until": until});
    let held = format!("{path_of_eve}/hold");
    service
        .call("PUT", &held, &service.theirs.owner, Some(&body))
        .await
        .expect(204);

    service.lift_hold(&ada).await;
    for _ in 0..3 {
        service.advance(days(1)).await;
    }
    for job in &jobs {
        service.completed(job).await;
    }
    for who in [&ada, &bob] {
        assert!(rows::about(&service, who).await.is_empty());
        assert!(service.entry(who).await.blocked.is_empty());
    }
    // Nobody else's hold, and nobody's seal, has waited for it.
    let shown = service.get(&path_of_eve, &service.theirs.owner).await;
    assert_eq!(shown.expect(200)["state"], "active");
    for tenant in [&service.ours, &service.theirs] {
        let seals = service.get("/v1/activity/seals", &tenant.owner).await;
        assert_eq!(seals.expect(200)["data"].as_array().map(Vec::len), Some(3));
    }
}

#[tokio::test]
async fn cancelled_erasures_make_room_for_others() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.hold(&ada).await;
    let jobs = erase_often(&service, &ada).await;
    for job in &jobs {
        service.cancel(job).await.expect(200);
    }
    service.hold(&ada).await;
    let others = erase_often(&service, &ada).await;
    service.lift_hold(&ada).await;
    service.advance(minutes(45)).await;
    for (jobs, state) in [(jobs, "cancelled"), (others, "completed")] {
        for job in jobs {
            assert_eq!(service.follow(&job).await["state"], state);
        }
    }
}

#[tokio::test]
async fn a_hold_whose_erasures_were_all_cancelled_leaves_the_life_as_it_is() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    service.hold(&ada).await;
    let alone = service.erase_and_suppress(&ada).await;
    let both = service
        .erasure(json!({"subjects": [ada, bob], "suppress": true}))
        .await;
    service.cloud.settle().await;
    for job in [&alone, &both] {
        service.cancel(job).await.expect(200);
    }
    assert!(service.entry(&ada).await.blocked.is_empty());
    service.lift_hold(&ada).await;
    assert_eq!(service.try_visit("ada").await, "stored");
    assert_eq!(suppressed(&service).await, [bob]);
}

#[tokio::test]
async fn lifting_a_hold_ends_what_it_blocked_with_its_suppression_at_once() {
    let (service, worker) = late::asleep_with("delete", by_hand()).await;
    // Whether the one erasure, and the other, keeps them away.
    let cases = [[true, false], [false, true], [true, true], [false, false]];
    let mut people = Vec::new();
    for (n, asked) in cases.iter().enumerate() {
        for way in ["lifted", "until", "restricted"] {
            let visitor = format!("{way}-{n}");
            let who = service.acquaint(&visitor).await;
            match way {
                "until" => service.hold_until(&who, service.now() + days(40)).await,
                _ => service.hold(&who).await,
            }
            if way == "restricted" {
                service.set_rule(&who, "restriction").await;
            }
            for suppress in asked {
                match suppress {
                    true => service.erase_and_suppress(&who).await,
                    false => service.erase(&who).await,
                };
            }
            people.push((who, visitor, way, asked.contains(&true)));
        }
    }
    service.skip(days(40));
    for (who, ..) in people.iter().filter(|it| it.2 != "until") {
        service.lift_hold(who).await;
    }
    service.sweep().await;
    // No turn has been taken: a visit now does not begin a new life.
    for (who, visitor, _, stays_away) in &people {
        let reason = if *stays_away { "suppressed" } else { "erasing" };
        assert_eq!(service.try_visit(visitor).await, reason, "{visitor}");
        let path = format!("/v1/subjects/{who}");
        let again = service.delete(&path, &service.ours.owner).await;
        assert_eq!(again.status, 404, "{visitor}");
    }
    worker.wake();
    for _ in 0..3 {
        service.pass(minutes(21)).await;
    }
    let mut away = Vec::new();
    for (who, visitor, _, stays_away) in people {
        let told = service.try_visit(&visitor).await;
        assert_eq!(told == "suppressed", stays_away, "{visitor}: {told}");
        let left = rows::about(&service, &who).await;
        let seen = left.iter().any(|row| rows::text(row, "SK") == Some("door"));
        assert_eq!(seen, !stays_away, "{visitor}");
        away.extend(stays_away.then_some(who));
    }
    away.sort();
    assert_eq!(suppressed(&service).await, away);
    for state in ["held", "restricted"] {
        assert!(service.in_state(state).await.is_empty(), "{state}");
    }
}

/// A service whose process dies right after the next transaction, when told to.
async fn mortal() -> (Service, Arc<AtomicBool>) {
    let dies = Arc::new(AtomicBool::new(false));
    let dying = dies.clone();
    let options = Options {
        wire: Some(Arc::new(move |call| {
            let transaction = call.operation == "TransactWriteItems";
            match transaction && dying.swap(false, Ordering::SeqCst) {
                true => Fate::KillAfter,
                false => Fate::Pass,
            }
        })),
        ..by_hand()
    };
    (Service::with(options).await, dies)
}

#[tokio::test]
async fn a_hold_that_was_lifted_by_somebody_who_died_lets_its_erasures_go_all_the_same() {
    for asks_again in [true, false] {
        let (service, dies) = mortal().await;
        let ada = service.acquaint("ada").await;
        service.hold(&ada).await;
        let jobs = [
            service.erase(&ada).await,
            service.erase_and_suppress(&ada).await,
        ];
        let hold = format!("/v1/subjects/{ada}/hold");
        let owner = &service.ours.owner;
        dies.store(true, Ordering::SeqCst);
        let unheard = service.delete(&hold, owner).await;
        assert!(unheard.status >= 500, "{}", unheard.text);
        // It is lifted, and the life has ended: nothing can be taken back any more.
        assert_eq!(service.try_visit("ada").await, "suppressed");
        assert_eq!(service.follow(&jobs[0]).await["state"], "blocked");
        let late = service.cancel(&jobs[0]).await;
        assert_eq!(late.expect(409)["code"], "not_cancellable");
        let wait = match asks_again {
            true => {
                service.lift_hold(&ada).await;
                minutes(21)
            }
            false => days(1),
        };
        service.cloud.settle().await;
        for _ in 0..2 {
            service.pass(wait).await;
        }
        for job in &jobs {
            service.completed(job).await;
        }
        assert!(rows::files(&service).is_empty());
        assert_eq!(suppressed(&service).await, [ada]);
    }
}

#[tokio::test]
async fn a_hold_that_a_dying_sweep_has_ended_lets_its_erasures_go_with_the_next() {
    let (service, dies) = mortal().await;
    let ada = service.acquaint("ada").await;
    let until = service.now() + hours(20);
    service.hold_until(&ada, until).await;
    let job = service.erase(&ada).await;
    service.skip(minutes(20 * 60 + 1));
    dies.store(true, Ordering::SeqCst);
    assert!(service.cloud.run_schedule("cleanup").await.is_err());
    assert_eq!(service.try_visit("ada").await, "erasing");
    assert_eq!(service.follow(&job).await["state"], "blocked");
    // Long before the job itself verifies the hold, which it does once a day.
    for _ in 0..2 {
        service.pass(minutes(21)).await;
    }
    service.completed(&job).await;
}

/// A worker that sleeps between the start of its turn and the end of the lives wakes up to
/// another world: what it then does for the job, the job's fence refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_turn_that_sleeps_while_its_job_is_cancelled_ends_nobody() {
    for others in [false, true] {
        sleeps(others).await;
    }
}

/// `others`: whether the job also erases somebody who is not held.
async fn sleeps(others: bool) {
    let (options, brake) = late::brake(by_hand());
    let (service, delete) = late::asleep_with("delete", options).await;
    let service = Arc::new(service);
    let ada = service.acquaint("ada").await;
    service.hold(&ada).await;
    let mut people = vec![ada.clone()];
    if others {
        people.push(service.acquaint("bob").await);
    }
    let job = service.erasure(json!({"subjects": people})).await;
    for _ in 0..2 {
        delete.wake();
        service.pass(minutes(21)).await;
        delete.sleep();
    }
    assert_eq!(service.follow(&job).await["state"], "blocked");

    // Once a day the worker looks whether the hold still stands.
    service.pass(days(1) + minutes(1)).await;
    let turn = late::turns(&service, "erasure").await;
    let number = |turn: &Value| turn.to_string().len();
    let turn = turn.iter().max_by_key(|it| (number(it), it.to_string()));
    let turn = turn.expect("a turn").clone();
    delete.wake();
    brake.hold("delete", |call| {
        call.operation == "BatchGetItem" && call.mentions("keyring")
    });
    let at_work = service.clone();
    let sleeping = tokio::spawn(async move { at_work.cloud.invoke("delete", turn).await });
    brake.reached();
    // Its lease ends, and the next finds her held.
    service.pass(minutes(7)).await;
    assert_eq!(service.follow(&job).await["state"], "blocked");
    service.cancel(&job).await.expect(200);
    service.lift_hold(&ada).await;
    brake.release();
    sleeping.await.expect("it runs").expect("it ends well");

    let person = service.person(&ada).await;
    assert_eq!(person["counts"]["messages"], 2, "{person}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_erasure_that_is_asked_for_just_before_a_hold_is_lifted_waits_for_nobody() {
    for waited_before in [false, true] {
        let (service, brake) = late::braked(by_hand()).await;
        let ada = service.acquaint("ada").await;
        service.hold(&ada).await;
        if waited_before {
            service.erase(&ada).await;
        }
        // The request that lifts it has read what waits for it, and is about to write.
        brake.hold("admin", |call| call.operation == "TransactWriteItems");
        let lifting = service.clone();
        let who = ada.clone();
        let lifted = tokio::spawn(async move { lifting.lift_hold(&who).await });
        brake.reached();
        let late = service.erase_and_suppress(&ada).await;
        assert_eq!(late["state"], "blocked");
        brake.release();
        lifted.await.expect("it is lifted");
        assert_eq!(service.try_visit("ada").await, "suppressed");
        assert_eq!(suppressed(&service).await, [ada]);
    }
}

#[tokio::test]
async fn an_erasure_for_which_a_hold_has_no_room_looks_again_each_day() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.hold(&ada).await;
    for _ in 0..BLOCKED {
        service.erase(&ada).await;
    }
    let job = service.left_behind(std::slice::from_ref(&ada), false).await;
    let path = format!("/v1/erasures/{}", job.key.id);
    service.advance(minutes(30)).await;
    assert_eq!(service.job(&path).await["state"], "blocked");
    assert_eq!(service.entry(&ada).await.blocked.len(), BLOCKED);
    service.lift_hold(&ada).await;
    service.advance(days(1) + minutes(30)).await;
    assert_eq!(service.job(&path).await["state"], "completed");
}

#[tokio::test]
async fn who_is_to_be_kept_away_stays_away_however_their_life_has_ended_meanwhile() {
    let service = Service::by_hand().await;
    let mut people = Vec::new();
    for visitor in [
        "expires",
        "returns",
        "erased",
        "held",
        "let-in",
        "let-in-before",
    ] {
        people.push(service.acquaint(visitor).await);
    }
    let [expires, returns, erased, held, let_in, before] = &people[..] else {
        panic!("six people")
    };
    let job = service.left_behind(&people, true).await;
    service.erase(erased).await;
    service.cloud.settle().await;
    service.skip(days(30));
    let life = service.entry(expires).await.key;
    let store = &service.cloud.app().store;
    assert!(
        store
            .begin_expiry(&life, service.now())
            .await
            .expect("an answer")
    );
    for visitor in ["returns", "held", "let-in"] {
        assert_eq!(service.try_visit(visitor).await, "stored");
    }
    service.hold(held).await;
    for (who, method) in [let_in, before]
        .into_iter()
        .flat_map(|who| [(who, "PUT"), (who, "DELETE")])
    {
        let path = format!("/v1/subjects/{who}/suppression");
        let owner = &service.ours.owner;
        service.call(method, &path, owner, None).await.expect(204);
    }
    // The life that begins now remembers that its person was let in.
    assert_eq!(service.try_visit("let-in-before").await, "stored");
    for _ in 0..3 {
        service.sweep().await;
        service.cloud.settle().await;
        service.skip(minutes(21));
    }
    for visitor in ["expires", "returns", "erased"] {
        assert_eq!(service.try_visit(visitor).await, "suppressed", "{visitor}");
    }
    for who in [expires, returns, erased] {
        assert!(
            rows::about(&service, who)
                .await
                .iter()
                .all(|row| { rows::text(row, "PK").is_some_and(|key| key.contains("#rule#")) })
        );
    }
    // A hold comes first; then nothing is stored of them either.
    assert_eq!(service.try_visit("held").await, "stored");
    for visitor in ["let-in", "let-in-before"] {
        assert_eq!(service.try_visit(visitor).await, "stored", "{visitor}");
    }
    let mut away = vec![
        expires.clone(),
        returns.clone(),
        erased.clone(),
        held.clone(),
    ];
    away.sort();
    assert_eq!(suppressed(&service).await, away);
    let done = service.job(&format!("/v1/erasures/{}", job.key.id)).await;
    assert_eq!(done["state"], "completed", "{done}");
}

#[tokio::test]
async fn who_was_let_back_in_is_not_kept_away_by_what_was_asked_for_before() {
    let (service, dies) = mortal().await;
    let ada = service.acquaint("ada").await;
    service.hold(&ada).await;
    let job = service.erase_and_suppress(&ada).await;
    dies.store(true, Ordering::SeqCst);
    let hold = format!("/v1/subjects/{ada}/hold");
    let owner = &service.ours.owner;
    let unheard = service.delete(&hold, owner).await;
    assert!(unheard.status >= 500);
    service.skip(minutes(5));
    service.lift_rule(&ada, "suppression").await;
    for _ in 0..3 {
        service.pass(days(1)).await;
    }
    service.completed(&job).await;
    assert_eq!(service.try_visit("ada").await, "stored");
    assert_eq!(suppressed(&service).await, [] as [String; 0]);
}
