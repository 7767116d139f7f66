//! The signed roots of the audit log, newest first; of one day, with the leaves of its tree, so
//! that anybody can make the root again.

use jiff::civil::Date;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::http::answers::SealView;
use shared::http::{Answer, Call};

/// Rows of leaves that one answer holds: under the 6 MB that Lambda answers with.
const PARTS: usize = 20;

/// `GET /v1/activity/seals`. Its cursor is a day, or a place among the leaves of one.
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let limit = call.limit()?;
    if let Some(day) = crate::activity::day(call)? {
        return of_day(app, call, day).await;
    }
    let after = call.cursor::<Date>(app).await?;
    let (seals, next) = app.store.seals(call.tenant(), limit, after).await?;
    let seals: Vec<_> = seals.into_iter().map(SealView::from).collect();
    call.page(app, seals, next).await
}

/// The signed root of one day with its leaves; nothing where the day has none.
async fn of_day(app: &App, call: &Call, day: Date) -> Result<Answer> {
    let tenant = call.tenant();
    let place: Option<(Date, usize)> = call.cursor(app).await?;
    let (of, first) = place.unwrap_or((day, 0));
    if of != day {
        let refused = "must be a cursor of this list";
        return Err(Error::field("cursor", "cursor", refused));
    }
    let Some(seal) = app.store.seal(tenant, day).await? else {
        return call.page(app, Vec::<SealView>::new(), None::<()>).await;
    };
    let mut leaves = Vec::new();
    let mut next = None;
    for part in first.. {
        if part == first + PARTS {
            next = Some((day, part));
            break;
        }
        let Some(more) = app.store.leaves(tenant, day, part).await? else {
            break;
        };
        leaves.extend(more.hashes);
    }
    let mut seal = SealView::from(seal);
    seal.leaves = Some(leaves);
    call.page(app, vec![seal], next).await
}
