//! Delivers events from the tables' streams and the buckets to the functions.
//!
//! Owns filters, batches, retries and dead letters, as in Lambda's event source mappings and
//! asynchronous invocations, except that retries follow without long pauses. Knows nothing of
//! what an event means.
//!
//! Events are delivered one at a time and in order. When [`Pump::settle`] returns, everything
//! written before has been handled, and everything that this caused.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::functions::Failure;
use crate::machine::Machine;
use crate::template::{Function, ObjectTrigger, StreamTrigger, Template};

/// How long an event may wait in a stream before it is read, unless nudged.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many stream records are read at once.
const READ: usize = 500;
/// A longer chain of events is endless: a function writes to its own trigger.
const MAX_ROUNDS: usize = 10_000;

/// An event that could not be handled after all its attempts.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    pub at: Timestamp,
    pub function: String,
    pub problem: String,
    pub event: Value,
}

/// Delivers events to functions, in the background and on demand.
pub struct Pump {
    machine: Arc<Machine>,
    streams: Vec<(String, StreamTrigger)>,
    objects: Vec<(String, u64, ObjectTrigger)>,
    /// Locked while events are delivered.
    written: tokio::sync::Mutex<UnboundedReceiver<Value>>,
    nudge: Notify,
    dead: Mutex<Vec<DeadLetter>>,
}

impl Pump {
    /// Takes the triggers from the template. `written` receives S3 notifications.
    pub fn new(
        template: &mut Template,
        machine: Arc<Machine>,
        written: UnboundedReceiver<Value>,
    ) -> Pump {
        let (mut streams, mut objects) = (Vec::new(), Vec::new());
        for Function {
            name,
            retries,
            streams: records,
            objects: files,
            ..
        } in &mut template.functions
        {
            streams.extend(records.drain(..).map(|trigger| (name.clone(), trigger)));
            objects.extend(
                files
                    .drain(..)
                    .map(|trigger| (name.clone(), *retries, trigger)),
            );
        }
        let (written, nudge, dead) = (written.into(), Notify::new(), Mutex::default());
        Pump {
            machine,
            streams,
            objects,
            written,
            nudge,
            dead,
        }
    }

    /// Signals that something may have been written.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Delivers events until the future is dropped.
    pub async fn run(&self) {
        loop {
            let _ = tokio::time::timeout(LOOK_EVERY, self.nudge.notified()).await;
            self.settle().await;
        }
    }

    /// Returns once everything written so far has been handled, and everything that this
    /// caused.
    pub async fn settle(&self) {
        let mut written = self.written.lock().await;
        for _ in 0..MAX_ROUNDS {
            let mut idle = true;
            while let Ok(record) = written.try_recv() {
                idle = false;
                self.hand_on_object(&record).await;
            }
            if self.hand_on_streams().await {
                idle = false;
            }
            if idle {
                return;
            }
        }
        tracing::error!("events cause events without an end");
    }

    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.dead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn bury(&self, function: &str, failure: &str, event: Value) {
        tracing::error!(function, "gave up on an event: {failure}");
        let letter = DeadLetter {
            at: self.machine.clock.now(),
            function: function.to_owned(),
            problem: failure.to_owned(),
            event,
        };
        self.dead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(letter);
    }

    /// Delivers the next part of every stream. False if there was none.
    async fn hand_on_streams(&self) -> bool {
        let mut tables: Vec<_> = self
            .streams
            .iter()
            .map(|(_, trigger)| trigger.table.as_str())
            .collect();
        tables.sort_unstable();
        tables.dedup();
        let mut any = false;
        for table in tables {
            let after = self.machine.kept.position(table);
            let read = match self
                .machine
                .dynamo
                .stream_records(table, after.as_deref(), READ)
            {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(table, "cannot read the stream: {error}");
                    continue;
                }
            };
            let Some(last) = read.last else { continue };
            any = true;
            for (function, trigger) in self
                .streams
                .iter()
                .filter(|(_, trigger)| trigger.table == table)
            {
                let wanted = |record: &&Value| {
                    trigger
                        .patterns
                        .iter()
                        .any(|pattern| pattern.matches(record))
                };
                let records: Vec<_> = read.records.iter().filter(wanted).cloned().collect();
                for batch in records.chunks(trigger.batch) {
                    self.hand_on_batch(function, trigger, batch).await;
                }
            }
            // Only now: records that were delivered but not handled before a crash are
            // delivered again.
            self.machine.kept.set_position(table, last);
        }
        any
    }

    /// Delivers a batch until each record is handled or a dead letter. Order is preserved.
    async fn hand_on_batch(&self, function: &str, trigger: &StreamTrigger, batch: &[Value]) {
        let mut waiting = VecDeque::from([(batch.to_vec(), 0)]);
        while let Some((mut records, tries)) = waiting.pop_front() {
            let called = self
                .machine
                .functions
                .invoke(function, json!({"Records": records}))
                .await;
            let (handled, problem) = outcome(&called, trigger, &records);
            if handled == records.len() {
                continue;
            }
            if handled > 0 {
                waiting.push_front((records.split_off(handled), 0));
                continue;
            }
            if called.is_err() && trigger.bisect && records.len() > 1 {
                let rest = records.split_off(records.len() / 2);
                waiting.push_front((rest, tries));
                waiting.push_front((records, tries));
                continue;
            }
            if tries < trigger.retries {
                waiting.push_front((records, tries + 1));
                pause(tries).await;
                continue;
            }
            // AWS gives up on the whole batch here. Only its first record is known to fail.
            let rest = records.split_off(1);
            self.bury(function, &problem, json!({"Records": records}));
            if !rest.is_empty() {
                waiting.push_front((rest, 0));
            }
        }
    }

    async fn hand_on_object(&self, record: &Value) {
        let text = |pointer| {
            record
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let wanted = |trigger: &ObjectTrigger| {
            text("/s3/bucket/name") == trigger.bucket
                && text("/eventName").starts_with(&trigger.events)
                && text("/s3/object/key").starts_with(&trigger.prefix)
        };
        for (function, retries, _) in self
            .objects
            .iter()
            .filter(|(_, _, trigger)| wanted(trigger))
        {
            let event = json!({"Records": [record]});
            let mut tries = 0;
            while let Err(failure) = self.machine.functions.invoke(function, event.clone()).await {
                if tries == *retries {
                    self.bury(function, &failure.to_string(), event);
                    break;
                }
                pause(tries).await;
                tries += 1;
            }
        }
    }
}

/// How many records from the first have been handled, and the problem of the next.
fn outcome(
    called: &Result<Value, Failure>,
    trigger: &StreamTrigger,
    records: &[Value],
) -> (usize, String) {
    let result = match called {
        Ok(result) => result,
        Err(failure) => return (0, failure.to_string()),
    };
    let failures = match &result["batchItemFailures"] {
        Value::Array(failures) if trigger.reports_items && !failures.is_empty() => failures,
        _ => return (records.len(), String::new()),
    };
    let number = |record: &Value| record.pointer("/dynamodb/SequenceNumber").cloned();
    let place = |failure: &Value| {
        let named = failure.get("itemIdentifier");
        records
            .iter()
            .position(|record| number(record).as_ref() == named)
    };
    // The first failed record counts. An unknown identifier fails the whole batch.
    let handled = failures
        .iter()
        .map(|failure| place(failure).unwrap_or(0))
        .min()
        .unwrap_or(0);
    (handled, "reported as failed".to_owned())
}

async fn pause(tries: u64) {
    tokio::time::sleep(Duration::from_millis(5 << tries.min(6))).await;
}
