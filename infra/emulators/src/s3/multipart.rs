//! Multipart uploads.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::body::{hex, receive};
use super::conditions::{check_write, encrypt};
use super::service::{Failure, Service, parse_tags};
use super::store::{About, Object, Part, Upload, Version};

/// S3's limits: the highest part number, and the smallest part except for the last.
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
            checksum: input.checksum_algorithm.map(|it| it.as_str().to_owned()),
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
            checksum_algorithm: upload.about.checksum.map(ChecksumAlgorithm::from),
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
            ..
        } = request.input;
        if !(1..=MAX_PARTS).contains(&part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        let at = (key.clone(), upload_id.clone());
        let agreed = self.bucket(&bucket, |held| {
            let upload = held.uploads.get(&at);
            let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
            Ok(upload.about.checksum.clone())
        })?;
        let checksum = agreed_checksum(agreed.as_deref(), &received.checksums)?;
        let etag = received.etag();
        let id = (&*key, &*upload_id);
        match self
            .store
            .add_part(
                &bucket,
                id,
                part_number,
                (etag.clone(), checksum.clone()),
                received.bytes,
            )
            .map_err(Failure::from)?
        {
            true => {
                let by = |algorithm| {
                    checksum
                        .clone()
                        .filter(|_| agreed.as_deref() == Some(algorithm))
                };
                Ok(UploadPartOutput {
                    e_tag: Some(ETag::Strong(etag)),
                    checksum_crc32: by("CRC32"),
                    checksum_crc32c: by("CRC32C"),
                    checksum_crc64nvme: by("CRC64NVME"),
                    checksum_sha1: by("SHA1"),
                    checksum_sha256: by("SHA256"),
                    ..UploadPartOutput::default()
                })
            }
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

/// The checksum of a part by the algorithm of its upload; without it the part is refused.
fn agreed_checksum(
    agreed: Option<&str>,
    came: &BTreeMap<&'static str, String>,
) -> S3Result<Option<String>> {
    let checksum = agreed.and_then(|agreed| came.get(agreed)).cloned();
    // If the upload names no algorithm, S3 computes a checksum of the whole object.
    let fits = match agreed {
        Some(_) => checksum.is_some(),
        None => came.keys().all(|name| *name == "CRC64NVME"),
    };
    if fits {
        return Ok(checksum);
    }
    Err(s3_error!(
        InvalidRequest,
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        agreed.unwrap_or("null").to_lowercase(),
        came.keys().next().unwrap_or(&"null").to_lowercase()
    ))
}

/// The checksum that the request lists for a part.
fn told_checksum<'a>(part: &'a CompletedPart, algorithm: &str) -> Option<&'a String> {
    match algorithm {
        "CRC32" => part.checksum_crc32.as_ref(),
        "CRC32C" => part.checksum_crc32c.as_ref(),
        "SHA1" => part.checksum_sha1.as_ref(),
        "SHA256" => part.checksum_sha256.as_ref(),
        _ => part.checksum_crc64nvme.as_ref(),
    }
}

/// The stored parts that the request lists, if order, ETags, checksums and sizes are right.
fn chosen<'a>(upload: &'a Upload, listed: &[CompletedPart]) -> S3Result<Vec<&'a Part>> {
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    if !listed.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(InvalidPartOrder));
    }
    // With a checksum of the whole object, S3 needs none for each part.
    let algorithm = upload.about.checksum.as_deref();
    let algorithm = algorithm.filter(|it| *it != "CRC64NVME");
    for part in listed {
        if algorithm.is_some_and(|it| told_checksum(part, it).is_none()) {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created using a {} checksum. The complete request must include the \
                 checksum for each part. It was missing for part {} in the request.",
                algorithm.unwrap_or_default().to_lowercase(),
                part.part_number.unwrap_or_default()
            ));
        }
    }
    let find = |part: &CompletedPart| {
        let held = upload.parts.get(&part.part_number?)?;
        let same = part.e_tag.as_ref()?.value() == held.etag
            && algorithm.is_none_or(|it| told_checksum(part, it) == held.checksum.as_ref());
        same.then_some(held)
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
