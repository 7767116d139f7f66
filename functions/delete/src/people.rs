//! Whom a request means: found by a value, related to somebody, or everybody. Only values
//! that the tenant's own server vouches for ever decide who is erased.

use shared::app::App;
use shared::error::{Error, Result};
use shared::id::{Subject, Tenant};
use shared::profile::Profile;
use shared::store::keys::{self, PERSON, SHARDS};

/// Rows of the index read at a time.
const PAGE: usize = 500;

/// Those whom a value finds; one person only unless all are meant.
pub async fn found(
    app: &App,
    tenant: Tenant,
    kind: &str,
    value: &str,
    all: bool,
) -> Result<Vec<Subject>> {
    let mut present = app.find(tenant, kind, value).await?;
    if kind != "visitor_id" {
        present.retain(|it| it.verified);
    }
    let people: Vec<_> = present.into_iter().map(|it| it.key.subject).collect();
    if people.len() > 1 && !all {
        return Err(Error::Ambiguous(people));
    }
    Ok(people)
}

/// Others who share a value of a kind with a person, vouched for on both sides.
pub async fn related(
    app: &App,
    tenant: Tenant,
    subject: Subject,
    kind: &str,
) -> Result<Vec<Subject>> {
    let (living, door, row) = app.person_and(tenant, subject, PERSON).await?;
    let profile = Profile::open(&living, door, row.as_ref())?;
    let identity = &profile.person.identity;
    let known = identity.get(kind).filter(|known| known.verified);
    match known.and_then(|known| known.value.as_str()) {
        Some(value) => found(app, tenant, kind, value, true).await,
        None => Ok(Vec::new()),
    }
}

/// Everybody of a tenant.
pub async fn everybody(app: &App, tenant: Tenant) -> Result<Vec<Subject>> {
    let mut people = Vec::new();
    for shard in 0..SHARDS {
        let partition = keys::due_partition(tenant, shard);
        let mut after = None;
        loop {
            let (sorts, next) = app.store.due(&partition, None, PAGE, after).await?;
            let clocks = sorts.iter().filter_map(|it| keys::parse_due(tenant, it));
            people.extend(clocks.map(|(_, life)| life.subject));
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(people)
}
