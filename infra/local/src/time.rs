//! Time: the clock that can be moved, and what happens because time passes.
//!
//! Owns the schedules and the removal of what has expired: items by TTL, objects by
//! their bucket's lifecycle. Must not know what a
//! schedule's function does.

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

/// The clock is moved in steps of a day, or a month would take 2,880 runs of a
/// schedule. Each function runs once a step.
const STEP: SignedDuration = SignedDuration::from_hours(24);
/// Steps at the end that are as long as the shortest schedule's interval.
const LAST: i32 = 2;
/// How often the machine's own time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Moves the clock, and runs what that makes due.
pub struct Time {
    machine: Arc<Machine>,
    pump: Arc<Pump>,
    /// Whether what has expired goes by itself.
    ttl: bool,
    /// Held while time moves, so that a step is seen whole.
    due: tokio::sync::Mutex<Vec<Due>>,
    /// The shortest time between two runs of any schedule.
    shortest: Option<SignedDuration>,
}

struct Due {
    function: String,
    schedule: Schedule,
    next: Timestamp,
}

impl Time {
    /// Takes the schedules out of the template. Without `schedules`, they only run
    /// when asked for by name.
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

    /// Lets the machine's time pass, until it is dropped.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(TICK).await;
            let mut due = self.due.lock().await;
            self.step(&mut due).await;
        }
    }

    /// Moves the clock ahead and returns when everything has happened that this makes
    /// due. A day at a time; the last steps are as long as the shortest schedule's
    /// interval, so that what the runs before them began can go on: an erasure waits for
    /// longer than one interval before it looks again.
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

    /// Sweeps what has expired, runs what is due, and lets both come to an end.
    async fn step(&self, due: &mut [Due]) {
        if self.ttl {
            self.sweep();
            self.pump.settle().await;
        }
        let now = self.machine.clock.now();
        for entry in due.iter_mut().filter(|entry| entry.next <= now) {
            entry.next = now + entry.schedule.every;
            // A failure is in the log. The schedule comes again: that is its second try.
            let _ = self
                .machine
                .functions
                .invoke(&entry.function, scheduled(&entry.schedule.name, now))
                .await;
            self.pump.settle().await;
        }
    }

    /// Removes what has expired, as TTL and the buckets' lifecycles do in their own time.
    pub fn sweep(&self) {
        if let Err(error) = self.machine.objects.apply_lifecycle() {
            tracing::error!("cannot apply lifecycle rules: {error}");
        }
        if let Err(error) = self.machine.dynamo.sweep_ttl() {
            tracing::error!("cannot sweep expired items: {error}");
        }
    }

    /// Runs the function as its schedule would, now, whatever is due.
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
