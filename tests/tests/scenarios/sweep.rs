//! The sweep holds up nobody: what fails of one life, job or tenant is told, and left to the
//! next sweep; all else is done.
//!
//! Every call that a sweep makes fails in its turn, a service for each. `cargo test` tries
//! some of them; with the feature `long`, all.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::StreamExt;
use jiff::SignedDuration;
use lethe_tests::{Service, Tenant, assert_has, by_hand, days, hours, minutes, path_of, seconds};
use local::Options;
use local::template::Tree;
use local::wire::{Call, Fate};
use serde_json::{Value, json};
use shared::domain::jobs::Job;
use shared::domain::keys::{JobKey, JobKind, LifeKey};
use shared::domain::tenant::rows::change_write;

use crate::late;
use crate::rows::{self, Row};

/// Of how many calls `cargo test` tries one.
const SAMPLED: usize = if cfg!(feature = "long") { 1 } else { 5 };
/// Cases at the same time.
const AT_ONCE: usize = 4;

/// The calls of cleanup since it is watched, and which of them fails, at every try.
#[derive(Clone, Default)]
struct Line(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    watching: bool,
    calls: Vec<Call>,
    fails: Option<usize>,
}

impl Line {
    fn watch(&self, fails: Option<usize>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Watched {
            watching: true,
            calls: Vec::new(),
            fails,
        };
    }

    /// What was called; from here on nothing fails.
    fn seen(&self) -> Vec<Call> {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.watching = false;
        std::mem::take(&mut watched.calls)
    }

    fn decide(&self, call: &Call) -> Fate {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !watched.watching || call.function.as_deref() != Some("cleanup") {
            return Fate::Pass;
        }
        let known = watched.calls.iter().position(|it| it.number == call.number);
        let place = known.unwrap_or(watched.calls.len());
        if known.is_none() {
            watched.calls.push(call.clone());
        }
        match watched.fails == Some(place) {
            true => Fate::Refuse,
            false => Fate::Pass,
        }
    }
}

/// A service in which nothing happens by itself.
async fn still(line: &Line) -> Service {
    let wire = line.clone();
    let options = Options {
        events: false,
        wire: Some(Arc::new(move |call: &Call| wire.decide(call))),
        ..by_hand()
    };
    Service::with(options).await
}

/// Something of a tenant that the sweep has to see to.
#[derive(Clone, Debug)]
struct Due {
    what: &'static str,
    tenant: String,
    /// The subject or job that it is about; none where it is the tenant's own.
    about: Option<String>,
}

async fn visit(service: &Service, tenant: &Tenant, visitor: &str) -> String {
    let events = json!({"events": [{"type": "visit", "visitor_id": visitor}]});
    let reply = service.post("/v1/events", &tenant.ingest, events).await;
    lethe_tests::subject(&reply.expect(200)["results"][0])
}

async fn keep_for(service: &Service, tenant: &Tenant, days: u8) {
    let settings = json!({"retention_days": days});
    service
        .call("PUT", "/v1/settings", &tenant.owner, Some(&settings))
        .await
        .expect(200);
}

/// Two tenants, of each of whom two people's time is over, somebody's hold is, somebody has
/// been given too long, an erasure has stalled, and a day waits for its seal.
async fn a_lot_to_do(service: &Service) -> Vec<Due> {
    let mut due = Vec::new();
    let tenants = [&service.ours, &service.theirs];
    let mut note = |what, tenant: &Tenant, about: Option<&str>| {
        let (tenant, about) = (tenant.id.clone(), about.map(str::to_owned));
        due.push(Due {
            what,
            tenant,
            about,
        });
    };
    for tenant in tenants {
        keep_for(service, tenant, 1).await;
    }
    service.skip(minutes(2));
    for tenant in tenants {
        for visitor in ["due-1", "due-2"] {
            note(
                "expiry",
                tenant,
                Some(&visit(service, tenant, visitor).await),
            );
        }
        let held = visit(service, tenant, "held").await;
        let until = service.now() + hours(20);
        let hold = json!({"reason": "litigation", "until": until});
        let path = format!("/v1/subjects/{held}/hold");
        service
            .call("PUT", &path, &tenant.owner, Some(&hold))
            .await
            .expect(204);
        note("hold", tenant, Some(&held));
        keep_for(service, tenant, 30).await;
    }
    service.skip(hours(14));
    for tenant in tenants {
        for visitor in ["long-1", "long-2"] {
            let long = visit(service, tenant, visitor).await;
            note("retention", tenant, Some(&long));
        }
        let gone = visit(service, tenant, "gone").await;
        keep_for(service, tenant, 3).await;
        let path = format!("/v1/subjects/{gone}");
        let job = service.delete(&path, &tenant.owner).await;
        let job = job.expect(202)["id"].as_str().expect("an id").to_owned();
        note("job", tenant, Some(&job));
        note("seal", tenant, None);
    }
    service.skip(minutes(10 * 60 + 10));
    due
}

/// What of it is not done yet.
async fn left(service: &Service, due: &[Due]) -> Vec<Due> {
    let (keyring, records) = (rows::keyring(service).await, rows::records(service).await);
    let text = |row: &Row, name: &str| rows::text(row, name).unwrap_or_default().to_owned();
    let entry = |subject: &str| {
        let mut rows = keyring.iter();
        rows.find(|row| text(row, "PK").ends_with(subject))
            .expect("they are known")
    };
    let number = |row: &Row, name: &str| -> i64 {
        let number = row.get(name).and_then(|it| it.as_n().ok());
        number.map_or(0, |number| number.parse().expect("a number"))
    };
    let done = |due: &Due| {
        let about = due.about.as_deref().unwrap_or_default();
        match due.what {
            "expiry" => text(entry(about), "state") != "active",
            "hold" => !entry(about).contains_key("held"),
            "retention" => {
                let door =
                    |row: &&Row| text(row, "PK").contains(about) && text(row, "SK") == "door";
                let door = records.iter().find(door).expect("they live");
                number(door, "expires_at") == number(door, "last_seen") / 1000 + 3 * 86_400
            }
            "job" => {
                let job = |row: &&Row| text(row, "SK") == about;
                number(records.iter().find(job).expect("a job"), "turn") > 1
            }
            "seal" => {
                let seals = format!("{}#seals", due.tenant);
                records.iter().any(|row| text(row, "PK") == seals)
            }
            other => panic!("nobody knows when {other} is done"),
        }
    };
    due.iter().filter(|due| !done(due)).cloned().collect()
}

async fn sweep(service: &Service) -> Value {
    let event = include_str!("../../../events/cleanup.schedule.json");
    let event = serde_json::from_str(event).expect("an event");
    let swept = service.cloud.invoke("cleanup", event).await;
    swept.expect("a sweep ends well, whatever fails in it")
}

/// The names of subjects, lives and jobs that a call asks about.
fn names(call: &Call) -> Vec<String> {
    let text = String::from_utf8_lossy(&call.body).into_owned() + &call.path;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| word.starts_with("sub_") || word.starts_with("job_"));
    named.map(str::to_owned).collect()
}

/// Lets one call of a sweep fail. What was left undone that had nothing to do with it.
async fn case(place: usize) -> Result<(), String> {
    let line = Line::default();
    let service = still(&line).await;
    let due = a_lot_to_do(&service).await;
    line.watch(Some(place));
    let swept = sweep(&service).await;
    let calls = line.seen();
    let Some(failed) = calls.get(place) else {
        return Ok(());
    };
    let named = names(failed);
    let tenants = [&service.ours.id, &service.theirs.id];
    let mentioned: Vec<_> = tenants.iter().filter(|it| failed.mentions(it)).collect();
    let touched = |due: &Due| {
        let tenant = mentioned.is_empty() || mentioned.contains(&&&due.tenant);
        let about = due
            .about
            .as_ref()
            .is_some_and(|about| named.contains(about));
        tenant && (named.is_empty() || about)
    };
    let mut untouched = left(&service, &due).await;
    untouched.retain(|due| !touched(due));
    let of = format!(
        "call {place}, {} {:?} of {named:?}",
        failed.operation, mentioned
    );
    if !untouched.is_empty() {
        return Err(format!("{of}: left undone: {untouched:?}"));
    }
    if swept["failures"] == 0 && !left(&service, &due).await.is_empty() {
        return Err(format!("{of}: nobody is told"));
    }
    // The next sweep does it.
    service.skip(minutes(15));
    let swept = sweep(&service).await;
    let left = left(&service, &due).await;
    match left.is_empty() && swept["failures"] == 0 {
        true => Ok(()),
        false => Err(format!("{of}: the next sweep: {swept}, {left:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_call_of_a_sweep_fails_all_that_it_is_not_about_is_done() {
    let line = Line::default();
    let service = still(&line).await;
    let due = a_lot_to_do(&service).await;
    assert_eq!(left(&service, &due).await.len(), due.len());
    line.watch(None);
    let swept = sweep(&service).await;
    let calls = line.seen().len();
    assert_eq!(swept["failures"], 0);
    let undone = left(&service, &due).await;
    assert!(undone.is_empty(), "{undone:?}");
    let places = (0..calls).step_by(SAMPLED);
    let _shown = writeln!(
        std::io::stderr(),
        "sweep: {} of {calls} calls",
        places.len()
    );
    let cases = futures::stream::iter(places).map(|place| tokio::spawn(case(place)));
    let ran: Vec<_> = cases.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = ran
        .into_iter()
        .filter_map(|ran| ran.expect("no case panics").err())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Replaces one attribute of a row.
async fn spoil(service: &Service, table: &str, row: &Row, name: &str) {
    let mut spoilt = row.clone();
    spoilt.insert(name.to_owned(), AttributeValue::S("nonsense".to_owned()));
    let put = rows::client(service).put_item().table_name(table);
    let put = put.set_item(Some(spoilt)).send().await;
    put.expect("the engine takes it");
}

#[tokio::test]
async fn a_row_that_is_not_as_it_was_written_holds_up_nobody_else() {
    let line = Line::default();
    let service = still(&line).await;
    let due = a_lot_to_do(&service).await;
    let of_ours = |what: &str| {
        let mut all = due.iter();
        let found = all.find(|it| it.what == what && it.tenant == service.ours.id);
        found.and_then(|it| it.about.clone()).expect("it is due")
    };
    let spoilt = ["expiry", "hold", "retention", "job"].map(of_ours);
    let [expiry, hold, retention, job] = &spoilt;
    let config = &service.cloud.app().config;
    for row in rows::records(&service).await {
        let (pk, sk) = (rows::text(&row, "PK"), rows::text(&row, "SK"));
        let (pk, sk) = (pk.unwrap_or_default(), sk.unwrap_or_default());
        let name = match sk {
            "door" if pk.contains(expiry.as_str()) || pk.contains(retention.as_str()) => {
                "last_seen"
            }
            sk if sk == job => "spec",
            _ => continue,
        };
        spoil(&service, &config.records_table, &row, name).await;
    }
    for row in rows::keyring(&service).await {
        if rows::text(&row, "PK")
            .unwrap_or_default()
            .ends_with(hold.as_str())
        {
            spoil(&service, &config.keyring_table, &row, "state").await;
        }
    }
    for _ in 0..3 {
        let swept = sweep(&service).await;
        assert!(swept["failures"].as_u64() >= Some(3), "{swept}");
        service.skip(minutes(15));
    }
    let left = left(&service, &due).await;
    let others: Vec<_> = left
        .iter()
        .filter(|it| {
            it.about
                .as_ref()
                .is_none_or(|about| !spoilt.contains(about))
        })
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn two_lives_of_one_person_that_have_ended_hold_up_neither_each_other_nor_the_sweep() {
    let options = by_hand();
    // Who is called when TTL takes a door, and for the rest of a life, does not come.
    let (service, _asleep) = late::asleep_with("delete", options).await;
    keep_for(&service, &service.ours, 1).await;
    service.skip(minutes(2));
    let people: Vec<_> = (0..4).map(|n| format!("v-{n}")).collect();
    for _ in 0..2 {
        for visitor in &people {
            visit(&service, &service.ours, visitor).await;
        }
        service.skip(days(1) + minutes(1));
        service.cloud.sweep_ttl().await;
        let swept = sweep(&service).await;
        assert_has(&swept, json!({"failures": 0, "expired": 4}));
    }
}

#[tokio::test]
async fn what_a_sweep_fails_at_is_counted_under_an_alarm() {
    let line = Line::default();
    let service = still(&line).await;
    // A time that is this test's own.
    service.skip(SignedDuration::from_millis(11));
    let metric = async || {
        let _swept = sweep(&service).await;
        let now = service.now().as_millisecond();
        let text = lethe_tests::logs::text();
        let lines = text
            .lines()
            .filter_map(|it| serde_json::from_str::<Value>(it).ok());
        let mut metrics =
            lines.filter(|it| it["_aws"]["Timestamp"] == now && !it["SweepFailures"].is_null());
        metrics.next_back().expect("a metric")
    };
    assert_eq!(metric().await["SweepFailures"], 0);
    // The first of its calls asks for jobs that are due.
    line.watch(Some(0));
    let told = metric().await;
    assert_has(&told, json!({"SweepFailures": 1, "steps": ["jobs"]}));

    let text = std::fs::read_to_string(Options::default().template).expect("the template");
    let tree = Tree::parse(&text).expect("the template is YAML");
    let alarms = tree.resources("AWS::CloudWatch::Alarm").expect("alarms");
    let watched = alarms.iter().any(|(_, alarm)| {
        let said = |name: &str| alarm.at(&format!("Properties.{name}")).ok()?.text().ok();
        said("MetricName").as_deref() == Some("SweepFailures")
            && said("Namespace").as_deref()
                == told["_aws"]["CloudWatchMetrics"][0]["Namespace"].as_str()
    });
    assert!(watched, "an alarm stands on it");
}

/// Who a tenant knows: when they were seen last, and when their time is over.
async fn ends(service: &Service) -> BTreeMap<String, (jiff::Timestamp, jiff::Timestamp)> {
    let rows = rows::records(service).await;
    let doors = rows
        .iter()
        .filter(|row| rows::text(row, "SK") == Some("door"));
    let number = |row: &Row, name: &str| -> i64 {
        let number = row.get(name).and_then(|it| it.as_n().ok());
        number.expect("a number").parse().expect("a number")
    };
    let ends = doors.map(|row| {
        let life = LifeKey::parse(rows::text(row, "PK").expect("a key")).expect("a life");
        let seen = jiff::Timestamp::from_millisecond(number(row, "last_seen"));
        let end = jiff::Timestamp::from_second(number(row, "expires_at"));
        (
            life.subject.to_string(),
            (seen.expect("a time"), end.expect("a time")),
        )
    });
    ends.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_visits_while_a_shorter_retention_is_applied_has_all_of_it() {
    const PEOPLE: usize = 60;
    // The sweep reads a door; then the person visits; then it shortens what it has read.
    let slow = |call: &Call| match call.operation == "TransactWriteItems"
        && call.function.as_deref() == Some("cleanup")
    {
        true => Fate::Delay(Duration::from_millis(40)),
        false => Fate::Pass,
    };
    let options = Options {
        wire: Some(Arc::new(slow)),
        ..by_hand()
    };
    let service = Service::with(options).await;
    let visits = || (0..PEOPLE).map(|n| json!({"type": "visit", "visitor_id": format!("v-{n}")}));
    service.store(visits().collect()).await;
    service.skip(days(3));
    keep_for(&service, &service.ours, 7).await;
    service.skip(minutes(3));
    let (swept, _) = tokio::join!(sweep(&service), async {
        for visit in visits() {
            service.store(json!([visit])).await;
        }
    });
    assert_eq!(swept["failures"], 0);
    for (who, (seen, end)) in ends(&service).await {
        let kept = end.duration_since(seen);
        assert!(kept > days(7) - minutes(1), "{who}: {kept}");
    }
}

#[tokio::test]
async fn settings_remembered_from_before_do_not_undo_a_shorter_retention() {
    let service = Service::by_hand().await;
    service.visit("ada").await;
    service.skip(seconds(20));
    // By another process than that which takes events.
    let tenant = service.tenant();
    let store = &service.cloud.app().store;
    let before = store.settings(tenant).await.expect("settings");
    let mut settings = before.settings.clone();
    settings.retention_days = 7;
    let change = change_write(tenant, &before, settings, service.now());
    store
        .write(change)
        .await
        .expect("an answer")
        .expect("nobody else changes them");
    sweep(&service).await;
    // By what the function read before.
    service.skip(seconds(20));
    service.visit("bob").await;
    let longest = async || {
        let ends = ends(&service).await.into_values();
        ends.map(|(seen, end)| end.duration_since(seen)).max()
    };
    assert!(longest().await > Some(days(29)), "it remembers them");
    for _ in 0..2 {
        service.skip(minutes(15));
        sweep(&service).await;
    }
    assert!(longest().await <= Some(days(7)), "{:?}", longest().await);
    // Done with: the next sweep does not go through everybody again.
    assert_eq!(sweep(&service).await["shortened"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_much_to_shorten_leaves_time_to_others_and_goes_on_where_it_was() {
    let slow = Arc::new(Mutex::new(Vec::<String>::new()));
    let (noted, slowed) = (slow.clone(), Arc::new(Mutex::new(String::new())));
    let of = slowed.clone();
    // One page of our index takes as long as a turn may: five tries without an answer.
    let tries = AtomicUsize::new(0);
    let options = Options {
        patience: 1,
        wire: Some(Arc::new(move |call: &Call| {
            let slowed = of.lock().unwrap().clone();
            let index = call.operation == "Query" && call.mentions("\"due\"");
            if slowed.is_empty() || !index || call.function.as_deref() != Some("cleanup") {
                return Fate::Pass;
            }
            let asked: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let values = &asked["ExpressionAttributeValues"];
            let until = values[":until"]["S"].as_str().unwrap_or_default();
            let partition = values[":pk"]["S"].as_str().unwrap_or_default();
            // Clocks are asked for up to today; whom to shorten, all of them.
            if until != "~" {
                return Fate::Pass;
            }
            if partition == format!("{slowed}#0") && tries.fetch_add(1, Ordering::SeqCst) < 5 {
                return Fate::Swallow;
            }
            noted.lock().unwrap().push(partition.to_owned());
            Fate::Pass
        })),
        ..by_hand()
    };
    let service = Service::with(options).await;
    for tenant in [&service.ours, &service.theirs] {
        for n in 0..12 {
            visit(&service, tenant, &format!("v-{n}")).await;
        }
        keep_for(&service, tenant, 7).await;
    }
    service.skip(minutes(3));
    // The first of them in the order in which a sweep goes.
    let (busy, other) = match service.ours.id < service.theirs.id {
        true => (&service.ours, &service.theirs),
        false => (&service.theirs, &service.ours),
    };
    slowed.lock().unwrap().clone_from(&busy.id);
    let swept = sweep(&service).await;
    assert_eq!(swept["shortened"], 24, "{swept}");
    assert_eq!(swept["complete"], true);
    let asked = slow.lock().unwrap().clone();
    let places = |tenant: &Tenant| -> Vec<_> {
        let of = |(at, partition): (usize, &String)| {
            let (name, shard) = partition.split_once('#')?;
            (name == tenant.id).then(|| (at, shard.to_owned()))
        };
        asked.iter().enumerate().filter_map(of).collect()
    };
    let (busy, other) = (places(busy), places(other));
    let shards: Vec<_> = busy.iter().map(|(_, shard)| shard.as_str()).collect();
    assert_eq!(shards, ["0", "1", "2", "3"], "none is begun again");
    assert!(
        other[0].0 < busy[1].0,
        "the other tenant waits for no more than a turn: {asked:?}"
    );
}

#[tokio::test]
async fn an_expiry_written_just_after_midnight_is_in_the_receipt_of_its_day() {
    let refused = Arc::new(AtomicBool::new(true));
    let refusing = refused.clone();
    let options = Options {
        wire: Some(Arc::new(move |call: &Call| {
            let ends = call.operation == "TransactWriteItems" && call.mentions("expired");
            match ends && refusing.load(Ordering::SeqCst) {
                true => Fate::Refuse,
                false => Fate::Pass,
            }
        })),
        ..by_hand()
    };
    let service = Service::with(options).await;
    let clock = service.cloud.clock();
    keep_for(&service, &service.ours, 1).await;
    clock.advance(minutes(2));
    let ada = service.visit("ada").await;
    let app = service.cloud.app();
    let tenant = service.tenant();
    let ada = shared::base::id::SubjectId::parse(&ada).expect("a subject");
    let ada = app.present(tenant, &[ada]).await.expect("an answer")[0].key;
    // Her day is over, and a sweep comes by that sees nothing of her end: it was begun before
    // midnight, and is written only now.
    clock.advance(hours(36));
    assert_eq!(sweep(&service).await["failures"], 1);
    refused.store(false, Ordering::SeqCst);
    let midnight = "2026-03-03T00:00:00Z"
        .parse::<jiff::Timestamp>()
        .expect("a time");
    let before = midnight - SignedDuration::from_millis(1);
    assert!(
        app.store
            .begin_expiry(&ada, before)
            .await
            .expect("an answer")
    );
    for _ in 0..8 {
        service.cloud.settle().await;
        clock.advance(minutes(15));
        assert_eq!(sweep(&service).await["failures"], 0);
    }
    let receipt = service.get("/v1/erasures/2026-03-02/receipt", &service.ours.owner);
    let receipt = receipt.await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
}

#[tokio::test]
async fn a_hand_over_is_refused_once_somebody_has_taken_the_job_up() {
    let line = Line::default();
    let service = still(&line).await;
    let ada = service.visit("ada").await;
    let path = format!("/v1/subjects/{ada}");
    let job = service.delete(&path, &service.ours.owner);
    let job = job.await.expect(202)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    service.skip(minutes(10));
    let (store, now) = (&service.cloud.app().store, service.now());
    let key = JobKey {
        tenant: service.tenant(),
        kind: JobKind::Erasure,
        id: shared::base::id::JobId::parse(&job).expect("a job"),
    };
    // As the sweep reads it; then the worker takes it up, after all.
    let mut read: Job = store.job(key).await.expect("an answer").expect("a job");
    let mut taken = store
        .take_turn(key, 1, now)
        .await
        .expect("an answer")
        .expect("its turn");
    assert!(!store.next_turn(&mut read, now).await.expect("an answer"));
    assert!(
        store.save_job(&mut taken, now).await.expect("an answer"),
        "it goes on"
    );
    // Nor does the sweep hand it over while the worker is at it, though the index, which lags
    // behind, may still say that it is due.
    let late = shared::aws::dynamo::Item::new("late", "1")
        .with("due_pk", shared::domain::keys::JOBS_DUE)
        .with(
            "due_sk",
            shared::domain::keys::job_due(key, now - minutes(1)),
        );
    let late = store.write(shared::aws::dynamo::Write::put(late)).await;
    late.expect("an answer").expect("no condition");
    assert_eq!(sweep(&service).await["jobs_resumed"], 0);
    service.skip(minutes(10));
    assert_eq!(sweep(&service).await["jobs_resumed"], 1);
}

#[tokio::test]
async fn erasures_that_are_over_are_in_no_index_and_go_by_ttl_with_their_lists() {
    let service = Service::by_hand().await;
    let visits = (0..101).map(|n| json!({"type": "visit", "visitor_id": format!("v-{n}")}));
    let visits: Vec<_> = visits.collect();
    let mut subjects = Vec::new();
    for some in visits.chunks(20) {
        let stored = service.store(some.into()).await;
        subjects.extend(stored.iter().map(lethe_tests::subject));
    }
    let owner = &service.ours.owner;
    let job = service.erasure(json!({"subjects": subjects})).await;
    let path = path_of(&job);
    for _ in 0..3 {
        service.cloud.settle().await;
        service.skip(minutes(15));
        sweep(&service).await;
    }
    service.completed(&job).await;
    let kept = async || {
        let mut rows = rows::records(&service).await;
        rows.retain(|row| rows::text(row, "SK").is_some_and(|sort| sort.starts_with("job_")));
        rows.retain(|row| rows::text(row, "PK").is_some_and(|of| of.ends_with("#jobs#erasure")));
        rows
    };
    let rows = kept().await;
    assert_eq!(rows.len(), 2, "the job and its list");
    for row in &rows {
        assert!(row.contains_key("expires_at"), "{row:?}");
        assert!(!row.contains_key("due_pk"), "{row:?}");
    }
    // Not shown any more, whether or not TTL has come to it.
    service.skip(days(36));
    service.get(&path, owner).await.expect(404);
    let listed = service.get("/v1/erasures", owner).await.expect(200);
    assert_eq!(listed["data"], json!([]));
    service.cloud.sweep_ttl().await;
    assert!(kept().await.is_empty());
}
