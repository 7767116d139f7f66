//! Everything that a handler is given. Owns the AWS clients; production and the local run
//! differ in configuration only.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;

use crate::aws;
use crate::backups::Backups;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::keyring::Keyring;
use crate::objects::Objects;
use crate::store::Store;
use crate::tenants::Tenants;
use crate::trust;
use crate::vault::Vault;

pub struct App {
    pub clock: Clock,
    pub config: Config,
    pub store: Store,
    pub objects: Objects,
    pub backups: Backups,
    pub keyring: Keyring,
    pub vault: Vault,
    pub tenants: Tenants,
    pub budget: Budget,
}

impl App {
    /// As AWS Lambda starts it: configuration and credentials from the environment, and from
    /// nowhere else. The SDK's own search for them would look for files and ask the network.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_environment() -> Result<App, ConfigError> {
        let config = Config::read(|name| std::env::var(name).ok())?;
        let roots = std::env::var_os("AWS_CA_BUNDLE").map(std::fs::read);
        let roots = roots.transpose().map_err(|_| ConfigError {
            variable: "AWS_CA_BUNDLE",
            problem: "names no file that can be read",
        })?;
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(config.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(
                EnvironmentVariableCredentialsProvider::new(),
            ))
            .http_client(trust::http_client(roots))
            .build();
        Ok(App::new(config, &sdk, Clock::system()))
    }

    pub fn new(config: Config, sdk: &SdkConfig, clock: Clock) -> App {
        let endpoints = &config.endpoints;
        let store = Store::new(
            aws::tables(sdk, endpoints),
            config.records_table.clone(),
            config.keyring_table.clone(),
        );
        let objects = Objects::new(
            aws::objects(sdk, endpoints),
            config.bucket.clone(),
            config.key.clone(),
            clock.clone(),
        );
        let vault = Vault::new(
            aws::keys(sdk, endpoints),
            config.key.clone(),
            config.signing_key.clone(),
        );
        let backups = Backups::new(aws::backups(sdk, endpoints));
        let tenants = Tenants::new(store.clone(), clock.clone());
        let keyring = Keyring::new(store.clone(), vault.clone(), clock.clone());
        App {
            clock,
            config,
            store,
            objects,
            backups,
            keyring,
            vault,
            tenants,
            budget: Budget::default(),
        }
    }
}
