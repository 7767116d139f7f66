//! One complete deployment in this process: runs what the template declares.
//!
//! Owns the order of start and stop. Deployments share nothing: every test can have its own,
//! with its own clock.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use emulators::Storage;
use emulators::dynamodb::DynamoDb;
use emulators::kms::Kms;
use emulators::s3::S3;
use jiff::SignedDuration;
use serde_json::Value;
use shared::base::clock::Clock;
use shared::domain::app::App;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::control::Control;
use crate::functions::{Failure, Roster};
use crate::gateway::Gateway;
pub use crate::machine::StartError;
use crate::machine::{Differences, Machine, PATIENCE};
use crate::routes::Route;
use crate::state::Kept;
use crate::template::{Parameters, Template};
use crate::time::Time;
use crate::triggers::{DeadLetter, Pump};
use crate::wire::{Decide, Watch};

/// How to start a [`Cloud`].
pub struct Options {
    pub storage: Storage,
    /// 0 selects any free port.
    pub port: u16,
    pub clock: Clock,
    pub template: PathBuf,
    pub parameters: Parameters,
    /// Whether expired data is removed as time passes: items by TTL, objects by lifecycle.
    pub ttl: bool,
    /// Whether schedules run as time passes.
    pub schedules: bool,
    /// Whether stream and bucket events are delivered as they occur. If not, only
    /// [`Cloud::settle`] delivers them, and methods that settle.
    pub events: bool,
    /// Decides the fate of the functions' calls to the engines, for tests with failing calls.
    /// Without it, calls go directly to the engines.
    pub wire: Option<Decide>,
    /// Observes those calls, and the links that are followed.
    pub watch: Option<Watch>,
    /// Timeouts by function name, where they differ from the template.
    pub timeouts: BTreeMap<String, Duration>,
    /// The factor on the timeouts of calls to the engines, compared with AWS.
    pub patience: u32,
    pub functions: Roster,
}

impl Default for Options {
    /// In memory, on any port, with the machine's clock and the repository's template.
    fn default() -> Options {
        Options {
            storage: Storage::Memory,
            port: 0,
            clock: Clock::system(),
            template: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")),
            parameters: &[],
            ttl: true,
            schedules: true,
            events: true,
            wire: None,
            watch: None,
            timeouts: BTreeMap::new(),
            patience: PATIENCE,
            functions: crate::functions::roster(),
        }
    }
}

/// A running deployment. Dropping it stops everything immediately.
pub struct Cloud {
    url: String,
    app: Arc<App>,
    machine: Arc<Machine>,
    pump: Arc<Pump>,
    time: Arc<Time>,
    gateway: Arc<Gateway>,
    stop: oneshot::Sender<()>,
    serving: JoinSet<()>,
    background: JoinSet<()>,
}

impl Cloud {
    /// Starts what the template declares and serves it on loopback.
    ///
    /// # Errors
    /// The problem with the template, the port or the data folder.
    pub async fn start(options: Options) -> Result<Cloud, StartError> {
        let Options {
            storage,
            port,
            clock,
            template: path,
            parameters,
            ttl,
            schedules,
            events,
            wire,
            watch,
            timeouts,
            patience,
            functions,
        } = options;
        let mut template = Template::read(&path, parameters)?;
        // The port first: it fails most often, and nothing has been written yet.
        let refused = |e| StartError::Port(port, e);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(refused)?;
        let url = format!("http://{}", listener.local_addr().map_err(refused)?);

        let differences = Differences {
            wire,
            watch,
            timeouts,
            patience,
        };
        let (machine, written) =
            Machine::start(&mut template, &functions, &storage, clock, differences).await?;
        let machine = Arc::new(machine);
        let app = machine
            .functions
            .any_app()
            .ok_or_else(|| Template::without_functions(&path))?;
        let pump = Arc::new(Pump::new(&mut template, machine.clone(), written));
        let time = Arc::new(Time::new(
            &mut template,
            machine.clone(),
            pump.clone(),
            ttl,
            schedules,
        ));
        let gateway = Arc::new(Gateway {
            routes: template.routes,
            cors: template.cors,
            operator_key: machine.kept.operator_key(),
            machine: machine.clone(),
            pump: pump.clone(),
            control: Control {
                time: time.clone(),
                pump: pump.clone(),
            },
        });

        let (stop, stopped) = oneshot::channel();
        let (mut serving, mut background) = (JoinSet::new(), JoinSet::new());
        serving.spawn(gateway.clone().serve(listener, stopped));
        let (pumping, passing) = (pump.clone(), time.clone());
        if events {
            background.spawn(async move { pumping.run().await });
        }
        background.spawn(async move { passing.run().await });
        Ok(Cloud {
            url,
            app,
            machine,
            pump,
            time,
            gateway,
            stop,
            serving,
            background,
        })
    }

    /// Accepts no more requests, and returns when the open ones are answered.
    pub async fn stop(self) {
        let Cloud {
            stop,
            mut serving,
            mut background,
            ..
        } = self;
        drop(stop);
        serving.join_next().await;
        background.shutdown().await;
    }

    /// `http://127.0.0.1:…`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The app of the functions, with the environment of the template's globals.
    pub fn app(&self) -> &App {
        &self.app
    }

    pub fn clock(&self) -> &Clock {
        &self.machine.clock
    }

    /// The key for the operator's routes, as a bearer token.
    pub fn operator_key(&self) -> &str {
        &self.gateway.operator_key
    }

    /// Every route of the template, the most specific first.
    pub fn routes(&self) -> &[Route] {
        self.gateway.routes.all()
    }

    pub fn dynamo(&self) -> &DynamoDb {
        &self.machine.dynamo
    }

    pub fn objects(&self) -> &S3 {
        &self.machine.objects
    }

    pub fn kms(&self) -> &Kms {
        &self.machine.kms
    }

    /// The state that persists between two starts.
    pub fn kept(&self) -> &Kept {
        &self.machine.kept
    }

    /// Returns once every event so far has been handled, and all events that these caused.
    pub async fn settle(&self) {
        self.pump.settle().await;
    }

    /// Moves the clock ahead and returns when everything that becomes due has happened.
    pub async fn advance(&self, by: SignedDuration) {
        self.time.advance(by).await;
    }

    /// Removes what has expired, whether or not time does so automatically.
    pub async fn sweep_ttl(&self) {
        self.time.sweep();
        self.pump.settle().await;
    }

    /// Runs the function as its schedule would, and everything that this causes.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn run_schedule(&self, function: &str) -> Result<Value, Failure> {
        self.time.run_schedule(function).await
    }

    /// Invokes the function with this event, bypassing its triggers.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, Failure> {
        let result = self.machine.functions.invoke(function, event).await;
        self.pump.nudge();
        result
    }

    /// The environment variables of a function, credentials included. With them, its own
    /// `bootstrap` can run on this deployment.
    pub fn environment(&self, function: &str) -> Option<&BTreeMap<String, String>> {
        let deployed = self.machine.functions.0.get(function);
        deployed.map(|deployed| &deployed.environment)
    }

    /// The events that could not be handled so far.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.pump.dead_letters()
    }
}
