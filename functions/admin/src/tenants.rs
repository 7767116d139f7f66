//! The operator's part: tenants come to be, each with one key to begin with.

use serde_json::json;
use shared::app::App;
use shared::error::{Error, Result};
use shared::faults::Faults;
use shared::http::{Answer, Call};
use shared::id::Tenant;
use shared::routes::Scope;
use shared::store::activity::{self, Deed};
use shared::store::tenants::create_writes;

/// `POST /v1/tenants`
pub async fn create(app: &App, call: &Call) -> Result<Answer> {
    let mut faults = Faults::default();
    faults.object(call.body(), "", &[]);
    faults.end()?;
    let (tenant, now) = (Tenant::new(), app.clock.now());
    // Keys first: a tenant is known once everything that they need is there.
    app.keyring.add_tenant(tenant).await?;
    let keys = app.keyring.tenant(tenant).await?;
    // The owner may do everything, but that no page may hold this key.
    let scopes: Vec<_> = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Collect)
        .collect();
    let (key, token) = crate::keys::new_key(tenant, &keys, &scopes, now);
    let mut writes = create_writes(tenant, now);
    writes.push(key.write());
    writes.extend(activity::writes(&[activity::Entry {
        tenant,
        deed: Deed::TenantCreated,
        by: "operator",
        about: &[key.id.to_string()],
        at: now,
        happened_at: None,
    }]));
    if app.store.transact(writes).await?.is_err() {
        return Err(Error::Unavailable("a new tenant's id is taken".into()));
    }
    Ok(Answer::json(
        201,
        json!({"tenant": tenant.to_string(), "keys": {"owner": token}}),
    ))
}

/// `GET /v1/tenants`. Its cursor is a tenant: no tenant's key could seal it.
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let refused = || Error::field("cursor", "cursor", "is not a cursor of this list");
    let after = call
        .query("cursor")
        .map(|text| Tenant::parse(text).ok_or_else(refused))
        .transpose()?;
    let after = after.map(|tenant| tenant.to_string());
    let (tenants, next) = app.store.tenants(call.limit()?, after).await?;
    let data: Vec<_> = tenants
        .iter()
        .map(|(tenant, at)| json!({"tenant": tenant.to_string(), "created_at": at}))
        .collect();
    Ok(Answer::ok(json!({"data": data, "next_cursor": next})))
}
