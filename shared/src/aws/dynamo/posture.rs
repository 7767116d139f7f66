//! How the tables are kept, as DynamoDB says now: whatever the template declares, a setting
//! can have been changed since. Reads settings, never a row.

use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{BackupTypeFilter, PointInTimeRecoveryStatus, TimeToLiveStatus};
use jiff::Timestamp;

use crate::aws::clients::unavailable;
use crate::aws::dynamo::{Store, Table};
use crate::base::error::{Error, Result};

/// What decides for how long something deleted from a table can still be had.
pub struct TablePosture {
    /// Its name for other services.
    pub arn: String,
    /// How many days back it can be recovered to; `None` when it cannot be.
    pub recovery_days: Option<i32>,
    /// What its stream holds of a row, if it has one: `KEYS_ONLY` and so on.
    pub stream: Option<String>,
    /// The attribute that its rows expire by, if they do.
    pub expiry: Option<String>,
}

impl Store {
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer, as everywhere
    /// below.
    pub async fn records_posture(&self) -> Result<TablePosture> {
        self.table_posture(Table::Records).await
    }

    /// # Errors
    /// As [`Store::records_posture`].
    pub async fn keyring_posture(&self) -> Result<TablePosture> {
        self.table_posture(Table::Keyring).await
    }

    async fn table_posture(&self, table: Table) -> Result<TablePosture> {
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
        let (arn, stream) = told
            .table
            .map(|table| (table.table_arn, table.stream_specification))
            .unwrap_or_default();
        let stream = stream.filter(|stream| stream.stream_enabled);
        Ok(TablePosture {
            arn: arn.ok_or_else(|| Error::Unavailable("DescribeTable: no ARN".into()))?,
            expiry: self.expiry_attribute(table).await?,
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
    /// As [`Store::records_posture`].
    pub async fn records_backed_up(&self, before: Timestamp) -> Result<bool> {
        self.backed_up(Table::Records, Some(before)).await
    }

    /// Whether there is any backup of the keyring.
    ///
    /// # Errors
    /// As [`Store::records_posture`].
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

    /// Whether the table was exported to a bucket. DynamoDB lists an export for 90 days.
    ///
    /// # Errors
    /// As [`Store::records_posture`].
    pub async fn exported(&self, table: &TablePosture) -> Result<bool> {
        let asked = self.client.list_exports().table_arn(&table.arn);
        let told = asked
            .send()
            .await
            .map_err(|cause| unavailable("ListExports", &cause))?;
        Ok(!told.export_summaries().is_empty())
    }

    async fn expiry_attribute(&self, table: Table) -> Result<Option<String>> {
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
}
