//! One whole deployment in this process: what the template declares, running.
//!
//! Owns the order in which things start and stop. Shares nothing with any other:
//! every test can have its own, with its own clock.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use jiff::SignedDuration;
use serde_json::Value;
use shared::app::App;
use shared::clock::Clock;
use shared::config::Config;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::control::Control;
use crate::engines::dynamo::Dynamo;
use crate::engines::kms::Kms;
use crate::engines::objects::{self, Objects};
use crate::engines::{EngineError, Place, REGION};
use crate::functions::{Deployed, Failure, Functions, Roster};
use crate::gateway::Gateway;
use crate::routes::Routes;
use crate::state::Kept;
use crate::template::{Template, TemplateError, key_arn};
use crate::time::Time;
use crate::triggers::{DeadLetter, Pump};

/// How to start a [`Cloud`].
pub struct Options {
    pub place: Place,
    /// 0 is any port that is free.
    pub port: u16,
    pub clock: Clock,
    pub template: PathBuf,
    /// Whether expired items are removed as time passes.
    pub ttl: bool,
    /// Whether schedules run as time passes.
    pub schedules: bool,
    pub functions: Roster,
}

impl Default for Options {
    /// In memory, on any port, by the machine's clock, everything as the repository's
    /// template has it.
    fn default() -> Options {
        Options {
            place: Place::Memory,
            port: 0,
            clock: Clock::system(),
            template: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")),
            ttl: true,
            schedules: true,
            functions: crate::functions::roster(),
        }
    }
}

/// Why a cloud did not start. Each reads as one line.
#[derive(Debug)]
pub enum StartError {
    Template(TemplateError),
    /// The port is taken, or may not be used.
    Port(u16, io::Error),
    Data(PathBuf, io::Error),
    Engine(EngineError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Template(error) => write!(f, "{error}"),
            StartError::Port(port, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "port {port} is in use; stop what uses it, or choose another with --port")
            }
            StartError::Port(port, error) => write!(f, "cannot listen on 127.0.0.1:{port}: {error}"),
            StartError::Data(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            StartError::Engine(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<TemplateError> for StartError {
    fn from(error: TemplateError) -> StartError {
        StartError::Template(error)
    }
}

impl From<EngineError> for StartError {
    fn from(error: EngineError) -> StartError {
        StartError::Engine(error)
    }
}

/// A running deployment. Dropping it stops everything.
pub struct Cloud {
    url: String,
    app: Arc<App>,
    dynamo: Arc<Dynamo>,
    objects: Objects,
    kms: Kms,
    kept: Arc<Kept>,
    pump: Arc<Pump>,
    time: Arc<Time>,
    gateway: Arc<Gateway>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinSet<()>,
    background: JoinSet<()>,
}

impl Cloud {
    /// Builds what the template declares and serves it on loopback.
    ///
    /// # Errors
    /// What is wrong with the template, the port or the data folder.
    pub async fn start(options: Options) -> Result<Cloud, StartError> {
        let Options { place, port, clock, template, ttl, schedules, functions: roster } = options;
        let mut template = Template::read(&template)?;
        // The port first: it is what most often stands in the way, and nothing is written yet.
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| StartError::Port(port, e))?;
        let address = listener.local_addr().map_err(|e| StartError::Port(port, e))?;
        let kept = Arc::new(Kept::open(&place).map_err(|(path, e)| StartError::Data(path, e))?);
        clock.advance(SignedDuration::from_millis(kept.ahead_ms()));

        let engines = Engines::start(&place, &clock, &mut template).await?;
        let Engines { dynamo, objects, written, kms, sdk } = engines;
        let functions = Arc::new(deploy(&template, roster, &sdk, &clock, &dynamo, &objects, &kms)?);
        let app = functions.0.values().next().map(|function| function.app.clone());
        let app = app.ok_or_else(|| at(&template_place(), "declares no function"))?;

        let (clock_of, kept_of) = (|| clock.clone(), || kept.clone());
        let pump =
            Pump::new(&mut template, functions.clone(), dynamo.clone(), written, clock_of(), kept_of());
        let pump = Arc::new(pump);
        let flags = (ttl, schedules);
        let time =
            Time::new(&mut template, functions.clone(), dynamo.clone(), pump.clone(), clock_of(), kept_of(), flags);
        let time = Arc::new(time);
        let gateway = Arc::new(Gateway {
            routes: template.routes,
            cors: template.cors,
            operator_key: kept.operator_key(),
            clock: clock.clone(),
            functions,
            pump: pump.clone(),
            control: Control { time: time.clone(), pump: pump.clone() },
        });

        let (stop, stopped) = oneshot::channel();
        let (mut serving, mut background) = (JoinSet::new(), JoinSet::new());
        serving.spawn(gateway.clone().serve(listener, stopped));
        let (pumping, passing) = (pump.clone(), time.clone());
        background.spawn(async move { pumping.run().await });
        background.spawn(async move { passing.run().await });
        let (url, stop) = (format!("http://{address}"), Some(stop));
        Ok(Cloud { url, app, dynamo, objects, kms, kept, pump, time, gateway, stop, serving, background })
    }
}
