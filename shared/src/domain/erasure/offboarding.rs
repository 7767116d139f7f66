//! A tenant leaves: asked for by its owner or by the operator, begun a day later, and until
//! then taken back as easily. Owns how that is noted; the worker of erasures does the rest.
//!
//! Two marks stand in the tenant's row. `leaving` names the job; it can be taken back. `going`
//! says that the job has begun: from then on nobody can be held, and once the worker has seen
//! that nobody is, nothing takes it back.

use jiff::{SignedDuration, Timestamp};

use crate::aws::dynamo::{Query, Range, Write};
use crate::base::error::{Error, Result};
use crate::base::id::{JobId, TenantId};
use crate::domain::app::App;
use crate::domain::audit::entry::{self, AuditEvent, Entry};
use crate::domain::erasure::outcome::Scope;
use crate::domain::erasure::spec::Erasing;
use crate::domain::jobs::{Job, JobKind, JobState};
use crate::domain::keys::{self, JobKey, Rule, TENANTS};

/// Until an erasure of everybody begins, unless the owner says sooner.
pub const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// Requests the erasure of a tenant and all its people, in one transaction with the caller's
/// other writes.
///
/// # Errors
/// [`Error::NotFound`] without such a tenant; [`Error::Conflict`] when somebody is held, or
/// the erasure was requested before; [`Error::Unavailable`] when a store does not answer.
pub async fn begin(
    app: &App,
    tenant: TenantId,
    by: &str,
    mut job: Job<Erasing>,
    more: Vec<Write>,
) -> Result<()> {
    let record = app.store.tenant(tenant).await?;
    if record.erased_at.is_some() {
        return Err(Error::NotFound);
    }
    if record.leaving.is_some() {
        return Err(already());
    }
    if somebody_held(app, tenant).await? {
        let detail = "A person is under a legal hold. Lift every legal hold first.";
        return Err(Error::Conflict {
            code: "held",
            detail,
        });
    }
    let look_at = job.outcome.not_before;
    let look_at = look_at.unwrap_or(job.created_at + GRACE);
    let about = [job.key.id.to_string()];
    let mut writes = entry::writes(&[Entry {
        tenant,
        event: AuditEvent::TenantErasureRequested,
        by,
        about: &about,
        at: job.created_at,
        happened_at: None,
    }]);
    writes.push(job.begin_later(look_at));
    writes.push(
        Write::update(TENANTS, &tenant.to_string())
            .set("leaving", job.key.id.to_string())
            .if_there()
            .if_none("leaving"),
    );
    writes.extend(more);
    match app.store.transact(writes).await? {
        Ok(()) => Ok(()),
        Err(_) => Err(already()),
    }
}

fn already() -> Error {
    let detail = "The erasure of this tenant has already been requested.";
    Error::Conflict {
        code: "leaving",
        detail,
    }
}

/// The job that erases a tenant, beginning no earlier than `not_before`.
pub fn job(tenant: TenantId, not_before: Timestamp, now: Timestamp) -> Job<Erasing> {
    let mut erasing = Erasing::default();
    erasing.tenant = true;
    let (mut job, _none) = Job::erasure(JobKind::Erasure, tenant, &[], erasing, now);
    job.outcome.scope = Some(Scope::Tenant);
    job.outcome.not_before = Some(not_before);
    job
}

/// The writes that cancel it: the tenant stays.
pub fn cancel_writes(job: &mut Job<Erasing>, now: Timestamp) -> Vec<Write> {
    let tenant = job.key.tenant.to_string();
    vec![
        Write::update(TENANTS, &tenant)
            .remove(&["leaving"])
            .if_is("leaving", job.key.id.to_string())
            .if_none("going"),
        job.finish_write(JobState::Cancelled, now),
    ]
}

/// Begins the offboarding: from here on nobody can be held.
pub fn going_write(job: JobKey) -> Write {
    let id = job.id.to_string();
    Write::update(TENANTS, &job.tenant.to_string())
        .set("going", id.clone())
        .if_is("leaving", id)
}

/// Undoes the beginning, because somebody is held.
pub fn staying_write(job: JobKey) -> Write {
    Write::update(TENANTS, &job.tenant.to_string()).remove(&["going"])
}

/// Makes a transaction depend on the tenant not going.
pub fn stays_check(tenant: TenantId) -> Write {
    Write::check(TENANTS, &tenant.to_string()).if_none("going")
}

/// The error for requests to a tenant that is going.
pub const fn gone() -> Error {
    Error::Conflict {
        code: "leaving",
        detail: "This tenant is being erased.",
    }
}

/// The tenant's row after it has left: the operator's record.
pub fn left_write(tenant: TenantId, job: JobId, receipt: &str, now: Timestamp) -> Write {
    Write::update(TENANTS, &tenant.to_string())
        .set("erased_at", now)
        .set("receipt", receipt)
        .if_is("leaving", job.to_string())
}

/// Whether anybody of a tenant is held.
///
/// # Errors
/// [`Error::Unavailable`] when DynamoDB does not answer.
pub async fn somebody_held(app: &App, tenant: TenantId) -> Result<bool> {
    let partition = keys::listed(tenant, Rule::Held);
    let query = Query {
        partition: &partition,
        range: Range::All,
        ascending: true,
        limit: Some(1),
        after: None,
    };
    Ok(!app.store.query(query).await?.rows.is_empty())
}
