//! What lies in the stores, past every function: for tests that say what must not be there.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::Service;
use lethe_tests::site::Site;

pub type Row = HashMap<String, AttributeValue>;

/// Every row of both tables.
pub async fn all(service: &Service) -> Vec<Row> {
    let mut rows = records(service).await;
    rows.extend(keyring(service).await);
    rows
}

/// Every row of `records`; of a deployment, which others use too, those of this service.
pub async fn records(service: &Service) -> Vec<Row> {
    match service.site() {
        Some(site) => table(service, &site.names.records).await,
        None => table(service, &service.cloud.app().config.records_table).await,
    }
}

/// Every row of the keyring; of a deployment those of this service.
pub async fn keyring(service: &Service) -> Vec<Row> {
    match service.site() {
        Some(site) => table(service, &site.names.keyring).await,
        None => table(service, &service.cloud.app().config.keyring_table).await,
    }
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

/// Whether the keyring has a row of a subject.
pub async fn is_known(service: &Service, subject: &str) -> bool {
    let rows = keyring(service).await;
    let mut keys = rows.iter().filter_map(|row| text(row, "PK"));
    keys.any(|key| key.ends_with(subject))
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

/// What the bucket holds: keys of versions, delete markers and unfinished uploads. Of a
/// deployment those of this service.
pub fn objects(service: &Service) -> Vec<String> {
    if service.site().is_none() {
        let held = service.cloud.objects().everything().into_iter();
        return held.map(|held| held.key).collect();
    }
    // Whoever asks the local engine need not wait, so the answer is waited for aside, over a
    // connection that does not depend on whoever waits here.
    let mut keys = std::thread::scope(|scope| {
        let listing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let site = Site::named().await.expect("there is a deployment");
                site.objects().await
            })
        });
        listing.join().expect("the bucket answers")
    });
    keys.retain(|key| is_of(service, key));
    keys
}

/// Whether a key names one of the tenants of this service.
fn is_of(service: &Service, key: &str) -> bool {
    [&service.ours, &service.theirs]
        .iter()
        .any(|tenant| key.contains(&tenant.id))
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
    if let Some(site) = service.site() {
        return site.dynamodb.clone();
    }
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
            break;
        }
    }
    if service.site().is_some() {
        rows.retain(|row| is_of(service, text(row, "PK").unwrap_or_default()));
    }
    rows
}
