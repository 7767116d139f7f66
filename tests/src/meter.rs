//! What a request costs: the AWS calls that it makes, and the capacity units of DynamoDB
//! that these consume.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use local::wire::{Engine, Watch};

/// Notes every call of a service that it watches.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Noted>>>);

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Noted {
    pub engine: Engine,
    pub operation: String,
    pub asked: Vec<u8>,
    /// Capacity units of DynamoDB that it consumed.
    pub units: f64,
}

/// What some calls come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// How many there were of each: `GetItem`, `s3:PutObject`, `kms:Sign`.
    pub calls: BTreeMap<String, usize>,
    /// Read capacity units.
    pub reads: f64,
    /// Write capacity units.
    pub writes: f64,
}

impl Meter {
    pub fn watch(&self) -> Watch {
        let meter = self.clone();
        Arc::new(move |sent| {
            if sent.function.is_some() && !sent.link {
                meter.noted().push(Noted {
                    engine: sent.engine,
                    operation: sent.operation.to_owned(),
                    asked: sent.request.body().to_vec(),
                    units: sent.units(),
                });
            }
        })
    }

    fn noted(&self) -> MutexGuard<'_, Vec<Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was heard since this was last asked.
    pub fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut *self.noted())
    }
}

impl Cost {
    pub fn of(noted: &[Noted]) -> Cost {
        let mut cost = Cost::default();
        for call in noted {
            let operation = call.operation.as_str();
            let service = match call.engine {
                Engine::DynamoDb => "",
                Engine::S3 => "s3:",
                Engine::Kms => "kms:",
            };
            *cost
                .calls
                .entry(format!("{service}{operation}"))
                .or_default() += 1;
            match operation {
                "GetItem" | "BatchGetItem" | "Query" | "Scan" => cost.reads += call.units,
                _ => cost.writes += call.units,
            }
        }
        cost
    }

    /// The calls in a line: `BatchGetItem, 4 Query`.
    pub fn summary(&self) -> String {
        let each = self.calls.iter().map(|(call, number)| match number {
            1 => call.clone(),
            _ => format!("{number} {call}"),
        });
        each.collect::<Vec<_>>().join(", ")
    }
}
