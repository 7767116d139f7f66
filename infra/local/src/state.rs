//! The local run's own state, stored in one file of the data folder: its clock, the operator's
//! key, the positions in the streams, and the demo tenants. Knows nothing of the engines'
//! files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use emulators::Storage;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const FILE: &str = "local.json";

/// The seeded demo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Demo {
    pub tenant: String,
    pub keys: BTreeMap<String, String>,
    pub other: Other,
}

/// The second tenant, to demonstrate the isolation of tenants.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Other {
    pub tenant: String,
    pub keys: BTreeMap<String, String>,
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    operator_key: String,
    /// How far the clock is ahead of the machine's, in milliseconds.
    ahead_ms: i64,
    /// The last delivered record, by table.
    streams: BTreeMap<String, String>,
    /// Whether seeding has begun. It is complete once there is a demo.
    seeding: bool,
    demo: Option<Demo>,
}

/// The state, written through to its file, or in memory only.
pub struct Kept {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

impl Kept {
    /// Reads the stored state, or creates a new one.
    ///
    /// # Errors
    /// The file, and why it cannot be used.
    pub fn open(storage: &Storage) -> Result<Kept, (PathBuf, io::Error)> {
        let fresh = State {
            // Two random UUIDs: 244 bits.
            operator_key: format!(
                "operator_{}{}",
                Uuid::new_v4().simple(),
                Uuid::new_v4().simple()
            ),
            ahead_ms: 0,
            streams: BTreeMap::new(),
            seeding: false,
            demo: None,
        };
        let Storage::Folder(folder) = storage else {
            return Ok(Kept {
                path: None,
                state: Mutex::new(fresh),
            });
        };
        let path = folder.join(FILE);
        let state = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| (path.clone(), e.into()))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                write(&path, &fresh).map_err(|e| (path.clone(), e))?;
                fresh
            }
            Err(e) => return Err((path, e)),
        };
        Ok(Kept {
            path: Some(path),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if let Some(path) = &self.path
            && let Err(error) = write(path, &*state)
        {
            tracing::error!("cannot write {}: {error}", path.display());
        }
    }

    pub fn operator_key(&self) -> String {
        self.state().operator_key.clone()
    }

    pub fn ahead_ms(&self) -> i64 {
        self.state().ahead_ms
    }

    pub fn set_ahead_ms(&self, ahead_ms: i64) {
        self.change(|state| state.ahead_ms = ahead_ms);
    }

    /// The last delivered record of the table's stream.
    pub fn position(&self, table: &str) -> Option<String> {
        self.state().streams.get(table).cloned()
    }

    pub fn set_position(&self, table: &str, last: String) {
        self.change(|state| {
            state.streams.insert(table.to_owned(), last);
        });
    }

    pub fn demo(&self) -> Option<Demo> {
        self.state().demo.clone()
    }

    /// Whether seeding began here and was never completed.
    pub fn is_half_seeded(&self) -> bool {
        let state = self.state();
        state.seeding && state.demo.is_none()
    }

    pub fn begin_seeding(&self) {
        self.change(|state| state.seeding = true);
    }

    pub fn end_seeding(&self, demo: Demo) {
        self.change(|state| state.demo = Some(demo));
    }
}

/// Writes a value as JSON, atomically, to a file that only this user may read.
///
/// # Errors
/// When the folder cannot be created or the file cannot be written.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let half = path.with_added_extension("half");
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&half)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.write_all(b"\n")?;
    fs::rename(half, path)
}
