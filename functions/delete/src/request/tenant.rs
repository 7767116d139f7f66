//! The erasure of a tenant, with everybody in it.

use jiff::Timestamp;
use shared::base::error::{Error, Lacks, Result};
use shared::domain::app::App;
use shared::domain::erasure::offboarding;
use shared::http::jobs::accepted;
use shared::http::routes::Scope;
use shared::http::{Answer, Call};

use super::Erase;

/// Everybody, and the tenant: only its owner may ask for it.
pub(super) async fn begin(
    app: &App,
    call: &Call,
    erase: &Erase,
    not_before: Timestamp,
) -> Result<Answer> {
    let caller = call.caller();
    let owner = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Collect)
        .all(|scope| caller.may(scope));
    if !owner {
        return Err(Error::Forbidden(Lacks::Ownership));
    }
    let mut job = offboarding::job(call.tenant(), not_before, app.clock.now());
    erase.note(&mut job);
    let mut more = Vec::new();
    let answer = call.kept_with(accepted(&job, "erasures"), &mut more);
    offboarding::begin(app, call.tenant(), &call.by(), job, more).await?;
    Ok(answer)
}
