//! The operator's part: tenants come to be, each with one key to begin with.

use jiff::Timestamp;
use shared::aws::dynamo::Write;
use shared::base::error::{Error, Result};
use shared::base::id::TenantId;
use shared::crypto::TenantKeys;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::offboarding;
use shared::domain::tenant::rows::{ApiKey, create_writes};
use shared::http::answers::{FirstKeys, NewTenant, TenantView};
use shared::http::page::Page;
use shared::http::routes::Scope;
use shared::http::{Answer, Call};
use shared::schema::violations::Violations;

use crate::keys;

/// `POST /v1/tenants`
pub async fn create(app: &App, call: &Call) -> Result<Answer> {
    let mut violations = Violations::default();
    violations.object(call.body(), "", &[]);
    violations.end()?;
    let (tenant, now) = (TenantId::new(), app.clock.now());
    // Keys first: a tenant is known once everything that they need is there.
    app.keyring.add_tenant(tenant).await?;
    let keys = app.keyring.tenant(tenant).await?;
    let (key, token) = new_owner_key(tenant, &keys, now);
    let mut writes = create_writes(tenant, now);
    writes.push(key.write());
    writes.extend(entry(
        tenant,
        AuditEvent::TenantCreated,
        &call.by(),
        &key,
        now,
    ));
    let shown = |owner| NewTenant {
        tenant,
        keys: FirstKeys { owner },
    };
    // A secret is shown once.
    let answer = Answer::json(201, &shown(Some(token))).keeping(&shown(None));
    let answer = call.kept_with(answer, &mut writes);
    match app.store.transact(writes).await? {
        Ok(()) => Ok(answer),
        Err(_) => Err(Error::Unavailable("a new tenant's id is taken".into())),
    }
}

/// `POST /v1/tenants/{tenant}/keys`: another key for the owner of a tenant that has lost its
/// own.
pub async fn add_key(app: &App, call: &Call) -> Result<Answer> {
    let mut violations = Violations::default();
    violations.object(call.body(), "", &[]);
    violations.end()?;
    let tenant = call.path("tenant").and_then(TenantId::parse);
    let tenant = tenant.ok_or(Error::NotFound)?;
    let record = app.store.tenant(tenant).await?;
    if record.erased_at.is_some() {
        return Err(Error::NotFound);
    }
    // Its keys may be gone already.
    if record.going {
        return Err(offboarding::gone());
    }
    let now = app.clock.now();
    let keys = app.keyring.tenant(tenant).await?;
    let (key, token) = new_owner_key(tenant, &keys, now);
    let entry = entry(tenant, AuditEvent::KeyCreated, &call.by(), &key, now);
    keys::add(app, call, &key, token, entry).await
}

/// A key that may do everything, but that no page may hold it.
fn new_owner_key(tenant: TenantId, keys: &TenantKeys, now: Timestamp) -> (ApiKey, String) {
    let scopes: Vec<_> = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Collect)
        .collect();
    keys::new_key(tenant, keys, &scopes, now)
}

/// The log's entry.
fn entry(
    tenant: TenantId,
    event: AuditEvent,
    by: &str,
    key: &ApiKey,
    now: Timestamp,
) -> Vec<Write> {
    entry::writes(&[entry::Entry {
        tenant,
        event,
        by,
        about: &[key.id.to_string()],
        at: now,
        happened_at: None,
    }])
}

/// `GET /v1/tenants`. Its cursor is a tenant: no tenant's key could seal it.
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let refused = || Error::field("cursor", "cursor", "must be a cursor of this list");
    let after = call
        .query("cursor")
        .map(|text| TenantId::parse(text).ok_or_else(refused))
        .transpose()?;
    let after = after.map(|tenant| tenant.to_string());
    let (tenants, next) = app.store.tenants(call.limit()?, after).await?;
    let data: Vec<_> = tenants.into_iter().map(TenantView::from).collect();
    Ok(Answer::ok(&Page {
        data,
        next_cursor: next,
    }))
}

/// `DELETE /v1/tenants/{tenant}`: begins a day from now, and its owner can cancel it.
pub async fn erase(app: &App, call: &Call) -> Result<Answer> {
    let tenant = call.path("tenant").and_then(TenantId::parse);
    let tenant = tenant.ok_or(Error::NotFound)?;
    let now = app.clock.now();
    let job = offboarding::job(tenant, now + offboarding::GRACE, now);
    let answer = Answer::json(202, &job.view());
    offboarding::begin(app, tenant, &call.by(), job, Vec::new()).await?;
    Ok(answer)
}
