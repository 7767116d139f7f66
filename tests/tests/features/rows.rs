//! What lies in the stores, past every function: for tests that say what must not be there.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::Service;

pub type Row = HashMap<String, AttributeValue>;

/// Every row of both tables.
pub async fn all(service: &Service) -> Vec<Row> {
    let mut rows = table(service, &service.cloud.app().config.records_table).await;
    rows.extend(table(service, &service.cloud.app().config.keyring_table).await);
    rows
}

/// Every row of `records`.
pub async fn records(service: &Service) -> Vec<Row> {
    table(service, &service.cloud.app().config.records_table).await
}

/// Every row of the keyring.
pub async fn keyring(service: &Service) -> Vec<Row> {
    table(service, &service.cloud.app().config.keyring_table).await
}

/// The rows of `records` that are about a subject: its lives and its lookups.
pub async fn about(service: &Service, subject: &str) -> Vec<Row> {
    let mut rows = records(service).await;
    rows.retain(|row| is_about(row, subject));
    rows
}

/// Whether a row is about a subject.
pub fn is_about(row: &Row, subject: &str) -> bool {
    let key = |name: &str| text(row, name).unwrap_or_default();
    let lookup = key("PK").contains("#lookup#") && key("SK") == subject;
    lookup || key("PK").contains(subject)
}

pub fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// What the bucket holds of people: their attachments and exports. What is signed or noted
/// for good lies beside them.
pub fn files(service: &Service) -> Vec<String> {
    let mut keys = objects(service);
    keys.retain(|key| key.starts_with("attachments/") || key.starts_with("exports/"));
    keys
}

/// What the bucket holds: keys of versions, delete markers and unfinished uploads.
pub fn objects(service: &Service) -> Vec<String> {
    let held = service.cloud.objects().everything().into_iter();
    held.map(|held| held.key).collect()
}

/// Puts a row of `records` back, as a restored backup would.
pub async fn put_back(service: &Service, row: &Row) {
    let put = client(service)
        .put_item()
        .table_name(&service.cloud.app().config.records_table)
        .set_item(Some(row.clone()));
    put.send().await.expect("the engine takes it");
}

/// The engine itself, past the service.
pub fn client(service: &Service) -> Client {
    let endpoint = service.cloud.dynamo().endpoint();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new(
            "test", "test", None, None, "tests",
        ))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

async fn table(service: &Service, name: &str) -> Vec<Row> {
    let client = client(service);
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = client
            .scan()
            .table_name(name)
            .consistent_read(true)
            .set_exclusive_start_key(after)
            .send()
            .await
            .expect("the engine answers");
        rows.extend(page.items.unwrap_or_default());
        after = page.last_evaluated_key;
        if after.is_none() {
            return rows;
        }
    }
}
