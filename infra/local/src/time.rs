//! Time: the adjustable clock, and everything that the passing of time causes.
//!
//! Owns the schedules and the removal of expired data: items by TTL, objects by their bucket's
//! lifecycle. Knows nothing of what a scheduled function does.

use std::sync::Arc;
use std::time::Duration;

use emulators::{ACCOUNT, REGION};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::base::clock::Clock;
use uuid::Uuid;

use crate::functions::Failure;
use crate::machine::Machine;
use crate::template::{Schedule, Template};
use crate::triggers::Pump;

/// The clock moves in steps of a day; otherwise a month would take 2,880 runs of a schedule.
/// Each function runs once in a step.
const STEP: SignedDuration = SignedDuration::from_hours(24);
/// The number of last steps, which are as long as the shortest schedule's interval.
const LAST: i32 = 2;
/// How often the machine's time is checked.
const TICK: Duration = Duration::from_secs(1);

/// Moves the clock and runs what becomes due.
pub struct Time {
    machine: Arc<Machine>,
    pump: Arc<Pump>,
    /// Whether expired data is removed automatically.
    ttl: bool,
    /// Locked while time moves, so that each step is atomic.
    due: tokio::sync::Mutex<Vec<Due>>,
    /// The shortest interval of any schedule.
    shortest: Option<SignedDuration>,
}

struct Due {
    function: String,
    schedule: Schedule,
    next: Timestamp,
}

impl Time {
    /// Takes the schedules from the template. Without `schedules`, they run only on request.
    pub fn new(
        template: &mut Template,
        machine: Arc<Machine>,
        pump: Arc<Pump>,
        ttl: bool,
        schedules: bool,
    ) -> Time {
        let mut due = Vec::new();
        for function in &mut template.functions {
            for schedule in function.schedules.drain(..).filter(|_| schedules) {
                let next = machine.clock.now() + schedule.every;
                due.push(Due {
                    function: function.name.clone(),
                    schedule,
                    next,
                });
            }
        }
        let shortest = due.iter().map(|due| due.schedule.every).min();
        Time {
            machine,
            pump,
            ttl,
            due: due.into(),
            shortest,
        }
    }

    pub fn clock(&self) -> &Clock {
        &self.machine.clock
    }

    /// Lets the machine's time pass until the future is dropped.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(TICK).await;
            let mut due = self.due.lock().await;
            self.step(&mut due).await;
        }
    }

    /// Moves the clock ahead and returns when everything that becomes due has happened. Moves
    /// a day at a time; the last steps are as long as the shortest schedule's interval, so
    /// that work which earlier runs began can continue: an erasure waits for longer than one
    /// interval before it verifies.
    pub async fn advance(&self, by: SignedDuration) {
        let mut due = self.due.lock().await;
        self.pump.settle().await;
        let last = self.shortest.unwrap_or_default();
        let mut left = by;
        loop {
            let step = match left > last * LAST {
                true => (left - last * LAST).min(STEP),
                false => last.min(left),
            };
            self.move_expiry(step);
            self.step(&mut due).await;
            left -= step;
            if !left.is_positive() {
                break;
            }
        }
    }

    fn move_expiry(&self, by: SignedDuration) {
        self.machine.clock.advance(by);
        self.machine.kept.set_ahead_ms(
            i64::try_from(self.machine.clock.ahead().as_millis()).unwrap_or(i64::MAX),
        );
    }

    /// Removes expired data, runs due schedules, and completes both.
    async fn step(&self, due: &mut [Due]) {
        if self.ttl {
            self.sweep();
            self.pump.settle().await;
        }
        let now = self.machine.clock.now();
        for entry in due.iter_mut().filter(|entry| entry.next <= now) {
            entry.next = now + entry.schedule.every;
            // A failure is logged. The next scheduled run is its retry.
            let _ = self
                .machine
                .functions
                .invoke(&entry.function, scheduled(&entry.schedule.name, now))
                .await;
            self.pump.settle().await;
        }
    }

    /// Removes expired data, as TTL and the buckets' lifecycles eventually do.
    pub fn sweep(&self) {
        if let Err(error) = self.machine.objects.apply_lifecycle() {
            tracing::error!("cannot apply lifecycle rules: {error}");
        }
        if let Err(error) = self.machine.dynamo.sweep_ttl() {
            tracing::error!("cannot sweep expired items: {error}");
        }
    }

    /// Runs the function now as its schedule would, regardless of what is due.
    pub async fn run_schedule(&self, function: &str) -> Result<Value, Failure> {
        let result = self
            .machine
            .functions
            .invoke(function, scheduled("Asked", self.machine.clock.now()))
            .await;
        self.pump.settle().await;
        result
    }
}

/// The event that EventBridge sends for this schedule.
fn scheduled(name: &str, at: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}")],
        "detail": {},
    })
}
