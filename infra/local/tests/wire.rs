//! The wire between the SDKs and the engines: how calls fail, and processes die.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use http::Request;
use jiff::Timestamp;
use lethe_local::client::Client;
use lethe_local::functions::{Failure, Handler, roster};
use lethe_local::wire::{Call, Fate};
use lethe_local::{Cloud, Options};
use serde_json::{Value, json};
use shared::aws::dynamo::{Item, Write};
use shared::aws::s3::Upload;
use shared::base::clock::Clock;
use shared::domain::app::App;

/// Starts a cloud whose `access` is this, and whose calls fare as is decided.
async fn cloud<F>(
    access: impl Fn(Arc<App>) -> F + Send + Sync + 'static,
    decide: impl Fn(&Call) -> Fate + Send + Sync + 'static,
) -> Cloud
where
    F: Future<Output = Value> + Send + 'static,
{
    let handler: Handler = Arc::new(move |app, _| {
        let done = access(app);
        Box::pin(async move { Ok(done.await) })
    });
    let mut functions = roster();
    functions.insert("access", handler);
    let options = Options {
        clock: Clock::frozen(Timestamp::from_second(1_800_000_000).unwrap()),
        events: false,
        wire: Some(Arc::new(decide)),
        timeouts: BTreeMap::from([("access".to_owned(), TIMEOUT)]),
        functions,
        ..Options::default()
    };
    Cloud::start(options).await.unwrap()
}

/// More than six tries of a call take, with the pauses between them.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Operations and attempts.
type Noted = Arc<Mutex<Vec<(String, u32)>>>;

/// The first calls of an operation have these fates, everything else passes. Every call
/// is noted, with its attempt.
fn script(
    operation: &'static str,
    fates: &'static [Fate],
) -> (impl Fn(&Call) -> Fate + Send + Sync, Noted) {
    let noted = Noted::default();
    let (notes, next) = (noted.clone(), AtomicUsize::new(0));
    let decide = move |call: &Call| {
        let note = (call.operation.clone(), call.attempt);
        notes.lock().unwrap().push(note);
        if call.operation != operation {
            return Fate::Pass;
        }
        let fate = fates.get(next.fetch_add(1, Ordering::SeqCst));
        fate.copied().unwrap_or(Fate::Pass)
    };
    (decide, noted)
}

fn row() -> Write {
    Write::put(Item::new("ten_1", "row")).only_new()
}

async fn put(app: Arc<App>) -> Value {
    match app.store.write(row()).await {
        Ok(Ok(_)) => json!("written"),
        Ok(Err(_)) => json!("refused"),
        Err(error) => json!(error.to_string()),
    }
}

async fn transact(app: Arc<App>) -> Value {
    match app.store.transact(vec![row()]).await {
        Ok(Ok(())) => json!("written"),
        Ok(Err(_)) => json!("refused"),
        Err(error) => json!(error.to_string()),
    }
}

async fn is_there(cloud: &Cloud) -> bool {
    cloud
        .app()
        .store
        .get("ten_1", "row")
        .await
        .unwrap()
        .is_some()
}

async fn outcome(cloud: &Cloud) -> Value {
    cloud.invoke("access", Value::Null).await.unwrap()
}

#[tokio::test]
async fn a_refused_call_has_no_effect_and_the_sdk_sends_it_again() {
    let (decide, noted) = script("PutItem", &[Fate::Refuse]);
    let cloud = cloud(put, decide).await;
    assert_eq!(outcome(&cloud).await, "written", "it had no effect before");
    let expected = [("PutItem".to_owned(), 1), ("PutItem".to_owned(), 2)];
    assert_eq!(*noted.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_call_that_is_refused_for_long_fails_by_the_services_own_name() {
    let (decide, _) = script("PutItem", &[Fate::Refuse; 6]);
    let refused = cloud(put, decide).await;
    let error = outcome(&refused).await;
    assert!(
        error.as_str().unwrap().contains("InternalServerError"),
        "{error}"
    );
    assert!(!is_there(&refused).await);
    let (decide, _) = script("PutItem", &[Fate::Throttle; 6]);
    let throttled = cloud(put, decide).await;
    let error = outcome(&throttled).await;
    assert!(
        error.as_str().unwrap().contains("ThrottlingException"),
        "{error}"
    );
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_has_its_effect_and_knows_it_when_sent_again() {
    let (decide, _) = script("PutItem", &[Fate::LoseAnswer]);
    let cloud = cloud(put, decide).await;
    assert_eq!(
        outcome(&cloud).await,
        "written",
        "the row in the way is its own"
    );
    assert!(is_there(&cloud).await);
}

#[tokio::test]
async fn a_transaction_whose_answer_is_lost_is_not_carried_out_twice() {
    let (decide, _) = script("TransactWriteItems", &[Fate::LoseAnswer]);
    let cloud = cloud(transact, decide).await;
    assert_eq!(outcome(&cloud).await, "written");
}

#[tokio::test]
async fn a_conflict_is_tried_again_by_the_store() {
    let (decide, noted) = script("TransactWriteItems", &[Fate::Conflict; 3]);
    let transacting = cloud(transact, decide).await;
    assert_eq!(outcome(&transacting).await, "written");
    let noted = noted.lock().unwrap().clone();
    assert_eq!(
        noted,
        vec![("TransactWriteItems".to_owned(), 1); 4],
        "each is a new call"
    );
    let (decide, _) = script("PutItem", &[Fate::Conflict; 3]);
    let putting = cloud(put, decide).await;
    assert_eq!(outcome(&putting).await, "written", "one row alone as well");
}

#[tokio::test]
async fn a_killed_process_forgets_and_does_nothing_more() {
    for (fate, done) in [(Fate::KillBefore, false), (Fate::KillAfter, true)] {
        let fates: &[Fate] = if done {
            &[Fate::KillAfter]
        } else {
            &[Fate::KillBefore]
        };
        let (decide, noted) = script("PutItem", fates);
        let apps = Arc::new(Mutex::new(Vec::new()));
        let seen = apps.clone();
        let access = move |app: Arc<App>| {
            seen.lock().unwrap().push(app.clone());
            async move {
                let _ = put(app.clone()).await;
                put(app).await
            }
        };
        let cloud = cloud(access, decide).await;
        let killed = cloud.invoke("access", Value::Null).await;
        assert!(
            matches!(killed, Err(Failure::Killed)),
            "{fate:?}: {killed:?}"
        );
        assert_eq!(noted.lock().unwrap().len(), 1, "{fate:?}");
        assert_eq!(is_there(&cloud).await, done, "{fate:?}");
        outcome(&cloud).await;
        let apps = apps.lock().unwrap();
        assert!(!Arc::ptr_eq(&apps[0], &apps[1]), "{fate:?}: a fresh start");
    }
}

#[tokio::test]
async fn who_takes_longer_than_its_timeout_is_dropped_where_it_stands() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let watched = drops.clone();
    let access = move |_| {
        let watched = Dropped(watched.clone());
        async move {
            std::future::pending::<()>().await;
            drop(watched);
            Value::Null
        }
    };
    let cloud = cloud(access, |_: &Call| Fate::Pass).await;
    let ended = cloud.invoke("access", Value::Null).await;
    assert!(matches!(ended, Err(Failure::TimedOut(limit)) if limit == TIMEOUT));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn links_pass_the_wire_without_being_asked_about() {
    let (decide, noted) = script("PutObject", &[Fate::Refuse; 9]);
    let cloud = cloud(put, decide).await;
    let body = "hello";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let sha256 = base64::engine::general_purpose::STANDARD.encode(digest);
    let upload = Upload {
        object: "tenants/x/file",
        size: 5,
        sha256: &sha256,
    };
    let app = cloud.app();
    let link = app.objects.upload_link(upload, app.clock.now());
    let link = link.await.unwrap();
    let mut request = Request::put(&link.url);
    for (name, value) in &link.headers {
        request = request.header(name, value.as_str().unwrap());
    }
    let request = request.body(body).unwrap();
    let answer = Client::default().send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(cloud.objects().everything().len(), 1);
    assert_eq!(*noted.lock().unwrap(), []);
    // The SDK's own calls are asked about, by S3's names.
    let deleted = cloud.app().objects.delete_all_versions("tenants/").await;
    assert_eq!(deleted.unwrap(), 1);
    let names: Vec<_> = noted
        .lock()
        .unwrap()
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(names[..2], ["ListObjectVersions", "DeleteObjects"]);
}
