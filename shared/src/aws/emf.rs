//! Metrics for alarms. CloudWatch extracts them from log lines in its Embedded Metric Format.
//! Owns that format and writes such a line to the log unchanged, because a `tracing` event
//! cannot hold the objects that the format requires.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The namespace that the template's alarms use.
const NAMESPACE: &str = "Lethe";

/// The unit of a metric, in CloudWatch's terms.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Count,
    Seconds,
}

/// A number measured of something, such as a table.
pub struct Metric<'a> {
    pub name: &'a str,
    pub value: usize,
    pub unit: Unit,
    /// The dimension: kind and name of what was counted. Several stages may share an account.
    pub of: (&'a str, &'a str),
    /// A field with context for the on-call engineer. Never personal data.
    pub about: (&'a str, Value),
}

impl Metric<'_> {
    /// Writes the metric to the log.
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

/// Formats log lines: a metric unchanged, everything else as `E` does.
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
