//! S3: the files of a life in every version, and presigned links to them. Knows keys and
//! bytes, not what a file means.

pub mod posture;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
    ServerSideEncryption, Tag, Tagging,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::aws::clients::{self, unavailable};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};

/// How long an upload link is valid.
pub const UPLOAD_SECONDS: i64 = 600;
/// How long an upload may take: S3 checks a link when the upload begins, and accepts the rest
/// after the link has expired.
const UPLOAD_TAKES: SignedDuration = SignedDuration::from_mins(10);
/// How long a download link is valid.
pub const DOWNLOAD_SECONDS: i64 = 60;
/// The tag that allows download links to an attachment: the bucket policy refuses all others.
pub const VERDICT_TAG: &str = "lethe-verdict";
pub const CLEAN: &str = "clean";

/// The bucket.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    bucket: String,
    key: String,
    clock: Clock,
}

/// An upload that a link allows. The link signs every field.
pub struct Upload<'a> {
    pub object: &'a str,
    pub size: u64,
    /// SHA-256 in base64, as S3 takes it.
    pub sha256: &'a str,
}

/// A link to send or fetch one object with, good for anybody who holds it.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "UploadLink")]
pub struct Link {
    pub method: String,
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// The headers to send, as signed.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub headers: serde_json::Map<String, serde_json::Value>,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(…)")
    }
}

/// One part of a multipart upload, as S3 accepted it.
pub type Part = CompletedPart;

/// The latest end of an upload by a link that expires at this time.
pub fn upload_ends(link: Timestamp) -> Timestamp {
    link + UPLOAD_TAKES
}

/// The latest end of an upload by a link that is issued now.
pub fn last_upload(now: Timestamp) -> Timestamp {
    upload_ends(now + SignedDuration::from_secs(UPLOAD_SECONDS))
}

/// One stored version of an object, or its delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub object: String,
    pub version: String,
}

impl Objects {
    pub fn new(client: Client, bucket: String, key: String, clock: Clock) -> Objects {
        Objects {
            client,
            bucket,
            key,
            clock,
        }
    }

    fn presigning(&self, seconds: i64, now: Timestamp) -> (PresigningConfig, Timestamp) {
        let config = PresigningConfig::builder()
            .start_time(now.into())
            .expires_in(Duration::from_secs(seconds.unsigned_abs()))
            .build()
            .expect("a link's life is within S3's week");
        (config, now + SignedDuration::from_secs(seconds))
    }

    /// A link for one upload: size, type, checksum and encryption are signed, and an existing
    /// object is not replaced. The type is the same for every object, because S3 stores it in
    /// plaintext. The announced type is personal data and is sealed in the file's row.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there are no credentials to sign with.
    pub async fn upload_link(&self, upload: Upload<'_>, now: Timestamp) -> Result<Link> {
        let (config, expires_at) = self.presigning(UPLOAD_SECONDS, now);
        let signed = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(upload.object)
            .content_type("application/octet-stream")
            .content_length(i64::try_from(upload.size).unwrap_or(i64::MAX))
            .checksum_sha256(upload.sha256)
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(&self.key)
            .if_none_match("*")
            .presigned(config)
            .await
            .map_err(|cause| unavailable("PutObject", &cause))?;
        Ok(link(&signed, expires_at))
    }

    /// A link to download one version of an object.
    ///
    /// # Errors
    /// As [`Objects::upload_link`].
    pub async fn download_link(&self, object: &str, version: &str) -> Result<Link> {
        let (config, expires_at) = self.presigning(DOWNLOAD_SECONDS, self.clock.now());
        let signed = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(object)
            .version_id(version)
            // Never inline: an uploaded file must not run in a browser.
            .response_content_disposition("attachment")
            .presigned(config)
            .await
            .map_err(|cause| unavailable("GetObject", &cause))?;
        Ok(link(&signed, expires_at))
    }

    /// One version of an object, its body as a stream. `None` when it does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as everywhere below.
    pub async fn open(&self, object: &str, version: &str) -> Result<Option<GetObjectOutput>> {
        let call = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(object)
            .version_id(version);
        match call.send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(cause) if matches!(cause.code(), Some("NoSuchKey" | "NoSuchVersion")) => Ok(None),
            Err(cause) => Err(unavailable("GetObject", &cause)),
        }
    }

    /// Writes a small object in one call, encrypted under the service's key. Returns its
    /// version.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn put(&self, object: &str, content_type: &str, body: Vec<u8>) -> Result<String> {
        let patience = clients::sending(body.len());
        let answer = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(object)
            .content_type(content_type)
            .checksum_sha256(checksum(&body))
            .body(ByteStream::from(body))
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(&self.key)
            .customize()
            .config_override(patience)
            .send()
            .await
            .map_err(|cause| unavailable("PutObject", &cause))?;
        answer
            .version_id
            .ok_or_else(|| Error::Unavailable("PutObject: no version".into()))
    }

    /// Tags one version with the verdict.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn tag(&self, object: &str, version: &str, verdict: &str) -> Result<()> {
        let tag = Tag::builder()
            .key(VERDICT_TAG)
            .value(verdict)
            .build()
            .expect("both are set");
        let tagging = Tagging::builder()
            .tag_set(tag)
            .build()
            .expect("the set is given");
        self.client
            .put_object_tagging()
            .bucket(&self.bucket)
            .key(object)
            .version_id(version)
            .tagging(tagging)
            .send()
            .await
            .map_err(|cause| unavailable("PutObjectTagging", &cause))?;
        Ok(())
    }

    /// Reads a small object in one call. `None` when it does not exist.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn read(&self, object: &str) -> Result<Option<Vec<u8>>> {
        let call = self.client.get_object().bucket(&self.bucket).key(object);
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(cause) if cause.code() == Some("NoSuchKey") => return Ok(None),
            Err(cause) => return Err(unavailable("GetObject", &cause)),
        };
        let body = answer.body.collect().await;
        let body = body.map_err(|_| Error::Unavailable("GetObject: the body broke off".into()))?;
        Ok(Some(body.to_vec()))
    }

    /// The keys of up to 1,000 objects under a prefix, after this key, in order.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .send()
            .await
            .map_err(|cause| unavailable("ListObjectsV2", &cause))?;
        let objects = answer.contents.unwrap_or_default();
        Ok(objects.into_iter().filter_map(|it| it.key).collect())
    }

    /// Up to 1,000 versions and delete markers under a prefix.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn versions(&self, prefix: &str) -> Result<Vec<Version>> {
        let answer = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(prefix)
            .send()
            .await
            .map_err(|cause| unavailable("ListObjectVersions", &cause))?;
        let version = |object: Option<String>, version: Option<String>| {
            Some(Version {
                object: object?,
                version: version?,
            })
        };
        let bodies = answer
            .versions
            .unwrap_or_default()
            .into_iter()
            .map(|it| version(it.key, it.version_id));
        let markers = answer
            .delete_markers
            .unwrap_or_default()
            .into_iter()
            .map(|it| version(it.key, it.version_id));
        Ok(bodies.chain(markers).flatten().collect())
    }

    /// The number of versions and delete markers under a prefix.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn count_versions(&self, prefix: &str) -> Result<u64> {
        let (mut count, mut key, mut version) = (0, None, None);
        loop {
            let answer = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_key_marker(key)
                .set_version_id_marker(version)
                .send()
                .await
                .map_err(|cause| unavailable("ListObjectVersions", &cause))?;
            count += answer.versions().len() + answer.delete_markers().len();
            (key, version) = (answer.next_key_marker, answer.next_version_id_marker);
            if key.is_none() {
                return Ok(count as u64);
            }
        }
    }

    /// Permanently deletes up to 1,000 versions.
    ///
    /// # Errors
    /// As [`Objects::open`]; also when S3 reports a version that it did not delete.
    pub async fn delete(&self, versions: &[Version]) -> Result<()> {
        if versions.is_empty() {
            return Ok(());
        }
        let identifier = |it: &Version| {
            let built = ObjectIdentifier::builder()
                .key(&it.object)
                .version_id(&it.version)
                .build();
            built.expect("the key is set")
        };
        let delete = Delete::builder()
            .set_objects(Some(versions.iter().map(identifier).collect()))
            .quiet(true)
            .build()
            .expect("the objects are set");
        let answer = self
            .client
            .delete_objects()
            .bucket(&self.bucket)
            .delete(delete)
            .customize()
            .config_override(clients::deleting(versions.len()))
            .send()
            .await
            .map_err(|cause| unavailable("DeleteObjects", &cause))?;
        match answer.errors.unwrap_or_default().first() {
            None => Ok(()),
            Some(error) => Err(Error::Unavailable(format!(
                "DeleteObjects: {}",
                error.code().unwrap_or("a version stayed")
            ))),
        }
    }

    /// Deletes every version under a prefix. Returns how many there were.
    ///
    /// # Errors
    /// As [`Objects::delete`].
    pub async fn delete_all_versions(&self, prefix: &str) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let versions = self.versions(prefix).await?;
            if versions.is_empty() {
                return Ok(deleted);
            }
            self.delete(&versions).await?;
            deleted += versions.len() as u64;
        }
    }

    /// Aborts the unfinished multipart uploads under a prefix. Returns how many there were.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn abort_uploads(&self, prefix: &str) -> Result<u64> {
        let mut aborted = 0;
        loop {
            let answer = self
                .client
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(prefix)
                .send()
                .await
                .map_err(|cause| unavailable("ListMultipartUploads", &cause))?;
            let uploads = answer.uploads.unwrap_or_default();
            if uploads.is_empty() {
                return Ok(aborted);
            }
            for upload in uploads {
                let (Some(object), Some(id)) = (upload.key, upload.upload_id) else {
                    continue;
                };
                self.abort(&object, &id).await?;
                aborted += 1;
            }
        }
    }

    /// Starts a multipart upload, encrypted under the service's key. Returns its id. Every
    /// part must carry the checksum that is chosen here.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn begin_upload(&self, object: &str, content_type: &str) -> Result<String> {
        let answer = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(object)
            .content_type(content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(&self.key)
            .send()
            .await
            .map_err(|cause| unavailable("CreateMultipartUpload", &cause))?;
        answer
            .upload_id
            .ok_or_else(|| Error::Unavailable("CreateMultipartUpload: no id".into()))
    }

    /// Uploads one part: at least 5 MiB, except for the last.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn upload_part(
        &self,
        object: &str,
        upload: &str,
        number: i32,
        body: Vec<u8>,
    ) -> Result<CompletedPart> {
        let (patience, checksum) = (clients::sending(body.len()), checksum(&body));
        let answer = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(object)
            .upload_id(upload)
            .part_number(number)
            .checksum_sha256(&checksum)
            .body(ByteStream::from(body))
            .customize()
            .config_override(patience)
            .send()
            .await
            .map_err(|cause| unavailable("UploadPart", &cause))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .checksum_sha256(checksum)
            .build())
    }

    /// Completes a multipart upload. Returns the new object's version.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn finish_upload(
        &self,
        object: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<String> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(object)
            .upload_id(upload)
            .multipart_upload(parts);
        let patience = clients::completing();
        let version = match call.customize().config_override(patience).send().await {
            Ok(answer) => answer.version_id,
            // An earlier attempt completed it and its response was lost: the newest version is
            // the result.
            Err(cause) if cause.code() == Some("NoSuchUpload") => {
                let versions = self.versions(object).await?;
                let newest = versions.into_iter().find(|it| it.object == object);
                newest.map(|it| it.version)
            }
            Err(cause) => return Err(unavailable("CompleteMultipartUpload", &cause)),
        };
        version.ok_or_else(|| Error::Unavailable("CompleteMultipartUpload: no version".into()))
    }

    /// Aborts an unfinished multipart upload, if it still exists.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn abort(&self, object: &str, upload: &str) -> Result<()> {
        let call = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(object);
        match call.upload_id(upload).send().await {
            Ok(_) => Ok(()),
            Err(cause) if cause.code() == Some("NoSuchUpload") => Ok(()),
            Err(cause) => Err(unavailable("AbortMultipartUpload", &cause)),
        }
    }
}

/// SHA-256 in base64, as S3 expects it.
fn checksum(body: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, body))
}

fn link(signed: &PresignedRequest, expires_at: Timestamp) -> Link {
    let headers = signed
        .headers()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Link {
        method: signed.method().to_owned(),
        url: signed.uri().to_owned(),
        headers,
        expires_at,
    }
}
