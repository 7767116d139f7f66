//! DynamoDB: the tables' rows, how they are read and written. Owns conditions, paging and
//! retries. Knows nothing of HTTP, and treats sealed values as opaque bytes.
//!
//! Only `scan` scans a table.

mod item;
mod pages;
pub mod posture;
pub mod scan;
mod write;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use crate::aws::clients::unavailable;
use crate::base::error::{Error, Result};
use crate::base::retry;
pub use item::{Attribute, Item};
pub use pages::Pages;
pub use write::{Refusal, Weigh, Write, in_transactions};

/// Attempts against transaction conflicts or unprocessed rows, with a growing backoff.
const TRIES: u32 = 8;

/// The two tables.
#[derive(Clone)]
pub struct Store {
    client: Client,
    pub(crate) records: String,
    pub(crate) keyring: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Records,
    Keyring,
}

/// What to read from one partition.
pub struct Query<'a> {
    pub partition: &'a str,
    pub range: Range<'a>,
    pub ascending: bool,
    /// The most rows to read for this page (DynamoDB also stops at 1 MB).
    pub limit: Option<usize>,
    /// The sort key to continue after.
    pub after: Option<String>,
}

/// A range of sort keys.
pub enum Range<'a> {
    All,
    Prefix(&'a str),
    Between(&'a str, &'a str),
}

/// Which of the rows read to keep: a filter expression, its `#names` and its `:values`.
pub struct Filter<'a> {
    pub expression: &'a str,
    pub names: &'a [(&'a str, &'a str)],
    pub values: Vec<(&'a str, Attribute)>,
}

/// One page of rows.
pub struct Page {
    pub rows: Vec<Item>,
    /// The sort key to continue after, if there may be more.
    pub next: Option<String>,
}

impl Store {
    pub fn new(client: Client, records: String, keyring: String) -> Store {
        Store {
            client,
            records,
            keyring,
        }
    }

    fn table(&self, table: Table) -> &str {
        match table {
            Table::Records => &self.records,
            Table::Keyring => &self.keyring,
        }
    }

    /// One row, strongly consistent.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when DynamoDB does not answer, as everywhere below.
    pub async fn get(&self, partition: &str, sort: &str) -> Result<Option<Item>> {
        self.get_by_key(Table::Records, item::key(partition, sort))
            .await
    }

    pub(crate) async fn get_keyring(&self, partition: &str) -> Result<Option<Item>> {
        let key = HashMap::from([("PK".to_owned(), AttributeValue::S(partition.to_owned()))]);
        self.get_by_key(Table::Keyring, key).await
    }

    async fn get_by_key(
        &self,
        table: Table,
        key: HashMap<String, AttributeValue>,
    ) -> Result<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(self.table(table))
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|cause| unavailable("GetItem", &cause))?;
        Ok(answer.item.map(Item))
    }

    /// Several rows of `records`, strongly consistent, in no order. Missing rows are omitted.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn get_many(&self, keys: &[(String, String)]) -> Result<Vec<Item>> {
        let keys = keys
            .iter()
            .map(|(partition, sort)| item::key(partition, sort))
            .collect();
        self.batch_get(Table::Records, keys).await
    }

    pub(crate) async fn get_many_keyring(&self, partitions: &[String]) -> Result<Vec<Item>> {
        let key = |pk: &String| HashMap::from([("PK".to_owned(), AttributeValue::S(pk.clone()))]);
        self.batch_get(Table::Keyring, partitions.iter().map(key).collect())
            .await
    }

    async fn batch_get(
        &self,
        table: Table,
        keys: Vec<HashMap<String, AttributeValue>>,
    ) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        for keys in keys.chunks(100) {
            let mut left = keys.to_vec();
            for attempt in 0.. {
                let wanted = KeysAndAttributes::builder()
                    .set_keys(Some(left))
                    .consistent_read(true)
                    .build()
                    .expect("the keys are set");
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(self.table(table), wanted)
                    .send()
                    .await
                    .map_err(|cause| unavailable("BatchGetItem", &cause))?;
                found.extend(
                    answer
                        .responses
                        .into_iter()
                        .flatten()
                        .flat_map(|(_, rows)| rows),
                );
                left = answer
                    .unprocessed_keys
                    .into_iter()
                    .flatten()
                    .flat_map(|(_, keys)| keys.keys)
                    .collect();
                if left.is_empty() {
                    break;
                }
                pause(attempt, "BatchGetItem: unprocessed keys").await?;
            }
        }
        Ok(found.into_iter().map(Item).collect())
    }

    /// One page of a partition, strongly consistent.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn query(&self, query: Query<'_>) -> Result<Page> {
        self.query_where(query, None).await
    }

    /// One page of a partition, reduced to the rows that match `filter`. A page may be empty
    /// and still have a next page.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn query_where(&self, query: Query<'_>, filter: Option<Filter<'_>>) -> Result<Page> {
        let mut call = self.query_call(query);
        if let Some(filter) = filter {
            call = call.filter_expression(filter.expression);
            for (name, attribute) in filter.names {
                call = call.expression_attribute_names(*name, *attribute);
            }
            for (name, value) in filter.values {
                call = call.expression_attribute_values(name, value.0);
            }
        }
        let answer = call
            .send()
            .await
            .map_err(|cause| unavailable("Query", &cause))?;
        let next = answer
            .last_evaluated_key
            .map(|key| Item(key).sort().to_owned());
        Ok(Page {
            rows: answer
                .items
                .unwrap_or_default()
                .into_iter()
                .map(Item)
                .collect(),
            next,
        })
    }

    fn query_call(&self, query: Query<'_>) -> QueryFluentBuilder {
        let call = self
            .client
            .query()
            .table_name(&self.records)
            .consistent_read(true)
            .scan_index_forward(query.ascending)
            .expression_attribute_values(":pk", AttributeValue::S(query.partition.to_owned()))
            .set_limit(
                query
                    .limit
                    .map(|limit| limit.try_into().unwrap_or(i32::MAX)),
            )
            .set_exclusive_start_key(query.after.map(|sort| item::key(query.partition, &sort)));
        match query.range {
            Range::All => call.key_condition_expression("PK = :pk"),
            Range::Prefix(prefix) => call
                .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned())),
            Range::Between(from, to) => call
                .key_condition_expression("PK = :pk AND SK BETWEEN :from AND :to")
                .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
                .expression_attribute_values(":to", AttributeValue::S(to.to_owned())),
        }
    }

    /// The sort keys of one page of a partition, strongly consistent, and the one to continue
    /// after. Only the sort keys are transferred.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn query_sorts(&self, query: Query<'_>) -> Result<(Vec<String>, Option<String>)> {
        let call = self.query_call(query).projection_expression("SK");
        let answer = call
            .send()
            .await
            .map_err(|cause| unavailable("Query", &cause))?;
        let next = answer
            .last_evaluated_key
            .map(|key| Item(key).sort().to_owned());
        let rows = answer.items.unwrap_or_default().into_iter().map(Item);
        Ok((rows.map(|row| row.sort().to_owned()).collect(), next))
    }

    /// Every row of a partition with this prefix, read page by page.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn query_all(&self, partition: &str, prefix: &str) -> Result<Vec<Item>> {
        let mut pages = Pages::new(async |after| {
            let range = match prefix {
                "" => Range::All,
                _ => Range::Prefix(prefix),
            };
            let query = Query {
                partition,
                range,
                ascending: true,
                limit: None,
                after,
            };
            let page = self.query(query).await?;
            Ok((page.rows, page.next))
        });
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await? {
            rows.extend(page);
        }
        Ok(rows)
    }

    /// One page of the index `due`, earliest first: the rows' `due_sk`, after `after`, up to
    /// and including those that start with `until`; and the one to continue after, if there
    /// may be more. Eventually consistent, as indexes are.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn due(
        &self,
        partition: &str,
        until: Option<&str>,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<String>, Option<String>)> {
        // '~' sorts after every character of a key, a space before. No key is a prefix of
        // another.
        let from = after.map_or_else(|| " ".to_owned(), |after| after + "~");
        let until = format!("{}~", until.unwrap_or_default());
        if from > until {
            return Ok((Vec::new(), None));
        }
        let call = self
            .client
            .query()
            .table_name(&self.records)
            .index_name("due")
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .key_condition_expression("due_pk = :pk AND due_sk BETWEEN :from AND :until")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(from))
            .expression_attribute_values(":until", AttributeValue::S(until));
        let answer = call
            .send()
            .await
            .map_err(|cause| unavailable("Query", &cause))?;
        let sort = |row: &Item| row.try_text("due_sk").map(str::to_owned);
        let rows = answer.items.unwrap_or_default().into_iter().map(Item);
        let sorts = rows.filter_map(|row| sort(&row)).collect();
        let next = answer.last_evaluated_key.map(Item);
        Ok((sorts, next.and_then(|row| sort(&row))))
    }
}

/// Backs off before the next attempt, longer each time, or gives up.
async fn pause(attempt: u32, cause: &str) -> Result<()> {
    if attempt + 1 >= TRIES {
        return Err(Error::Unavailable(cause.to_owned()));
    }
    retry::pause(attempt).await;
    Ok(())
}
