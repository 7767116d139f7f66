//! DynamoDB: the tables' rows and how they are read and written. Owns conditions, paging
//! and retries; knows nothing of HTTP, and of sealed bytes only that they are bytes.
//!
//! Nothing here scans a table.

pub mod activity;
pub mod item;
pub mod jobs;
pub mod keys;
pub mod lives;
pub mod lookups;
pub mod once;
pub mod records;
pub mod tenants;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, KeysAndAttributes, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update, WriteRequest,
};

use crate::app::unavailable;
use crate::error::{Error, Result};
pub use item::{Attribute, Item};

/// Rows that one transaction may hold: under DynamoDB's 100, with room for the door,
/// the keyring and activity.
pub const TRANSACTION_ROWS: usize = 90;
/// Bytes that one transaction may hold: under DynamoDB's 4 MB.
pub const TRANSACTION_BYTES: usize = 3_000_000;
/// Tries against a transaction conflict or unprocessed rows, with a growing pause.
const TRIES: u32 = 8;

/// The two tables.
#[derive(Clone)]
pub struct Store {
    client: Client,
    pub(crate) records: String,
    pub(crate) keyring: String,
}

/// One conditional write, alone or in a transaction.
#[derive(Clone)]
pub struct Write {
    table: Table,
    kind: Kind,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Records,
    Keyring,
}

#[derive(Clone)]
enum Kind {
    Put(Item),
    Update {
        key: HashMap<String, AttributeValue>,
        expression: String,
    },
    Delete {
        key: HashMap<String, AttributeValue>,
    },
    Check {
        key: HashMap<String, AttributeValue>,
    },
}

impl Write {
    fn new(table: Table, kind: Kind) -> Write {
        Write {
            table,
            kind,
            condition: None,
            names: HashMap::new(),
            values: HashMap::new(),
        }
    }

    pub fn put(item: Item) -> Write {
        Write::new(Table::Records, Kind::Put(item))
    }

    /// Changes a row of `records`; `expression` is an update expression (`SET …`).
    pub fn update(partition: &str, sort: &str, expression: impl Into<String>) -> Write {
        let (key, expression) = (item::key(partition, sort), expression.into());
        Write::new(Table::Records, Kind::Update { key, expression })
    }

    pub fn delete(partition: &str, sort: &str) -> Write {
        Write::new(
            Table::Records,
            Kind::Delete {
                key: item::key(partition, sort),
            },
        )
    }

    /// Writes nothing: lets a transaction depend on a row.
    pub fn check(partition: &str, sort: &str) -> Write {
        Write::new(
            Table::Records,
            Kind::Check {
                key: item::key(partition, sort),
            },
        )
    }

    pub(crate) fn put_keyring(item: Item) -> Write {
        Write::new(Table::Keyring, Kind::Put(item))
    }

    pub(crate) fn update_keyring(partition: &str, expression: impl Into<String>) -> Write {
        let key = HashMap::from([("PK".to_owned(), AttributeValue::S(partition.to_owned()))]);
        Write::new(
            Table::Keyring,
            Kind::Update {
                key,
                expression: expression.into(),
            },
        )
    }

    /// The write happens only if this condition expression holds.
    #[must_use]
    pub fn only_if(mut self, condition: impl Into<String>) -> Write {
        self.condition = Some(condition.into());
        self
    }

    /// The row must not be there yet.
    #[must_use]
    pub fn only_new(self) -> Write {
        self.only_if("attribute_not_exists(PK)")
    }

    /// Gives a `:value` of the expressions.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl Into<Attribute>) -> Write {
        self.values.insert(name.to_owned(), value.into().0);
        self
    }

    /// Gives a `#name` of the expressions, for a word that DynamoDB reserves.
    #[must_use]
    pub fn name(mut self, name: &str, attribute: &str) -> Write {
        self.names.insert(name.to_owned(), attribute.to_owned());
        self
    }

    /// Whether it changes nothing.
    pub(crate) fn only_checks(&self) -> bool {
        matches!(self.kind, Kind::Check { .. })
    }

    /// Roughly what it weighs in a transaction.
    fn weight(&self) -> usize {
        let put = match &self.kind {
            Kind::Put(item) => item.0.values().map(weight).sum(),
            _ => 0,
        };
        put + self.values.values().map(weight).sum::<usize>()
    }
}

fn weight(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::S(text) => text.len(),
        _ => 32,
    }
}

/// Why a conditional write did not happen.
#[derive(Debug)]
pub enum Refusal {
    /// The condition of this write (its place in the transaction) failed; the row as it
    /// was, if there was one.
    Condition { place: usize, row: Option<Item> },
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Item({}…)", self.sort())
    }
}

/// What to read of one partition.
pub struct Query<'a> {
    pub partition: &'a str,
    pub range: Range<'a>,
    pub ascending: bool,
    /// Rows to read at most in this page (DynamoDB stops at 1 MB as well).
    pub limit: Option<usize>,
    /// The sort key to go on after.
    pub after: Option<String>,
}

/// Which sort keys.
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
    /// The sort key to go on after, when there may be more.
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

    /// Several rows of `records`, strongly consistent, in no order; absent ones are left out.
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

    /// One page of a partition, keeping the rows for which `filter` holds. A page may be
    /// empty and still have a next.
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

    /// The sort keys of one page of a partition, strongly consistent, and the one to go on
    /// after: no contents are sent.
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

    /// Every row of a partition with this prefix, page after page.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn query_all(&self, partition: &str, prefix: &str) -> Result<Vec<Item>> {
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let range = if prefix.is_empty() {
                Range::All
            } else {
                Range::Prefix(prefix)
            };
            let page = self
                .query(Query {
                    partition,
                    range,
                    ascending: true,
                    limit: None,
                    after,
                })
                .await?;
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// One page of the index `due`, earliest first: the rows' `due_sk`, up to and
    /// including those that start with `until`. Eventually consistent, as indexes are.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn due(
        &self,
        partition: &str,
        until: Option<&str>,
        limit: usize,
        after: Option<Item>,
    ) -> Result<(Vec<String>, Option<Item>)> {
        let mut call = self
            .client
            .query()
            .table_name(&self.records)
            .index_name("due")
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .set_exclusive_start_key(after.map(|row| row.0));
        call = match until {
            None => call.key_condition_expression("due_pk = :pk"),
            Some(until) => call
                .key_condition_expression("due_pk = :pk AND due_sk < :until")
                // '~' sorts after every character that a key can hold.
                .expression_attribute_values(":until", AttributeValue::S(format!("{until}~"))),
        };
        let answer = call
            .send()
            .await
            .map_err(|cause| unavailable("Query", &cause))?;
        let rows = answer.items.unwrap_or_default().into_iter().map(Item);
        let sorts = rows
            .filter_map(|row| row.try_text("due_sk").map(str::to_owned))
            .collect();
        Ok((sorts, answer.last_evaluated_key.map(Item)))
    }

    /// One conditional write. The changed row, for an update.
    ///
    /// # Errors
    /// As [`Store::get`]; the inner error says that the condition did not hold.
    pub async fn write(&self, write: Write) -> Result<Result<Item, Refusal>> {
        let table = self.table(write.table).to_owned();
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let (names, values) = (some(write.names), some(write.values));
        let outcome = match write.kind {
            Kind::Put(item) => {
                let call = self
                    .client
                    .put_item()
                    .table_name(table)
                    .set_item(Some(item.0));
                let call = call
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                call.send().await.map(|_| None).map_err(|cause| match cause.into_service_error() {
                    aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(refused) => Ok(refused.item),
                    other => Err(unavailable("PutItem", &other)),
                })
            }
            Kind::Update { key, expression } => {
                let call = self
                    .client
                    .update_item()
                    .table_name(table)
                    .set_key(Some(key));
                let call = call
                    .update_expression(expression)
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
                    .return_values_on_condition_check_failure(old);
                call.send().await.map(|answer| answer.attributes).map_err(|cause| match cause.into_service_error() {
                    aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(refused) => Ok(refused.item),
                    other => Err(unavailable("UpdateItem", &other)),
                })
            }
            Kind::Delete { key } => {
                let call = self
                    .client
                    .delete_item()
                    .table_name(table)
                    .set_key(Some(key));
                let call = call
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old);
                call.send().await.map(|_| None).map_err(|cause| match cause.into_service_error() {
                    aws_sdk_dynamodb::operation::delete_item::DeleteItemError::ConditionalCheckFailedException(refused) => Ok(refused.item),
                    other => Err(unavailable("DeleteItem", &other)),
                })
            }
            Kind::Check { .. } => unreachable!("a check stands only in a transaction"),
        };
        match outcome {
            Ok(row) => Ok(Ok(Item(row.unwrap_or_default()))),
            Err(Ok(row)) => Ok(Err(Refusal::Condition {
                place: 0,
                row: row.map(Item),
            })),
            Err(Err(error)) => Err(error),
        }
    }

    /// All of `writes`, or none. Retried when another transaction stands in the way. The
    /// SDK names each transaction, so that a lost answer is not carried out twice.
    ///
    /// # Errors
    /// As [`Store::write`]; the refusal names the first condition that failed.
    pub async fn transact(&self, writes: Vec<Write>) -> Result<Result<(), Refusal>> {
        let items: Vec<_> = writes
            .into_iter()
            .map(|write| self.transact_item(write))
            .collect();
        for attempt in 0.. {
            let call = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()));
            let Err(cause) = call.send().await else {
                return Ok(Ok(()));
            };
            let cause = cause.into_service_error();
            let TransactWriteItemsError::TransactionCanceledException(cancelled) = &cause else {
                // The same transaction is still running, from a request whose answer was lost.
                if cause.is_transaction_in_progress_exception() {
                    pause(attempt, "TransactWriteItems: in progress").await?;
                    continue;
                }
                return Err(unavailable("TransactWriteItems", &cause));
            };
            let reasons = cancelled.cancellation_reasons();
            let failed = reasons
                .iter()
                .position(|reason| reason.code() == Some("ConditionalCheckFailed"));
            if let Some(place) = failed {
                let row = reasons[place].item.clone().map(Item);
                return Ok(Err(Refusal::Condition { place, row }));
            }
            let passing = |code: &str| {
                matches!(
                    code,
                    "None"
                        | "TransactionConflict"
                        | "ThrottlingError"
                        | "ProvisionedThroughputExceeded"
                )
            };
            if !reasons
                .iter()
                .all(|reason| reason.code().is_none_or(passing))
            {
                return Err(unavailable("TransactWriteItems", &cause));
            }
            pause(attempt, "TransactWriteItems: conflict").await?;
        }
        unreachable!("the pause ends the tries")
    }

    fn transact_item(&self, write: Write) -> TransactWriteItem {
        let table = self.table(write.table).to_owned();
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let (names, values) = (some(write.names), some(write.values));
        let built = TransactWriteItem::builder();
        match write.kind {
            Kind::Put(item) => built.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item.0))
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .expect("table and item are set"),
            ),
            Kind::Update { key, expression } => built.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(expression)
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .expect("table, key and expression are set"),
            ),
            Kind::Delete { key } => built.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .expect("table and key are set"),
            ),
            Kind::Check { key } => built.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .condition_expression(write.condition.unwrap_or_default())
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .expect("table, key and condition are set"),
            ),
        }
        .build()
    }

    /// Deletes rows of one partition, 25 at a time.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn delete_many(&self, partition: &str, sorts: &[String]) -> Result<()> {
        for sorts in sorts.chunks(25) {
            let request = |sort: &String| {
                let key = item::key(partition, sort);
                let delete = DeleteRequest::builder().set_key(Some(key)).build();
                WriteRequest::builder()
                    .delete_request(delete.expect("the key is set"))
                    .build()
            };
            let mut left: Vec<_> = sorts.iter().map(request).collect();
            for attempt in 0.. {
                let answer = self
                    .client
                    .batch_write_item()
                    .request_items(&self.records, left)
                    .send()
                    .await
                    .map_err(|cause| unavailable("BatchWriteItem", &cause))?;
                left = answer
                    .unprocessed_items
                    .into_iter()
                    .flatten()
                    .flat_map(|(_, w)| w)
                    .collect();
                if left.is_empty() {
                    break;
                }
                pause(attempt, "BatchWriteItem: unprocessed items").await?;
            }
        }
        Ok(())
    }
}

fn some<K, V>(map: HashMap<K, V>) -> Option<HashMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

/// Waits before the next try, longer each time, or gives up.
async fn pause(attempt: u32, cause: &str) -> Result<()> {
    if attempt + 1 >= TRIES {
        return Err(Error::Unavailable(cause.to_owned()));
    }
    let mut jitter = [0];
    crate::vault::fill_random(&mut jitter);
    let millis = (5_u64 << attempt) + u64::from(jitter[0]) % (5 << attempt);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(())
}

/// Splits writes into transactions that DynamoDB will take.
pub fn in_transactions(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let mut groups = vec![Vec::new()];
    let mut bytes = 0;
    for write in writes {
        let weight = write.weight();
        let group = groups.last_mut().expect("there is always one");
        if group.len() >= TRANSACTION_ROWS
            || (bytes + weight > TRANSACTION_BYTES && !group.is_empty())
        {
            groups.push(vec![write]);
            bytes = weight;
        } else {
            group.push(write);
            bytes += weight;
        }
    }
    groups
}
