//! Everything that a handler is given. Production and the local run differ in configuration
//! only.

use crate::aws::backups::Backups;
use crate::aws::clients::Clients;
use crate::aws::dynamo::Store;
use crate::aws::kms::Vault;
use crate::aws::s3::Objects;
use crate::base::clock::Clock;
use crate::base::config::{Config, ConfigError};
use crate::base::rate_limit::RateLimit;
use crate::domain::keyring::Keyring;
use crate::domain::tenant::cache::Tenants;

pub struct App {
    pub clock: Clock,
    pub config: Config,
    pub store: Store,
    pub objects: Objects,
    pub backups: Backups,
    pub keyring: Keyring,
    pub vault: Vault,
    pub tenants: Tenants,
    pub rate_limit: RateLimit,
}

impl App {
    /// As AWS Lambda starts it: from the environment.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_environment() -> Result<App, ConfigError> {
        let config = Config::read(|name| std::env::var(name).ok())?;
        let clients = Clients::from_environment(&config)?;
        Ok(App::new(config, clients, Clock::system()))
    }

    pub fn new(config: Config, clients: Clients, clock: Clock) -> App {
        let store = Store::new(
            clients.dynamodb,
            config.records_table.clone(),
            config.keyring_table.clone(),
        );
        let objects = Objects::new(
            clients.s3,
            config.bucket.clone(),
            config.key.clone(),
            clock.clone(),
        );
        let vault = Vault::new(clients.kms, config.key.clone(), config.signing_key.clone());
        let backups = Backups::new(clients.backup);
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
            rate_limit: RateLimit::default(),
        }
    }
}
