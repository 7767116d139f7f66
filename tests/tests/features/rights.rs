//! What may be done with a person: each rule's effect, what outlasts a life, and what
//! goes on by itself when a rule ends.

use lethe_tests::{Reply, Service, assert_has, days, hours, minutes, path_of, subject};
use local::Options;
use serde_json::{Value, json};
use shared::base::id::{AttachmentId, SubjectId};
use shared::domain::keys;
use shared::domain::life::door::Passing;
use shared::domain::life::update::Whom;
use shared::domain::records::content::FileState;
use shared::domain::records::rows::{Attachment, purge_write};
use shared::domain::redaction::{self, Cause, Target, What, Work};

use crate::rows;

/// Puts a rule in force, or lifts it.
async fn rule(service: &Service, method: &str, subject: &str, rule: &str) -> Reply {
    let path = format!("/v1/subjects/{subject}/{rule}");
    let body = json!({"reason": "litigation"});
    let body = (method == "PUT" && rule == "hold").then_some(&body);
    service.call(method, &path, &service.ours.owner, body).await
}

/// Sends one event of each kind that a visitor may cause; the statuses with reasons.
async fn send(service: &Service, visitor: &str) -> Vec<String> {
    let events = json!([
        {"type": "visit", "visitor_id": visitor},
        {"type": "interaction", "visitor_id": visitor, "item_id": "help-1", "action": "viewed"},
        {"type": "identify", "visitor_id": visitor, "name": "Ada"},
        {"type": "message", "visitor_id": visitor, "conversation_id": "c-9", "author": "end_user", "body": "hello"},
    ]);
    service.try_store(events).await
}

/// What a page with a `collect` key is told: events and an announced file.
async fn page_learns(service: &Service, visitor: &str) -> (Value, u16) {
    let collect = &service.ours.collect;
    let events = json!({"events": [{"type": "visit", "visitor_id": visitor}]});
    let told = service.post("/v1/events", collect, events).await;
    let told = told.expect(200);
    (told, service.announce_with(collect, visitor).await.status)
}

#[tokio::test]
async fn a_restricted_person_is_kept_and_used_by_those_who_govern_alone() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let file = service.attach("ada").await;
    let export = service.key(&["export"]).await;
    let made = service.post("/v1/exports", &export, json!({"subject": ada}));
    let before = made.await.expect(202);
    service.cloud.settle().await;
    service.set_rule(&ada, "restriction").await;

    // What arrives is still stored.
    assert_eq!(send(&service, "ada").await, ["stored"; 4]);
    let [read, redact, rectify] = [
        service.key(&["read"]).await,
        service.key(&["redact"]).await,
        service.key(&["rectify"]).await,
    ];
    let path = format!("/v1/subjects/{ada}");
    let (records, attachment) = (
        format!("{path}/records"),
        format!("{path}/attachments/{file}"),
    );
    let redaction = json!({"subject": ada, "targets": [{"conversation": "c-1"}]});
    let corrected = json!({"identity": {"name": "Eve"}});
    let refused = [
        service.get(&path, &read).await,
        service.get(&records, &read).await,
        service.get(&attachment, &read).await,
        service.post("/v1/redactions", &redact, redaction).await,
        service.patch(&path, &rectify, corrected.clone()).await,
        service
            .post("/v1/exports", &export, json!({"subject": ada}))
            .await,
        service.get(&path_of(&before), &export).await,
    ];
    for reply in refused {
        assert_eq!(reply.expect(409)["code"], "restricted");
    }
    // Lists and lookups still say that they are there.
    let found = service.post("/v1/lookup", &read, json!({"email": "ada@example.com"}));
    assert_eq!(
        found.await.expect(200)["subjects"][0]["state"],
        "restricted"
    );
    let listed = service.get("/v1/subjects", &read).await.expect(200);
    assert_eq!(listed["data"][0]["state"], "restricted");

    // Those who govern may read, rectify, export and redact.
    let shown = service.person(&ada).await;
    let rules =
        json!({"state": "restricted", "restriction": true, "objection": false, "hold": false});
    assert_has(&shown, rules);
    assert_eq!(shown["expires_at"], Value::Null);
    service.correct(&ada, corrected).await;
    let job = service.completed(&service.export(&ada).await).await;
    assert_eq!(job["downloads"].as_array().map(Vec::len), Some(1));
    // And anybody who may erase, erases.
    service.forget(&ada).await;
    service.no_person(&ada).await;
    assert!(service.in_state("restricted").await.is_empty());
    assert_eq!(
        rule(&service, "DELETE", &ada, "restriction").await.status,
        404
    );
    // Who comes back is not restricted.
    service.visit("ada").await;
    assert_eq!(service.person(&ada).await["restriction"], false);
}

#[tokio::test]
async fn a_restriction_keeps_a_person_beyond_thirty_days_and_lets_them_go_when_lifted() {
    for options in [
        Options::default(),
        Options {
            ttl: false,
            ..Options::default()
        },
    ] {
        let service = Service::with(options).await;
        let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
        service.set_rule(&ada, "restriction").await;
        service.set_rule(&bob, "restriction").await;
        service.advance(days(32)).await;
        assert_eq!(service.person(&ada).await["counts"]["messages"], 2);
        // Bob comes by while his clock stands still: it goes on from then.
        service.visit("bob").await;
        assert_eq!(service.person(&bob).await["expires_at"], Value::Null);
        service.advance(days(2)).await;
        service.lift_rule(&ada, "restriction").await;
        service.lift_rule(&bob, "restriction").await;
        service.no_person(&ada).await;
        let bob_now = service.person(&bob).await;
        assert_eq!(bob_now["expires_at"], json!(service.now() + days(28)));
        service.advance(hours(1)).await;
        assert!(
            rows::about(&service, &ada).await.is_empty(),
            "nothing of ada is left"
        );
        service.advance(days(27)).await;
        service.person(&bob).await;
        service.advance(days(2)).await;
        assert!(
            rows::about(&service, &bob).await.is_empty(),
            "nothing of bob is left"
        );
        assert!(service.cloud.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn a_stopped_clock_is_looked_at_once_a_day() {
    let service = Service::with(Options {
        schedules: false,
        ..Options::default()
    })
    .await;
    let ada = service.acquaint("ada").await;
    service.hold(&ada).await;
    service.advance(days(31)).await;
    let sweep = || async { service.sweep().await };
    assert_eq!(sweep().await["clocks_moved"], 1);
    for _ in 0..3 {
        service.advance(minutes(15)).await;
        assert_eq!(sweep().await["clocks_moved"], 0);
    }
    service.advance(days(1)).await;
    assert_eq!(sweep().await["clocks_moved"], 1);
    service.person(&ada).await;
}

#[tokio::test]
async fn rules_are_put_and_lifted_as_often_as_one_likes_and_logged_when_they_change() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let rules = [
        ("restriction", "person.restricted", "restriction.lifted"),
        ("objection", "person.objected", "objection.withdrawn"),
        ("hold", "person.held", "hold.lifted"),
        ("suppression", "person.suppressed", "suppression.lifted"),
    ];
    for (name, put_kind, lift_kind) in rules {
        service.lift_rule(&ada, name).await;
        assert_eq!(service.activity(lift_kind).await.len(), 0, "{name}");
        for _ in 0..2 {
            service.set_rule(&ada, name).await;
        }
        for _ in 0..2 {
            service.lift_rule(&ada, name).await;
        }
        assert_eq!(service.activity(put_kind).await.len(), 1, "{name}");
        assert_eq!(service.activity(lift_kind).await.len(), 1, "{name}");
    }
    let log = service.list("/v1/activity?limit=100").await;
    let about: Vec<_> = log.iter().map(|it| it["about"].to_string()).collect();
    assert!(
        about.iter().all(|about| !about.contains(&ada)),
        "lives, never subjects"
    );
    assert!(about.iter().any(|it| it.contains("reason:litigation")));
    // As if nothing had been: the clock runs, and no list names them.
    let shown = service.person(&ada).await;
    assert_eq!(shown["state"], "active");
    assert_eq!(shown["expires_at"], json!(service.now() + days(30)));
    for state in ["held", "restricted", "objected", "suppressed"] {
        assert!(service.in_state(state).await.is_empty());
    }
}

#[tokio::test]
async fn the_clock_goes_on_when_nothing_stops_it_any_more() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    service.set_rule(&ada, "restriction").await;
    service.hold(&ada).await;
    assert_eq!(service.person(&ada).await["state"], "held");
    service.lift_hold(&ada).await;
    let shown = service.person(&ada).await;
    assert_has(&shown, json!({"state": "restricted", "expires_at": null}));
    service.lift_rule(&ada, "restriction").await;
    assert_eq!(
        service.person(&ada).await["expires_at"],
        json!(service.now() + days(30))
    );
}

#[tokio::test]
async fn lifting_goes_by_the_retention_in_force() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    service.hold(&ada).await;
    service.settings(json!({"retention_days": 3})).await;
    service.advance(days(2)).await;
    service.lift_hold(&ada).await;
    assert_eq!(
        service.person(&ada).await["expires_at"],
        json!(service.now() + days(1))
    );
}

#[tokio::test]
async fn nothing_of_a_held_person_is_changed_or_taken_out() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let file = service.attach("ada").await;
    let consent =
        json!([{"type": "identify", "visitor_id": "ada", "consent": {"basis": "consent"}}]);
    service.store(consent).await;
    service.hold(&ada).await;
    let (owner, path) = (&service.ours.owner, format!("/v1/subjects/{ada}"));
    let targets =
        json!({"subject": ada, "targets": [{"conversation": "c-1"}, {"attachment": file}]});
    let correction = json!({"contact": {"email": null}});
    let refused = [
        service.post("/v1/redactions", owner, targets).await,
        service.patch(&path, owner, correction).await,
        rule(&service, "DELETE", &ada, "consent").await,
    ];
    for reply in refused {
        assert_eq!(reply.expect(409)["code"], "held");
    }
    for _ in 0..4 {
        service.advance(days(10)).await;
    }
    let shown = service.person(&ada).await;
    assert_has(&shown, json!({"state": "held", "hold": true}));
    assert_eq!(shown["contact"]["email"], "ada@example.com");
    assert_eq!(service.attachment(&ada, &file).await["state"], "clean");
    // They may be read by anybody who may read.
    service.get(&path, &service.ours.read).await.expect(200);
    service.lift_hold(&ada).await;
    service.no_person(&ada).await;
}

#[tokio::test]
async fn a_redaction_job_leaves_alone_who_is_held_meanwhile() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let file = service.attach("ada").await;
    service.hold(&ada).await;
    // As asked for before the hold: its turns come after it.
    let app = service.cloud.app();
    let tenant = service.tenant();
    let keys = app.keyring.tenant(tenant).await.expect("the tenant's keys");
    let person = SubjectId::parse(&ada).expect("a subject");
    let whom = Whom::subject(tenant, person);
    let life = app.life(whom).await.expect("they live");
    let living = &life.living;
    let conversation = keys.hash.conversation(person, "c-1");
    let file_id = AttachmentId::parse(&file).expect("an attachment");
    let what = [What::Conversation(conversation), What::Attachment(file_id)];
    let targets = what.into_iter().enumerate();
    let targets = targets.map(|(index, what)| Target { index, what });
    let work = Work {
        life: living.key,
        targets: targets.collect(),
    };
    let job = redaction::job(tenant, &[work], Cause::default(), &[], 4, service.now());
    let begun = app.store.transact(job.begin_writes()).await;
    begun.expect("the store answers").expect("a new job");
    let shown = service.job(&format!("/v1/redactions/{}", job.key.id)).await;
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["results"]["held"], 2, "{shown}");
    assert_eq!(shown["results"]["redacted"], 0);
    assert_eq!(service.attachment(&ada, &file).await["state"], "clean");
    assert_eq!(rows::objects(&service).len(), 1);
}

#[tokio::test]
async fn a_redacted_file_goes_though_whoever_was_to_delete_it_died() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let file = service.attach("ada").await;
    let app = service.cloud.app();
    let tenant = service.tenant();
    let person = SubjectId::parse(&ada).expect("a subject");
    let whom = Whom::subject(tenant, person);
    let life = app.life(whom).await.expect("they live");
    let living = &life.living;
    let sort = keys::attachment(AttachmentId::parse(&file).expect("an attachment"));
    let partition = living.key.partition();
    let read = || async { app.store.get(&partition, &sort).await.expect("an answer") };
    let row = read().await.expect("a row");
    let mut row = Attachment::read(&row, living).expect("as written");
    // What the row's transaction writes, and nothing after it.
    row.state = FileState::Redacted;
    row.purging = true;
    let writes = vec![
        row.replace(living, FileState::Clean),
        purge_write(&living.key, service.now()),
    ];
    let (store, passing) = (&app.store, Passing::default());
    let written = store.through_door(living, &passing, writes, service.now());
    written.await.expect("an answer").expect("as it was");
    service.cloud.settle().await;
    assert_eq!(rows::objects(&service), Vec::<String>::new());
    let after = read().await.expect("a row");
    assert!(!after.flag("purging"));
    assert_eq!(after.try_text("state"), Some("redacted"));
}

#[tokio::test]
async fn a_hold_ends_by_itself() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let until = service.now() + days(45) + hours(3);
    service.hold_until(&ada, until).await;
    for _ in 0..9 {
        service.advance(days(5)).await;
    }
    assert_eq!(service.person(&ada).await["state"], "held");
    service.advance(hours(3) - minutes(1)).await;
    assert_eq!(service.person(&ada).await["state"], "held");
    service.advance(minutes(20)).await;
    // Last seen 45 days ago: there is nothing left to wait for.
    service.no_person(&ada).await;
    service.advance(hours(1)).await;
    assert!(rows::about(&service, &ada).await.is_empty());
    assert!(service.in_state("held").await.is_empty());
    let log = service
        .get("/v1/activity?kind=hold.lifted", &service.ours.owner)
        .await;
    assert_eq!(log.expect(200)["data"][0]["by"], "lethe");
}

#[tokio::test]
async fn a_hold_that_ends_soon_lets_the_clock_go_on() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let seen = service.now();
    let until = service.now() + hours(2);
    service.hold_until(&ada, until).await;
    service.advance(hours(2) + minutes(16)).await;
    let shown = service.person(&ada).await;
    assert_has(
        &shown,
        json!({"state": "active", "expires_at": seen + days(30)}),
    );
    // A new hold takes the place of another, whichever ends sooner.
    service.hold_until(&ada, service.now() + days(2)).await;
    service.hold_until(&ada, service.now() + hours(1)).await;
    service.advance(hours(1) + minutes(16)).await;
    assert_eq!(service.person(&ada).await["state"], "active");
    service.hold_until(&ada, service.now() + hours(1)).await;
    service.hold(&ada).await;
    service.advance(days(3)).await;
    assert_eq!(service.person(&ada).await["state"], "held");
}

#[tokio::test]
async fn a_wrong_body_is_named_by_field() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let path = format!("/v1/subjects/{ada}/hold");
    let cases = [
        (json!({}), "/reason"),
        (json!({"reason": "Ada Lovelace sues"}), "/reason"),
        (json!({"reason": 7}), "/reason"),
        (json!({"reason": "x", "until": "tomorrow"}), "/until"),
        (json!({"reason": "x", "until": service.now()}), "/until"),
        (
            json!({"reason": "x", "until": service.now() + days(3700)}),
            "/until",
        ),
        (json!({"reason": "x", "note": "Ada"}), "/note"),
        (json!([]), ""),
    ];
    for (body, pointer) in cases {
        let reply = service
            .call("PUT", &path, &service.ours.owner, Some(&body))
            .await;
        assert_eq!(reply.faults(), [pointer], "{body}");
    }
    assert_eq!(service.person(&ada).await["hold"], false);
    let listed = service
        .get("/v1/subjects?state=erased", &service.ours.read)
        .await;
    assert_eq!(listed.faults(), ["state"]);
    // Without the scope, nothing.
    service
        .call(
            "PUT",
            &path,
            &service.ours.read,
            Some(&json!({"reason": "x"})),
        )
        .await
        .expect(403);
}

#[tokio::test]
async fn an_objection_ends_observation_and_outlasts_an_erasure() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let unasked = page_learns(&service, "ada").await;
    service.set_rule(&ada, "objection").await;
    let expected = ["objected", "objected", "stored", "stored"];
    assert_eq!(send(&service, "ada").await, expected);
    assert_eq!(
        page_learns(&service, "ada").await,
        unasked,
        "a page learns nothing"
    );
    let shown = service.person(&ada).await;
    assert_has(&shown, json!({"state": "objected", "objection": true}));
    assert_eq!(shown["counts"]["interactions"], 1);

    service.forget(&ada).await;
    let bare = json!({"subject": ada, "last_seen": null, "expires_at": null, "state": "objected", "verified": false});
    assert_eq!(service.in_state("objected").await, [bare]);
    // A visit begins no life; what they say themselves does.
    assert_eq!(service.try_visit("ada").await, "objected");
    service.no_person(&ada).await;
    assert_eq!(send(&service, "ada").await, expected);
    let shown = service.person(&ada).await;
    assert_eq!(
        (&shown["objection"], &shown["counts"]["messages"]),
        (&json!(true), &json!(1))
    );
    let row = &service.in_state("objected").await[0];
    assert_has(row, json!({"subject": ada, "state": "objected"}));
    // It outlasts an expiry as well, and is withdrawn even when nothing else is kept.
    service.advance(days(31)).await;
    service.advance(days(1)).await;
    service.no_person(&ada).await;
    assert_eq!(service.in_state("objected").await.len(), 1);
    service.lift_rule(&ada, "objection").await;
    assert_eq!(send(&service, "ada").await, ["stored"; 4]);
}

#[tokio::test]
async fn an_objection_can_be_noted_of_somebody_who_was_forgotten() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.forget(&ada).await;
    service.set_rule(&ada, "objection").await;
    assert_eq!(service.activity("person.objected").await.len(), 1);
    assert_eq!(send(&service, "ada").await[..2], ["objected", "objected"]);
    for name in ["hold", "restriction"] {
        let bob = service.visit("bob").await;
        service.forget(&bob).await;
        for method in ["PUT", "DELETE"] {
            assert_eq!(
                rule(&service, method, &bob, name).await.status,
                404,
                "{method} {name}"
            );
        }
    }
    let nobody = format!("sub_{}", "0".repeat(32));
    for name in ["hold", "restriction", "objection", "suppression", "consent"] {
        assert_eq!(
            rule(&service, "DELETE", &nobody, name).await.status,
            404,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_suppressed_person_stays_away_after_an_erasure_until_that_is_lifted() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    // A page is told the same of anybody who is being erased.
    let bob = service.acquaint("bob").await;
    service.set_rule(&ada, "suppression").await;
    assert_eq!(
        send(&service, "ada").await,
        ["stored"; 4],
        "nothing changes while they live"
    );
    assert_eq!(service.person(&ada).await["state"], "active");
    assert_eq!(service.in_state("suppressed").await[0]["state"], "active");

    service.erase(&ada).await;
    service.erase(&bob).await;
    assert_eq!(send(&service, "ada").await, ["suppressed"; 4]);
    let erasing = page_learns(&service, "bob").await;
    assert_eq!(
        page_learns(&service, "ada").await,
        erasing,
        "a page learns nothing"
    );
    service.advance(minutes(30)).await;
    assert_eq!(send(&service, "ada").await, ["suppressed"; 4]);
    assert_eq!(page_learns(&service, "ada").await, erasing);
    let refused = service.announce_with(&service.ours.ingest, "ada").await;
    assert_eq!(refused.expect(409)["code"], "suppressed");
    assert!(
        rows::about(&service, &ada)
            .await
            .iter()
            .all(|row| { rows::text(row, "PK").is_some_and(|key| key.contains("#rule#")) })
    );
    let bare = json!({"subject": ada, "last_seen": null, "expires_at": null, "state": "suppressed", "verified": false});
    assert_eq!(service.in_state("suppressed").await, [bare]);
    assert_eq!(
        service
            .list("/v1/subjects?state=suppressed&expires_before=2030-01-01T00:00:00Z")
            .await,
        [] as [Value; 0]
    );

    service.lift_rule(&ada, "suppression").await;
    assert_eq!(service.activity("suppression.lifted").await.len(), 1);
    assert_eq!(send(&service, "ada").await, ["stored"; 4]);
    assert!(service.in_state("suppressed").await.is_empty());
}

#[tokio::test]
async fn a_suppressed_person_stays_away_after_an_expiry_that_nobody_noticed() {
    let service = Service::by_hand().await;
    let ada = service.acquaint("ada").await;
    service.set_rule(&ada, "suppression").await;
    service.advance(days(30)).await;
    assert_eq!(send(&service, "ada").await, ["suppressed"; 4]);
    let refused = service.announce_with(&service.ours.ingest, "ada").await;
    assert_eq!(refused.expect(409)["code"], "suppressed");
    assert_eq!(
        service.in_state("suppressed").await[0]["state"],
        "suppressed"
    );
    for _ in 0..2 {
        service.sweep().await;
        service.cloud.settle().await;
        assert_eq!(send(&service, "ada").await, ["suppressed"; 4]);
        service.advance(minutes(30)).await;
    }
    // Whoever is forgotten can be made to stay away, too.
    let bob = service.visit("bob").await;
    service.advance(days(30)).await;
    service.set_rule(&bob, "suppression").await;
    assert_eq!(send(&service, "bob").await, ["suppressed"; 4]);
}

#[tokio::test]
async fn who_was_erased_and_stands_under_no_rule_any_more_is_forgotten_in_time() {
    let service = Service::start().await;
    // The rules of each before the erasure, those put after it, and those lifted at once.
    let cases: [(&[&str], &[&str], &[&str]); 5] = [
        (&["suppression"], &[], &[]),
        (&["objection"], &[], &[]),
        (&[], &["objection"], &[]),
        (&["suppression"], &[], &["suppression"]),
        (&["objection"], &["suppression"], &["objection"]),
    ];
    let mut people = Vec::new();
    for (n, (before, after, lifted)) in cases.iter().enumerate() {
        let who = service.visit(&format!("v-{n}")).await;
        for name in *before {
            service.set_rule(&who, name).await;
        }
        service.forget(&who).await;
        for name in *after {
            service.set_rule(&who, name).await;
        }
        for name in *lifted {
            service.lift_rule(&who, name).await;
        }
        people.push(who);
    }
    service.advance(days(37)).await;
    for (n, (who, stays)) in people
        .iter()
        .zip([true, true, true, false, true])
        .enumerate()
    {
        assert_eq!(rows::is_known(&service, who).await, stays, "{n}");
    }
    // Their time as a tombstone is over: they go with their last rule.
    for (who, name) in [
        (&people[0], "suppression"),
        (&people[1], "objection"),
        (&people[2], "objection"),
        (&people[4], "suppression"),
    ] {
        service.lift_rule(who, name).await;
        assert!(!rows::is_known(&service, who).await, "{name}");
        assert_eq!(rule(&service, "PUT", who, name).await.status, 404);
    }
    for state in ["objected", "suppressed"] {
        let left = service.in_state(state).await;
        assert!(left.is_empty());
    }
    // Lifted before that, the row goes when its time comes, and not with another rule's.
    let bob = service.visit("bob").await;
    service.set_rule(&bob, "objection").await;
    service.forget(&bob).await;
    service.advance(days(20)).await;
    service.set_rule(&bob, "suppression").await;
    service.lift_rule(&bob, "objection").await;
    service.lift_rule(&bob, "suppression").await;
    service.advance(days(14)).await;
    assert!(rows::is_known(&service, &bob).await);
    service.advance(days(2)).await;
    assert!(!rows::is_known(&service, &bob).await);
}

#[tokio::test]
async fn a_rule_that_is_lifted_while_a_life_is_erased_leaves_a_tombstone_that_goes() {
    let options = Options {
        events: false,
        ..Options::default()
    };
    let service = Service::with(options).await;
    let ada = service.visit("ada").await;
    service.set_rule(&ada, "suppression").await;
    service.erase(&ada).await;
    service.lift_rule(&ada, "suppression").await;
    service.cloud.settle().await;
    service.advance(days(1)).await;
    assert!(rows::is_known(&service, &ada).await);
    service.advance(days(36)).await;
    assert!(!rows::is_known(&service, &ada).await);
}

#[tokio::test]
async fn a_tombstone_that_ttl_has_yet_to_delete_is_forgotten_already() {
    let options = Options {
        ttl: false,
        ..Options::default()
    };
    let service = Service::with(options).await;
    let ada = service.visit("ada").await;
    service.forget(&ada).await;
    service.advance(days(36)).await;
    assert!(rows::is_known(&service, &ada).await);
    for name in ["objection", "suppression"] {
        assert_eq!(rule(&service, "PUT", &ada, name).await.status, 404);
    }
    service.visit("ada").await;
    service.person(&ada).await;
    service.cloud.sweep_ttl().await;
    service.person(&ada).await;
}

#[tokio::test]
async fn lists_name_those_under_a_rule_a_page_at_a_time() {
    let service = Service::start().await;
    let mut held = Vec::new();
    for visitor in ["a", "b", "c", "d", "e"] {
        let subject = service.visit(visitor).await;
        service.hold(&subject).await;
        held.push(subject);
    }
    service.visit("f").await;
    held.sort();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/subjects?state=held&limit=2{cursor}");
        let page = service.get(&path, &service.ours.read).await.expect(200);
        let rows = page["data"].as_array().expect("rows");
        assert!(rows.iter().all(|row| row["state"] == "held"));
        seen.extend(
            rows.iter()
                .filter_map(|row| row["subject"].as_str().map(str::to_owned)),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, held);
    let theirs = service
        .get("/v1/subjects?state=held", &service.theirs.owner)
        .await;
    assert_eq!(theirs.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn writes_that_meet_a_change_of_rules_happen_within_one_or_the_other() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    for round in 0..20 {
        let message = json!({"events": [
            {"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user", "body": "x"},
            {"type": "visit", "visitor_id": "ada"},
        ]});
        let write = || service.post("/v1/events", &service.ours.ingest, message.clone());
        let name = ["restriction", "objection", "hold"][round % 3];
        let (one, other, put, two) = tokio::join!(
            write(),
            service.announce_with(&service.ours.ingest, "ada"),
            rule(&service, "PUT", &ada, name),
            write(),
        );
        assert_eq!(
            (put.status, other.status),
            (204, 201),
            "{} {}",
            put.text,
            other.text
        );
        for reply in [one, two] {
            let reply = reply.expect(200);
            assert_eq!(reply["results"][0]["status"], "stored", "{reply}");
            let visit = &reply["results"][1];
            assert!(
                visit["status"] == "stored" || visit["reason"] == "objected",
                "{visit}"
            );
        }
        let shown = service.person(&ada).await;
        assert_eq!(
            shown["expires_at"] == Value::Null,
            name != "objection",
            "{name}"
        );
        let (lifted, _) = tokio::join!(rule(&service, "DELETE", &ada, name), write());
        lifted.expect(204);
        let shown = service.person(&ada).await;
        assert_eq!(
            shown["expires_at"],
            json!(service.now() + days(30)),
            "{name}"
        );
        service.advance(minutes(11)).await;
        service.visit("ada").await;
    }
    let shown = service.person(&ada).await;
    assert_eq!(shown["counts"]["messages"], 2 + 60);
    assert_eq!(shown["counts"]["attachments"], 20);
}

#[tokio::test]
async fn a_withdrawn_consent_takes_what_rested_on_it_and_leaves_its_history() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    assert_eq!(
        rule(&service, "DELETE", &ada, "consent").await.expect(409)["code"],
        "no_consent"
    );
    let given = json!({"basis": "consent", "source": "widget", "given_by": "self"});
    let consent = json!([{"type": "identify", "visitor_id": "ada", "consent": given}]);
    service.store(consent.clone()).await;
    let withdrawn_at = service.now();
    for _ in 0..2 {
        service.withdraw_consent(&ada).await;
        service.advance(minutes(1)).await;
    }
    assert_eq!(service.activity("consent.withdrawn").await.len(), 1);
    let shown = service.person(&ada).await;
    assert_has(&shown, json!({"identity": {}, "contact": {}}));
    assert_eq!(
        (&shown["visitor_id"], &shown["custom"]["plan"]),
        (&json!("ada"), &json!("gold"))
    );
    assert_has(&shown, json!({"consent": null, "verified": false}));
    let history = json!([{"basis": "consent", "source": "widget", "given_by": "self", "at": withdrawn_at, "verified": true, "withdrawn_at": withdrawn_at}]);
    assert_eq!(shown["consent_withdrawn"], history);
    for value in [
        json!({"email": "ada@example.com"}),
        json!({"user_id": "u-ada"}),
    ] {
        let found = service.lookup(value).await;
        assert!(found.is_empty());
    }
    // Given on another basis, it is noted; nothing rested on it.
    let contract = json!([{"type": "identify", "visitor_id": "ada", "name": "Ada", "consent": {"basis": "contract"}}]);
    service.store(contract).await;
    service.withdraw_consent(&ada).await;
    let shown = service.person(&ada).await;
    assert_eq!(shown["identity"]["name"], "Ada");
    assert_eq!(shown["consent_withdrawn"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["consent_withdrawn"][1]["basis"], "contract");
    // It goes with the person.
    service.forget(&ada).await;
    assert_eq!(subject(&service.store(consent).await[0]), ada);
    let shown = service.person(&ada).await;
    assert_eq!(shown.get("consent_withdrawn"), None);
}

#[tokio::test]
async fn another_tenants_person_has_no_rights_here() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let theirs = &service.theirs.owner;
    let body = json!({"reason": "litigation"});
    for name in ["restriction", "objection", "hold", "suppression", "consent"] {
        let path = format!("/v1/subjects/{ada}/{name}");
        // Consent is given by an event, and can only be withdrawn here.
        let methods = ["DELETE", "PUT"].into_iter();
        for method in methods.take(if name == "consent" { 1 } else { 2 }) {
            let body = (method == "PUT").then_some(&body);
            let reply = service.call(method, &path, theirs, body).await;
            assert_eq!(reply.status, 404, "{method} {name}: {}", reply.text);
        }
    }
    assert_eq!(service.person(&ada).await["state"], "active");
}
