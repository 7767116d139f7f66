//! Events that come late, twice or never: a function that sleeps through what wakes it,
//! and the events themselves, to be handed on by hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use emulators::s3::{Held, HeldKind};
use lethe_tests::Service;
use local::Options;
use local::functions::Handler;
use local::wire::{Call, Fate};
use serde_json::{Value, json};

use crate::rows;

/// A function that loses its events until it is woken. It answers over HTTP.
pub struct Sleeper(Arc<AtomicBool>);

impl Sleeper {
    /// From here on it is as in production. Settle first, or it may still lose something.
    pub fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// From here on it loses its events. Settle first, or it may still handle some.
    pub fn sleep(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A service in which a function is asleep.
pub async fn asleep(function: &'static str) -> (Service, Sleeper) {
    asleep_with(function, Options::default()).await
}

/// The same with other options.
pub async fn asleep_with(function: &'static str, options: Options) -> (Service, Sleeper) {
    let awake = Arc::new(AtomicBool::new(false));
    let mut functions = local::functions::roster();
    let (real, woken) = (functions[function].clone(), awake.clone());
    let sleepy: Handler = Arc::new(move |app, event| {
        if event.get("Records").is_some() && !woken.load(Ordering::SeqCst) {
            return Box::pin(async { Ok(json!({"batchItemFailures": []})) });
        }
        real(app, event)
    });
    functions.insert(function, sleepy);
    let options = Options {
        functions,
        ..options
    };
    (Service::with(options).await, Sleeper(awake))
}

type Which = Box<dyn Fn(&Call) -> bool + Send>;

/// Holds back a call that a function makes, for as long as something else is to happen first.
/// All other calls go on. For a test with threads of its own.
pub struct Brake {
    which: Arc<Mutex<Option<Which>>>,
    reached: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl Brake {
    /// The next call of this function that is such a one is held back.
    pub fn hold(&self, function: &'static str, which: impl Fn(&Call) -> bool + Send + 'static) {
        let of_it = move |call: &Call| call.function.as_deref() == Some(function) && which(call);
        *self.which.lock().expect("nobody panics") = Some(Box::new(of_it));
    }

    /// Waits until that call is made.
    pub fn reached(&self) {
        tokio::task::block_in_place(|| self.reached.recv()).expect("it is made");
    }

    /// Lets that call go on.
    pub fn release(&self) {
        self.go_on.send(()).expect("it waits");
    }
}

/// A service whose calls can be held back.
pub async fn braked(options: Options) -> (Arc<Service>, Brake) {
    let (options, brake) = brake(options);
    (Arc::new(Service::with(options).await), brake)
}

/// Options of a service whose calls can be held back.
pub fn brake(options: Options) -> (Options, Brake) {
    let (reaches, reached) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    let which: Arc<Mutex<Option<Which>>> = Arc::default();
    let held = which.clone();
    let options = Options {
        wire: Some(Arc::new(move |call: &Call| {
            let this = held.lock().expect("nobody panics").take_if(|it| it(call));
            if this.is_some() {
                reaches.send(()).expect("the test waits");
                let goes_on = goes_on.lock().expect("one call at a time");
                tokio::task::block_in_place(|| goes_on.recv()).expect("the test lets it");
            }
            Fate::Pass
        })),
        ..options
    };
    let brake = Brake {
        which,
        reached,
        go_on,
    };
    (options, brake)
}

/// The versions with a body that lie under a prefix of the bucket.
pub fn versions(service: &Service, prefix: &str) -> Vec<Held> {
    let mut held = service.cloud.objects().everything();
    held.retain(|it| it.kind == HeldKind::Version && it.key.starts_with(prefix));
    held
}

/// What S3 sends when a version has come to be; the key as it stands in the event.
pub fn created(bucket: &str, key: &str, version: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-03-01T12:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDA"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "scan",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": key, "size": 5, "versionId": version, "sequencer": "0055"},
        },
    }]})
}

/// The same for a version that is held.
pub fn arrived(held: &Held) -> Value {
    created(&held.bucket, &held.key, &held.id)
}

/// The turns of a function's jobs that were ever written, as the stream hands them over.
pub async fn turns(service: &Service, worker: &str) -> Vec<Value> {
    let prefix = format!("turn#{worker}#");
    let turn = |row: &rows::Row| {
        let (pk, sk) = (rows::text(row, "PK")?, rows::text(row, "SK")?);
        sk.starts_with(&prefix).then(|| {
            json!({"Records": [{"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb":
                {"SequenceNumber": "1", "Keys": {"PK": {"S": pk}, "SK": {"S": sk}}}}]})
        })
    };
    let rows = rows::records(service).await;
    rows.iter().filter_map(turn).collect()
}

/// Everything in both tables and the bucket, to be compared with what it was before.
pub async fn everything(service: &Service) -> Vec<String> {
    let mut all = Vec::new();
    for row in rows::all(service).await {
        let mut fields: Vec<_> = row.iter().collect();
        fields.sort_by_key(|(name, _)| name.as_str());
        all.push(format!("{fields:?}"));
    }
    for held in service.cloud.objects().everything() {
        all.push(format!("{held:?}"));
    }
    all.sort();
    all
}
