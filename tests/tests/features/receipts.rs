//! Erasures of many, of whole tenants, and the signed receipts that say what was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use jiff::SignedDuration;
use lethe_tests::{Service, assert_has, by_hand, days, hours, id_of, minutes, path_of, subject};
use local::Options;
use local::wire::Fate;
use serde_json::{Value, json};

use crate::{late, rows, signed};

/// The claims of a receipt.
async fn claims(service: &Service, jws: &str) -> Value {
    let (typ, claims) = signed::open(service, jws).await;
    assert_eq!(typ, "lethe-receipt+jwt");
    claims
}

/// What the receipt of a job says.
async fn receipt(service: &Service, job: &Value) -> Value {
    let receipt = service.receipt(id_of(job)).await;
    claims(service, &receipt.text).await
}

/// Some people, each with a visit and a message.
async fn crowd(service: &Service, people: usize) -> Vec<String> {
    let mut subjects = Vec::new();
    let visitors: Vec<_> = (0..people).map(|n| format!("v-{n}")).collect();
    for some in visitors.chunks(50) {
        let events = some.iter().flat_map(|visitor| {
            [
                json!({"type": "visit", "visitor_id": visitor}),
                json!({"type": "message", "visitor_id": visitor, "conversation_id": "c-1",
                       "author": "end_user", "body": "hello"}),
            ]
        });
        let results = service.store(events.collect()).await;
        subjects.extend(results.iter().step_by(2).map(subject));
    }
    subjects
}

#[tokio::test]
async fn an_erasure_comes_with_a_receipt_that_anybody_can_check() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.attach("ada").await;
    let asked_at = service.now();
    let request = json!({"subjects": [ada], "reason": "subject_request", "reference": "DSR-7"});
    let job = service.erasure(request).await;
    // Not before the last look, which waits for the last upload link.
    assert_eq!(service.follow(&job).await["state"], "verifying");
    let job_id = id_of(&job);
    let early = service.receipt(job_id).await.expect(409);
    assert_eq!(early["code"], "not_completed");
    service.advance(minutes(30)).await;
    let done = service.completed(&job).await;

    let reply = service.receipt(job_id).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/jose"));
    let claims = claims(&service, &reply.text).await;
    assert_has(
        &claims,
        json!({"tenant": service.ours.id, "jti": job_id, "kind": "erasure"}),
    );
    assert_has(
        &claims,
        json!({"reason": "subject_request", "reference": "DSR-7"}),
    );
    assert_eq!(claims["lives"]["count"], 1);
    assert!(
        claims["lives"]["names"][0]
            .as_str()
            .is_some_and(|it| it.starts_with("life_"))
    );
    assert_eq!(claims["stores"], done["stores"]);
    assert_eq!(claims["stores"]["attachments"], 1);
    assert_eq!(claims["unreadable_at"]["records"], json!(asked_at));
    assert_eq!(claims["backups_clear_by"], json!(asked_at + days(1)));
    let erased_at: jiff::Timestamp = done["erased_at"].as_str().unwrap().parse().unwrap();
    // The job itself names her for 35 days, then goes in two and is in backups for 31; other
    // jobs may have ended two days later.
    let clear_by = erased_at + days(2 + 35 + 2 + 31);
    assert_eq!(claims["pseudonymous_rows_clear_by"], json!(clear_by));
    assert!(!claims["not_covered"].as_array().unwrap().is_empty());
    assert!(!claims.to_string().contains(&ada), "lives, never subjects");
    // Kept in the bucket too, and only there is anything of this person left to be found.
    let objects = rows::objects(&service);
    assert!(objects.contains(&format!("receipts/{}/{job_id}.jws", service.ours.id)));
    assert!(!objects.iter().any(|key| key.contains(&ada)), "{objects:?}");
    let path = format!("/v1/erasures/{job_id}/receipt");
    service.get(&path, &service.theirs.owner).await.expect(404);
}

#[tokio::test]
async fn many_people_are_unreadable_in_the_answer_and_their_job_is_found_by_each() {
    let service = Service::start().await;
    let people = crowd(&service, 250).await;
    let (gone, left) = people.split_at(230);
    let dry = service.dry_run(json!({"subjects": gone})).await;
    assert_eq!(dry["subjects"], 230);
    // Person, clock, conversation and message of each.
    assert_eq!(dry["stores"]["records"], 4 * 230);
    let job = service.erasure(json!({"subjects": gone})).await;
    assert!(job["unreadable_at"]["records"].is_string(), "{job}");
    for entry in rows::keyring(&service).await {
        let ours = gone
            .iter()
            .any(|it| rows::text(&entry, "PK").unwrap().ends_with(it));
        assert!(!ours || !entry.contains_key("data_key"));
    }
    let done = service.completed(&job).await;
    assert_eq!(done["stores"]["keyring"], 230);
    // Person, clock, conversation and message of each; the doors closed with the request.
    assert_eq!(done["stores"]["records"], 4 * 230);
    assert_eq!(done["progress"]["done"], done["progress"]["total"]);
    let claims = receipt(&service, &job).await;
    assert_eq!(claims["lives"]["count"], 230);
    assert_eq!(claims["lives"]["root"].as_str().map(str::len), Some(43));
    for (who, found) in [(&gone[0], 1), (&gone[229], 1), (&left[0], 0)] {
        let path = format!("/v1/erasures?subject={who}&state=completed");
        assert_eq!(service.list(&path).await.len(), found, "{who}");
    }
    for who in [&left[0], &left[19]] {
        service.person(who).await;
    }
}

#[tokio::test]
async fn a_request_for_too_many_is_refused_and_the_unknown_are_passed_over() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let nobody = |n: usize| format!("sub_{n:032x}");
    let many: Vec<_> = (0..5001).map(nobody).collect();
    let refused = service
        .post("/v1/erasures", owner, json!({"subjects": many}))
        .await;
    assert_eq!(refused.faults(), ["/subjects"]);
    let mut most: Vec<_> = (0..4999).map(nobody).collect();
    most.push(ada.clone());
    let job = service.erasure(json!({"subjects": most})).await;
    assert_eq!(service.follow(&job).await["stores"]["keyring"], 1);
    service.no_person(&ada).await;
}

#[tokio::test]
async fn who_shares_a_user_id_goes_too_when_asked_and_when_both_are_vouched_for() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let identify =
        |visitor: &str| json!([{"type": "identify", "visitor_id": visitor, "user_id": "u-1"}]);
    let phone = subject(&service.store(identify("phone")).await[0]);
    let laptop = subject(&service.store(identify("laptop")).await[0]);
    service.visit("page").await;
    let path = format!("/v1/subjects/{phone}?include_related=user_id");
    let refused = service
        .delete(&path.replace("user_id", "email"), owner)
        .await;
    assert_eq!(refused.faults(), ["include_related"]);
    let job = service.delete(&path, owner).await.expect(202);
    assert_eq!(service.follow(&job).await["stores"]["keyring"], 2);
    for gone in [&phone, &laptop] {
        service.no_person(gone).await;
    }
}

#[tokio::test]
async fn everybody_who_expires_on_a_day_stands_in_one_receipt() {
    let service = Service::start().await;
    join_all(["ada", "bob"].map(|who| service.acquaint(who))).await;
    service.advance(days(5)).await;
    service.acquaint("eve").await;
    service.advance(days(34)).await;
    let mut named = Vec::new();
    for day in 27..40 {
        let at = lethe_tests::NOON.parse::<jiff::Timestamp>().unwrap() + days(day);
        let day = at.strftime("%Y-%m-%d").to_string();
        let reply = service.receipt(&day).await;
        if reply.status == 404 {
            continue;
        }
        let claims = claims(&service, &reply.text).await;
        assert_eq!(claims["kind"], "expiry");
        assert_eq!(claims["day"], day.as_str());
        let count = claims["lives"]["count"].as_u64().unwrap();
        assert_eq!(
            claims["lives"]["names"].as_array().unwrap().len() as u64,
            count
        );
        assert_eq!(claims["stores"]["keyring"], count);
        assert!(
            claims["stores"]["records"].as_u64() >= Some(8 * count),
            "{claims}"
        );
        named.push(count);
    }
    assert_eq!(named, [2, 1]);
}

#[tokio::test]
async fn a_tombstone_goes_when_no_backup_can_bring_anything_back() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let bob = service.acquaint("bob").await;
    let job = service.erase(&ada).await;
    service.advance(days(30)).await;
    let known = async |who: &str| rows::is_known(&service, who).await;
    assert!(known(&ada).await);
    service.advance(days(6)).await;
    assert!(!known(&ada).await, "thirty-five days after their erasure");
    assert!(known(&bob).await, "who expired later");
    let owner = &service.ours.owner;
    service.get(&path_of(&job), owner).await.expect(404);
    let receipt = service.receipt(id_of(&job)).await;
    assert_eq!(receipt.status, 200, "receipts stay");
    service.advance(days(35)).await;
    assert!(!known(&bob).await);
}

#[tokio::test]
async fn a_tenant_leaves_with_everybody_and_everything_but_the_proof() {
    let service = Service::start().await;
    let people = crowd(&service, 30).await;
    let ada = service.acquaint("ada").await;
    service.attach("ada").await;
    let owner = &service.ours.owner;
    service.export(&ada).await;
    service.cloud.settle().await;
    let ask = |body: Value| service.post("/v1/erasures", owner, body);
    let refused = ask(json!({"tenant": true})).await;
    assert_eq!(refused.faults(), ["/confirm"]);
    let refused = ask(json!({"tenant": true, "confirm": service.theirs.id})).await;
    assert_eq!(refused.faults(), ["/confirm"]);
    let dry = service.dry_run(json!({"tenant": true})).await;
    assert_eq!(dry["subjects"], 31);
    assert_eq!(dry["stores"]["exports"], 1);
    let lesser = service.key(&["erase", "admin"]).await;
    let body = json!({"tenant": true, "confirm": service.ours.id});
    let refused = service.post("/v1/erasures", &lesser, body.clone()).await;
    refused.expect(403);
    let job = service.erasure(body.clone()).await;
    assert_eq!(ask(body.clone()).await.expect(409)["code"], "leaving");

    // A day of grace: nothing has changed, and it can be taken back and asked for again.
    service.person(&ada).await;
    let cancelled = service.cancel(&job).await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    service.cancel(&job).await.expect(409);
    let job = service.erasure(body).await;
    service.advance(hours(23)).await;
    service.person(&ada).await;
    let visit = json!({"type": "visit", "visitor_id": "neighbour"});
    let neighbour = service.send_one(&service.theirs.ingest, visit).await;
    let neighbour = subject(&neighbour);

    // Each stage waits for its caches and links: some sweeps bring it to its end.
    for _ in 0..8 {
        service.advance(minutes(61)).await;
    }
    let path = format!("/v1/subjects/{ada}");
    service.get(&path, owner).await.expect(401);
    let operator = service.cloud.operator_key();
    let tenants = service.get("/v1/tenants", operator).await.expect(200);
    let record = tenants["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["tenant"] == service.ours.id.as_str())
        .expect("the operator's record stays");
    assert_eq!(record["state"], "erased", "{record}");
    let claims = claims(&service, record["receipt"].as_str().unwrap()).await;
    assert_has(&claims, json!({"kind": "tenant", "jti": job["id"]}));
    assert_eq!(claims["lives"]["count"], 31);
    assert!(claims["unreadable_at"]["records"].is_string());

    let of_ours = |text: &str| text.contains(&service.ours.id);
    for object in rows::objects(&service).into_iter().filter(|it| of_ours(it)) {
        let stays = ["receipts/", "seals/", "ledger/"];
        assert!(
            stays.iter().any(|area| object.starts_with(area)),
            "{object}"
        );
    }
    for row in rows::records(&service).await {
        let key = rows::text(&row, "PK").unwrap();
        let stays = ["#receipts", "#jobs#erasure", "#once#", "#seals", "#leaves#"];
        assert!(
            !of_ours(key) || stays.iter().any(|it| key.contains(it)),
            "{key} {:?}",
            rows::text(&row, "SK")
        );
        assert!(!people.iter().any(|who| key.contains(who)), "{key}");
    }
    for entry in rows::keyring(&service).await {
        if of_ours(rows::text(&entry, "PK").unwrap()) {
            for secret in ["data_key", "tenant_keys"] {
                assert!(!entry.contains_key(secret));
            }
        }
    }
    let path = format!("/v1/subjects/{neighbour}");
    service.get(&path, &service.theirs.owner).await.expect(200);
    // Later sweeps pass over who has left.
    service.advance(days(2)).await;
    assert_eq!(service.cloud.dead_letters().len(), 0);
}

#[tokio::test]
async fn what_a_request_that_died_left_is_ended_by_the_worker() {
    let service = Service::by_hand().await;
    let people = crowd(&service, 120).await;
    let job = service.left_behind(&people, false).await;
    service.advance(minutes(10)).await;
    service.sweep().await;
    service.cloud.settle().await;
    let path = format!("/v1/erasures/{}", job.key.id);
    let done = service.job(&path).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["stores"]["keyring"], 120);
    for who in [&people[0], &people[119]] {
        assert!(rows::about(&service, who).await.is_empty());
    }
}

#[tokio::test]
async fn what_a_store_refuses_for_a_day_is_named_and_tried_until_it_goes() {
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = refuses.clone();
    let service = Service::with(Options {
        wire: Some(Arc::new(move |call| {
            let refused = call.operation == "DeleteObjects" && refusing.load(Ordering::SeqCst);
            if refused { Fate::Refuse } else { Fate::Pass }
        })),
        ..by_hand()
    })
    .await;
    let ada = service.acquaint("ada").await;
    service.attach("ada").await;
    let job = service.erase(&ada).await;
    let pass = async |time: SignedDuration| {
        service.pass(time).await;
        service.follow(&job).await
    };
    assert_eq!(service.follow(&job).await["state"], "running");
    let told = pass(hours(7)).await;
    assert_eq!(told["state"], "running", "it may be a passing fault");
    pass(hours(10)).await;
    let told = pass(hours(10)).await;
    assert_eq!(told["state"], "partial", "{told}");
    assert_eq!(told["partial"], json!(["attachments"]));
    assert_eq!(told["stores"]["attachments"], 1, "counted once: {told}");
    service.receipt(id_of(&job)).await.expect(409);
    refuses.store(false, Ordering::SeqCst);
    pass(hours(25)).await;
    let done = pass(hours(1)).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert!(done["partial"].is_null());
    assert_eq!(done["stores"]["attachments"], 1);
    assert_eq!(service.receipt(id_of(&job)).await.status, 200);
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn a_receipt_dates_by_the_last_of_those_whom_it_is_about() {
    let service = Service::by_hand().await;
    let mut people = Vec::new();
    for visitor in ["ada", "bob", "eve"] {
        people.push(service.acquaint(visitor).await);
    }
    for who in &people[1..] {
        service.hold(who).await;
    }
    let job = service.erasure(json!({"subjects": people})).await;
    let asked_at = service.now();
    assert_eq!(job["backups_clear_by"], json!(asked_at + days(1)));
    let mut lifted_at = asked_at;
    for who in &people[1..] {
        service.pass(days(5)).await;
        lifted_at = service.now();
        service.lift_hold(who).await;
        service.cloud.settle().await;
        let now = service.follow(&job).await;
        assert_eq!(now["unreadable_at"]["records"], json!(lifted_at), "{now}");
        assert_eq!(now["backups_clear_by"], json!(lifted_at + days(1)));
    }
    service.pass(minutes(21)).await;
    let done = service.completed(&job).await;
    let claims = receipt(&service, &job).await;
    assert_eq!(claims["lives"]["count"], 3);
    assert_eq!(claims["requested_at"], json!(asked_at));
    for store in ["records", "attachments", "exports"] {
        let at = claims["unreadable_at"][store].as_str().expect("a time");
        let at: jiff::Timestamp = at.parse().expect("a time");
        assert!(at >= lifted_at, "{store} {at}");
    }
    assert_eq!(claims["backups_clear_by"], json!(lifted_at + days(1)));
    assert_eq!(claims["unreadable_at"], done["unreadable_at"]);
    assert_eq!(claims["backups_clear_by"], done["backups_clear_by"]);
}

#[tokio::test]
async fn a_receipt_dates_by_the_last_file_that_was_removed() {
    let (service, _scan) = late::asleep_with("scan", by_hand()).await;
    let ada = service.visit("ada").await;
    let announced = service.announce("ada", b"hello").await;
    let job = service.erase(&ada).await;
    service.cloud.settle().await;
    // It comes after the first look, and before its link has run out.
    service.pass(minutes(9)).await;
    let sent = service.put(&announced["upload"], b"hello").await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    // An upload that began before its link ran out may take some time yet.
    service.pass(minutes(10)).await;
    assert_eq!(service.follow(&job).await["state"], "verifying");
    service.pass(minutes(2)).await;
    let done = service.completed(&job).await;
    assert_eq!(done["unreadable_at"]["attachments"], json!(service.now()));
    assert_eq!(done["stores"]["attachments"], 1);
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn a_receipt_masks_what_the_log_masks() {
    let service = Service::start().await;
    for (visitor, said, kept) in [
        ("ada", "rita.lovelace", "r…"),
        ("bob", "4915199887766", "4…"),
        ("eve", "DSR-7", "DSR-7"),
    ] {
        let who = service.visit(visitor).await;
        let body = json!({"subjects": [who], "reference": said, "reason": said});
        let job = service.erasure(body).await;
        service.settle().await;
        service.advance(minutes(30)).await;
        let claims = receipt(&service, &job).await;
        assert_has(&claims, json!({"reference": kept, "reason": kept}));
    }
}

#[tokio::test]
async fn a_dry_run_says_what_the_erasure_then_does() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.visit("bob").await);
    service.attach("ada").await;
    service.export(&ada).await;
    // Announced, and never sent.
    service.announce("ada", b"hello").await;
    service.settle().await;
    let dry = service.dry_run(json!({"subjects": [ada, bob]})).await;
    assert_eq!(dry["stores"]["attachments"], 1, "{dry}");
    assert_eq!(dry["stores"]["exports"], 1);
    let job = service.erasure(json!({"subjects": [ada, bob]})).await;
    service.advance(minutes(30)).await;
    let done = service.completed(&job).await;
    assert_eq!(done["stores"], dry["stores"]);
}

#[tokio::test]
async fn when_pseudonymous_rows_are_clear_no_row_names_them() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.export(&ada).await;
    service.redact(&ada, json!([{"conversation": "c-1"}])).await;
    service.settle().await;
    let job = service
        .erasure(json!({"subjects": [ada], "reference": "DSR-7"}))
        .await;
    service.settle().await;
    service.advance(minutes(30)).await;
    let claims = receipt(&service, &job).await;
    let clear_by = claims["pseudonymous_rows_clear_by"].as_str();
    let clear_by: jiff::Timestamp = clear_by.expect("a time").parse().expect("a time");
    // What the tables hold then has been in no backup for as long as one is kept.
    let rest = clear_by.duration_since(service.now());
    service.advance(rest - days(31)).await;
    for row in rows::all(&service).await {
        let text = format!("{row:?}");
        assert!(!text.contains(&ada), "{text}");
    }
}

#[tokio::test]
async fn a_ledger_that_names_more_is_not_replaced_by_one_that_names_less() {
    let service = Service::by_hand().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    service.hold(&bob).await;
    let job = service.erasure(json!({"subjects": [ada, bob]})).await;
    service.cloud.settle().await;
    let ledger = || {
        let mut keys = rows::objects(&service);
        keys.retain(|key| key.starts_with("ledger/") && key.contains(id_of(&job)));
        keys
    };
    let objects = &service.cloud.app().objects;
    let first = ledger();
    let [object] = first.as_slice() else {
        panic!("one note: {first:?}")
    };
    let less = objects.read(object).await.expect("an answer");
    let less = less.expect("a note");
    service.lift_hold(&bob).await;
    service.cloud.settle().await;
    // A turn that was overtaken says at last what it knew.
    let put = objects.put(object, "application/json", less).await;
    put.expect("the bucket takes it");
    let mut named = String::new();
    for object in ledger() {
        let note = objects.read(&object).await.expect("an answer");
        named += std::str::from_utf8(&note.expect("a note")).expect("text");
    }
    assert!(named.contains(&ada) && named.contains(&bob), "{named}");
}

#[tokio::test]
async fn a_job_that_waits_for_a_hold_forgets_in_time_whom_it_has_erased() {
    let service = Service::by_hand().await;
    // In the job itself; in lists beside it, before and after.
    let mut all = crowd(&service, 107).await;
    let batches = [all.split_off(105), all];
    let mut waiting = Vec::new();
    for people in &batches {
        let (gone, held) = people.split_at(1);
        for who in held {
            service.hold(who).await;
        }
        let job = service.erasure(json!({"subjects": people})).await;
        service.cloud.settle().await;
        waiting.push((job, &gone[0], held));
    }
    for (job, gone, held) in &waiting {
        service.pass(days(36)).await;
        let now = service.follow(job).await;
        assert_eq!(now["state"], "blocked", "{now}");
        for row in rows::records(&service).await {
            assert!(!format!("{row:?}").contains(*gone), "{row:?}");
        }
        for who in *held {
            service.lift_hold(who).await;
        }
        service.cloud.settle().await;
        service.pass(minutes(21)).await;
        let done = service.completed(job).await;
        assert_eq!(done["stores"]["keyring"], held.len() + 1);
        let claims = receipt(&service, job).await;
        assert_eq!(claims["lives"]["count"], held.len() + 1);
        for who in *held {
            assert!(rows::about(&service, who).await.is_empty());
        }
    }
}
