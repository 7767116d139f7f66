//! The expiry index of a tenant: every life, by the day on which it may expire, over several
//! shards.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::aws::dynamo::Store;
use crate::base::error::Result;
use crate::base::id::TenantId;
use crate::domain::keys::{self, LifeKey, SHARDS};

/// The position of a walk through the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub shard: u8,
    pub after: Option<String>,
}

impl Cursor {
    /// Whether the walk has reached the end of the index.
    pub const fn over(&self) -> bool {
        self.shard >= SHARDS
    }
}

impl Store {
    /// Up to `limit` lives after the cursor, of one shard, whose entries are of `until` or an
    /// earlier day; moves the cursor. The list may be empty before the walk is over. A shard
    /// that cannot be read is skipped, so that it does not keep others waiting.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when DynamoDB does not answer.
    pub async fn due_lives(
        &self,
        tenant: TenantId,
        until: Option<Date>,
        limit: usize,
        cursor: &mut Cursor,
    ) -> Result<Vec<LifeKey>> {
        let partition = keys::due_partition(tenant, cursor.shard);
        let until = until.map(|day| day.to_string());
        let after = cursor.after.take();
        let page = self.due(&partition, until.as_deref(), limit, after).await;
        cursor.after = page.as_ref().ok().and_then(|(_, next)| next.clone());
        cursor.shard += u8::from(cursor.after.is_none());
        let (sorts, _) = page?;
        let due = sorts.iter().filter_map(|it| keys::parse_due(tenant, it));
        Ok(due.map(|(_, life)| life).collect())
    }
}
