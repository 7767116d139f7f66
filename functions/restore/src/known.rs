//! What is known besides the two tables: the lives that the ledger in the bucket names, and
//! the tenants that have left. Each invocation reads it again and keeps it in memory; a life
//! takes some 50 bytes.

use std::collections::{HashMap, HashSet};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde::Deserialize;
use shared::aws::dynamo::Pages;
use shared::base::error::{Error, Result};
use shared::base::id::TenantId;
use shared::domain::app::App;
use shared::domain::keys::{LEDGER, LifeKey};

use crate::order::Restored;

/// Objects and tenants that are read concurrently.
const AT_ONCE: usize = 16;
const PAGE: usize = 100;

#[derive(Default)]
pub struct Known {
    /// Lives whose erasure had begun, and whether the person is to be suppressed.
    pub named: HashMap<LifeKey, bool>,
    /// Tenants that have left, or whose offboarding can no longer be cancelled.
    pub gone: HashSet<TenantId>,
    /// Those of them that `records` does not know to be leaving: they came back with it.
    pub returned: Vec<TenantId>,
    /// Tenants that the keyring does not know.
    pub unknown: u64,
}

/// One ledger object, as the erasure worker writes it.
#[derive(Deserialize)]
struct Noted {
    tenant: String,
    everybody: bool,
    suppress: bool,
    lives: Vec<String>,
}

impl Known {
    pub async fn read(app: &App, restored: Restored) -> Result<Known> {
        let mut known = Known::default();
        known.read_ledger(app, restored).await?;
        known.read_tenants(app, restored).await?;
        Ok(known)
    }

    /// The ledger is not needed when only the keyring is restored: an erasure that had ended a
    /// life deleted its door, which is still gone.
    async fn read_ledger(&mut self, app: &App, restored: Restored) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let objects = app.objects.keys(LEDGER, after.as_deref()).await?;
            after = objects.last().cloned();
            if after.is_none() {
                return Ok(());
            }
            let reads = objects
                .iter()
                .map(|object| app.objects.read(object).boxed());
            let bodies = at_once(reads.collect()).await?;
            for body in bodies.into_iter().flatten() {
                self.note(&body, restored)?;
            }
        }
    }

    fn note(&mut self, body: &[u8], restored: Restored) -> Result<()> {
        let broken = || Error::Corrupt("a ledger is not as it was written".into());
        let noted: Noted = serde_json::from_slice(body).map_err(|_| broken())?;
        let tenant = TenantId::parse(&noted.tenant).ok_or_else(broken)?;
        if noted.everybody {
            self.gone.insert(tenant);
        }
        if restored == Restored::Keyring {
            return Ok(());
        }
        for life in &noted.lives {
            let life = LifeKey::parse_short(tenant, life).ok_or_else(broken)?;
            *self.named.entry(life).or_default() |= noted.suppress;
        }
        Ok(())
    }

    async fn read_tenants(&mut self, app: &App, restored: Restored) -> Result<()> {
        let mut pages = Pages::new(|after| app.store.tenants(PAGE, after));
        while let Some(tenants) = pages.next().await? {
            let asked = tenants
                .iter()
                .map(|it| app.keyring.has_tenant(it.tenant).boxed());
            let has_keys = at_once(asked.collect()).await?;
            for (record, has_keys) in tenants.iter().zip(has_keys) {
                let tenant = record.tenant;
                // A keyring that was not restored knows which tenants have left.
                let told = has_keys == Some(false) && restored != Restored::Keyring;
                if record.erased_at.is_some() || told {
                    self.gone.insert(tenant);
                } else if has_keys.is_none() {
                    self.unknown += 1;
                }
                let leaves = record.erased_at.is_some() || record.leaving.is_some();
                if self.gone.contains(&tenant) && !leaves {
                    self.returned.push(tenant);
                }
            }
        }
        Ok(())
    }
}

/// Reads concurrently; results keep the order of the reads.
async fn at_once<T>(reads: Vec<BoxFuture<'_, Result<T>>>) -> Result<Vec<T>> {
    futures::stream::iter(reads)
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
