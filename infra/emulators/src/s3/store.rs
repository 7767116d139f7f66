//! The buckets' content: versions, delete markers, unfinished uploads.
//!
//! Records are in memory. In a folder, they are files as well, written before the caller gets
//! a response.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backend::Backend;
use super::{BucketSpec, Held, HeldKind, LifecycleRule};
use crate::{Clock, EngineError, Storage};

pub(super) struct Store {
    state: Mutex<State>,
    backend: Backend,
    clock: Clock,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    /// The number of the last version or upload.
    last: u64,
}

#[derive(Default)]
pub(super) struct Bucket {
    pub(super) spec: BucketSpec,
    /// The versions of each key, oldest first; never empty.
    pub(super) keys: BTreeMap<String, Vec<Version>>,
    /// By key and id.
    pub(super) uploads: BTreeMap<(String, String), Upload>,
}

/// One version of a key: an object, or a delete marker.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) key: String,
    /// Ids sort in the order of creation.
    pub(super) id: String,
    pub(super) modified: Timestamp,
    pub(super) object: Option<Object>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) size: usize,
    pub(super) etag: String,
    /// The SHA-256 of a body that was put whole, base64.
    pub(super) sha256: Option<String>,
    pub(super) about: About,
}

/// The properties that a put, or the creation of an upload, gives an object.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) content_type: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) encryption: Option<String>,
    pub(super) encryption_key: Option<String>,
    /// The checksum algorithm of an upload's parts.
    #[serde(default)]
    pub(super) checksum: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) id: String,
    pub(super) begun: Timestamp,
    pub(super) about: About,
    pub(super) parts: BTreeMap<i32, Part>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) size: usize,
    pub(super) etag: String,
    /// By the upload's algorithm.
    #[serde(default)]
    pub(super) checksum: Option<String>,
    pub(super) modified: Timestamp,
    /// The name of its body, which differs for each upload of the part.
    pub(super) body: String,
}

impl Store {
    pub(super) fn open(
        storage: &Storage,
        clock: &Clock,
        specs: Vec<BucketSpec>,
    ) -> Result<Store, EngineError> {
        let mut state = State::default();
        let backend = match storage {
            Storage::Memory => Backend::Memory(Mutex::default()),
            Storage::Folder(folder) => Backend::Folder(folder.join("objects")),
        };
        for spec in specs {
            let name = spec.name.clone();
            let mut bucket = Bucket {
                spec,
                ..Bucket::default()
            };
            backend.prepare(&name)?;
            for version in backend.records::<Version>(&name, "version")? {
                state.last = state.last.max(sequence(&version.id));
                bucket
                    .keys
                    .entry(version.key.clone())
                    .or_default()
                    .push(version);
            }
            for upload in backend.records::<Upload>(&name, "upload")? {
                state.last = state.last.max(sequence(&upload.id));
                bucket
                    .uploads
                    .insert((upload.key.clone(), upload.id.clone()), upload);
            }
            bucket
                .keys
                .values_mut()
                .for_each(|versions| versions.sort_by(|a, b| a.id.cmp(&b.id)));
            backend.tidy(&name, &bucket.bodies())?;
            state.buckets.insert(name, bucket);
        }
        Ok(Store {
            state: Mutex::new(state),
            backend,
            clock: clock.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic can leave it partially changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from a bucket; `None` when there is no such bucket.
    pub(super) fn read<T>(&self, bucket: &str, look: impl FnOnce(&Bucket) -> T) -> Option<T> {
        self.state().buckets.get(bucket).map(look)
    }

    /// The lifecycle rules of each bucket.
    pub(super) fn lifecycles(&self) -> Vec<(String, Vec<LifecycleRule>)> {
        let state = self.state();
        let buckets = state.buckets.iter();
        buckets
            .map(|(name, bucket)| (name.clone(), bucket.spec.lifecycle.clone()))
            .collect()
    }

    /// `false` when there is no such bucket.
    pub(super) fn set_lifecycle(&self, bucket: &str, rules: Vec<LifecycleRule>) -> bool {
        let mut state = self.state();
        let bucket = state.buckets.get_mut(bucket);
        bucket.map(|held| held.spec.lifecycle = rules).is_some()
    }

    pub(super) fn add_bucket(&self, name: &str) -> io::Result<bool> {
        let mut state = self.state();
        if state.buckets.contains_key(name) {
            return Ok(false);
        }
        self.backend.prepare(name).map_err(io::Error::other)?;
        let spec = BucketSpec {
            name: name.to_owned(),
            ..BucketSpec::default()
        };
        state.buckets.insert(
            name.to_owned(),
            Bucket {
                spec,
                ..Bucket::default()
            },
        );
        Ok(true)
    }

    pub(super) fn body(&self, bucket: &str, id: &str) -> io::Result<Bytes> {
        self.backend.body(bucket, id)
    }

    /// Adds a version to a key, if `allowed` accepts the latest one. An object has a body, a
    /// delete marker has none.
    pub(super) fn add_version<E: From<io::Error>>(
        &self,
        bucket: &str,
        key: &str,
        object: Option<(Object, Bytes)>,
        allowed: impl FnOnce(Option<&Version>) -> Result<(), E>,
    ) -> Result<Version, E> {
        let mut state = self.state();
        let State { buckets, last } = &mut *state;
        let held = buckets
            .get_mut(bucket)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        allowed(held.latest(key))?;
        *last += 1;
        let id = new_id(*last);
        let (object, body) = object.unzip();
        if let Some(body) = body {
            self.backend.write_body(bucket, &id, body)?;
        }
        let version = Version {
            key: key.to_owned(),
            id,
            modified: self.clock.now(),
            object,
        };
        self.backend
            .write_record(bucket, "version", &version.id, &version)?;
        held.keys
            .entry(key.to_owned())
            .or_default()
            .push(version.clone());
        Ok(version)
    }

    /// Removes one version permanently. `None` when there is no such version.
    pub(super) fn remove_version(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> io::Result<Option<Version>> {
        let mut state = self.state();
        let Some(keys) = state.buckets.get_mut(bucket).map(|bucket| &mut bucket.keys) else {
            return Ok(None);
        };
        let Some(versions) = keys.get_mut(key) else {
            return Ok(None);
        };
        let Some(at) = versions.iter().position(|version| version.id == id) else {
            return Ok(None);
        };
        self.backend.remove_record(bucket, "version", id)?;
        self.backend.remove_body(bucket, id)?;
        let removed = versions.remove(at);
        if versions.is_empty() {
            keys.remove(key);
        }
        Ok(Some(removed))
    }

    /// Replaces the tags of a version. `false` when there is no such object.
    pub(super) fn set_tags(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        tags: BTreeMap<String, String>,
    ) -> io::Result<bool> {
        let mut state = self.state();
        let versions = state
            .buckets
            .get_mut(bucket)
            .and_then(|bucket| bucket.keys.get_mut(key));
        let Some(version) = versions
            .into_iter()
            .flatten()
            .find(|version| version.id == id)
        else {
            return Ok(false);
        };
        let Some(object) = &mut version.object else {
            return Ok(false);
        };
        object.about.tags = tags;
        self.backend.write_record(bucket, "version", id, version)?;
        Ok(true)
    }

    pub(super) fn begin_upload(&self, bucket: &str, key: &str, about: About) -> io::Result<Upload> {
        let mut state = self.state();
        state.last += 1;
        let (id, begun) = (new_id(state.last), self.clock.now());
        let upload = Upload {
            key: key.to_owned(),
            id,
            begun,
            about,
            parts: BTreeMap::new(),
        };
        let held = state
            .buckets
            .get_mut(bucket)
            .ok_or(io::ErrorKind::NotFound)?;
        self.backend
            .write_record(bucket, "upload", &upload.id, &upload)?;
        held.uploads
            .insert((key.to_owned(), upload.id.clone()), upload.clone());
        Ok(upload)
    }

    /// Adds or replaces a part. `false` when there is no such upload.
    pub(super) fn add_part(
        &self,
        bucket: &str,
        (key, id): (&str, &str),
        number: i32,
        (etag, checksum): (String, Option<String>),
        body: Bytes,
    ) -> io::Result<bool> {
        let mut state = self.state();
        let at = (key.to_owned(), id.to_owned());
        let Some(upload) = state
            .buckets
            .get_mut(bucket)
            .and_then(|bucket| bucket.uploads.get_mut(&at))
        else {
            return Ok(false);
        };
        let name = format!("{id}.{number}.{}", Uuid::new_v4().simple());
        let part = Part {
            size: body.len(),
            etag,
            checksum,
            modified: self.clock.now(),
            body: name,
        };
        self.backend.write_body(bucket, &part.body, body)?;
        let replaced = upload.parts.insert(number, part);
        self.backend.write_record(bucket, "upload", id, upload)?;
        if let Some(replaced) = replaced {
            self.backend.remove_body(bucket, &replaced.body)?;
        }
        Ok(true)
    }

    /// Removes an upload with its parts. `false` when there is no such upload.
    pub(super) fn remove_upload(&self, bucket: &str, key: &str, id: &str) -> io::Result<bool> {
        let mut state = self.state();
        let at = (key.to_owned(), id.to_owned());
        let Some(upload) = state
            .buckets
            .get_mut(bucket)
            .and_then(|bucket| bucket.uploads.remove(&at))
        else {
            return Ok(false);
        };
        self.backend.remove_record(bucket, "upload", id)?;
        upload
            .parts
            .values()
            .try_for_each(|part| self.backend.remove_body(bucket, &part.body))?;
        Ok(true)
    }

    pub(super) fn everything(&self) -> Vec<Held> {
        let state = self.state();
        let mut held = Vec::new();
        for (name, bucket) in &state.buckets {
            for version in bucket.keys.values().flatten() {
                let kind = if version.object.is_some() {
                    HeldKind::Version
                } else {
                    HeldKind::DeleteMarker
                };
                let about = version.object.as_ref().map(|object| &object.about);
                let body = version
                    .object
                    .as_ref()
                    .and_then(|_| self.body(name, &version.id).ok());
                held.push(self.held(
                    name,
                    (&version.key, &version.id),
                    kind,
                    about,
                    body.unwrap_or_default(),
                ));
            }
            for upload in bucket.uploads.values() {
                let parts = upload
                    .parts
                    .values()
                    .filter_map(|part| self.body(name, &part.body).ok());
                let body = parts.collect::<Vec<_>>().concat().into();
                let id = (&upload.key, &upload.id);
                held.push(self.held(
                    name,
                    id,
                    HeldKind::UnfinishedUpload,
                    Some(&upload.about),
                    body,
                ));
            }
        }
        held
    }

    fn held(
        &self,
        bucket: &str,
        (key, id): (&String, &String),
        kind: HeldKind,
        about: Option<&About>,
        body: Bytes,
    ) -> Held {
        let (headers, tags) = about
            .map(|about| (about.headers(), about.tags.clone()))
            .unwrap_or_default();
        Held {
            bucket: bucket.to_owned(),
            key: key.clone(),
            kind,
            id: id.clone(),
            headers,
            tags,
            body,
        }
    }
}

impl Bucket {
    /// The names of all bodies.
    fn bodies(&self) -> Vec<&str> {
        let objects = self
            .keys
            .values()
            .flatten()
            .filter(|version| version.object.is_some());
        let parts = self
            .uploads
            .values()
            .flat_map(|upload| upload.parts.values());
        let objects = objects.map(|version| version.id.as_str());
        objects
            .chain(parts.map(|part| part.body.as_str()))
            .collect()
    }

    pub(super) fn latest(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.last()
    }

    pub(super) fn version(&self, key: &str, id: &str) -> Option<&Version> {
        self.keys.get(key)?.iter().find(|version| version.id == id)
    }
}

impl About {
    fn headers(&self) -> BTreeMap<String, String> {
        let given = [
            ("content-type", &self.content_type),
            ("content-disposition", &self.content_disposition),
            ("content-encoding", &self.content_encoding),
            ("content-language", &self.content_language),
            ("cache-control", &self.cache_control),
            ("x-amz-server-side-encryption", &self.encryption),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                &self.encryption_key,
            ),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let metadata = self
            .metadata
            .iter()
            .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone()));
        given.chain(metadata).collect()
    }
}

fn new_id(sequence: u64) -> String {
    format!(
        "{sequence:012x}{}",
        &Uuid::new_v4().simple().to_string()[..20]
    )
}

fn sequence(id: &str) -> u64 {
    id.get(..12)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or(0)
}
