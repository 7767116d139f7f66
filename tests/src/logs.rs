//! What the services of this process have logged, all together, as production would write
//! it: one JSON object a line. Telling one service's lines from another's is the reader's.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::TestWriter;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::util::SubscriberInitExt;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to collect, once for the process. Warnings are also shown with a failing test.
pub(crate) fn collect() {
    let shown = TestWriter::new().with_max_level(tracing::Level::WARN);
    let _already = shared::lambda::logs(shown.and(|| Collector)).try_init();
}

/// Everything that was logged so far.
pub fn text() -> String {
    String::from_utf8_lossy(&lines()).into_owned()
}

fn lines() -> MutexGuard<'static, Vec<u8>> {
    // A line is appended whole, whoever panics meanwhile.
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Collector;

impl Write for Collector {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lines().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
