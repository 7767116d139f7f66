//! Verifies once a day that backups still expire as receipts promise: compares the settings in
//! force with those that the functions were deployed with. Reads settings, never rows. An
//! alarm watches the number of settings that drift, and missing checks.

use jiff::SignedDuration;
use serde_json::json;
use shared::aws::emf::{Metric, Unit};
use shared::aws::s3::posture::Ages;
use shared::base::error::Result;
use shared::base::recovery::BACKUP_DELAY;
use shared::domain::app::App;
use shared::domain::keys::{EXPORTS, day_of};

/// A deleted row is gone from every copy within these days, a deleted key within a day.
const RECORDS_DAYS: u8 = 30;
const KEYRING_DAYS: u8 = 1;
/// How many days an export and an incomplete upload may exist.
const PASSING_DAYS: u8 = 1;

/// Checks the settings unless they were checked today, and reports how many drift. Reports 0
/// as well: the alarm treats silence as a missing check.
pub async fn check(app: &App) -> Result<()> {
    let now = app.clock.now();
    let today = day_of(now);
    if app.store.backups_checked().await? == Some(today) {
        return Ok(());
    }
    let drifting = drifting(app).await?;
    Metric {
        name: "BackupsDrifting",
        value: drifting.len(),
        unit: Unit::Count,
        of: ("Table", &app.config.records_table),
        about: ("drifting", json!(drifting)),
    }
    .log(now);
    // Last, so that the next sweep repeats a check that failed.
    app.store.note_backups_checked(today).await
}

/// The names of the settings that differ from their required values.
async fn drifting(app: &App) -> Result<Vec<&'static str>> {
    let records = app.store.records_posture().await?;
    let keyring = app.store.keyring_posture().await?;
    let kept = SignedDuration::from_hours(24 * i64::from(RECORDS_DAYS));
    let due = app.clock.now() - kept - BACKUP_DELAY;
    // Each list omits what the other holds, depending on which service made the backup.
    let overdue =
        app.store.records_backed_up(due).await? || app.backups.any(&records.arn, Some(due)).await?;
    let copied =
        app.store.keyring_backed_up().await? || app.backups.any(&keyring.arn, None).await?;
    let exported = (
        app.store.exported(&records).await?,
        app.store.exported(&keyring).await?,
    );
    let versioned = app.objects.versioning().await?;
    let ages = app.objects.live_ages().await?;

    let recovers =
        |live: Option<i32>, told: u8, most: u8| told <= most && live == Some(i32::from(told));
    // Whether some lifecycle rule removes everything under the prefix in time.
    let goes = |prefix: &str, age: fn(&Ages) -> Option<i32>, days: u8| {
        let mut rules = ages.iter().filter(|it| prefix.starts_with(&it.prefix));
        rules.any(|it| age(it).is_some_and(|age| age <= i32::from(days)))
    };
    let exports = format!("{EXPORTS}/");
    let holds = [
        (
            "records.recovery",
            recovers(
                records.recovery_days,
                app.config.records_recovery_days,
                RECORDS_DAYS,
            ),
        ),
        ("records.backups", !overdue),
        ("records.exports", !exported.0),
        (
            "records.expiry",
            records.expiry.as_deref() == Some("expires_at"),
        ),
        (
            "records.stream",
            records.stream.as_deref() == Some("KEYS_ONLY"),
        ),
        (
            "keyring.recovery",
            recovers(
                keyring.recovery_days,
                app.config.keyring_recovery_days,
                KEYRING_DAYS,
            ),
        ),
        ("keyring.backups", !copied),
        ("keyring.exports", !exported.1),
        (
            "keyring.expiry",
            keyring.expiry.as_deref() == Some("expires_at"),
        ),
        ("keyring.stream", keyring.stream.is_none()),
        ("bucket.versioning", versioned),
        (
            "bucket.older-versions",
            goes("", |it| it.older, RECORDS_DAYS),
        ),
        ("bucket.uploads", goes("", |it| it.unfinished, PASSING_DAYS)),
        (
            "bucket.exports",
            goes(&exports, |it| it.current, PASSING_DAYS)
                && goes(&exports, |it| it.older, PASSING_DAYS),
        ),
    ];
    let drifting = holds.into_iter().filter(|(_, holds)| !holds);
    Ok(drifting.map(|(name, _)| name).collect())
}
