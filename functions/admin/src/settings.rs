//! A tenant's settings: shown, replaced, and what a replacement would erase.

use jiff::{SignedDuration, Timestamp};
use shared::base::error::Result;
use shared::base::id::TenantId;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::expiry_index::Cursor;
use shared::domain::keys;
use shared::domain::life::door::expires_at;
use shared::domain::tenant::rows::change_write;
use shared::domain::tenant::settings::Settings;
use shared::http::answers::{RetentionChange, SettingsPreview};
use shared::http::{Answer, Call};

/// People counted together.
const PAGE: usize = 100;
/// The longest that anybody may be kept, whatever the settings were.
const MOST_DAYS: u8 = 30;

/// `GET /v1/settings`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let stored = app.store.settings(call.tenant()).await?;
    Ok(Answer::ok(&stored.settings).revision(stored.rev))
}

/// `PUT /v1/settings`: what is not sent has its default.
pub async fn change(app: &App, call: &Call) -> Result<Answer> {
    let dry_run = call.flag("dry_run")?;
    let settings = Settings::parse(call.body())?;
    let tenant = call.tenant();
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let before = app.store.settings(tenant).await?;
        call.expect_revision(before.rev)?;
        if dry_run {
            let days = [&before.settings, &settings].map(|it| it.retention_days);
            return preview(app, tenant, days).await;
        }
        if settings == before.settings {
            return Ok(Answer::ok(&settings).revision(before.rev));
        }
        let (by, about) = (call.by(), [format!("rev:{}", before.rev + 1)]);
        let now = app.clock.now();
        let mut writes = vec![change_write(tenant, &before, settings.clone(), now)];
        writes.extend(entry::writes(&[entry::Entry {
            tenant,
            event: AuditEvent::SettingsChanged,
            by: &by,
            about: &about,
            at: now,
            happened_at: None,
        }]));
        if app.store.transact(writes).await?.is_ok() {
            app.tenants.forget(tenant);
            return Ok(Answer::ok(&settings).revision(before.rev + 1));
        }
        // Somebody else has changed them meanwhile: look again.
    }
}

/// What a change would delete, and nothing changed.
async fn preview(app: &App, tenant: TenantId, [from, to]: [u8; 2]) -> Result<Answer> {
    let would_erase = if to < from {
        older_than(app, tenant, to).await?
    } else {
        0
    };
    Ok(Answer::ok(&SettingsPreview {
        dry_run: true,
        would_erase,
        retention_days: RetentionChange { from, to },
    }))
}

/// How many people were last seen more than these days ago.
async fn older_than(app: &App, tenant: TenantId, days: u8) -> Result<u64> {
    let now = app.clock.now();
    let until = latest_due_day(now, days);
    let mut older = 0;
    let mut cursor = Cursor::default();
    while !cursor.over() {
        let due = app.store.due_lives(tenant, Some(until), PAGE, &mut cursor);
        let lives = due.await?;
        let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
        let present = app.present(tenant, &subjects).await?;
        let over = present.iter().filter(|it| {
            // Settings do not move an expiry that is paused.
            lives.contains(&it.key)
                && it.door.expires_at.is_some()
                && expires_at(it.door.last_seen, days) <= now
        });
        older += over.count() as u64;
    }
    Ok(older)
}

/// The latest day that the expiry index entry of somebody can have whom these days would end:
/// they were seen so long ago, and were given the most at the time.
fn latest_due_day(now: Timestamp, days: u8) -> jiff::civil::Date {
    let ahead = SignedDuration::from_hours(24 * i64::from(MOST_DAYS.saturating_sub(days)));
    keys::day_of(now + ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_looked_at_as_far_ahead_as_it_can_stand() {
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        assert_eq!(latest_due_day(now, 7).to_string(), "2026-02-02");
        assert_eq!(latest_due_day(now, 30).to_string(), "2026-01-10");
    }
}
