//! Who is held cannot be erased: what is asked for meanwhile waits, and goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use lethe_tests::{Reply, Service, days, minutes};
use local::Options;
use local::wire::Fate;
use serde_json::{Value, json};
use shared::base::id::{SubjectId, TenantId};
use shared::domain::erasure::spec::Erasing;
use shared::domain::jobs::{Job, JobKind};
use shared::domain::keyring::{BLOCKED, Entry};

use crate::{late, rows};

async fn hold(service: &Service, who: &str, until: Option<Value>) {
    let mut body = json!({"reason": "litigation"});
    if let Some(until) = until {
        body["until"] = until;
    }
    let path = format!("/v1/subjects/{who}/hold");
    let owner = &service.ours.owner;
    let set = service.call("PUT", &path, owner, Some(&body)).await;
    set.expect(204);
}

async fn lift(service: &Service, who: &str) {
    let path = format!("/v1/subjects/{who}/hold");
    let owner = &service.ours.owner;
    service.call("DELETE", &path, owner, None).await.expect(204);
}

async fn erase(service: &Service, who: &str, query: &str) -> Reply {
    let path = format!("/v1/subjects/{who}{query}");
    let owner = &service.ours.owner;
    service.call("DELETE", &path, owner, None).await
}

async fn cancel(service: &Service, job: &Value) -> Reply {
    let path = format!("{}/cancel", path(job));
    let owner = &service.ours.owner;
    service.call("POST", &path, owner, None).await
}

async fn entry(service: &Service, who: &str) -> Entry {
    let tenant = TenantId::parse(&service.ours.id).expect("a tenant");
    let subject = SubjectId::parse(who).expect("a subject");
    let keyring = &service.cloud.app().keyring;
    let entry = keyring.entry(tenant, subject).await;
    entry.expect("the store answers").expect("they are known")
}

/// What becomes of a visit: its status, or the reason for which it is ignored.
async fn visits(service: &Service, visitor: &str) -> String {
    let event = json!({"events": [{"type": "visit", "visitor_id": visitor}]});
    let sent = service.post("/v1/events", &service.ours.ingest, event);
    let result = sent.await.expect(200)["results"][0].clone();
    let said = result["reason"].as_str().or(result["status"].as_str());
    said.expect("a status").to_owned()
}

async fn suppressed(service: &Service) -> Vec<String> {
    let path = "/v1/subjects?state=suppressed&limit=100";
    let listed = service.get(path, &service.ours.owner).await.expect(200);
    let rows = listed["data"].as_array().expect("rows").iter();
    let mut subjects: Vec<_> = rows.map(lethe_tests::subject).collect();
    subjects.sort();
    subjects
}

/// Time moves, and only what a test calls for happens.
fn by_hand() -> Options {
    Options {
        ttl: false,
        schedules: false,
        ..Options::default()
    }
}

fn path(job: &Value) -> String {
    format!("/v1/erasures/{}", job["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn an_erasure_of_somebody_held_waits_and_goes_on_when_the_hold_is_lifted() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    hold(&service, &ada, None).await;
    let person = format!("/v1/subjects/{ada}");
    let job = service.call("DELETE", &person, owner, None).await;
    let job = job.expect(202);
    assert_eq!(job["state"], "blocked", "{job}");
    assert_eq!(job["blocked"], json!([{"subject": ada, "by": "hold"}]));
    assert!(job["unreadable_at"].is_null());
    service.advance(days(40)).await;
    let known = service.get(&person, owner).await.expect(200);
    assert_eq!(known["counts"]["messages"], 2, "nothing has gone");
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    let early = format!("{}/receipt", path(&job));
    service.get(&early, owner).await.expect(409);

    lift(&service, &ada).await;
    service.get(&person, owner).await.expect(404);
    service.advance(minutes(30)).await;
    let done = service.job(&path(&job)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["blocked"], json!([]));
    assert!(rows::about(&service, &ada).await.is_empty());
    let receipt = format!("{}/receipt", path(&job));
    assert_eq!(service.get(&receipt, owner).await.status, 200);
}

#[tokio::test]
async fn a_hold_that_runs_out_lets_the_erasure_go_on() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let until = json!(service.now() + days(3));
    hold(&service, &ada, Some(until)).await;
    let person = format!("/v1/subjects/{ada}");
    let job = service.call("DELETE", &person, owner, None).await;
    let job = job.expect(202);
    service.advance(days(2)).await;
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    service.advance(days(1) + minutes(45)).await;
    let done = service.job(&path(&job)).await;
    assert_eq!(done["state"], "completed", "{done}");
}

#[tokio::test]
async fn of_several_people_only_who_is_held_waits() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    let owner = &service.ours.owner;
    hold(&service, &ada, None).await;
    let body = json!({"subjects": [ada, bob], "dry_run": true});
    let dry = service.post("/v1/erasures", owner, body).await.expect(200);
    assert_eq!((&dry["subjects"], &dry["blocked"]), (&json!(2), &json!(1)));
    let body = json!({"subjects": [ada, bob]});
    let job = service.post("/v1/erasures", owner, body).await.expect(202);
    assert!(job["unreadable_at"]["records"].is_string(), "{job}");
    let bobs = format!("/v1/subjects/{bob}");
    service.get(&bobs, owner).await.expect(404);
    let waits = service.job(&path(&job)).await;
    assert_eq!(waits["state"], "blocked", "{waits}");
    assert_eq!(waits["blocked"], json!([{"subject": ada, "by": "hold"}]));
    assert!(rows::about(&service, &bob).await.is_empty());
    lift(&service, &ada).await;
    service.advance(minutes(30)).await;
    let done = service.job(&path(&job)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["stores"]["keyring"], 2);
    assert!(rows::about(&service, &ada).await.is_empty());
}

#[tokio::test]
async fn a_blocked_erasure_can_be_cancelled_and_the_rest_is_done_all_the_same() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    let owner = &service.ours.owner;
    hold(&service, &ada, None).await;
    let alone = service
        .post("/v1/erasures", owner, json!({"subjects": [ada]}))
        .await
        .expect(202);
    let both = service
        .post("/v1/erasures", owner, json!({"subjects": [ada, bob]}))
        .await
        .expect(202);
    service.cloud.settle().await;
    for job in [&alone, &both] {
        let cancel = format!("{}/cancel", path(job));
        service.call("POST", &cancel, owner, None).await.expect(200);
    }
    lift(&service, &ada).await;
    service.advance(minutes(30)).await;
    assert_eq!(service.job(&path(&alone)).await["state"], "cancelled");
    let done = service.job(&path(&both)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["stores"]["keyring"], 1);
    let adas = format!("/v1/subjects/{ada}");
    service.get(&adas, owner).await.expect(200);
}

#[tokio::test]
async fn a_tenant_that_holds_somebody_cannot_leave() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let body = json!({"tenant": true, "confirm": service.ours.id});
    hold(&service, &ada, None).await;
    let refused = service.post("/v1/erasures", owner, body.clone()).await;
    assert_eq!(refused.expect(409)["code"], "held");
    lift(&service, &ada).await;
    let job = service.post("/v1/erasures", owner, body).await.expect(202);
    // Held again within the day of grace: then it waits.
    hold(&service, &ada, None).await;
    service.advance(days(2)).await;
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    service
        .get(&format!("/v1/subjects/{ada}"), owner)
        .await
        .expect(200);
    lift(&service, &ada).await;
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
    let service = Service::with(Options {
        ttl: false,
        schedules: false,
        ..Options::default()
    })
    .await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let person = format!("/v1/subjects/{ada}?suppress=true");
    let job = service.call("DELETE", &person, owner, None).await;
    let done = service.job(&path(&job.expect(202))).await;
    assert_eq!(done["state"], "completed");
    service.cloud.clock().advance(minutes(5));
    let event = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
    let sent = service
        .post("/v1/events", &service.ours.ingest, event)
        .await;
    assert_eq!(sent.expect(200)["results"][0]["reason"], "suppressed");
    let listed = service.get("/v1/subjects?state=suppressed", owner).await;
    assert_eq!(listed.expect(200)["data"][0]["subject"], ada.as_str());
}

/// Holds somebody and has them erased so often, all at once. The jobs that wait.
async fn hold_and_erase(service: &Service, who: &str, until: Option<Value>) -> Vec<Value> {
    hold(service, who, until).await;
    let asked = join_all((0..60).map(|_| erase(service, who, ""))).await;
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
    let theirs = json!({"events": [{"type": "visit", "visitor_id": "eve"}]});
    let eve = service.post("/v1/events", &service.theirs.ingest, theirs);
    let eve = lethe_tests::subject(&eve.await.expect(200)["results"][0]);
    let mut jobs = hold_and_erase(&service, &ada, None).await;
    let until = json!(service.now() + days(1));
    jobs.extend(hold_and_erase(&service, &bob, Some(until.clone())).await);
    let path_of_eve = format!("/v1/subjects/{eve}");
    let body = json!({"reason": "litigation", "until": until});
    let held = format!("{path_of_eve}/hold");
    let set = service.call("PUT", &held, &service.theirs.owner, Some(&body));
    set.await.expect(204);

    lift(&service, &ada).await;
    for _ in 0..3 {
        service.advance(days(1)).await;
    }
    for job in &jobs {
        assert_eq!(service.job(&path(job)).await["state"], "completed");
    }
    for who in [&ada, &bob] {
        assert!(rows::about(&service, who).await.is_empty());
        assert!(entry(&service, who).await.blocked.is_empty());
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
    let jobs = hold_and_erase(&service, &ada, None).await;
    for job in &jobs {
        cancel(&service, job).await.expect(200);
    }
    let others = hold_and_erase(&service, &ada, None).await;
    lift(&service, &ada).await;
    service.advance(minutes(45)).await;
    for (jobs, state) in [(jobs, "cancelled"), (others, "completed")] {
        for job in jobs {
            assert_eq!(service.job(&path(&job)).await["state"], state);
        }
    }
}

#[tokio::test]
async fn a_hold_whose_erasures_were_all_cancelled_leaves_the_life_as_it_is() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    hold(&service, &ada, None).await;
    let alone = erase(&service, &ada, "?suppress=true").await.expect(202);
    let body = json!({"subjects": [ada, bob], "suppress": true});
    let owner = &service.ours.owner;
    let both = service.post("/v1/erasures", owner, body).await.expect(202);
    service.cloud.settle().await;
    for job in [&alone, &both] {
        cancel(&service, job).await.expect(200);
    }
    assert!(entry(&service, &ada).await.blocked.is_empty());
    lift(&service, &ada).await;
    assert_eq!(visits(&service, "ada").await, "stored");
    assert_eq!(suppressed(&service).await, [bob]);
}

#[tokio::test]
async fn lifting_a_hold_ends_what_it_blocked_with_its_suppression_at_once() {
    let (service, worker) = late::asleep_with("delete", by_hand()).await;
    let plain = ["", ""];
    let cases = [
        ["?suppress=true", ""],
        ["", "?suppress=true"],
        ["?suppress=true", "?suppress=true"],
        plain,
    ];
    let mut people = Vec::new();
    for (n, asked) in cases.iter().enumerate() {
        for way in ["lifted", "until", "restricted"] {
            let visitor = format!("{way}-{n}");
            let who = service.acquaint(&visitor).await;
            let until = (way == "until").then(|| json!(service.now() + days(40)));
            hold(&service, &who, until).await;
            if way == "restricted" {
                let path = format!("/v1/subjects/{who}/restriction");
                let set = service.call("PUT", &path, &service.ours.owner, None).await;
                set.expect(204);
            }
            for query in asked {
                erase(&service, &who, query).await.expect(202);
            }
            people.push((who, visitor, way, *asked != plain));
        }
    }
    service.cloud.clock().advance(days(40));
    for (who, ..) in people.iter().filter(|it| it.2 != "until") {
        lift(&service, who).await;
    }
    service.sweep().await;
    // No turn has been taken: whoever visits now does not begin a new life.
    for (who, visitor, _, stays_away) in &people {
        let reason = if *stays_away { "suppressed" } else { "erasing" };
        assert_eq!(visits(&service, visitor).await, reason, "{visitor}");
        assert_eq!(erase(&service, who, "").await.status, 404, "{visitor}");
    }
    worker.wake();
    for _ in 0..3 {
        service.cloud.clock().advance(minutes(21));
        service.sweep().await;
        service.cloud.settle().await;
    }
    let mut away = Vec::new();
    for (who, visitor, _, stays_away) in people {
        let told = visits(&service, &visitor).await;
        assert_eq!(told == "suppressed", stays_away, "{visitor}: {told}");
        let left = rows::about(&service, &who).await;
        let seen = left.iter().any(|row| rows::text(row, "SK") == Some("door"));
        assert_eq!(seen, !stays_away, "{visitor}");
        away.extend(stays_away.then_some(who));
    }
    away.sort();
    assert_eq!(suppressed(&service).await, away);
    for state in ["held", "restricted"] {
        let path = format!("/v1/subjects?state={state}");
        let listed = service.get(&path, &service.ours.owner).await.expect(200);
        assert_eq!(listed["data"], json!([]));
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
        hold(&service, &ada, None).await;
        let jobs = [
            erase(&service, &ada, "").await.expect(202),
            erase(&service, &ada, "?suppress=true").await.expect(202),
        ];
        let hold = format!("/v1/subjects/{ada}/hold");
        let owner = &service.ours.owner;
        dies.store(true, Ordering::SeqCst);
        let unheard = service.call("DELETE", &hold, owner, None).await;
        assert!(unheard.status >= 500, "{}", unheard.text);
        // It is lifted, and the life has ended: nothing can be taken back any more.
        assert_eq!(visits(&service, "ada").await, "suppressed");
        assert_eq!(service.job(&path(&jobs[0])).await["state"], "blocked");
        let late = cancel(&service, &jobs[0]).await;
        assert_eq!(late.expect(409)["code"], "not_cancellable");
        let wait = match asks_again {
            true => {
                let again = service.call("DELETE", &hold, owner, None).await;
                again.expect(204);
                minutes(21)
            }
            false => days(1),
        };
        service.cloud.settle().await;
        for _ in 0..2 {
            service.cloud.clock().advance(wait);
            service.sweep().await;
            service.cloud.settle().await;
        }
        for job in &jobs {
            let done = service.job(&path(job)).await;
            assert_eq!(done["state"], "completed", "{done}");
        }
        assert!(rows::files(&service).is_empty());
        assert_eq!(suppressed(&service).await, [ada]);
    }
}

#[tokio::test]
async fn a_hold_that_a_dying_sweep_has_ended_lets_its_erasures_go_with_the_next() {
    let (service, dies) = mortal().await;
    let ada = service.acquaint("ada").await;
    let until = service.now() + minutes(20 * 60);
    hold(&service, &ada, Some(json!(until))).await;
    let job = path(&erase(&service, &ada, "").await.expect(202));
    service.cloud.clock().advance(minutes(20 * 60 + 1));
    dies.store(true, Ordering::SeqCst);
    assert!(service.cloud.run_schedule("cleanup").await.is_err());
    assert_eq!(visits(&service, "ada").await, "erasing");
    assert_eq!(service.job(&job).await["state"], "blocked");
    // Long before the job itself looks again, which it does once a day.
    for _ in 0..2 {
        service.cloud.clock().advance(minutes(21));
        service.sweep().await;
        service.cloud.settle().await;
    }
    assert_eq!(service.job(&job).await["state"], "completed");
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
    hold(&service, &ada, None).await;
    let mut people = vec![ada.clone()];
    if others {
        people.push(service.acquaint("bob").await);
    }
    let owner = &service.ours.owner;
    let people = json!({"subjects": people});
    let job = service
        .post("/v1/erasures", owner, people)
        .await
        .expect(202);
    for _ in 0..2 {
        delete.wake();
        service.cloud.clock().advance(minutes(21));
        service.sweep().await;
        service.cloud.settle().await;
        delete.sleep();
    }
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");

    // Once a day the worker looks whether the hold still stands.
    service.cloud.clock().advance(days(1) + minutes(1));
    service.sweep().await;
    service.cloud.settle().await;
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
    service.cloud.clock().advance(minutes(7));
    service.sweep().await;
    service.cloud.settle().await;
    assert_eq!(service.job(&path(&job)).await["state"], "blocked");
    cancel(&service, &job).await.expect(200);
    lift(&service, &ada).await;
    brake.release();
    sleeping.await.expect("it runs").expect("it ends well");

    let path = format!("/v1/subjects/{ada}");
    let person = service.get(&path, &service.ours.owner).await.expect(200);
    assert_eq!(person["counts"]["messages"], 2, "{person}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_erasure_that_is_asked_for_just_before_a_hold_is_lifted_waits_for_nobody() {
    for waited_before in [false, true] {
        let (service, brake) = late::braked(by_hand()).await;
        let ada = service.acquaint("ada").await;
        hold(&service, &ada, None).await;
        if waited_before {
            erase(&service, &ada, "").await.expect(202);
        }
        // Whoever lifts it has read what waits for it, and is about to write.
        brake.hold("admin", |call| call.operation == "TransactWriteItems");
        let lifting = service.clone();
        let who = ada.clone();
        let lifted = tokio::spawn(async move { lift(&lifting, &who).await });
        brake.reached();
        let late = erase(&service, &ada, "?suppress=true").await.expect(202);
        assert_eq!(late["state"], "blocked");
        brake.release();
        lifted.await.expect("it is lifted");
        assert_eq!(visits(&service, "ada").await, "suppressed");
        assert_eq!(suppressed(&service).await, [ada]);
    }
}

#[tokio::test]
async fn an_erasure_for_which_a_hold_has_no_room_looks_again_each_day() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    hold(&service, &ada, None).await;
    for _ in 0..BLOCKED {
        erase(&service, &ada, "").await.expect(202);
    }
    let job = left_behind(&service, &[&ada], false).await;
    let path = format!("/v1/erasures/{}", job.key.id);
    service.advance(minutes(30)).await;
    assert_eq!(service.job(&path).await["state"], "blocked");
    assert_eq!(entry(&service, &ada).await.blocked.len(), BLOCKED);
    lift(&service, &ada).await;
    service.advance(days(1) + minutes(30)).await;
    assert_eq!(service.job(&path).await["state"], "completed");
}

/// A job that a request has written which died before it ended anybody.
async fn left_behind(service: &Service, people: &[&String], suppress: bool) -> Job<Erasing> {
    let app = service.cloud.app();
    let tenant = TenantId::parse(&service.ours.id).expect("a tenant");
    let subjects: Vec<_> = people
        .iter()
        .map(|it| SubjectId::parse(it).expect("a subject"))
        .collect();
    let present = app.present(tenant, &subjects).await.expect("an answer");
    let lives: Vec<_> = present.iter().map(|it| (it.key, 2)).collect();
    let mut erasing = Erasing::default();
    erasing.suppress = suppress;
    let (mut job, _) = Job::erasure(JobKind::Erasure, tenant, &lives, erasing, service.now());
    let prepared = app.store.write(job.prepare_write()).await;
    prepared.expect("an answer").expect("a new job");
    job
}

#[tokio::test]
async fn who_is_to_be_kept_away_stays_away_however_their_life_has_ended_meanwhile() {
    let service = Service::with(by_hand()).await;
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
    let job = left_behind(&service, &people.iter().collect::<Vec<_>>(), true).await;
    erase(&service, erased, "").await.expect(202);
    service.cloud.settle().await;
    service.cloud.clock().advance(days(30));
    let life = entry(&service, expires).await.key;
    let store = &service.cloud.app().store;
    assert!(
        store
            .begin_expiry(&life, service.now())
            .await
            .expect("an answer")
    );
    for visitor in ["returns", "held", "let-in"] {
        assert_eq!(visits(&service, visitor).await, "stored");
    }
    hold(&service, held, None).await;
    for (who, method) in [let_in, before]
        .into_iter()
        .flat_map(|who| [(who, "PUT"), (who, "DELETE")])
    {
        let path = format!("/v1/subjects/{who}/suppression");
        let owner = &service.ours.owner;
        service.call(method, &path, owner, None).await.expect(204);
    }
    // The life that begins now remembers that its person was let in.
    assert_eq!(visits(&service, "let-in-before").await, "stored");
    for _ in 0..3 {
        service.sweep().await;
        service.cloud.settle().await;
        service.cloud.clock().advance(minutes(21));
    }
    for visitor in ["expires", "returns", "erased"] {
        assert_eq!(visits(&service, visitor).await, "suppressed", "{visitor}");
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
    assert_eq!(visits(&service, "held").await, "stored");
    for visitor in ["let-in", "let-in-before"] {
        assert_eq!(visits(&service, visitor).await, "stored", "{visitor}");
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
    hold(&service, &ada, None).await;
    let job = erase(&service, &ada, "?suppress=true").await.expect(202);
    dies.store(true, Ordering::SeqCst);
    let hold = format!("/v1/subjects/{ada}/hold");
    let owner = &service.ours.owner;
    let unheard = service.call("DELETE", &hold, owner, None).await;
    assert!(unheard.status >= 500);
    service.cloud.clock().advance(minutes(5));
    let path = format!("/v1/subjects/{ada}/suppression");
    service.call("DELETE", &path, owner, None).await.expect(204);
    for _ in 0..3 {
        service.cloud.clock().advance(days(1));
        service.sweep().await;
        service.cloud.settle().await;
    }
    assert_eq!(service.job(&self::path(&job)).await["state"], "completed");
    assert_eq!(visits(&service, "ada").await, "stored");
    assert_eq!(suppressed(&service).await, [] as [String; 0]);
}
