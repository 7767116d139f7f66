//! Scans a whole table. Only the replay after a restore may scan, because it looks for rows
//! that no key refers to any more. All other code reads by key, or by the index of what is
//! due.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::aws::clients::unavailable;
use crate::aws::dynamo::{Item, Page, Store, item};
use crate::base::error::Result;

/// The attributes that are read: whose row it is, the key that it is sealed under, and whether
/// its file is to be purged. Never sealed data.
const CLEAR: &str = "PK, SK, #key, life, purging";

/// A position in `records`: partition and sort key.
pub type At = (String, String);

impl Store {
    /// One page of the keyring, strongly consistent, in no meaningful order. The next page
    /// begins after the partition in `next`.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer, as below.
    pub(crate) async fn scan_keyring(&self, limit: usize, after: Option<&str>) -> Result<Page> {
        let key = |pk: &str| HashMap::from([("PK".to_owned(), AttributeValue::S(pk.to_owned()))]);
        let answer = self
            .client
            .scan()
            .table_name(&self.keyring)
            .consistent_read(true)
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .set_exclusive_start_key(after.map(key))
            .send()
            .await
            .map_err(|cause| unavailable("Scan", &cause))?;
        let rows = answer.items.unwrap_or_default();
        let next = answer.last_evaluated_key.map(Item);
        Ok(Page {
            rows: rows.into_iter().map(Item).collect(),
            next: next.map(|row| row.partition().to_owned()),
        })
    }

    /// One page of `records`, strongly consistent. Rows of a partition are adjacent and in
    /// order. Each row has its keys, its life, and the data key that it is sealed under.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer.
    pub async fn scan_records(
        &self,
        limit: usize,
        after: Option<&At>,
    ) -> Result<(Vec<Item>, Option<At>)> {
        let answer = self
            .client
            .scan()
            .table_name(&self.records)
            .consistent_read(true)
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .projection_expression(CLEAR)
            .expression_attribute_names("#key", "key")
            .set_exclusive_start_key(after.map(|(partition, sort)| item::key(partition, sort)))
            .send()
            .await
            .map_err(|cause| unavailable("Scan", &cause))?;
        let rows = answer.items.unwrap_or_default();
        let next = answer.last_evaluated_key.map(Item);
        Ok((
            rows.into_iter().map(Item).collect(),
            next.map(|row| (row.partition().to_owned(), row.sort().to_owned())),
        ))
    }
}
