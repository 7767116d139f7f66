use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
    Put, TransactWriteItem,
};
use emulators::dynamodb::{DynamoDb, IndexSpec, TableSpec};
use emulators::{EngineError, Storage};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Time, code, sdk};

fn records() -> TableSpec {
    TableSpec {
        name: "records".into(),
        hash_key: "PK".into(),
        range_key: Some("SK".into()),
        indexes: vec![IndexSpec {
            name: "due".into(),
            hash_key: "due_pk".into(),
            range_key: Some("due_sk".into()),
            keys_only: true,
        }],
        stream: true,
        ttl_attribute: Some("expires_at".into()),
        recovery_days: Some(30),
    }
}

async fn start(storage: &Storage, time: &Time) -> (DynamoDb, Client) {
    let dynamo = DynamoDb::start(storage, &time.clock()).await.unwrap();
    dynamo.create_table(&records()).unwrap();
    let client = Client::new(&sdk(dynamo.endpoint()));
    (dynamo, client)
}

fn noon() -> Time {
    Time::starting_at("2026-03-01T12:00:00Z")
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

async fn put(client: &Client, sk: &str, expires_at: Option<Timestamp>) {
    let request = client
        .put_item()
        .table_name("records")
        .item("PK", text("p"))
        .item("SK", text(sk));
    let request = request
        .item("due_pk", text("d"))
        .item("due_sk", text(sk))
        .item("body", text("sealed"));
    let request = match expires_at {
        Some(at) => request.item("expires_at", AttributeValue::N(at.as_second().to_string())),
        None => request,
    };
    request.send().await.unwrap();
}

#[tokio::test]
async fn a_transaction_happens_whole_or_not_at_all() {
    let (_dynamo, client) = start(&Storage::Memory, &noon()).await;
    let write = |key: &str| {
        let check = ConditionCheck::builder()
            .table_name("records")
            .key("PK", text("p"))
            .key("SK", text(key));
        let check = check
            .condition_expression("attribute_exists(PK)")
            .build()
            .unwrap();
        let put = Put::builder()
            .table_name("records")
            .item("PK", text("p"))
            .item("SK", text("row"))
            .build()
            .unwrap();
        client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .transact_items(TransactWriteItem::builder().put(put).build())
    };
    let refused = write("parent")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(refused.is_transaction_canceled_exception());
    let row = || {
        client
            .get_item()
            .table_name("records")
            .key("PK", text("p"))
            .key("SK", text("row"))
            .consistent_read(true)
    };
    assert!(row().send().await.unwrap().item.is_none());
    put(&client, "parent", None).await;
    write("parent").send().await.unwrap();
    assert!(row().send().await.unwrap().item.is_some());
}

#[tokio::test]
async fn a_recovery_window_is_the_specs_until_it_is_changed() {
    let (_dynamo, client) = start(&Storage::Memory, &noon()).await;
    let window = || async {
        let asked = client.describe_continuous_backups().table_name("records");
        let told = asked.send().await.unwrap();
        let recovery = told.continuous_backups_description.unwrap();
        let recovery = recovery.point_in_time_recovery_description.unwrap();
        (
            recovery.point_in_time_recovery_status.unwrap(),
            recovery.recovery_period_in_days,
        )
    };
    let change = |enabled, days| {
        let window = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(enabled)
            .set_recovery_period_in_days(days);
        client
            .update_continuous_backups()
            .table_name("records")
            .point_in_time_recovery_specification(window.build().unwrap())
            .send()
    };
    assert_eq!(
        window().await,
        (PointInTimeRecoveryStatus::Enabled, Some(30))
    );
    change(true, None).await.unwrap();
    assert_eq!(
        window().await,
        (PointInTimeRecoveryStatus::Enabled, Some(35))
    );
    assert_eq!(code(change(true, Some(36)).await), "ValidationException");
    change(false, None).await.unwrap();
    assert_eq!(window().await, (PointInTimeRecoveryStatus::Disabled, None));
    let stranger = client.describe_continuous_backups().table_name("other");
    assert_eq!(code(stranger.send().await), "TableNotFoundException");
}

#[tokio::test]
async fn the_due_index_holds_keys_only() {
    let (_dynamo, client) = start(&Storage::Memory, &noon()).await;
    put(&client, "row", None).await;
    let found = client
        .query()
        .table_name("records")
        .index_name("due")
        .key_condition_expression("due_pk = :d")
        .expression_attribute_values(":d", text("d"))
        .send()
        .await
        .unwrap();
    let mut names: Vec<_> = found.items()[0].keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["PK", "SK", "due_pk", "due_sk"]);
}

async fn expired_items_reach_the_stream(storage: Storage) {
    let time = noon();
    let (dynamo, client) = start(&storage, &time).await;
    put(
        &client,
        "parent",
        Some(time.now() + SignedDuration::from_hours(24)),
    )
    .await;
    put(&client, "child", None).await;
    let before = dynamo.stream_records("records", None, 100).unwrap();
    assert_eq!(before.records.len(), 2);
    assert_eq!(dynamo.sweep_ttl().unwrap(), 0);
    time.advance(SignedDuration::from_hours(25));
    assert_eq!(dynamo.sweep_ttl().unwrap(), 1);

    let after = dynamo
        .stream_records("records", before.last.as_deref(), 100)
        .unwrap();
    let [record] = &after.records[..] else {
        panic!("{:?}", after.records)
    };
    assert_eq!(record["eventName"], "REMOVE");
    assert_eq!(record["eventSource"], "aws:dynamodb");
    assert_eq!(
        record["userIdentity"]["principalId"],
        "dynamodb.amazonaws.com"
    );
    assert_eq!(record["userIdentity"]["type"], "Service");
    assert_eq!(record["dynamodb"]["Keys"]["SK"]["S"], "parent");
    assert_eq!(record["dynamodb"]["StreamViewType"], "KEYS_ONLY");
    assert!(record["dynamodb"].get("OldImage").is_none());
    let source = record["eventSourceARN"].as_str().unwrap();
    assert!(
        source.starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/records/stream/"),
        "{source}"
    );
    assert_eq!(
        record["dynamodb"]["ApproximateCreationDateTime"],
        time.now().as_second() as f64
    );
    assert!(
        dynamo
            .stream_records("records", after.last.as_deref(), 100)
            .unwrap()
            .records
            .is_empty()
    );
    let event = json!({"Records": after.records});
    let event: aws_lambda_events::dynamodb::Event = serde_json::from_value(event).unwrap();
    assert_eq!(event.records[0].event_name, "REMOVE");
}

#[tokio::test]
async fn expired_items_reach_the_stream_in_memory() {
    expired_items_reach_the_stream(Storage::Memory).await;
}

#[tokio::test]
async fn expired_items_reach_the_stream_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    expired_items_reach_the_stream(Storage::Folder(folder.path().to_owned())).await;
}

#[tokio::test]
async fn a_long_stream_does_not_slow_writes_down() {
    let (dynamo, _client) = start(&Storage::Memory, &noon()).await;
    let took: Vec<_> = (0..8)
        .map(|round| time_of_a_thousand_puts(&dynamo, round))
        .collect();
    // Without the index, the second is more than four times the first.
    let (early, late) = (
        took[..3].iter().min().unwrap(),
        took[5..].iter().min().unwrap(),
    );
    assert!(*late < *early * 3, "{took:?}");

    let folder = tempfile::tempdir().unwrap();
    let (kept, _client) = start(&Storage::Folder(folder.path().to_owned()), &noon()).await;
    for dynamo in [dynamo, kept] {
        let plan = plan_of_the_next_sequence_number(&dynamo);
        assert!(plan.contains("_stream_records_by_sequence"), "{plan}");
    }
}

fn time_of_a_thousand_puts(dynamo: &DynamoDb, round: u32) -> Duration {
    let begin = Instant::now();
    for at in 0..1000 {
        let item = json!({"PK": {"S": "p"}, "SK": {"S": format!("row#{round}#{at}")}});
        let request = json!({"TableName": "records", "Item": item});
        dynamo
            .database()
            .put_item(serde_json::from_value(request).unwrap())
            .unwrap();
    }
    begin.elapsed()
}

/// How SQLite answers the question that the engine asks before each write.
fn plan_of_the_next_sequence_number(dynamo: &DynamoDb) -> String {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot");
    dynamo
        .database()
        .vacuum_into(&snapshot.to_string_lossy())
        .unwrap();
    let question =
        "EXPLAIN QUERY PLAN SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1
        FROM _stream_records WHERE table_name = 'records'";
    let connection = rusqlite::Connection::open(snapshot).unwrap();
    connection
        .query_row(question, [], |row| row.get("detail"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_are_served() {
    let (dynamo, client) = start(&Storage::Memory, &noon()).await;
    let writes = (0..200).map(|at| {
        let client = client.clone();
        async move { put(&client, &format!("row#{at}"), None).await }
    });
    futures::future::join_all(writes).await;
    let count = client
        .query()
        .table_name("records")
        .key_condition_expression("PK = :p");
    let count = count
        .expression_attribute_values(":p", text("p"))
        .send()
        .await
        .unwrap()
        .count();
    assert_eq!(count, 200);
    let mut sequence: Option<String> = None;
    let mut seen = 0;
    loop {
        let batch = dynamo
            .stream_records("records", sequence.as_deref(), 64)
            .unwrap();
        if batch.records.is_empty() {
            break;
        }
        seen += batch.records.len();
        sequence = batch.last;
    }
    assert_eq!(seen, 200);
}

#[tokio::test]
async fn tables_on_disk_outlive_a_restart_and_a_snapshot_brings_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Folder(folder.path().join("data"));
    let (dynamo, client) = start(&storage, &noon()).await;
    put(&client, "parent", None).await;
    let snapshot = folder
        .path()
        .join("snapshot")
        .to_string_lossy()
        .into_owned();
    dynamo.database().vacuum_into(&snapshot).unwrap();
    let busy = DynamoDb::start(&storage, &noon().clock())
        .await
        .err()
        .unwrap();
    assert!(matches!(busy, EngineError::Busy(_)), "{busy}");
    let key = [
        ("PK".to_owned(), text("p")),
        ("SK".to_owned(), text("parent")),
    ];
    client
        .delete_item()
        .table_name("records")
        .set_key(Some(key.clone().into()))
        .send()
        .await
        .unwrap();
    drop((dynamo, client));

    // The last connection ends a moment after its server.
    let (dynamo, client) = start(&storage, &noon()).await;
    let read = || {
        client
            .get_item()
            .table_name("records")
            .set_key(Some(key.clone().into()))
    };
    assert!(read().send().await.unwrap().item.is_none());
    dynamo.database().restore_from(&snapshot).unwrap();
    assert!(read().send().await.unwrap().item.is_some());
    let unknown = client
        .get_item()
        .table_name("nobody")
        .set_key(Some(key.into()))
        .send()
        .await;
    assert_eq!(code(unknown), "ResourceNotFoundException");
    drop((dynamo, client));

    let damaged = folder.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(
        damaged.join("dynamodb.sqlite"),
        "not a database, whatever its name may say",
    )
    .unwrap();
    let error = DynamoDb::start(&Storage::Folder(damaged), &noon().clock())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("dynamodb.sqlite") && !error.contains('\n'),
        "{error}"
    );
}
