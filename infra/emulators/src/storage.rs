//! Where an engine stores its data: in memory, or in a folder that one process uses at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::EngineError;

/// Where an engine stores its data.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Lost when the engine is dropped.
    Memory,
    /// In this folder, which is created if it is missing. The engines can share one:
    /// their files have different names. Each locks its own files.
    Folder(PathBuf),
}

/// The lock on an engine's files in a folder, released when this is dropped.
pub(crate) struct FolderLock(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] File,
);

impl Storage {
    /// Creates the folder and locks `name.lock` in it.
    pub(crate) fn lock(&self, name: &str) -> Result<Option<FolderLock>, EngineError> {
        let Storage::Folder(folder) = self else {
            return Ok(None);
        };
        create_private_folder(folder)?;
        let path = folder.join(format!("{name}.lock"));
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let file = options
            .open(&path)
            .map_err(|e| EngineError::unreadable(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock(file))),
            Err(TryLockError::WouldBlock) => Err(EngineError::Busy(folder.clone())),
            Err(TryLockError::Error(e)) => Err(EngineError::unreadable(&path, e)),
        }
    }
}

/// Creates a folder that only this user may open.
pub(crate) fn create_private_folder(folder: &Path) -> Result<(), EngineError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|e| EngineError::unreadable(folder, e))
}

/// Replaces a file atomically. Only this user may read it.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let half = path.with_added_extension("half");
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(&half)?, content)?;
    fs::rename(half, path)
}
