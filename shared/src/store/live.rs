//! How the tables are kept, as DynamoDB says now: whatever the template declares, a setting
//! can have been changed since. Reads settings, never a row, but for the one that says
//! when this was last looked at.

use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{BackupTypeFilter, PointInTimeRecoveryStatus, TimeToLiveStatus};
use jiff::Timestamp;
use jiff::civil::Date;

use super::keys::{CHECKS, CHECKS_BACKUPS, CHECKS_SWEEP};
use super::{Item, Store, Table, Write};
use crate::aws::unavailable;
use crate::error::Result;
use crate::id::Tenant;

/// What decides for how long something deleted from a table can still be had.
pub struct LiveTable {
    /// How many days back it can be recovered to; `None` when it cannot be.
    pub recovery_days: Option<i32>,
    /// What its stream holds of a row, if it has one: `KEYS_ONLY` and so on.
    pub stream: Option<String>,
    /// The attribute that its rows expire by, if they do.
    pub expiry: Option<String>,
}

/// Where the steps of a sweep that go from tenant to tenant stopped; `None` at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweptUpTo {
    pub forgetting: Option<Tenant>,
    pub sealing: Option<Tenant>,
}

impl Store {
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when DynamoDB does not answer, as everywhere
    /// below.
    pub async fn live_records(&self) -> Result<LiveTable> {
        self.live_table(Table::Records).await
    }

    /// # Errors
    /// As [`Store::live_records`].
    pub async fn live_keyring(&self) -> Result<LiveTable> {
        self.live_table(Table::Keyring).await
    }

    async fn live_table(&self, table: Table) -> Result<LiveTable> {
        let asked = self
            .client
            .describe_continuous_backups()
            .table_name(self.table(table));
        let told = asked
            .send()
            .await
            .map_err(|cause| unavailable("DescribeContinuousBackups", &cause))?;
        let recovery = told
            .continuous_backups_description
            .and_then(|backups| backups.point_in_time_recovery_description)
            .filter(|recovery| {
                recovery.point_in_time_recovery_status == Some(PointInTimeRecoveryStatus::Enabled)
            });
        let asked = self.client.describe_table().table_name(self.table(table));
        let told = asked
            .send()
            .await
            .map_err(|cause| unavailable("DescribeTable", &cause))?;
        let stream = told
            .table
            .and_then(|table| table.stream_specification)
            .filter(|stream| stream.stream_enabled);
        Ok(LiveTable {
            expiry: self.live_expiry(table).await?,
            recovery_days: recovery.and_then(|recovery| recovery.recovery_period_in_days),
            stream: stream.map(|stream| {
                let view = stream.stream_view_type;
                view.map_or_else(String::new, |view| view.as_str().to_owned())
            }),
        })
    }

    /// Whether there is a backup of `records` that was made before this time.
    ///
    /// # Errors
    /// As [`Store::live_records`].
    pub async fn records_backed_up(&self, before: Timestamp) -> Result<bool> {
        self.backed_up(Table::Records, Some(before)).await
    }

    /// Whether there is any backup of the keyring.
    ///
    /// # Errors
    /// As [`Store::live_records`].
    pub async fn keyring_backed_up(&self) -> Result<bool> {
        self.backed_up(Table::Keyring, None).await
    }

    async fn backed_up(&self, table: Table, before: Option<Timestamp>) -> Result<bool> {
        let asked = self
            .client
            .list_backups()
            .table_name(self.table(table))
            .backup_type(BackupTypeFilter::All)
            .set_time_range_upper_bound(before.map(|at| DateTime::from_secs(at.as_second())));
        let told = asked
            .send()
            .await
            .map_err(|cause| unavailable("ListBackups", &cause))?;
        Ok(!told.backup_summaries().is_empty())
    }

    async fn live_expiry(&self, table: Table) -> Result<Option<String>> {
        let asked = self
            .client
            .describe_time_to_live()
            .table_name(self.table(table));
        let told = asked
            .send()
            .await
            .map_err(|cause| unavailable("DescribeTimeToLive", &cause))?;
        let on = [
            Some(TimeToLiveStatus::Enabled),
            Some(TimeToLiveStatus::Enabling),
        ];
        let expiry = told.time_to_live_description;
        let expiry = expiry.filter(|expiry| on.contains(&expiry.time_to_live_status));
        Ok(expiry.and_then(|expiry| expiry.attribute_name))
    }

    /// The day on which the settings were last found to be one thing or another.
    ///
    /// # Errors
    /// As [`Store::live_records`].
    pub async fn backups_checked(&self) -> Result<Option<Date>> {
        let row = self.get(CHECKS, CHECKS_BACKUPS).await?;
        Ok(row.and_then(|row| row.try_text("day")?.parse().ok()))
    }

    /// The tenant after which a sweep had no time left for the others, in one of its steps.
    ///
    /// # Errors
    /// As [`Store::live_records`].
    pub async fn swept_up_to(&self) -> Result<SweptUpTo> {
        let row = self.get(CHECKS, CHECKS_SWEEP).await?;
        let place = |name| Tenant::parse(row.as_ref()?.try_text(name)?);
        Ok(SweptUpTo {
            forgetting: place("forgetting"),
            sealing: place("sealing"),
        })
    }

    /// # Errors
    /// As [`Store::live_records`].
    pub async fn note_swept_up_to(&self, places: SweptUpTo) -> Result<()> {
        let place = |tenant: Option<Tenant>| tenant.map(|it| it.to_string());
        let row = Item::new(CHECKS, CHECKS_SWEEP)
            .with_some("forgetting", place(places.forgetting))
            .with_some("sealing", place(places.sealing));
        // Whichever of two sweeps is later: either place is one to begin at.
        let _unconditional = self.write(Write::put(row)).await?;
        Ok(())
    }

    /// # Errors
    /// As [`Store::live_records`].
    pub async fn note_backups_checked(&self, day: Date) -> Result<()> {
        let row = Item::new(CHECKS, CHECKS_BACKUPS).with("day", day.to_string());
        // Two sweeps at once may both have looked: they saw the same day.
        let _unconditional = self.write(Write::put(row)).await?;
        Ok(())
    }
}
