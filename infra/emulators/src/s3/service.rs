//! Operations on objects: put, read, delete, tag.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Bytes;
use jiff::Timestamp;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::body::receive;
use super::conditions::{Presigned, check_presigned_read, check_write, encrypt, matches};
use super::event;
use super::store::{About, Bucket, Object, Store, Version};

/// Implements the operations that `s3s` parses.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) store: Arc<Store>,
    events: UnboundedSender<Value>,
}

pub(super) type Answer<T> = S3Result<S3Response<T>>;

pub(super) fn answer<T>(output: T) -> Answer<T> {
    Ok(S3Response::new(output))
}

impl Service {
    pub(super) fn new(store: Arc<Store>, events: UnboundedSender<Value>) -> Service {
        Service { store, events }
    }

    pub(super) fn bucket<T>(
        &self,
        name: &str,
        look: impl FnOnce(&Bucket) -> S3Result<T>,
    ) -> S3Result<T> {
        self.store
            .read(name, look)
            .unwrap_or_else(|| Err(s3_error!(NoSuchBucket)))
    }

    pub(super) fn announce(&self, bucket: &str, version: &Version, how: &str) {
        let notified = self.store.read(bucket, |bucket| {
            bucket
                .spec
                .notify_prefix
                .as_ref()
                .is_some_and(|prefix| version.key.starts_with(prefix))
        });
        if notified == Some(true) {
            // The receiver may have been dropped: notifications are optional.
            let _ = self.events.send(event::created(bucket, version, how));
        }
    }

    /// The requested object.
    pub(super) fn find<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        key: &str,
        id: Option<&str>,
    ) -> S3Result<(Version, Object)> {
        self.bucket(bucket, |bucket| {
            let version = match id {
                Some(id) => bucket
                    .version(key, id)
                    .ok_or_else(|| s3_error!(NoSuchVersion))?,
                None => bucket.latest(key).ok_or_else(|| s3_error!(NoSuchKey))?,
            };
            if request.extensions.get::<Presigned>().is_some() {
                check_presigned_read(bucket, version)?;
            }
            match (&version.object, id) {
                (Some(object), _) => Ok((version.clone(), object.clone())),
                (None, Some(_)) => Err(s3_error!(MethodNotAllowed)),
                (None, None) => Err(s3_error!(NoSuchKey)),
            }
        })
    }

    pub(super) async fn put(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> Answer<PutObjectOutput> {
        let body = request.input.body.take();
        let received = receive(&request, body).await?;
        let input = request.input;
        let mut about = About {
            content_type: input.content_type,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            tags: parse_tags(input.tagging.as_deref().unwrap_or(""))?,
            ..About::default()
        };
        self.bucket(&input.bucket, |bucket| {
            encrypt(
                bucket,
                input.server_side_encryption.as_ref(),
                input.ssekms_key_id.as_ref(),
                &mut about,
            )
        })?;
        let object = Object {
            size: received.bytes.len(),
            etag: received.etag(),
            sha256: Some(received.sha256.clone()),
            about,
        };
        let allowed = |latest: Option<&Version>| {
            check_write(
                latest,
                input.if_none_match.as_ref(),
                input.if_match.as_ref(),
            )
            .map_err(Failure::from)
        };
        let version = self.store.add_version(
            &input.bucket,
            &input.key,
            Some((object.clone(), received.bytes)),
            allowed,
        )?;
        self.announce(&input.bucket, &version, "Put");
        answer(PutObjectOutput {
            e_tag: Some(ETag::Strong(object.etag)),
            version_id: Some(version.id),
            checksum_sha256: input.checksum_sha256.map(|_| received.sha256),
            server_side_encryption: object.about.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: object.about.encryption_key,
            ..PutObjectOutput::default()
        })
    }

    pub(super) fn head(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let input = &request.input;
        let (version, object) = self.find(
            &request,
            &input.bucket,
            &input.key,
            input.version_id.as_deref(),
        )?;
        check_read(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        let about = object.about;
        answer(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(object.size as i64),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(version.modified)),
            version_id: Some(version.id),
            checksum_sha256: input.checksum_mode.as_ref().and(object.sha256),
            content_type: about.content_type,
            content_disposition: about.content_disposition,
            content_encoding: about.content_encoding,
            content_language: about.content_language,
            cache_control: about.cache_control,
            metadata: Some(about.metadata.into_iter().collect()),
            server_side_encryption: about.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: about.encryption_key,
            ..HeadObjectOutput::default()
        })
    }

    pub(super) fn get(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = &request.input;
        let (version, object) = self.find(
            &request,
            &input.bucket,
            &input.key,
            input.version_id.as_deref(),
        )?;
        check_read(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        let whole = self
            .store
            .body(&input.bucket, &version.id)
            .map_err(Failure::from)?;
        let range = input
            .range
            .map(|range| range.check(whole.len() as u64))
            .transpose();
        let range =
            range.map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))?;
        let content_range = range
            .as_ref()
            .map(|r| format!("bytes {}-{}/{}", r.start, r.end - 1, whole.len()));
        let checksum = input
            .checksum_mode
            .as_ref()
            .filter(|_| range.is_none())
            .and(object.sha256);
        let body = match range {
            Some(range) => whole.slice(range.start as usize..range.end as usize),
            None => whole,
        };
        let about = object.about;
        answer(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(body.len() as i64),
            content_range,
            body: Some(blob(body)),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(timestamp(version.modified)),
            version_id: Some(version.id),
            checksum_sha256: checksum,
            content_type: about.content_type,
            content_disposition: about.content_disposition,
            content_encoding: about.content_encoding,
            content_language: about.content_language,
            cache_control: about.cache_control,
            tag_count: i32::try_from(about.tags.len())
                .ok()
                .filter(|count| *count > 0),
            metadata: Some(about.metadata.into_iter().collect()),
            server_side_encryption: about.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: about.encryption_key,
            ..GetObjectOutput::default()
        })
    }

    /// Removes the version, or adds a delete marker. Returns the version's id, and whether it
    /// is a delete marker.
    pub(super) fn delete(
        &self,
        bucket: &str,
        key: &str,
        id: Option<&str>,
    ) -> S3Result<(Option<String>, bool)> {
        self.bucket(bucket, |_| Ok(()))?;
        let Some(id) = id else {
            let marker = self
                .store
                .add_version(bucket, key, None, |_| Ok::<_, Failure>(()))?;
            return Ok((Some(marker.id), true));
        };
        let removed = self
            .store
            .remove_version(bucket, key, id)
            .map_err(Failure::from)?;
        Ok((
            Some(id.to_owned()),
            removed.is_some_and(|version| version.object.is_none()),
        ))
    }

    pub(super) fn delete_all(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> Answer<DeleteObjectsOutput> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        let mut deleted = Vec::new();
        for object in delete.objects {
            let (id, marker) = self.delete(&bucket, &object.key, object.version_id.as_deref())?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                delete_marker: marker.then_some(true),
                delete_marker_version_id: id.filter(|_| marker),
                version_id: object.version_id,
            });
        }
        let quiet = delete.quiet == Some(true);
        answer(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            ..DeleteObjectsOutput::default()
        })
    }

    pub(super) fn set_tags<T>(
        &self,
        request: &S3Request<T>,
        (bucket, key, id): (&str, &str, Option<&str>),
        tags: BTreeMap<String, String>,
    ) -> S3Result<String> {
        let (version, _) = self.find(request, bucket, key, id)?;
        match self
            .store
            .set_tags(bucket, key, &version.id, tags)
            .map_err(Failure::from)?
        {
            true => Ok(version.id),
            false => Err(s3_error!(NoSuchKey)),
        }
    }
}

/// An error while storing.
pub(super) struct Failure(s3s::S3Error);

impl From<s3s::S3Error> for Failure {
    fn from(error: s3s::S3Error) -> Failure {
        Failure(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::NotFound => Failure(s3_error!(NoSuchKey)),
            _ => Failure(s3_error!(error, InternalError)),
        }
    }
}

impl From<Failure> for s3s::S3Error {
    fn from(failure: Failure) -> s3s::S3Error {
        failure.0
    }
}

fn check_read(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if if_match.is_some_and(|condition| !matches(condition, &object.etag)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(|condition| matches(condition, &object.etag)) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

pub(super) fn timestamp(at: Timestamp) -> s3s::dto::Timestamp {
    SystemTime::from(at).into()
}

fn blob(body: Bytes) -> StreamingBlob {
    s3s::Body::from(body).into()
}

/// The `x-amz-tagging` header: a query string.
pub(super) fn parse_tags(header: &str) -> S3Result<BTreeMap<String, String>> {
    let pairs = url::form_urlencoded::parse(header.as_bytes()).into_owned();
    check_tags(pairs.collect())
}

/// S3 allows ten tags with different keys.
pub(super) fn check_tags(pairs: Vec<(String, String)>) -> S3Result<BTreeMap<String, String>> {
    let count = pairs.len();
    let tags: BTreeMap<_, _> = pairs.into_iter().collect();
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256
    };
    match count <= 10 && tags.len() == count && tags.iter().all(fits) {
        true => Ok(tags),
        false => Err(s3_error!(InvalidTag)),
    }
}
