//! The reference: the same calls to DynamoDB, made by the bare SDK. Owns how a request
//! that was heard on the wire is made again; knows nothing of what it means.

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, DeleteRequest, KeysAndAttributes, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update, WriteRequest,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lethe_tests::meter::Noted;
use local::Cloud;
use local::wire::Engine as At;
use serde_json::Value;
use shared::aws::tls;

/// How the functions' SDKs are set up too.
pub fn sdk(cloud: &Cloud) -> SdkConfig {
    let environment = cloud.environment("ingest").expect("it has the function");
    let credentials = Credentials::new(
        &environment["AWS_ACCESS_KEY_ID"],
        &environment["AWS_SECRET_ACCESS_KEY"],
        None,
        None,
        "bench",
    );
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(environment["AWS_REGION"].clone()))
        .http_client(tls::http_client(None))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .disable_clock_skew_correction(true)
        .build()
}

pub fn dynamodb(cloud: &Cloud) -> Client {
    at(cloud, cloud.dynamo().endpoint())
}

/// The same by the way that the functions take, past whoever listens.
pub fn heard_dynamodb(cloud: &Cloud) -> Client {
    let environment = cloud.environment("delete").expect("it has the function");
    at(cloud, &environment["AWS_ENDPOINT_URL_DYNAMODB"])
}

fn at(cloud: &Cloud, endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::config::Builder::from(&sdk(cloud));
    Client::from_conf(config.endpoint_url(endpoint).build())
}

/// Requests to be made again.
pub struct Calls(Vec<(String, Value)>);

impl Calls {
    pub fn of(noted: &[Noted]) -> Calls {
        let call = |it: &Noted| {
            assert_eq!(it.engine, At::DynamoDb, "only DynamoDB is asked");
            let asked = serde_json::from_slice(&it.asked).expect("JSON");
            (it.operation.clone(), asked)
        };
        Calls(noted.iter().map(call).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes them all, one after the other, as they were made the first time. New rows get
    /// a name of their own.
    pub async fn make(&mut self, client: &Client) {
        for (operation, asked) in &mut self.0 {
            rename(asked);
            make(client, operation, asked).await;
        }
    }
}

/// A message that is stored again is another message.
fn rename(asked: &mut Value) {
    for item in asked["TransactItems"].as_array_mut().into_iter().flatten() {
        let sort = item.pointer_mut("/Put/Item/SK/S");
        let Some(Value::String(sort)) = sort else {
            continue;
        };
        if sort.starts_with("message#")
            && let Some((front, _)) = sort.rsplit_once('#')
        {
            *sort = format!("{front}#{}", uuid::Uuid::new_v4());
        }
    }
}

async fn make(client: &Client, operation: &str, asked: &Value) {
    match operation {
        "GetItem" => {
            let call = client.get_item().table_name(text(asked, "TableName"));
            let call = call.set_key(item(asked, "Key")).consistent_read(true);
            call.send().await.expect("GetItem");
        }
        "BatchGetItem" => {
            let tables = asked["RequestItems"].as_object().expect("tables");
            let (table, wanted) = tables.iter().next().expect("one table");
            let keys = wanted["Keys"].as_array().expect("keys").iter().map(values);
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys.collect()));
            let wanted = wanted.consistent_read(true).build().expect("keys");
            let call = client.batch_get_item().request_items(table, wanted);
            call.send().await.expect("BatchGetItem");
        }
        "Query" => {
            let call = client
                .query()
                .table_name(text(asked, "TableName"))
                .set_index_name(maybe(asked, "IndexName"))
                .set_key_condition_expression(maybe(asked, "KeyConditionExpression"))
                .set_filter_expression(maybe(asked, "FilterExpression"))
                .set_projection_expression(maybe(asked, "ProjectionExpression"))
                .set_expression_attribute_names(names(asked))
                .set_expression_attribute_values(item(asked, "ExpressionAttributeValues"))
                .set_limit(asked["Limit"].as_i64().and_then(|it| it.try_into().ok()))
                .set_consistent_read(asked["ConsistentRead"].as_bool())
                .set_scan_index_forward(asked["ScanIndexForward"].as_bool());
            call.send().await.expect("Query");
        }
        "UpdateItem" => {
            let call = client
                .update_item()
                .table_name(text(asked, "TableName"))
                .set_key(item(asked, "Key"))
                .set_update_expression(maybe(asked, "UpdateExpression"))
                .set_condition_expression(maybe(asked, "ConditionExpression"))
                .set_expression_attribute_names(names(asked))
                .set_expression_attribute_values(item(asked, "ExpressionAttributeValues"))
                .set_return_values_on_condition_check_failure(on_failure(asked));
            call.send().await.expect("UpdateItem");
        }
        "TransactWriteItems" => {
            let items = asked["TransactItems"].as_array().expect("items");
            let items = items.iter().map(transact).collect();
            let call = client
                .transact_write_items()
                .set_client_request_token(None)
                .set_transact_items(Some(items));
            call.send().await.expect("TransactWriteItems");
        }
        other => panic!("nobody knows how to make {other} again"),
    }
}

fn transact(asked: &Value) -> TransactWriteItem {
    let (kind, what) = asked
        .as_object()
        .and_then(|it| it.iter().next())
        .expect("one write");
    let builder = TransactWriteItem::builder();
    match kind.as_str() {
        "Put" => builder.put(
            Put::builder()
                .table_name(text(what, "TableName"))
                .set_item(item(what, "Item"))
                .set_condition_expression(maybe(what, "ConditionExpression"))
                .set_expression_attribute_names(names(what))
                .set_expression_attribute_values(item(what, "ExpressionAttributeValues"))
                .set_return_values_on_condition_check_failure(on_failure(what))
                .build()
                .expect("a put"),
        ),
        "Update" => builder.update(
            Update::builder()
                .table_name(text(what, "TableName"))
                .set_key(item(what, "Key"))
                .set_update_expression(maybe(what, "UpdateExpression"))
                .set_condition_expression(maybe(what, "ConditionExpression"))
                .set_expression_attribute_names(names(what))
                .set_expression_attribute_values(item(what, "ExpressionAttributeValues"))
                .set_return_values_on_condition_check_failure(on_failure(what))
                .build()
                .expect("an update"),
        ),
        "Delete" => builder.delete(
            Delete::builder()
                .table_name(text(what, "TableName"))
                .set_key(item(what, "Key"))
                .set_condition_expression(maybe(what, "ConditionExpression"))
                .build()
                .expect("a delete"),
        ),
        _ => builder.condition_check(
            ConditionCheck::builder()
                .table_name(text(what, "TableName"))
                .set_key(item(what, "Key"))
                .set_condition_expression(maybe(what, "ConditionExpression"))
                .set_expression_attribute_names(names(what))
                .set_expression_attribute_values(item(what, "ExpressionAttributeValues"))
                .build()
                .expect("a check"),
        ),
    }
    .build()
}

/// Deletes every row of a partition as simply as can be: a page of keys, then batches of 25.
/// How many there were.
pub async fn delete_all(client: &Client, table: &str, partition: &str) -> usize {
    let (mut after, mut deleted) = (None, 0);
    loop {
        let page = client
            .query()
            .table_name(table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk")
            .projection_expression("PK, SK")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .set_exclusive_start_key(after)
            .send()
            .await
            .expect("Query");
        for keys in page.items().chunks(25) {
            let delete = |key: &HashMap<String, AttributeValue>| {
                let delete = DeleteRequest::builder().set_key(Some(key.clone())).build();
                WriteRequest::builder()
                    .delete_request(delete.expect("a key"))
                    .build()
            };
            let writes = keys.iter().map(delete).collect();
            let call = client.batch_write_item().request_items(table, writes);
            call.send().await.expect("BatchWriteItem");
            deleted += keys.len();
        }
        after = page.last_evaluated_key;
        if after.is_none() {
            return deleted;
        }
    }
}

fn text<'a>(asked: &'a Value, name: &str) -> &'a str {
    asked[name].as_str().expect("a text")
}

fn maybe(asked: &Value, name: &str) -> Option<String> {
    asked[name].as_str().map(str::to_owned)
}

fn on_failure(asked: &Value) -> Option<ReturnValuesOnConditionCheckFailure> {
    maybe(asked, "ReturnValuesOnConditionCheckFailure").map(|it| it.as_str().into())
}

fn names(asked: &Value) -> Option<HashMap<String, String>> {
    let names = asked["ExpressionAttributeNames"].as_object()?.iter();
    let name = |(short, name): (&String, &Value)| Some((short.clone(), name.as_str()?.to_owned()));
    names.map(name).collect()
}

fn item(asked: &Value, name: &str) -> Option<HashMap<String, AttributeValue>> {
    asked[name].is_object().then(|| values(&asked[name]))
}

fn values(item: &Value) -> HashMap<String, AttributeValue> {
    let item = item.as_object().expect("an item");
    item.iter()
        .map(|(name, it)| (name.clone(), value(it)))
        .collect()
}

/// As the JSON protocol of DynamoDB has it: `{"S": "text"}`.
fn value(told: &Value) -> AttributeValue {
    let (kind, told) = told
        .as_object()
        .and_then(|it| it.iter().next())
        .expect("one kind");
    let string = || told.as_str().expect("a string").to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(string()),
        "N" => AttributeValue::N(string()),
        "B" => AttributeValue::B(Blob::new(STANDARD.decode(string()).expect("base64"))),
        "BOOL" => AttributeValue::Bool(told == true),
        "NULL" => AttributeValue::Null(true),
        "M" => AttributeValue::M(values(told)),
        "L" => AttributeValue::L(told.as_array().expect("a list").iter().map(value).collect()),
        other => panic!("no row has an attribute of the kind {other}"),
    }
}
