//! What replaces AWS on one machine: the engines, set up from the template, and the functions,
//! deployed with their environments.
//!
//! Owns the mapping of the template's names to local resources. Knows nothing of what invokes
//! a function, or when.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::future;
use aws_sdk_dynamodb::config::{
    AsyncSleep, Credentials, IdentityCache, ProvideCredentials, SharedAsyncSleep,
    SharedCredentialsProvider, Sleep,
};
use emulators::dynamodb::DynamoDb;
use emulators::kms::Kms;
use emulators::s3::{self, S3};
use emulators::{EngineError, REGION, Storage};
use jiff::SignedDuration;
use serde_json::Value;
use shared::aws::clients::Clients;
use shared::aws::tls;
use shared::base::clock::Clock;
use shared::base::config::Config;
use shared::domain::app::App;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use crate::functions::{self, Deployed, Functions, Processes, Roster};
use crate::state::Kept;
use crate::template::{Template, TemplateError, key_arn};
use crate::wire::{Decide, Engine, Watch, Wire};

/// Why a local run did not start. Each error is one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The port is taken, or must not be used.
    #[error("{}", port_problem(*.0, .1))]
    Port(u16, io::Error),
    #[error("cannot use {}: {}", .0.display(), .1)]
    Data(PathBuf, io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn port_problem(port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is in use: stop what uses it, or choose another with --port")
        }
        _ => format!("cannot listen on 127.0.0.1:{port}: {error}"),
    }
}

/// The engines, the functions and their common clock.
pub struct Machine {
    pub clock: Clock,
    pub kept: Kept,
    pub dynamo: DynamoDb,
    pub objects: S3,
    pub kms: Kms,
    pub functions: Functions,
    _wire: Option<Wire>,
}

/// The differences to the template.
pub struct Differences {
    /// Decides the fate of the functions' calls to the engines.
    pub wire: Option<Decide>,
    /// Observes those calls.
    pub watch: Option<Watch>,
    /// Timeouts by function name, where they differ from the template.
    pub timeouts: BTreeMap<String, Duration>,
    /// The factor on the timeouts of calls to the engines.
    pub patience: u32,
}

/// A busy machine answers late.
pub const PATIENCE: u32 = 60;

impl Default for Differences {
    fn default() -> Differences {
        Differences {
            wire: None,
            watch: None,
            timeouts: BTreeMap::new(),
            patience: PATIENCE,
        }
    }
}

impl Machine {
    /// Starts everything. Also returns the bucket's notifications.
    pub async fn start(
        template: &mut Template,
        roster: &Roster,
        storage: &Storage,
        clock: Clock,
        differences: Differences,
    ) -> Result<(Machine, UnboundedReceiver<Value>), StartError> {
        let kept = Kept::open(storage).map_err(|(path, e)| StartError::Data(path, e))?;
        clock.advance(SignedDuration::from_millis(kept.ahead_ms()));
        let kms = Kms::start(storage, REGION, template.keys.clone()).await?;
        let keys: BTreeMap<String, String> = template
            .keys
            .iter()
            .map(|key| (key_arn(&key.name), kms.arn(&key.name)))
            .collect();
        // Replaces a key of the template by its local ARN, which KMS chooses.
        let here = |value: &mut String| {
            if let Some(arn) = keys.get(value) {
                value.clone_from(arn);
            }
        };
        for bucket in &mut template.buckets {
            bucket.encryption_key.iter_mut().for_each(here);
        }
        let time = engine_clock(&clock);
        let dynamo = DynamoDb::start(storage, &time).await?;
        for table in &template.tables {
            dynamo.create_table(table)?;
        }
        // Only this process needs them, so each start has its own.
        let credentials = s3::Credentials {
            access_key: "LOCAL".to_owned(),
            secret_key: Uuid::new_v4().simple().to_string(),
        };
        let buckets = std::mem::take(&mut template.buckets);
        let (objects, written) = S3::start(storage, &time, &credentials, buckets).await?;

        let processes = Arc::new(Processes::default());
        let mut engines = [
            (Engine::DynamoDb, dynamo.endpoint()),
            (Engine::S3, objects.endpoint()),
            (Engine::Kms, kms.endpoint()),
        ];
        let (decide, watch) = (differences.wire, differences.watch);
        let wire = match decide.is_some() || watch.is_some() {
            true => Some(Wire::start(decide, watch, engines, processes.clone()).await?),
            false => None,
        };
        for (engine, endpoint) in &mut engines {
            *endpoint = wire
                .as_ref()
                .map_or(*endpoint, |wire| wire.endpoint(*engine));
        }
        // Variables that Lambda sets, and the engines' endpoints.
        let mut given = BTreeMap::from([
            ("AWS_REGION".to_owned(), REGION.to_owned()),
            (
                "AWS_ACCESS_KEY_ID".to_owned(),
                credentials.access_key.clone(),
            ),
            (
                "AWS_SECRET_ACCESS_KEY".to_owned(),
                credentials.secret_key.clone(),
            ),
        ]);
        // DynamoDB's engine also answers for AWS Backup.
        given.insert(
            "AWS_ENDPOINT_URL_BACKUP".to_owned(),
            engines[0].1.to_owned(),
        );
        given.extend(engines.map(|(engine, at)| (engine.variable().to_owned(), at.to_owned())));
        for function in &mut template.functions {
            function.environment.values_mut().for_each(here);
            function.environment.extend(given.clone());
            if let Some(timeout) = differences.timeouts.get(&function.name) {
                function.timeout = SignedDuration::try_from(*timeout).unwrap_or(function.timeout);
            }
        }
        let sdk = sdk(&credentials, differences.patience);
        let functions = deploy(template, roster, &sdk, &clock, &processes)?;
        Ok((
            Machine {
                clock,
                kept,
                dynamo,
                objects,
                kms,
                functions,
                _wire: wire,
            },
            written,
        ))
    }
}

/// The same clock for the engines.
pub fn engine_clock(clock: &Clock) -> emulators::Clock {
    let clock = clock.clone();
    emulators::Clock::new(move || clock.now())
}

fn sdk(credentials: &s3::Credentials, patience: u32) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .http_client(tls::http_client(None))
        .credentials_provider(SharedCredentialsProvider::new(Role(credentials.clone())))
        // Functions share their clients, but not their identity.
        .identity_cache(IdentityCache::no_cache())
        .sleep_impl(SharedAsyncSleep::new(Patient(patience)))
        // The engines' clock may differ from the machine's; signatures use the machine's.
        .disable_clock_skew_correction(true)
        .build()
}

/// Multiplies the SDKs' timeouts, which are a second or more. Pauses between attempts are
/// shorter, and unchanged.
#[derive(Debug)]
struct Patient(u32);

impl AsyncSleep for Patient {
    fn sleep(&self, duration: Duration) -> Sleep {
        let times = if duration < Duration::from_secs(1) {
            1
        } else {
            self.0
        };
        Sleep::new(tokio::time::sleep(duration * times))
    }
}

/// Signs with the one existing key, and passes the function's name as its session: in AWS each
/// function has the credentials of its own role.
#[derive(Debug)]
struct Role(s3::Credentials);

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let s3::Credentials {
            access_key,
            secret_key,
        } = &self.0;
        let session = functions::called();
        let credentials = Credentials::new(access_key, secret_key, session, None, "local");
        future::ProvideCredentials::ready(Ok(credentials))
    }
}

/// Functions with the same environment share an app.
fn deploy(
    template: &Template,
    roster: &Roster,
    sdk: &SdkConfig,
    clock: &Clock,
    processes: &Processes,
) -> Result<Functions, TemplateError> {
    let mut started = BTreeMap::new();
    let mut functions = BTreeMap::new();
    for function in &template.functions {
        let wrong = |problem| TemplateError {
            place: format!("function {}", function.name),
            problem,
        };
        let process = match started.get(&function.environment) {
            Some(process) => Arc::clone(process),
            None => {
                let config = Config::read(|name| function.environment.get(name).cloned())
                    .map_err(|e| wrong(e.to_string()))?;
                let (sdk, clock) = (sdk.clone(), clock.clone());
                let begin = move || {
                    App::new(
                        config.clone(),
                        Clients::new(&sdk, &config.endpoints),
                        clock.clone(),
                    )
                };
                let process = processes.start(begin);
                started.insert(&function.environment, process.clone());
                process
            }
        };
        let handler = roster.get(function.name.as_str());
        let handler = handler
            .ok_or_else(|| wrong("this build has no code for it".to_owned()))?
            .clone();
        let timeout = function.timeout.unsigned_abs();
        functions.insert(
            function.name.clone(),
            Deployed {
                handler,
                process,
                timeout,
                environment: function.environment.clone(),
            },
        );
    }
    Ok(Functions(functions))
}
