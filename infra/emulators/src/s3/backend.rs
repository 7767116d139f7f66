//! Bodies and records by name, in memory or in a folder.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hyper::body::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::EngineError;
use crate::storage::{create_private_folder, write_private};

/// In memory it has bodies only: the records are in [`Store`](super::store::Store).
pub(super) enum Backend {
    Memory(Mutex<HashMap<String, Bytes>>),
    /// `<bucket>/<id>.body`, `<bucket>/<id>.version`, `<bucket>/<id>.upload`
    Folder(PathBuf),
}

impl Backend {
    pub(super) fn prepare(&self, bucket: &str) -> Result<(), EngineError> {
        match self {
            Backend::Memory(_) => Ok(()),
            Backend::Folder(folder) => create_private_folder(&folder.join(bucket)),
        }
    }

    pub(super) fn body(&self, bucket: &str, id: &str) -> io::Result<Bytes> {
        match self {
            Backend::Memory(bodies) => {
                let bodies = bodies.lock().unwrap_or_else(PoisonError::into_inner);
                bodies
                    .get(&format!("{bucket}/{id}"))
                    .cloned()
                    .ok_or(io::ErrorKind::NotFound.into())
            }
            Backend::Folder(folder) => fs::read(file(folder, bucket, id, "body")).map(Bytes::from),
        }
    }

    pub(super) fn write_body(&self, bucket: &str, id: &str, body: Bytes) -> io::Result<()> {
        match self {
            Backend::Memory(bodies) => {
                bodies
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(format!("{bucket}/{id}"), body);
                Ok(())
            }
            Backend::Folder(folder) => write_private(&file(folder, bucket, id, "body"), &body),
        }
    }

    pub(super) fn remove_body(&self, bucket: &str, id: &str) -> io::Result<()> {
        match self {
            Backend::Memory(bodies) => {
                bodies
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&format!("{bucket}/{id}"));
                Ok(())
            }
            Backend::Folder(folder) => remove(&file(folder, bucket, id, "body")),
        }
    }

    pub(super) fn write_record(
        &self,
        bucket: &str,
        kind: &str,
        id: &str,
        record: &impl Serialize,
    ) -> io::Result<()> {
        match self {
            Backend::Memory(_) => Ok(()),
            Backend::Folder(folder) => write_private(
                &file(folder, bucket, id, kind),
                &serde_json::to_vec(record)?,
            ),
        }
    }

    pub(super) fn remove_record(&self, bucket: &str, kind: &str, id: &str) -> io::Result<()> {
        match self {
            Backend::Memory(_) => Ok(()),
            Backend::Folder(folder) => remove(&file(folder, bucket, id, kind)),
        }
    }

    pub(super) fn records<T: DeserializeOwned>(
        &self,
        bucket: &str,
        kind: &str,
    ) -> Result<Vec<T>, EngineError> {
        let Backend::Folder(folder) = self else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        for path in files(&folder.join(bucket))? {
            if path.extension().is_some_and(|extension| extension == kind) {
                let text = fs::read(&path).map_err(|e| EngineError::unreadable(&path, e))?;
                records.push(
                    serde_json::from_slice(&text).map_err(|e| EngineError::unreadable(&path, e))?,
                );
            }
        }
        Ok(records)
    }

    /// Removes what a crash left behind: half-written files, and bodies that are not among
    /// `known`. A missing body is an error.
    pub(super) fn tidy(&self, bucket: &str, known: &[&str]) -> Result<(), EngineError> {
        let Backend::Folder(folder) = self else {
            return Ok(());
        };
        let mut missing: BTreeSet<PathBuf> = known
            .iter()
            .map(|id| file(folder, bucket, id, "body"))
            .collect();
        for path in files(&folder.join(bucket))? {
            let left_behind = path
                .extension()
                .is_some_and(|kind| kind == "body" || kind == "half");
            if !missing.remove(&path) && left_behind {
                remove(&path).map_err(|e| EngineError::unreadable(&path, e))?;
            }
        }
        match missing.pop_first() {
            Some(path) => Err(EngineError::unreadable(
                path,
                "the body of an object is missing",
            )),
            None => Ok(()),
        }
    }
}

fn file(folder: &Path, bucket: &str, id: &str, kind: &str) -> PathBuf {
    folder.join(bucket).join(format!("{id}.{kind}"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let read = || {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()
    };
    read().map_err(|e| EngineError::unreadable(folder, e))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
