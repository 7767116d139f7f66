//! Multipart uploads: begun, filled part by part, made an object or given up.

use aws_lc_rs::digest::{SHA256, digest};
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::body::{hex, receive};
use super::conditions::{check_write, encrypt};
use super::service::{Failure, Service, parse_tags};
use super::store::{About, Object, Part, Upload, Version};

/// S3's limits: the highest part number, and the least size of any part but the last.
const MAX_PARTS: i32 = 10_000;
const MIN_PART: usize = 5 * 1024 * 1024;

impl Service {
    pub(super) fn begin_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
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
        let upload = self
            .store
            .begin_upload(&input.bucket, &input.key, about)
            .map_err(Failure::from)?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload.id),
            server_side_encryption: upload.about.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: upload.about.encryption_key,
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn add_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let body = request.input.body.take();
        let received = receive(&request, body).await?;
        let UploadPartInput {
            bucket,
            key,
            upload_id,
            part_number,
            checksum_sha256,
            ..
        } = request.input;
        if !(1..=MAX_PARTS).contains(&part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        let etag = received.etag();
        let id = (&*key, &*upload_id);
        match self
            .store
            .add_part(&bucket, id, part_number, etag.clone(), received.bytes)
            .map_err(Failure::from)?
        {
            true => Ok(UploadPartOutput {
                e_tag: Some(ETag::Strong(etag)),
                checksum_sha256: checksum_sha256.map(|_| received.sha256),
                ..UploadPartOutput::default()
            }),
            false => Err(s3_error!(NoSuchUpload)),
        }
    }

    pub(super) fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let CompleteMultipartUploadInput {
            bucket,
            key,
            upload_id,
            multipart_upload,
            ..
        } = input;
        let at = (key.clone(), upload_id.clone());
        let upload = self.bucket(&bucket, |held| {
            held.uploads
                .get(&at)
                .cloned()
                .ok_or_else(|| s3_error!(NoSuchUpload))
        })?;
        let listed = multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let parts = chosen(&upload, &listed)?;
        let bodies = parts
            .iter()
            .map(|part| self.store.body(&bucket, &part.body));
        let body = bodies
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::from)?
            .concat();
        let etags: String = parts.iter().map(|part| part.etag.as_str()).collect();
        let etag = format!(
            "{}-{}",
            hex(&digest(&SHA256, etags.as_bytes()).as_ref()[..16]),
            parts.len()
        );
        let object = Object {
            size: body.len(),
            etag,
            sha256: None,
            about: upload.about,
        };
        let allowed = |latest: Option<&Version>| {
            check_write(
                latest,
                input.if_none_match.as_ref(),
                input.if_match.as_ref(),
            )
            .map_err(Failure::from)
        };
        let version =
            self.store
                .add_version(&bucket, &key, Some((object.clone(), body.into())), allowed)?;
        self.store
            .remove_upload(&bucket, &key, &upload_id)
            .map_err(Failure::from)?;
        self.announce(&bucket, &version, "CompleteMultipartUpload");
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(ETag::Strong(object.etag)),
            version_id: Some(version.id),
            server_side_encryption: object.about.encryption.map(ServerSideEncryption::from),
            ssekms_key_id: object.about.encryption_key,
            ..CompleteMultipartUploadOutput::default()
        })
    }
}

/// The parts that the caller lists, in order and as they were uploaded.
fn chosen<'a>(upload: &'a Upload, listed: &[CompletedPart]) -> S3Result<Vec<&'a Part>> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    if !listed.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let find = |part: &CompletedPart| {
        let held = upload.parts.get(&part.part_number?)?;
        part.e_tag
            .as_ref()
            .is_some_and(|etag| etag.value() == held.etag)
            .then_some(held)
    };
    let parts: Option<Vec<_>> = listed.iter().map(find).collect();
    let parts = parts.ok_or_else(|| s3_error!(InvalidPart))?;
    match parts[..parts.len() - 1]
        .iter()
        .all(|part| part.size >= MIN_PART)
    {
        true => Ok(parts),
        false => Err(s3_error!(EntityTooSmall)),
    }
}
