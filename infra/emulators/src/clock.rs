//! The time that an emulator uses for expiry, lifecycles, presigned URLs and timestamps.

use std::sync::Arc;

use jiff::Timestamp;

/// A source of the current time, shared by its clones.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that calls `now` each time. It must not go backwards.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}
