//! Tenants as a running function knows them: their API keys and settings, each held in
//! memory for up to a minute.

use crate::aws::dynamo::Store;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::id::{KeyId, TenantId};
use crate::base::ttl_cache::TtlCache;
use crate::domain::tenant::rows::ApiKey;
use crate::domain::tenant::settings::Settings;

pub struct Tenants {
    store: Store,
    clock: Clock,
    keys: TtlCache<(TenantId, KeyId), ApiKey>,
    settings: TtlCache<TenantId, Settings>,
}

impl Tenants {
    pub fn new(store: Store, clock: Clock) -> Tenants {
        Tenants {
            store,
            clock,
            keys: TtlCache::settings(),
            settings: TtlCache::settings(),
        }
    }

    /// The API key with this id, if it exists.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer.
    pub async fn api_key(&self, tenant: TenantId, id: KeyId) -> Result<Option<ApiKey>> {
        let now = self.clock.now();
        if let Some(key) = self.keys.get(&(tenant, id), now) {
            return Ok(Some(key));
        }
        let key = self.store.api_key(tenant, id).await?;
        if let Some(key) = &key {
            self.keys.put((tenant, id), key.clone(), now);
        }
        Ok(key)
    }

    /// A tenant's settings.
    ///
    /// # Errors
    /// As [`Store::settings`].
    pub async fn settings(&self, tenant: TenantId) -> Result<Settings> {
        let now = self.clock.now();
        if let Some(settings) = self.settings.get(&tenant, now) {
            return Ok(settings);
        }
        let settings = self.store.settings(tenant).await?.settings;
        self.settings.put(tenant, settings.clone(), now);
        Ok(settings)
    }

    /// Drops a tenant's cached values, after a change made by this process.
    pub fn forget(&self, tenant: TenantId) {
        self.keys.forget(|(of, _)| *of == tenant);
        self.settings.forget(|of| *of == tenant);
    }
}
