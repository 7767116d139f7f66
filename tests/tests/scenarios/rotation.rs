//! A tenant's wrapping key gets a new version once a year. What was sealed before is read as
//! before, and what is sealed later is sealed under the new one.

use lethe_tests::meter::{Cost, Meter};
use lethe_tests::{Service, days, minutes};
use local::Options;
use serde_json::json;
use shared::domain::jobs::{Job, JobFilter, JobKind};

use crate::rows;

async fn unswept(options: Options) -> Service {
    Service::with(Options {
        ttl: false,
        schedules: false,
        ..options
    })
    .await
}

/// The job that rotates the tenant's key.
async fn job(service: &Service) -> Job {
    let (store, filter) = (&service.cloud.app().store, JobFilter::default());
    let jobs = store.jobs(service.tenant(), JobKind::Rotation, &filter, 10, None);
    let (mut jobs, _) = jobs.await.expect("it answers");
    assert_eq!(jobs.len(), 1, "a tenant has one");
    jobs.remove(0)
}

/// Hands the job's next turn to the worker, as the sweep does once it is due.
async fn turn(service: &Service) {
    let (store, now) = (&service.cloud.app().store, service.now());
    let mut job = job(service).await;
    assert!(job.look_at.is_some_and(|at| at <= now), "it is due by now");
    let handed = store.next_turn(&mut job, now).await;
    assert!(handed.expect("it answers"));
    service.cloud.settle().await;
}

/// The version of the wrapping key that a subject's data key is wrapped under.
async fn version(service: &Service, subject: &str) -> u8 {
    let rows = rows::keyring(service).await;
    let of = |row: &&rows::Row| rows::text(row, "PK").is_some_and(|key| key.ends_with(subject));
    let row = rows.iter().find(of).expect("they are known");
    let wrapped = row["data_key"].as_b().expect("bytes").as_ref();
    assert_eq!(wrapped[..3], [0, 0, 0]);
    wrapped[3]
}

async fn say(service: &Service, who: &str) -> String {
    let said = json!([{"type": "message", "visitor_id": who, "conversation_id": "c-1",
                       "author": "end_user", "body": who}]);
    lethe_tests::subject(&service.store(said).await[0])
}

#[tokio::test]
async fn what_was_sealed_before_a_rotation_is_read_after_it() {
    let meter = Meter::default();
    let service = unswept(Options {
        watch: Some(meter.watch()),
        ..Options::default()
    })
    .await;
    let (owner, ada) = (&service.ours.owner, say(&service, "ada").await);
    service.hold(&ada).await;
    service.visit("bob").await;
    let list = "/v1/subjects?limit=1";
    let page = service.get(list, owner).await.expect(200);
    let cursor = page["next_cursor"]
        .as_str()
        .expect("there is more")
        .to_owned();

    service.skip(days(366));
    turn(&service).await;
    // Nothing is sealed under the new version while a cache or a backup may not have it.
    let carol = say(&service, "carol").await;
    assert_eq!(version(&service, &carol).await, 1);
    service.skip(days(2) + minutes(16));
    let dora = say(&service, "dora").await;
    assert_eq!(version(&service, &dora).await, 2);

    assert_eq!(version(&service, &ada).await, 1);
    for (who, name) in [(&ada, "ada"), (&carol, "carol"), (&dora, "dora")] {
        assert_eq!(service.records(who, "message").await[0]["body"], name);
    }
    assert_eq!(say(&service, "ada").await, ada, "names hash as before");
    let later = format!("{list}&cursor={cursor}");
    service.get(&later, owner).await.expect(200);

    // Both versions come with one call.
    service.skip(minutes(16));
    meter.take();
    assert_eq!(service.records(&ada, "message").await[0]["body"], "ada");
    assert_eq!(service.records(&dora, "message").await[0]["body"], "dora");
    let cost = Cost::of(&meter.take());
    assert_eq!(
        cost.calls.get("kms:Decrypt"),
        Some(&1),
        "{}",
        cost.summary()
    );
}

#[tokio::test]
async fn a_key_is_rotated_once_a_year_however_often_it_is_looked_at() {
    let service = unswept(Options::default()).await;
    let keyring = &service.cloud.app().keyring;
    let ours = service.tenant();
    service.skip(days(366));
    turn(&service).await;
    let both = tokio::join!(keyring.rotate(ours), keyring.rotate(ours));
    assert!(both.0.expect("it answers") && both.1.expect("it answers"));
    // A look every few months.
    for _ in 0..3 {
        service.skip(days(91));
        turn(&service).await;
    }
    let zoe = say(&service, "zoe").await;
    assert_eq!(version(&service, &zoe).await, 2);
    service.skip(days(102));
    turn(&service).await;
    service.skip(days(3));
    let yan = say(&service, "yan").await;
    assert_eq!(version(&service, &yan).await, 3);
}

#[tokio::test]
async fn a_tenant_that_has_left_is_given_no_keys_again() {
    let service = unswept(Options::default()).await;
    let (keyring, ours) = (&service.cloud.app().keyring, service.tenant());
    service.skip(days(366));
    let removed = keyring.remove_tenant(ours).await;
    removed.expect("it answers");
    turn(&service).await;
    assert!(job(&service).await.state.over());
    assert!(!keyring.rotate(ours).await.expect("it answers"));
    let rows = rows::keyring(&service).await;
    let row = rows
        .iter()
        .find(|row| rows::text(row, "PK") == Some(&service.ours.id));
    assert!(!row.expect("it was there").contains_key("tenant_keys"));
}

/// KMS binds a tenant's wrapped keys to the tenant by its encryption context: whoever can write
/// the table gains nothing by putting one tenant's keys in another's row.
#[tokio::test]
async fn the_keys_of_one_tenant_open_in_the_row_of_no_other() {
    let service = unswept(Options::default()).await;
    for tenant in [&service.ours, &service.theirs] {
        let visit = json!({"events": [{"type": "visit", "visitor_id": "ada"}]});
        let sent = service.post("/v1/events", &tenant.ingest, visit).await;
        assert_eq!(sent.expect(200)["results"][0]["status"], "stored");
    }
    let rows = rows::keyring(&service).await;
    let of = |id: &str| rows.iter().find(|row| rows::text(row, "PK") == Some(id));
    let ours = of(&service.ours.id).expect("our row");
    let mut theirs = of(&service.theirs.id).expect("their row").clone();
    theirs.insert("tenant_keys".to_owned(), ours["tenant_keys"].clone());
    let put = rows::client(&service).put_item();
    let put = put.table_name(&service.cloud.app().config.keyring_table);
    let put = put.set_item(Some(theirs)).send().await;
    put.expect("the engine takes it");
    // Past the time for which keys are held in memory.
    service.advance(minutes(31)).await;
    for (tenant, opens) in [(&service.ours, true), (&service.theirs, false)] {
        let visit = json!({"events": [{"type": "visit", "visitor_id": "bob"}]});
        let sent = service.post("/v1/events", &tenant.ingest, visit).await;
        assert_eq!(sent.status == 200, opens, "{}", sent.text);
    }
}
