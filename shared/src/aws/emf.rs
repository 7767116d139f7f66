//! Numbers for alarms. CloudWatch takes them out of lines of the log that have its
//! Embedded Metric Format. Owns that form, and that such a line reaches the log as it is:
//! an event of `tracing` cannot hold the objects that the format asks for.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What the alarms of the template look into.
const NAMESPACE: &str = "Lethe";

/// What a number is of, as CloudWatch calls it.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Count,
    Seconds,
}

/// A number that was counted of something, such as a table.
pub struct Metric<'a> {
    pub name: &'a str,
    pub value: usize,
    pub unit: Unit,
    /// What kind of thing it was counted of, and which: several stages may share an account.
    pub of: (&'a str, &'a str),
    /// A word and what it says, for whoever is woken. Never anything of a person.
    pub about: (&'a str, Value),
}

impl Metric<'_> {
    /// Puts the number into the log.
    pub fn log(self, at: Timestamp) {
        let line = self.line(at).to_string();
        tracing::info!(line = line.as_str());
    }

    fn line(self, at: Timestamp) -> Value {
        let (kind, which) = self.of;
        let (word, about) = self.about;
        json!({
            "_aws": {
                "Timestamp": at.as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [[kind]],
                    "Metrics": [{"Name": self.name, "Unit": format!("{:?}", self.unit)}],
                }],
            },
            kind: which,
            self.name: self.value,
            word: about,
        })
    }
}

/// The form of the log's lines: a metric as it is, everything else as `E` has it.
pub struct Lines<E>(pub E);

impl<S, N, E> FormatEvent<S, N> for Lines<E>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    E: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != module_path!() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = Line(writer, Ok(()));
        event.record(&mut line);
        line.1
    }
}

/// Writes the only field of a metric's event.
struct Line<'w>(Writer<'w>, fmt::Result);

impl Visit for Line<'_> {
    fn record_str(&mut self, _line: &Field, value: &str) {
        self.1 = writeln!(self.0, "{value}");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
