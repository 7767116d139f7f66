//! The one source of the current time. Knows nothing of what is timed.
//!
//! In AWS it is the machine's clock. The local run moves it ahead, so that thirty days can
//! pass in a demo; tests freeze it and move it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock shared by the whole process. Clones move together.
#[derive(Clone, Debug)]
pub struct Clock {
    frozen_at: Option<Timestamp>,
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's time.
    pub fn system() -> Clock {
        Clock {
            frozen_at: None,
            ahead_ms: Arc::default(),
        }
    }

    /// A clock that is frozen at `start` until it is moved.
    pub fn frozen(start: Timestamp) -> Clock {
        Clock {
            frozen_at: Some(start),
            ahead_ms: Arc::default(),
        }
    }

    /// The current time, in whole milliseconds, the precision that is stored.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine"
    )]
    pub fn now(&self) -> Timestamp {
        let base = self
            .frozen_at
            .unwrap_or_else(Timestamp::now)
            .as_millisecond();
        let ahead = self.ahead_ms.load(Ordering::SeqCst);
        Timestamp::from_millisecond(base.saturating_add(ahead)).unwrap_or(Timestamp::MAX)
    }

    /// Moves this clock and all its clones ahead.
    pub fn advance(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// How far this clock has been moved ahead of its base.
    pub fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }
}
