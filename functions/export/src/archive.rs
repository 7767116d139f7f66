//! The ZIP archive: written in one pass, and uploaded to S3 in parts as it grows. Owns the
//! archive's format and its files' checksums; knows nothing of their contents.
//!
//! Memory holds one part at a time, regardless of the archive's size. Size and checksum of
//! each file follow its content (APPNOTE.TXT 4.3.9, data descriptors), since a stream cannot
//! seek back.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use shared::aws::s3::{Objects, Part};
use shared::base::error::{Error, Result};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

/// The size of a part; a smaller archive is uploaded in one call. S3 requires parts of at
/// least 5 MiB, and at most 10,000 of them.
const PART: usize = 8 * 1024 * 1024;
const ZIP: &str = "application/zip";

/// A file of the archive, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    pub name: String,
    pub size: u64,
    pub sha256: String,
}

/// The finished archive in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The life's edition that the archive was made of.
    pub edition: u64,
    pub version: String,
    pub size: u64,
    pub sha256: String,
}

/// A ZIP under construction.
pub struct Archive {
    zip: ZipWriter<StreamWriter<Tail>>,
    tail: Tail,
    options: SimpleFileOptions,
    open: Option<(String, u64, Context)>,
    files: Vec<File>,
}

/// Bytes that were written but not yet sent. Shared with the ZIP's writer.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        // Bytes are appended whole or not at all, so a panic elsewhere leaves them intact.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|tail| tail.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Archive {
    /// An empty archive. Its files have this timestamp.
    pub fn new(at: Timestamp) -> Archive {
        let tail = Tail::default();
        let mut options = SimpleFileOptions::default();
        if let Some(time) = dos_time(at) {
            options = options.last_modified_time(time);
        }
        Archive {
            zip: ZipWriter::new_stream(tail.clone()),
            tail,
            options,
            open: None,
            files: Vec::new(),
        }
    }

    /// Begins a file and closes the previous one.
    ///
    /// # Errors
    /// When the archive already contains this file.
    pub fn begin(&mut self, name: &str) -> io::Result<()> {
        self.start(name, self.options)
    }

    /// Begins a file that is stored uncompressed: most attachments are compressed already, and
    /// compressing them again would take most of an export's time.
    ///
    /// # Errors
    /// As [`Archive::begin`].
    pub fn begin_as_is(&mut self, name: &str) -> io::Result<()> {
        self.start(
            name,
            self.options.compression_method(CompressionMethod::Stored),
        )
    }

    fn start(&mut self, name: &str, options: SimpleFileOptions) -> io::Result<()> {
        self.close_file();
        self.zip.start_file(name, options)?;
        self.open = Some((name.to_owned(), 0, Context::new(&SHA256)));
        Ok(())
    }

    fn close_file(&mut self) {
        if let Some((name, size, digest)) = self.open.take() {
            let sha256 = hex(digest);
            self.files.push(File { name, size, sha256 });
        }
    }

    /// The files so far, without the open one.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Adds a complete file.
    ///
    /// # Errors
    /// As [`Archive::begin`].
    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.begin(name)?;
        self.write_all(content)?;
        self.close_file();
        Ok(())
    }

    /// Closes the open file, so that it is listed.
    pub fn end(&mut self) {
        self.close_file();
    }

    /// The unsent bytes, once they fill a part.
    fn part(&self) -> Option<Vec<u8>> {
        self.tail.with(|tail| {
            // The next part will be as large: allocate once.
            let next = || Vec::with_capacity(PART + PART / 4);
            (tail.len() >= PART).then(|| std::mem::replace(tail, next()))
        })
    }

    /// Completes the archive. Returns the bytes that were not taken as a part.
    ///
    /// # Errors
    /// As [`Archive::begin`].
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.zip.finish()?;
        Ok(self.tail.with(std::mem::take))
    }
}

impl Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.zip.write(bytes)?;
        if let Some((_, size, digest)) = &mut self.open {
            *size += written as u64;
            digest.update(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The upload of an archive to S3. If it is not finished, it must be aborted.
pub struct Upload<'a> {
    objects: &'a Objects,
    object: String,
    edition: u64,
    /// Set once it is a multipart upload.
    id: Option<String>,
    parts: Vec<Part>,
    size: u64,
    digest: Context,
}

impl Upload<'_> {
    pub fn new(objects: &Objects, object: String, edition: u64) -> Upload<'_> {
        Upload {
            objects,
            object,
            edition,
            id: None,
            parts: Vec::new(),
            size: 0,
            digest: Context::new(&SHA256),
        }
    }

    /// The life's edition that the archive is made of.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// Sends the archive's unsent bytes once they fill a part.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when S3 does not answer, as everywhere below.
    pub async fn drain(&mut self, archive: &Archive) -> Result<()> {
        match archive.part() {
            Some(part) => self.send(part).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, part: Vec<u8>) -> Result<()> {
        self.count(&part);
        let id = match &self.id {
            Some(id) => id,
            None => {
                let id = self.objects.begin_upload(&self.object, ZIP).await?;
                self.id.insert(id)
            }
        };
        let number = i32::try_from(self.parts.len() + 1)
            .map_err(|_| Error::Unavailable("an upload has too many parts".into()))?;
        let part = self
            .objects
            .upload_part(&self.object, id, number, part)
            .await?;
        self.parts.push(part);
        Ok(())
    }

    fn count(&mut self, part: &[u8]) {
        self.size += part.len() as u64;
        self.digest.update(part);
    }

    /// Sends the rest and completes the upload. An archive smaller than one part is uploaded
    /// in one call.
    ///
    /// # Errors
    /// As [`Upload::drain`].
    pub async fn finish(&mut self, rest: Vec<u8>) -> Result<Stored> {
        let version = if self.id.is_none() {
            self.count(&rest);
            self.objects.put(&self.object, ZIP, rest).await?
        } else {
            self.send(rest).await?;
            let (id, parts) = (self.id.as_deref(), std::mem::take(&mut self.parts));
            let id = id.unwrap_or_default();
            self.objects.finish_upload(&self.object, id, parts).await?
        };
        Ok(Stored {
            edition: self.edition,
            version,
            size: self.size,
            sha256: hex(self.digest.clone()),
        })
    }

    /// Aborts the upload, so that nothing of it remains.
    ///
    /// # Errors
    /// As [`Upload::drain`].
    pub async fn abort(self) -> Result<()> {
        match &self.id {
            Some(id) => self.objects.abort(&self.object, id).await,
            None => Ok(()),
        }
    }
}

fn dos_time(at: Timestamp) -> Option<zip::DateTime> {
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let two = |part: i8| u8::try_from(part).ok();
    zip::DateTime::from_date_and_time(
        u16::try_from(at.year()).ok()?,
        two(at.month())?,
        two(at.day())?,
        two(at.hour())?,
        two(at.minute())?,
        two(at.second())?,
    )
    .ok()
}

fn hex(digest: Context) -> String {
    let digest = digest.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[test]
    fn what_is_taken_in_parts_is_one_readable_archive() {
        let mut archive = Archive::new("2026-11-22T14:05:00Z".parse().unwrap());
        archive.add("manifest.json", b"{}").unwrap();
        // Random bytes do not compress: there will be more than one part.
        let mut noise = vec![0; 3 * PART];
        shared::crypto::fill_random(&mut noise);
        archive.begin_as_is("attachments/x").unwrap();
        let mut bytes = Vec::new();
        let mut parts = 0;
        for chunk in noise.chunks(64 * 1024) {
            archive.write_all(chunk).unwrap();
            if let Some(part) = archive.part() {
                assert!(part.len() < PART + PART / 4);
                parts += 1;
                bytes.extend(part);
            }
        }
        archive.end();
        let files = archive.files().to_vec();
        bytes.extend(archive.finish().unwrap());

        assert!(parts >= 2);
        assert_eq!(files[1].size, noise.len() as u64);
        let known = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(files[0].sha256, known);
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(zip.len(), 2);
        let mut read = Vec::new();
        let mut file = zip.by_name("attachments/x").unwrap();
        file.read_to_end(&mut read).unwrap();
        assert!(read == noise);
        assert_eq!(file.last_modified().unwrap().year(), 2026);
    }
}
