//! What a request costs: the AWS calls that it makes, and the capacity units of DynamoDB
//! that these consume.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use local::wire::{Call, Engine, Heard, Listen};

/// Notes every call of a service that was started with its [`Meter::listener`].
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Vec<Noted>>>);

/// One call, and what it said.
#[derive(Clone, Debug)]
pub struct Noted {
    pub call: Call,
    pub heard: Heard,
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
    pub fn listener(&self) -> Listen {
        let meter = self.clone();
        Arc::new(move |call, heard| {
            let (call, heard) = (call.clone(), heard.clone());
            meter.noted().push(Noted { call, heard });
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
        for Noted { call, heard } in noted {
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
                "GetItem" | "BatchGetItem" | "Query" | "Scan" => cost.reads += heard.units(),
                _ => cost.writes += heard.units(),
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
