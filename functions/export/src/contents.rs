//! The contents of the archive, in the order in which they are written: records as they are
//! read, files as they are streamed, then the page, then the manifest with every checksum.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::aws::dynamo::{Query, Range};
use shared::base::error::{Error, Result};
use shared::base::id::AttachmentId;
use shared::crypto::TenantKeys;
use shared::domain::app::App;
use shared::domain::export::Kind;
use shared::domain::jobs::Job;
use shared::domain::keyring::Living;
use shared::domain::keys::PERSON;
use shared::domain::people::profile::Profile;
use shared::domain::records::content::FileState;
use shared::domain::records::rows::Record;
use shared::schema::catalog;

use crate::archive::{Archive, Upload};
use crate::choice::Choice;
use crate::names::attachment_path;
use crate::page::{Facts, Page};
use crate::table::Table;
use crate::{Spec, processing};

/// How often progress is saved and the life is verified.
const PAUSE: Duration = Duration::from_secs(3);
/// Rows in one read.
const ROWS: usize = 200;
/// How much of the tables and the page may wait in memory before they are written and new ones
/// begun.
const WAITING: usize = 8 * 1024 * 1024;

/// Why the archive is not completed.
pub enum Stop {
    /// The life has ended, or a later turn has taken over.
    Over,
    /// The packed data is outdated: it has been redacted or corrected.
    Untrue,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            // Every row of a life exists until the life ends.
            Error::NotFound => Stop::Over,
            other => Stop::Failed(other),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        // Its text may repeat a file name.
        Stop::Failed(Error::Unavailable(format!(
            "the archive could not be written: {}",
            error.kind()
        )))
    }
}

/// A file that was found clean: its one version, and its path in the archive.
struct Clean {
    id: AttachmentId,
    version: String,
    path: String,
}

/// The archive's contents under construction.
pub struct Contents<'a, 'u> {
    app: &'a App,
    job: &'a mut Job<Spec>,
    living: &'a Living,
    upload: &'a mut Upload<'u>,
    keys: std::sync::Arc<TenantKeys>,
    archive: Archive,
    choice: Choice,
    page: Page,
    /// The clean files, streamed after all rows have been read.
    files: Vec<Clean>,
    counts: BTreeMap<String, u64>,
    saved: Instant,
}

impl<'a, 'u> Contents<'a, 'u> {
    pub async fn new(
        app: &'a App,
        job: &'a mut Job<Spec>,
        spec: &Spec,
        living: &'a Living,
        upload: &'a mut Upload<'u>,
    ) -> Result<Contents<'a, 'u>> {
        job.done = 0;
        Ok(Contents {
            keys: app.keyring.tenant(living.key.tenant).await?,
            archive: Archive::new(app.clock.now()),
            choice: Choice::new(spec.kind, spec.include_agents),
            page: Page::new(spec.include_agents),
            files: Vec::new(),
            counts: BTreeMap::new(),
            saved: Instant::now(),
            app,
            job,
            living,
            upload,
        })
    }

    /// Writes everything. Returns the bytes that were not sent yet: the archive's end.
    pub async fn write(mut self) -> Result<Vec<u8>, Stop> {
        let store = &self.app.store;
        let (door, rows) = store.door_and(&self.living.key, &[PERSON]).await?;
        let (door, row) = (
            door.ok_or(Error::NotFound)?,
            rows.first().ok_or(Error::NotFound)?,
        );
        let profile = Profile::open(self.living, door, row)?;
        let profile = self.choice.profile(profile);
        let subject = self.choice.subject(&profile, self.living);
        self.archive.add("subject.json", &pretty(&subject))?;
        for (record, prefix) in Record::TYPES {
            self.records(record, prefix).await?;
        }
        for file in std::mem::take(&mut self.files) {
            self.file(&file).await?;
        }
        let settings = self.app.tenants.settings(self.living.key.tenant).await?;
        let processing = match self.choice.kind {
            Kind::Access => processing::of_every_category(settings.retention_days),
            Kind::Portability => Vec::new(),
        };
        let facts = Facts {
            kind: self.choice.kind,
            made_at: self.app.clock.now(),
            profile: &profile,
            processing: &processing,
            left_out: &self.choice.left_out(),
        };
        self.archive.begin("index.html")?;
        std::mem::take(&mut self.page).render(&facts, &mut self.archive)?;
        self.archive.end();
        let manifest = self.manifest(&json!(processing));
        self.archive.add("manifest.json", &pretty(&manifest))?;
        Ok(self.archive.finish()?)
    }

    /// The records of one type, as JSON Lines and as CSV. A ZIP takes one file at a time, so
    /// the CSV and the page wait in memory; a type with many records is split into several
    /// pairs of files.
    async fn records(&mut self, name: &'static str, prefix: &str) -> Result<(), Stop> {
        let Some(of) = catalog_type(name).filter(|of| self.choice.takes(*of)) else {
            return Ok(());
        };
        let mut number = 1;
        let mut table = Table::new(of, |column| self.choice.shows(of, column))?;
        self.archive.begin(&part(name, number, "jsonl"))?;
        let partition = self.living.key.partition();
        let mut after = None;
        loop {
            let range = Range::Prefix(prefix);
            let query = Query {
                partition: &partition,
                range,
                ascending: true,
                limit: Some(ROWS),
                after,
            };
            let page = self.app.store.query(query).await?;
            for row in &page.rows {
                if let Some(record) = Record::read(row, self.living)? {
                    self.record(name, &record, &mut table)?;
                }
            }
            self.go_on().await?;
            after = page.next;
            if after.is_none() {
                break;
            }
            if table.length() + self.page.length() >= WAITING {
                self.archive
                    .add(&part(name, number, "csv"), &table.finish()?)?;
                self.archive.begin(&self.page.next_name())?;
                self.page.turn(&mut self.archive)?;
                self.go_on().await?;
                number += 1;
                table = Table::new(of, |column| self.choice.shows(of, column))?;
                self.archive.begin(&part(name, number, "jsonl"))?;
            }
        }
        self.archive
            .add(&part(name, number, "csv"), &table.finish()?)?;
        self.go_on().await
    }

    fn record(
        &mut self,
        name: &'static str,
        record: &Record,
        table: &mut Table,
    ) -> Result<(), Stop> {
        self.job.done += 1;
        let Some(mut json) = self.choice.pick(record, &self.keys.hash) else {
            return Ok(());
        };
        let mut path = None;
        if let Record::Attachment(file) = record
            && let (FileState::Clean, Some(content), Some(version)) =
                (file.state, &file.content, &file.version)
        {
            let lies_at = attachment_path(file.id, &content.filename);
            json.insert("file".into(), lies_at.clone().into());
            self.files.push(Clean {
                id: file.id,
                version: version.clone(),
                path: lies_at.clone(),
            });
            path = Some(lies_at);
        }
        self.page.add(record, path.as_deref());
        table.add(&json)?;
        self.archive
            .write_all(format!("{}\n", Value::Object(json)).as_bytes())?;
        *self.counts.entry(format!("{name}s")).or_default() += 1;
        Ok(())
    }

    /// Streams one file, in the version that was found clean.
    async fn file(&mut self, file: &Clean) -> Result<(), Stop> {
        let object = self.living.key.attachment_object(file.id);
        let Some(mut found) = self.app.objects.open(&object, &file.version).await? else {
            self.choice
                .leave_out(file.id.to_string(), "redacted during the export");
            return Ok(());
        };
        self.archive.begin_as_is(&file.path)?;
        while let Some(chunk) = found.body.next().await {
            let chunk = chunk.map_err(|_| Error::Unavailable("GetObject: broke off".into()))?;
            self.archive.write_all(&chunk)?;
            self.go_on().await?;
        }
        self.archive.end();
        Ok(())
    }

    /// Sends full parts. At intervals, saves the progress and verifies that the export may
    /// continue.
    async fn go_on(&mut self) -> Result<(), Stop> {
        self.upload.drain(&self.archive).await?;
        if self.saved.elapsed() < PAUSE {
            return Ok(());
        }
        self.saved = Instant::now();
        let latest = self
            .app
            .store
            .save_job(self.job, self.app.clock.now())
            .await?;
        match self.app.store.door(&self.living.key).await? {
            Some(door) if latest && door.edition == self.upload.edition() => Ok(()),
            Some(_) if latest => Err(Stop::Untrue),
            _ => Err(Stop::Over),
        }
    }

    fn manifest(&self, processing: &Value) -> Value {
        let mut manifest = json!({
            "format": {"name": "lethe-export", "version": 1},
            "created_at": self.app.clock.now(),
            "tenant": self.living.key.tenant.to_string(),
            "subject": self.living.key.subject.to_string(),
            "export": self.job.key.id.to_string(),
            "kind": self.choice.kind,
            "include_agents": self.choice.agents,
            "counts": self.counts,
            "files": self.archive.files(),
            "left_out": self.choice.left_out(),
            "csv": "UTF-8 with a byte order mark, RFC 4180. A value that a spreadsheet would \
                    read as a formula is prefixed with an apostrophe. The JSON Lines files \
                    contain every value unchanged.",
            "parts": "If one file cannot hold all records of a type, they continue in the next \
                      file: messages.jsonl, messages-2.jsonl and so on.",
        });
        if self.choice.kind == Kind::Access {
            manifest["processing"] = processing.clone();
        }
        manifest
    }
}

/// The name of one of a type's files.
fn part(name: &str, number: usize, form: &str) -> String {
    match number {
        1 => format!("{name}s.{form}"),
        _ => format!("{name}s-{number}.{form}"),
    }
}

fn catalog_type(name: &str) -> Option<catalog::Record> {
    match name {
        "conversation" => Some(catalog::Record::Conversation),
        "message" => Some(catalog::Record::Message),
        "attachment" => Some(catalog::Record::Attachment),
        "interaction" => Some(catalog::Record::Interaction),
        _ => None,
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}
