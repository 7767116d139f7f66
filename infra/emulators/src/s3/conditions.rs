//! Conditional requests (RFC 9110), and the bucket policy of a
//! [`BucketSpec`](super::BucketSpec).

use s3s::dto::{ETag, ETagCondition, SSEKMSKeyId, ServerSideEncryption};
use s3s::{S3Result, s3_error};

use super::store::{About, Bucket, Version};

/// Marks a request that came through a presigned URL.
#[derive(Clone, Copy)]
pub(super) struct Presigned;

/// Whether a key whose latest version is `latest` may be written.
pub(super) fn check_write(
    latest: Option<&Version>,
    if_none_match: Option<&ETagCondition>,
    if_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let current = latest.and_then(|version| version.object.as_ref());
    let precondition = || {
        s3_error!(
            PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold"
        )
    };
    if let Some(condition) = if_none_match
        && current.is_some_and(|object| matches(condition, &object.etag))
    {
        return Err(precondition());
    }
    match (if_match, current) {
        (Some(_), None) => Err(s3_error!(NoSuchKey)),
        (Some(condition), Some(object)) if !matches(condition, &object.etag) => Err(precondition()),
        _ => Ok(()),
    }
}

pub(super) fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => *wanted == ETag::Strong(etag.to_owned()),
    }
}

/// Sets the encryption of an object, or refuses the requested one.
pub(super) fn encrypt(
    bucket: &Bucket,
    algorithm: Option<&ServerSideEncryption>,
    key: Option<&SSEKMSKeyId>,
    about: &mut About,
) -> S3Result<()> {
    let spec = &bucket.spec;
    let own_key = spec.encryption_key.as_deref();
    let by_kms =
        algorithm.is_some_and(|algorithm| algorithm.as_str() == ServerSideEncryption::AWS_KMS);
    let by_own_key = key
        .zip(own_key)
        .is_some_and(|(key, own)| key_id(key) == key_id(own));
    let named = algorithm.is_some() || key.is_some();
    if spec.own_key_only && named && !(by_kms && by_own_key) {
        return Err(s3_error!(AccessDenied, "Access Denied"));
    }
    about.encryption = match algorithm {
        Some(algorithm) => Some(algorithm.as_str().to_owned()),
        None => own_key.map(|_| ServerSideEncryption::AWS_KMS.to_owned()),
    };
    if about.encryption.as_deref() == Some(ServerSideEncryption::AWS_KMS) {
        about.encryption_key = key.cloned().or(own_key.map(str::to_owned));
    }
    Ok(())
}

/// The id of a key, from an id or an ARN.
fn key_id(name: &str) -> &str {
    name.rsplit("key/").next().unwrap_or(name)
}

/// Whether a presigned URL may read this version.
pub(super) fn check_presigned_read(bucket: &Bucket, version: &Version) -> S3Result<()> {
    let Some(gate) = bucket
        .spec
        .presigned_read_tag
        .as_ref()
        .filter(|gate| version.key.starts_with(&gate.prefix))
    else {
        return Ok(());
    };
    let tags = version.object.as_ref().map(|object| &object.about.tags);
    match tags.and_then(|tags| tags.get(&gate.key)) == Some(&gate.value) {
        true => Ok(()),
        false => Err(s3_error!(AccessDenied, "Access Denied")),
    }
}
