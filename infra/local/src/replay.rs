//! The replay after a restore, from the command line: on the data folder of a stopped local
//! run, or on the deployment that the environment names.
//!
//! Owns the restore of a rehearsal, and reports the progress of a replay. The function
//! `restore` does the replay itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use emulators::dynamodb::DynamoDb;
use emulators::{REGION, Storage};
use serde_json::{Value, json};
use shared::aws::clients::Clients;
use shared::base::clock::Clock;
use shared::base::config::Config;
use shared::domain::app::App;

use crate::machine::{Differences, Machine, engine_clock};
use crate::template::{RESTORING, Template};

/// Seconds of work between two lines of progress.
const STEP: u64 = 5;
/// The most rows in one DynamoDB batch.
const BATCH: usize = 25;

type Row = HashMap<String, AttributeValue>;

/// The target of a replay.
pub struct Site {
    pub app: Arc<App>,
    // The engines of a data folder stop when this is dropped.
    machine: Option<Machine>,
}

impl Site {
    /// The data folder of a stopped local run.
    ///
    /// # Errors
    /// The problem with the folder or the template, in one line.
    pub async fn folder(folder: &Path, template: &Path) -> Result<Site, String> {
        // A replay needs existing data: it creates no new deployment.
        if !folder.join("local.json").exists() {
            return Err(format!("{} does not contain a local run", folder.display()));
        }
        let mut read = Template::read(template, RESTORING).map_err(|e| e.to_string())?;
        let storage = Storage::Folder(folder.to_owned());
        let roster = crate::functions::roster();
        let started = Machine::start(
            &mut read,
            &roster,
            &storage,
            Clock::system(),
            Differences::default(),
        )
        .await;
        let (machine, _events) = started.map_err(|e| e.to_string())?;
        let app = machine.functions.app("restore");
        let app = app.ok_or_else(|| format!("{} has no function restore", template.display()))?;
        Ok(Site {
            app,
            machine: Some(machine),
        })
    }

    /// The deployment that the variables `LETHE_*` name, with the default credentials.
    ///
    /// # Errors
    /// The missing variable.
    pub async fn deployment() -> Result<Site, String> {
        let config = Config::read(|name| std::env::var(name).ok()).map_err(|e| e.to_string())?;
        // The operator may be signed in by a profile or a session.
        let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
        let clients = Clients::new(&sdk, &config.endpoints);
        Ok(Site {
            app: Arc::new(App::new(config, clients, Clock::system())),
            machine: None,
        })
    }

    /// Restores tables to their state in a copy of the data folder.
    ///
    /// # Errors
    /// The problem with the copy, in one line.
    pub async fn restore(&self, restored: &str, copy: PathBuf) -> Result<(), String> {
        let Some(machine) = &self.machine else {
            return Err("only a data folder can be restored here; see infra/RESTORE.md".to_owned());
        };
        let storage = Storage::Folder(copy);
        let before = DynamoDb::start(&storage, &engine_clock(&machine.clock)).await;
        let before = before.map_err(|e| e.to_string())?;
        let (then, now) = (client(before.endpoint()), client(machine.dynamo.endpoint()));
        let config = &self.app.config;
        let tables = [
            ("keyring", &config.records_table),
            ("records", &config.keyring_table),
        ];
        for (_, table) in tables.iter().filter(|(other, _)| restored != *other) {
            replace(&then, &now, table).await?;
        }
        Ok(())
    }

    /// Replays to the end and reports each step. Returns the last response.
    ///
    /// # Errors
    /// Why the replay stopped; it can be started again.
    pub async fn replay(
        &self,
        mut order: Value,
        mut told: impl FnMut(&Value),
    ) -> Result<Value, String> {
        order["seconds"] = json!(STEP);
        loop {
            let answer = restore::handle(&self.app, order.clone()).await;
            let answer = answer.map_err(|e| e.to_string())?;
            told(&answer);
            if answer["cursor"].is_null() {
                return Ok(answer);
            }
            order["cursor"] = answer["cursor"].clone();
        }
    }
}

fn client(endpoint: &str) -> Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// Replaces everything in a table.
async fn replace(then: &Client, now: &Client, table: &str) -> Result<(), String> {
    let deletes = rows(now, table).await?.into_iter().map(|mut row| {
        row.retain(|name, _| ["PK", "SK"].contains(&name.as_str()));
        let delete = DeleteRequest::builder().set_key(Some(row)).build();
        let delete = delete.map_err(|e| e.to_string())?;
        Ok(WriteRequest::builder().delete_request(delete).build())
    });
    let deletes: Vec<_> = deletes.collect::<Result<_, String>>()?;
    let puts = rows(then, table).await?.into_iter().map(|row| {
        let put = PutRequest::builder().set_item(Some(row)).build();
        let put = put.map_err(|e| e.to_string())?;
        Ok(WriteRequest::builder().put_request(put).build())
    });
    let puts: Vec<_> = puts.collect::<Result<_, String>>()?;
    for some in deletes.chunks(BATCH).chain(puts.chunks(BATCH)) {
        let call = now.batch_write_item().request_items(table, some.to_vec());
        call.send()
            .await
            .map_err(|e| format!("cannot write {table}: {e}"))?;
    }
    Ok(())
}

async fn rows(client: &Client, table: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let call = client.scan().table_name(table).consistent_read(true);
        let page = call.set_exclusive_start_key(after).send().await;
        let page = page.map_err(|e| format!("cannot read {table}: {e}"))?;
        rows.extend(page.items.unwrap_or_default());
        after = page.last_evaluated_key;
        if after.is_none() {
            return Ok(rows);
        }
    }
}
