//! AWS Backup: the recovery points of a table. DynamoDB's own list of backups omits them.

use aws_sdk_backup::Client;
use jiff::Timestamp;

use crate::aws::clients::unavailable;
use crate::base::error::Result;

#[derive(Clone)]
pub struct Backups {
    client: Client,
}

impl Backups {
    pub fn new(client: Client) -> Backups {
        Backups { client }
    }

    /// Whether the table has a recovery point in any vault of this account and region; with
    /// `before`, whether one was created before that time. One without a time counts.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when AWS Backup does not answer.
    pub async fn any(&self, table_arn: &str, before: Option<Timestamp>) -> Result<bool> {
        let mut pages = self
            .client
            .list_recovery_points_by_resource()
            .resource_arn(table_arn)
            .into_paginator()
            .items()
            .send();
        while let Some(point) = pages.next().await {
            let point =
                point.map_err(|cause| unavailable("ListRecoveryPointsByResource", &cause))?;
            let made = point.creation_date.map(|at| at.secs());
            let early = |before: Timestamp| made.is_none_or(|made| made < before.as_second());
            if before.is_none_or(early) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
