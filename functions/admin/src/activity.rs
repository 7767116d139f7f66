//! The activity log, newest first.

use jiff::civil::Date;
use shared::aws::dynamo::Item;
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::audit::entry::{AuditEvent, EntryView};
use shared::domain::keys;
use shared::http::{Answer, Call};

/// Days, or parts of a day, that one request reads at most; what is left comes with the
/// cursor.
const READS: usize = 32;
/// Entries that are read together where only some are wanted.
const READ: usize = 100;

/// Which entries to show.
struct Wanted {
    kind: Option<AuditEvent>,
    member: Option<String>,
}

/// Where the log goes on: the day, and the entry before which.
type Cursor = (Date, Option<String>);

/// `GET /v1/activity`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let wanted = wanted(call)?;
    let only = day(call)?;
    let limit = call.limit()?;
    let place: Option<Cursor> = call.cursor(app).await?;
    if let (Some(day), Some((at, _))) = (only, &place)
        && day != *at
    {
        return Err(Error::field(
            "cursor",
            "cursor",
            "must be a cursor of this list",
        ));
    }
    let oldest = match only {
        Some(day) => day,
        None => created_on(app, call).await?,
    };
    let newest = only.unwrap_or_else(|| keys::day_of(app.clock.now()));
    let mut place = Some(place.unwrap_or((newest, None)));
    let mut data = Vec::new();
    for _ in 0..READS {
        let Some((day, before)) = place.take() else {
            break;
        };
        if day < oldest || data.len() == limit {
            // Below the end there is nothing; a full page goes on from here.
            place = (day >= oldest).then_some((day, before));
            break;
        }
        let most = if wanted.everything() {
            limit - data.len()
        } else {
            READ
        };
        let rows = app
            .store
            .activity(call.tenant(), day, before.as_deref(), most)
            .await?;
        let whole = rows.len() < most;
        let mut last = None;
        for row in rows {
            if data.len() == limit {
                break;
            }
            last = Some(row.sort().to_owned());
            if wanted.holds(&row) {
                data.push(EntryView::read(&row)?);
            }
        }
        // A day is done with when it had no more, and all of it was looked at.
        let left = !whole || data.len() == limit;
        place = match last {
            Some(last) if left => Some((day, Some(last))),
            _ => day.yesterday().ok().map(|day| (day, None)),
        };
    }
    let next = place.filter(|(day, _)| *day >= oldest);
    call.page(app, data, next).await
}

impl Wanted {
    fn everything(&self) -> bool {
        self.kind.is_none() && self.member.is_none()
    }

    fn holds(&self, row: &Item) -> bool {
        let is = |name, value: &str| row.try_text(name) == Some(value);
        self.kind.is_none_or(|event| is("kind", event.name()))
            && self.member.as_ref().is_none_or(|member| is("by", member))
    }
}

fn wanted(call: &Call) -> Result<Wanted> {
    let kind = call.query("kind").map(|name| {
        AuditEvent::parse(name)
            .ok_or_else(|| Error::field("kind", "choice", "must be a known entry kind"))
    });
    let member = call.query("member").map(|member| {
        let id = shared::schema::violations::code(member).map(str::to_owned);
        id.ok_or_else(|| Error::field("member", "format", "must be a key ID or member ID"))
    });
    Ok(Wanted {
        kind: kind.transpose()?,
        member: member.transpose()?,
    })
}

/// The day that is asked for.
pub(crate) fn day(call: &Call) -> Result<Option<Date>> {
    let parse = |text: &str| {
        let expected = "must be a date such as 2026-01-31";
        // The form is exact: other spellings of a date are not taken.
        text.parse::<Date>()
            .ok()
            .filter(|day| day.to_string() == text)
            .ok_or_else(|| Error::field("day", "format", expected))
    };
    call.query("day").map(parse).transpose()
}

/// The day on which the log begins.
async fn created_on(app: &App, call: &Call) -> Result<Date> {
    let record = app.store.tenant(call.tenant()).await?;
    Ok(keys::day_of(record.created_at))
}
