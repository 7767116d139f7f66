//! The tables' current settings, as DynamoDB reports them: a setting can have changed since
//! the template was deployed. Reads settings, never rows.

use aws_sdk_dynamodb::primitives::DateTime;
use aws_sdk_dynamodb::types::{BackupTypeFilter, PointInTimeRecoveryStatus, TimeToLiveStatus};
use jiff::Timestamp;

use crate::aws::clients::unavailable;
use crate::aws::dynamo::{Store, Table};
use crate::base::error::{Error, Result};

/// The settings that determine how long deleted data can be recovered from a table.
pub struct TablePosture {
    /// Its ARN.
    pub arn: String,
    /// How many days back it can be recovered; `None` when it cannot.
    pub recovery_days: Option<i32>,
    /// The view type of its stream, if it has one: `KEYS_ONLY` and so on.
    pub stream: Option<String>,
    /// Its TTL attribute, if TTL is enabled.
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

    /// Whether `records` has a backup that was created before this time.
    ///
    /// # Errors
    /// As [`Store::records_posture`].
    pub async fn records_backed_up(&self, before: Timestamp) -> Result<bool> {
        self.backed_up(Table::Records, Some(before)).await
    }

    /// Whether the keyring has any backup.
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
