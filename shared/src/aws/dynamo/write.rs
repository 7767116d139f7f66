//! Conditional writes, single and transactional. Owns the handling of failed conditions,
//! transaction conflicts and lost responses.
//!
//! The SDK retries a write whose response is lost, and the first attempt may cause the
//! condition of the second to fail. A transaction therefore carries a client request token, by
//! which DynamoDB recognises it, and a put that is refused by the very row that it writes
//! counts as done. An update of one row has neither. Its condition must still hold after the
//! update, or its caller must not depend on the refusal; otherwise it has to be a transaction.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update, WriteRequest,
};
use uuid::Uuid;

use crate::aws::clients::unavailable;
use crate::aws::dynamo::item::{self, Attribute, Item};
use crate::aws::dynamo::{Store, Table, pause};
use crate::base::error::{Error, Result};

/// The most rows in one transaction: under DynamoDB's 100, with room for the door, the keyring
/// and the audit event.
const TRANSACTION_ROWS: usize = 90;
/// The most bytes in one transaction: under DynamoDB's 4 MB.
const TRANSACTION_BYTES: usize = 3_000_000;
/// How long to wait for a transaction in progress, in milliseconds. DynamoDB's reference: an
/// attempt made five seconds after the first one completes the transaction.
const IN_PROGRESS: [u64; 4] = [500, 1000, 2000, 2000];

/// One conditional write, alone or in a transaction.
#[derive(Clone)]
pub struct Write {
    table: Table,
    kind: Kind,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    /// What a failed condition means, where callers cannot handle it.
    fault: Option<&'static str>,
}

#[derive(Clone)]
enum Kind {
    Put(Item),
    Update {
        key: HashMap<String, AttributeValue>,
        changes: Changes,
    },
    Delete {
        key: HashMap<String, AttributeValue>,
    },
    Check {
        key: HashMap<String, AttributeValue>,
    },
}

/// The clauses of an update expression.
#[derive(Clone, Default)]
struct Changes {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    delete: Vec<String>,
}

impl Changes {
    fn expression(&self) -> String {
        let clauses = [
            ("SET", &self.set),
            ("REMOVE", &self.remove),
            ("ADD", &self.add),
            ("DELETE", &self.delete),
        ];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses = clauses.map(|(verb, parts)| format!("{verb} {}", parts.join(", ")));
        clauses.collect::<Vec<_>>().join(" ")
    }
}

impl Write {
    fn new(table: Table, kind: Kind) -> Write {
        Write {
            table,
            kind,
            condition: None,
            names: HashMap::new(),
            values: HashMap::new(),
            fault: None,
        }
    }

    pub fn put(item: Item) -> Write {
        Write::new(Table::Records, Kind::Put(item))
    }

    /// Updates a row of `records`; builder methods add the changes.
    pub fn update(partition: &str, sort: &str) -> Write {
        let (key, changes) = (item::key(partition, sort), Changes::default());
        Write::new(Table::Records, Kind::Update { key, changes })
    }

    pub fn delete(partition: &str, sort: &str) -> Write {
        Write::new(
            Table::Records,
            Kind::Delete {
                key: item::key(partition, sort),
            },
        )
    }

    /// Writes nothing; makes a transaction depend on a row.
    pub(crate) fn check(partition: &str, sort: &str) -> Write {
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

    pub(crate) fn update_keyring(partition: &str) -> Write {
        let key = HashMap::from([("PK".to_owned(), AttributeValue::S(partition.to_owned()))]);
        let changes = Changes::default();
        Write::new(Table::Keyring, Kind::Update { key, changes })
    }

    pub(crate) fn delete_keyring(partition: &str) -> Write {
        let key = HashMap::from([("PK".to_owned(), AttributeValue::S(partition.to_owned()))]);
        Write::new(Table::Keyring, Kind::Delete { key })
    }

    fn changes(&mut self) -> &mut Changes {
        match &mut self.kind {
            Kind::Update { changes, .. } => changes,
            _ => unreachable!("only an update changes attributes"),
        }
    }

    /// An attribute's name and its new value, as placeholders of the expressions.
    fn new_value(&mut self, attribute: &str, value: impl Into<Attribute>) -> (String, String) {
        let (name, new) = (format!("#{attribute}"), format!(":new_{attribute}"));
        self.names.insert(name.clone(), attribute.to_owned());
        self.values.insert(new.clone(), value.into().0);
        (name, new)
    }

    /// Sets an attribute.
    #[must_use]
    pub fn set(mut self, attribute: &str, value: impl Into<Attribute>) -> Write {
        let (name, value) = self.new_value(attribute, value);
        self.changes().set.push(format!("{name} = {value}"));
        self
    }

    /// Sets an attribute if there is a value.
    #[must_use]
    pub(crate) fn set_some(self, attribute: &str, value: Option<impl Into<Attribute>>) -> Write {
        match value {
            Some(value) => self.set(attribute, value),
            None => self,
        }
    }

    /// Sets an attribute, or removes it if there is no value.
    #[must_use]
    pub(crate) fn set_or_remove(
        self,
        attribute: &str,
        value: Option<impl Into<Attribute>>,
    ) -> Write {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(&[attribute]),
        }
    }

    /// Sets an attribute unless it already has a value.
    #[must_use]
    pub(crate) fn set_first(mut self, attribute: &str, value: impl Into<Attribute>) -> Write {
        let (name, value) = self.new_value(attribute, value);
        let set = format!("{name} = if_not_exists({name}, {value})");
        self.changes().set.push(set);
        self
    }

    /// Removes attributes.
    #[must_use]
    pub fn remove(mut self, attributes: &[&str]) -> Write {
        for attribute in attributes {
            let name = format!("#{attribute}");
            self.names.insert(name.clone(), (*attribute).to_owned());
            self.changes().remove.push(name);
        }
        self
    }

    /// Adds to a number or to a set.
    #[must_use]
    pub(crate) fn add(mut self, attribute: &str, value: impl Into<Attribute>) -> Write {
        let (name, value) = self.new_value(attribute, value);
        self.changes().add.push(format!("{name} {value}"));
        self
    }

    /// Removes from a set.
    #[must_use]
    pub(crate) fn take(mut self, attribute: &str, value: impl Into<Attribute>) -> Write {
        let (name, value) = self.new_value(attribute, value);
        self.changes().delete.push(format!("{name} {value}"));
        self
    }

    /// Writes only if the row exists.
    #[must_use]
    pub(crate) fn if_there(self) -> Write {
        self.and_if("attribute_exists(PK)")
    }

    /// Writes only if an attribute has this value.
    #[must_use]
    pub(crate) fn if_is(mut self, attribute: &str, value: impl Into<Attribute>) -> Write {
        let (name, is) = (format!("#{attribute}"), format!(":is_{attribute}"));
        self.names.insert(name.clone(), attribute.to_owned());
        self.values.insert(is.clone(), value.into().0);
        self.and_if(&format!("{name} = {is}"))
    }

    /// Writes only if the row lacks this attribute.
    #[must_use]
    pub(crate) fn if_none(mut self, attribute: &str) -> Write {
        let name = format!("#{attribute}");
        self.names.insert(name.clone(), attribute.to_owned());
        self.and_if(&format!("attribute_not_exists({name})"))
    }

    /// Writes only if this condition expression holds.
    #[must_use]
    pub(crate) fn only_if(mut self, condition: impl Into<String>) -> Write {
        self.condition = Some(condition.into());
        self
    }

    /// Adds a condition to the existing ones.
    #[must_use]
    pub(crate) fn and_if(self, condition: &str) -> Write {
        let both = match &self.condition {
            Some(first) => format!("({first}) AND ({condition})"),
            None => condition.to_owned(),
        };
        self.only_if(both)
    }

    /// Writes only if the row does not exist.
    #[must_use]
    pub fn only_new(self) -> Write {
        self.only_if("attribute_not_exists(PK)")
    }

    /// Makes a failed condition an error rather than a refusal: the caller cannot resolve it
    /// by reading again, and the same write may succeed later.
    #[must_use]
    pub(crate) fn or_fault(mut self, what: &'static str) -> Write {
        self.fault = Some(what);
        self
    }

    /// Sets a `:value` of the expressions.
    #[must_use]
    pub(crate) fn value(mut self, name: &str, value: impl Into<Attribute>) -> Write {
        self.values.insert(name.to_owned(), value.into().0);
        self
    }

    /// Sets a `#name` of the expressions, for a word that DynamoDB reserves.
    #[must_use]
    pub(crate) fn name(mut self, name: &str, attribute: &str) -> Write {
        self.names.insert(name.to_owned(), attribute.to_owned());
        self
    }

    /// Whether it writes nothing.
    pub(crate) fn only_checks(&self) -> bool {
        matches!(self.kind, Kind::Check { .. })
    }

    /// Whether the row that refused this write equals what it writes. An earlier attempt has
    /// then succeeded, and its response was lost.
    fn is_done(&self, row: Option<&Row>) -> bool {
        matches!((&self.kind, row), (Kind::Put(item), Some(row)) if item.0 == *row)
    }
}

/// Something that can be split into transactions.
pub trait Weigh {
    /// Its approximate size in a transaction, in bytes.
    fn weight(&self) -> usize;
}

impl Weigh for Write {
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

/// Why a conditional write was refused.
#[derive(Debug)]
pub enum Refusal {
    /// The condition of the write at this place in the transaction failed. `row` is the row at
    /// that time, if it existed.
    Condition { place: usize, row: Option<Item> },
}

type Row = HashMap<String, AttributeValue>;

/// Why one attempt of a write failed.
enum Failed {
    Condition(Option<Row>),
    /// Another transaction holds the row.
    Conflict,
    Other(Error),
}

/// Why a write failed. Each operation has an error type of its own, with the same variants.
macro_rules! failed {
    ($Error:ident, $operation:literal) => {
        |cause| match cause.into_service_error() {
            $Error::ConditionalCheckFailedException(refused) => Failed::Condition(refused.item),
            $Error::TransactionConflictException(_) => Failed::Conflict,
            other => Failed::Other(unavailable($operation, &other)),
        }
    };
}

impl Store {
    /// One conditional write, retried on transaction conflicts. Returns the changed row of an
    /// update.
    ///
    /// # Errors
    /// As [`Store::get`]; the inner error reports the failed condition.
    pub async fn write(&self, write: Write) -> Result<Result<Item, Refusal>> {
        for attempt in 0.. {
            match self.try_write(write.clone()).await {
                Ok(row) => return Ok(Ok(Item(row.unwrap_or_default()))),
                Err(Failed::Condition(row)) if write.is_done(row.as_ref()) => {
                    return Ok(Ok(Item::default()));
                }
                Err(Failed::Condition(row)) => {
                    let row = row.map(Item);
                    return Ok(Err(Refusal::Condition { place: 0, row }));
                }
                Err(Failed::Conflict) => pause(attempt, "a write: conflict").await?,
                Err(Failed::Other(error)) => return Err(error),
            }
        }
        unreachable!("the pause ends the tries")
    }

    async fn try_write(&self, write: Write) -> Result<Option<Row>, Failed> {
        let table = self.table(write.table).to_owned();
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let (names, values) = (some(write.names), some(write.values));
        match write.kind {
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
                call.send()
                    .await
                    .map(|_| None)
                    .map_err(failed!(PutItemError, "PutItem"))
            }
            Kind::Update { key, changes } => {
                let call = self
                    .client
                    .update_item()
                    .table_name(table)
                    .set_key(Some(key));
                let call = call
                    .update_expression(changes.expression())
                    .set_condition_expression(write.condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
                    .return_values_on_condition_check_failure(old);
                call.send()
                    .await
                    .map(|answer| answer.attributes)
                    .map_err(failed!(UpdateItemError, "UpdateItem"))
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
                call.send()
                    .await
                    .map(|_| None)
                    .map_err(failed!(DeleteItemError, "DeleteItem"))
            }
            Kind::Check { .. } => unreachable!("a check stands only in a transaction"),
        }
    }

    /// Writes all of `writes`, or none. Retried on transaction conflicts.
    ///
    /// # Errors
    /// As [`Store::write`]; the refusal names the first condition that failed. Also an error
    /// when a condition failed that was marked as a fault.
    pub async fn transact(&self, writes: Vec<Write>) -> Result<Result<(), Refusal>> {
        let violations: Vec<_> = writes.iter().map(|write| write.fault).collect();
        let items: Vec<_> = writes
            .into_iter()
            .map(|write| self.transact_item(write))
            .collect();
        let mut token = Uuid::new_v4();
        let mut waited = 0;
        for attempt in 0.. {
            let call = self
                .client
                .transact_write_items()
                .client_request_token(token)
                .set_transact_items(Some(items.clone()));
            let Err(cause) = call.send().await else {
                return Ok(Ok(()));
            };
            let cause = cause.into_service_error();
            let TransactWriteItemsError::TransactionCanceledException(cancelled) = &cause else {
                // This same transaction is still in progress, from an attempt whose response
                // was lost.
                if cause.is_transaction_in_progress_exception() && waited < IN_PROGRESS.len() {
                    tokio::time::sleep(Duration::from_millis(IN_PROGRESS[waited])).await;
                    waited += 1;
                    continue;
                }
                return Err(unavailable("TransactWriteItems", &cause));
            };
            let reasons = cancelled.cancellation_reasons();
            let failed = reasons
                .iter()
                .position(|reason| reason.code() == Some("ConditionalCheckFailed"));
            if let Some(place) = failed {
                if let Some(fault) = violations[place] {
                    return Err(Error::Unavailable(fault.to_owned()));
                }
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
            // The transaction was cancelled. The next attempt is a new one.
            token = Uuid::new_v4();
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
            Kind::Update { key, changes } => built.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(changes.expression())
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

/// Splits writes into transactions within DynamoDB's limits.
pub fn in_transactions<W: Weigh>(writes: Vec<W>) -> Vec<Vec<W>> {
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
