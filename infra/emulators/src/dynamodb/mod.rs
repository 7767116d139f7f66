//! DynamoDB: the `dynoxide` engine on loopback, with the given clock.
//!
//! Creates tables, deletes expired items, and reads streams in the form that Lambda's event
//! source mapping delivers. Two gaps of the engine are closed here:
//!
//! - It finds the next sequence number of a stream by reading the whole stream. It is given an
//!   index instead (`INDEX_STREAMS`).
//! - A database on disk takes no clock. Expired items are deleted through a second connection
//!   that does. The creation time in its stream records remains the machine's.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dynoxide::actions::create_table::{CreateTableRequest, StreamSpecification};
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use dynoxide::actions::update_time_to_live::UpdateTimeToLiveRequest;
use dynoxide::types::{
    AttributeDefinition, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use dynoxide::{Database, DynoxideError, streams};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::storage::FolderLock;
use crate::{Clock, EngineError, REGION, Server, Storage, server};

mod recovery;

pub use recovery::RECOVERY_DAYS;
use recovery::{Front, Recovery};

/// The file in the folder.
const FILE: &str = "dynamodb.sqlite";

/// Without it, a write to a table with a stream takes time in proportion to the
/// stream's length.
const INDEX_STREAMS: &str = "CREATE INDEX IF NOT EXISTS _stream_records_by_sequence
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// A table. Every key is a string.
#[derive(Clone, Debug)]
pub struct TableSpec {
    pub name: String,
    pub hash_key: String,
    pub range_key: Option<String>,
    pub indexes: Vec<IndexSpec>,
    /// Whether it has a stream, with the view type `KEYS_ONLY`.
    pub stream: bool,
    /// The attribute that holds the epoch second at which an item expires.
    pub ttl_attribute: Option<String>,
    /// The point-in-time recovery window in days (see [`RECOVERY_DAYS`]); `None` disables it.
    pub recovery_days: Option<u8>,
}

/// A global secondary index.
#[derive(Clone, Debug)]
pub struct IndexSpec {
    pub name: String,
    pub hash_key: String,
    pub range_key: Option<String>,
    /// Projects keys only, instead of all attributes.
    pub keys_only: bool,
}

/// A batch of stream records, in order.
#[derive(Clone, Debug, Default)]
pub struct StreamBatch {
    /// `Records[]` of a Lambda DynamoDB event.
    pub records: Vec<Value>,
    /// The last record's sequence number, from which to continue.
    pub last: Option<String>,
}

/// A running DynamoDB.
pub struct DynamoDb {
    database: Database,
    server: Server,
    recovery: Recovery,
    kept: Option<Kept>,
    _lock: Option<FolderLock>,
    // Dropping the sender stops the server.
    _stop: oneshot::Sender<()>,
}

/// The state needed to sweep a database on disk.
struct Kept {
    file: PathBuf,
    clock: Arc<EngineClock>,
}

impl DynamoDb {
    /// Starts the engine with the tables that are stored.
    pub async fn start(storage: &Storage, clock: &Clock) -> Result<DynamoDb, EngineError> {
        let lock = storage.lock("dynamodb")?;
        let recovery = Recovery::new(clock);
        let clock = Arc::new(EngineClock(clock.clone()));
        let (database, kept) = match storage {
            Storage::Memory => (open_in_memory(clock)?, None),
            Storage::Folder(folder) => {
                let file = folder.join(FILE);
                (open_on_disk(&file)?, Some(Kept { file, clock }))
            }
        };
        let (listener, engine) = server::listen().await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let served = database.clone();
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            served,
            async {
                let _ = stopped.await;
            },
        ));
        let front = Front::new(recovery.clone(), engine);
        let server = Server::start(move |request| {
            let front = front.clone();
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        })
        .await?;
        Ok(DynamoDb {
            database,
            server,
            recovery,
            kept,
            _lock: lock,
            _stop: stop,
        })
    }

    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// The `dynoxide` database, for example for snapshots (`vacuum_into`, `restore_from`).
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Creates the table. A stored table of that name is kept unchanged.
    pub fn create_table(&self, spec: &TableSpec) -> Result<(), EngineError> {
        let refused = |e: DynoxideError| EngineError::Refused(format!("table {}: {e}", spec.name));
        self.recovery.add(&spec.name, spec.recovery_days);
        if self
            .database
            .get_table_metadata(&spec.name)
            .map_err(refused)?
            .is_some()
        {
            return Ok(());
        }
        self.database
            .create_table(create_request(spec))
            .map_err(refused)?;
        if let Some(attribute) = &spec.ttl_attribute {
            let request = json!({
                "TableName": spec.name,
                "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": true},
            });
            let request: UpdateTimeToLiveRequest =
                serde_json::from_value(request).map_err(|e| EngineError::Refused(e.to_string()))?;
            self.database
                .update_time_to_live(request)
                .map_err(refused)?;
        }
        Ok(())
    }

    /// Deletes every expired item and returns their number. As in AWS, the stream records
    /// name the TTL service as the user.
    pub fn sweep_ttl(&self) -> Result<usize, DynoxideError> {
        let Some(kept) = &self.kept else {
            return self.database.sweep_ttl();
        };
        let storage = dynoxide::storage::Storage::new(&kept.file.to_string_lossy())?
            .with_clock(kept.clock.clone());
        // The native storage never waits, so this does not block.
        futures::executor::block_on(dynoxide::ttl::sweep_expired_items(&storage))
    }

    /// At most `limit` records of the table's stream, from its start or after the record
    /// with the sequence number `after`.
    pub fn stream_records(
        &self,
        table: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<StreamBatch, DynoxideError> {
        let request = ListStreamsRequest {
            table_name: Some(table.to_owned()),
            ..Default::default()
        };
        let stream = self
            .database
            .list_streams(request)?
            .streams
            .into_iter()
            .next();
        let Some(stream) = stream else {
            return Err(DynoxideError::ResourceNotFoundException(format!(
                "table {table} has no stream"
            )));
        };
        let start = if after.is_some() {
            "AFTER_SEQUENCE_NUMBER"
        } else {
            "TRIM_HORIZON"
        };
        let iterator = self.database.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: stream.stream_arn.clone(),
            shard_id: streams::shard_id(table),
            shard_iterator_type: start.to_owned(),
            sequence_number: after.map(str::to_owned),
        })?;
        let read = self.database.get_records(GetRecordsRequest {
            shard_iterator: iterator.shard_iterator.unwrap_or_default(),
            limit: Some(limit),
        })?;
        let last = read
            .records
            .last()
            .map(|record| record.dynamodb.sequence_number.clone());
        let source = stream.stream_arn.replace(streams::LOCAL_REGION, REGION);
        let records = read
            .records
            .iter()
            .map(|record| lambda_record(record, &source));
        Ok(StreamBatch {
            records: records.collect::<Result<_, _>>()?,
            last,
        })
    }
}

/// The given clock, as `dynoxide` reads it.
struct EngineClock(Clock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_second()).unwrap_or(0)
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millisecond() as f64 / 1000.0
    }
}

/// A second connection to an in-memory database is impossible, so the index is added by
/// restoring a snapshot that has it.
fn open_in_memory(clock: Arc<EngineClock>) -> Result<Database, EngineError> {
    let folder =
        tempfile::tempdir().map_err(|e| EngineError::unreadable(std::env::temp_dir(), e))?;
    let snapshot = folder.path().join(FILE);
    let failed = |e: DynoxideError| EngineError::unreadable(&snapshot, e);
    let database = Database::memory_with_clock(clock).map_err(failed)?;
    database
        .vacuum_into(&snapshot.to_string_lossy())
        .map_err(failed)?;
    index_streams(&snapshot)?;
    database
        .restore_from(&snapshot.to_string_lossy())
        .map_err(failed)?;
    Ok(database)
}

fn open_on_disk(file: &Path) -> Result<Database, EngineError> {
    let database =
        Database::new(&file.to_string_lossy()).map_err(|e| EngineError::unreadable(file, e))?;
    index_streams(file)?;
    Ok(database)
}

fn index_streams(file: &Path) -> Result<(), EngineError> {
    rusqlite::Connection::open(file)
        .and_then(|connection| connection.execute_batch(INDEX_STREAMS))
        .map_err(|e| EngineError::unreadable(file, e))
}

fn create_request(spec: &TableSpec) -> CreateTableRequest {
    let mut names = vec![spec.hash_key.clone()];
    names.extend(spec.range_key.clone());
    for index in &spec.indexes {
        names.push(index.hash_key.clone());
        names.extend(index.range_key.clone());
    }
    names.sort();
    names.dedup();
    let definitions = names.into_iter().map(|attribute_name| AttributeDefinition {
        attribute_name,
        attribute_type: ScalarAttributeType::S,
    });
    let indexes: Vec<_> = spec.indexes.iter().map(index).collect();
    CreateTableRequest {
        table_name: spec.name.clone(),
        key_schema: key_schema(&spec.hash_key, spec.range_key.as_deref()),
        attribute_definitions: definitions.collect(),
        global_secondary_indexes: (!indexes.is_empty()).then_some(indexes),
        billing_mode: Some("PAY_PER_REQUEST".to_owned()),
        stream_specification: spec.stream.then(|| StreamSpecification {
            stream_enabled: true,
            stream_view_type: Some("KEYS_ONLY".to_owned()),
        }),
        ..Default::default()
    }
}

fn index(spec: &IndexSpec) -> GlobalSecondaryIndex {
    let projection = if spec.keys_only {
        ProjectionType::KEYS_ONLY
    } else {
        ProjectionType::ALL
    };
    GlobalSecondaryIndex {
        index_name: spec.name.clone(),
        key_schema: key_schema(&spec.hash_key, spec.range_key.as_deref()),
        projection: Projection {
            projection_type: Some(projection),
            ..Default::default()
        },
        provisioned_throughput: None,
    }
}

fn key_schema(hash: &str, range: Option<&str>) -> Vec<KeySchemaElement> {
    let hash = KeySchemaElement {
        attribute_name: hash.to_owned(),
        key_type: KeyType::HASH,
    };
    let range = range.map(|name| KeySchemaElement {
        attribute_name: name.to_owned(),
        key_type: KeyType::RANGE,
    });
    std::iter::once(hash).chain(range).collect()
}

/// The record as Lambda receives it, with the region and the stream's ARN.
fn lambda_record(record: &impl serde::Serialize, source: &str) -> Result<Value, DynoxideError> {
    let mut record = serde_json::to_value(record)
        .map_err(|e| DynoxideError::InternalServerError(e.to_string()))?;
    record["awsRegion"] = json!(REGION);
    record["eventSourceARN"] = json!(source);
    Ok(record)
}
