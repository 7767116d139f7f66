//! Text that is written before its place in the archive has come. Small ones stay in
//! memory; the rest goes to a file without a name, which is gone when it is dropped or
//! the process ends. (Lambda encrypts its disk.)

use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

/// How much stays in memory.
const IN_MEMORY: usize = 2 * 1024 * 1024;

pub struct Spool {
    file: SpooledTempFile,
    length: u64,
}

impl Spool {
    pub fn new() -> Spool {
        Spool {
            file: SpooledTempFile::new(IN_MEMORY),
            length: 0,
        }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Goes back to the beginning, to be read.
    ///
    /// # Errors
    /// When the disk fails, as everywhere below.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()
    }

    /// Copies a stretch of what was written to the end of another.
    ///
    /// # Errors
    /// As [`Spool::rewind`].
    pub fn copy_to(&mut self, offset: u64, length: u64, other: &mut Spool) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        io::copy(&mut (&mut self.file).take(length), other)?;
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for Spool {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}
