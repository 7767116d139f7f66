//! One whole deployment in this process: what the template declares, running.
//!
//! Owns the order in which things start and stop. Shares nothing with any other:
//! every test can have its own, with its own clock.

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
    /// 0 is any port that is free.
    pub port: u16,
    pub clock: Clock,
    pub template: PathBuf,
    pub parameters: Parameters,
    /// Whether what has expired goes as time passes: items by TTL, objects by lifecycle.
    pub ttl: bool,
    /// Whether schedules run as time passes.
    pub schedules: bool,
    /// Whether streams and buckets hand their events on as these come. If not, only
    /// [`Cloud::settle`] does, and what else waits for them.
    pub events: bool,
    /// Who decides what becomes of the functions' calls to the engines: for tests that
    /// want them to fail. Without, the calls go straight there.
    pub wire: Option<Decide>,
    /// Who is told of each of those calls, and of the links that are followed.
    pub watch: Option<Watch>,
    /// How long a function may run, by its name, where not as long as the template says.
    pub timeouts: BTreeMap<String, Duration>,
    /// How many times as long as on AWS an engine's answer is awaited.
    pub patience: u32,
    pub functions: Roster,
}

impl Default for Options {
    /// In memory, on any port, by the machine's clock, everything as the repository's
    /// template has it.
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

/// A running deployment. Dropping it stops everything at once.
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
    /// Builds what the template declares and serves it on loopback.
    ///
    /// # Errors
    /// What is wrong with the template, the port or the data folder.
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
        // The port first: it is what most often stands in the way, and nothing is written yet.
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

    /// Takes no more requests, and returns when the open ones are answered.
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

    /// What the functions are given, with the environment of the template's globals.
    pub fn app(&self) -> &App {
        &self.app
    }

    pub fn clock(&self) -> &Clock {
        &self.machine.clock
    }

    /// The key that opens the operator's routes, as a bearer token.
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

    /// What is remembered between two starts.
    pub fn kept(&self) -> &Kept {
        &self.machine.kept
    }

    /// Returns once every event so far has been handled, and what that caused.
    pub async fn settle(&self) {
        self.pump.settle().await;
    }

    /// Moves the clock ahead and returns when all that this makes due has happened.
    pub async fn advance(&self, by: SignedDuration) {
        self.time.advance(by).await;
    }

    /// Removes what has expired by now, whether or not time does that by itself.
    pub async fn sweep_ttl(&self) {
        self.time.sweep();
        self.pump.settle().await;
    }

    /// Runs the function as its schedule would, and all that this causes.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn run_schedule(&self, function: &str) -> Result<Value, Failure> {
        self.time.run_schedule(function).await
    }

    /// Calls the function with this event, past every trigger.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn invoke(&self, function: &str, event: Value) -> Result<Value, Failure> {
        let result = self.machine.functions.invoke(function, event).await;
        self.pump.nudge();
        result
    }

    /// The environment variables of a function, credentials included: with these its own
    /// `bootstrap` works on this deployment too.
    pub fn environment(&self, function: &str) -> Option<&BTreeMap<String, String>> {
        let deployed = self.machine.functions.0.get(function);
        deployed.map(|deployed| &deployed.environment)
    }

    /// What could not be handled so far.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.pump.dead_letters()
    }
}
