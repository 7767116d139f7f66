//! A bucket of the template: its properties, and what its policy refuses.
//!
//! Owns the few policy statements that the local S3 supports. Any other is an error: what AWS
//! would refuse must not work here.

use emulators::s3::{BucketSpec, LifecycleRule, RequiredTag};

use super::Node;
use super::tree::TemplateError;

const ENCRYPTION: &str = "s3:x-amz-server-side-encryption";
const ENCRYPTION_KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const TAG: &str = "s3:ExistingObjectTag/";
/// Loopback has no TLS.
const TLS: &str = "aws:SecureTransport";

pub fn read(node: &Node<'_>) -> Result<BucketSpec, TemplateError> {
    if node.at("VersioningConfiguration.Status")?.text()? != "Enabled" {
        return Err(node.error("the local run knows only buckets with versions"));
    }
    let mut encryption_key = None;
    if let Some(encryption) = node.find("BucketEncryption") {
        for rule in encryption
            .get("ServerSideEncryptionConfiguration")?
            .items()?
        {
            encryption_key = Some(
                rule.at("ServerSideEncryptionByDefault.KMSMasterKeyID")?
                    .text()?,
            );
        }
    }
    let mut allowed_origins = Vec::new();
    if let Some(cors) = node.find("CorsConfiguration") {
        for rule in cors.get("CorsRules")?.items()? {
            allowed_origins.extend(rule.get("AllowedOrigins")?.texts()?);
        }
    }
    Ok(BucketSpec {
        name: node.get("BucketName")?.text()?,
        encryption_key,
        own_key_only: false,
        presigned_read_tag: None,
        allowed_origins,
        notify_prefix: None,
        lifecycle: lifecycle(node)?,
    })
}

/// The lifecycle rules of the bucket.
fn lifecycle(node: &Node<'_>) -> Result<Vec<LifecycleRule>, TemplateError> {
    let mut rules = Vec::new();
    if let Some(lifecycle) = node.find("LifecycleConfiguration") {
        for item in lifecycle.get("Rules")?.items()? {
            let mut rule = LifecycleRule::default();
            for (name, value) in item.entries()? {
                match name {
                    "Id" => {}
                    "Status" if value.text()? == "Enabled" => {}
                    "Prefix" => rule.prefix = value.text()?,
                    "ExpirationInDays" => rule.expiration_days = Some(days(&value)?),
                    "NoncurrentVersionExpiration" => {
                        rule.noncurrent_days = Some(days(&value.get("NoncurrentDays")?)?);
                    }
                    "AbortIncompleteMultipartUpload" => {
                        rule.abort_upload_days = Some(days(&value.get("DaysAfterInitiation")?)?);
                    }
                    _ => return Err(value.error("the local run cannot honour this in a rule")),
                }
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

fn days(node: &Node<'_>) -> Result<u32, TemplateError> {
    u32::try_from(node.number()?).map_err(|_| node.error("is too many days"))
}

/// Adds the refusals of a policy to its bucket.
pub fn read_policy(node: &Node<'_>, buckets: &mut [BucketSpec]) -> Result<(), TemplateError> {
    let name = node.get("Bucket")?.text()?;
    let bucket = buckets.iter_mut().find(|bucket| bucket.name == name);
    let bucket = bucket.ok_or_else(|| node.error("belongs to no bucket of this template"))?;
    for statement in node.at("PolicyDocument.Statement")?.items()? {
        if statement.get("Effect")?.text()? != "Deny" {
            return Err(statement.error("the local run knows only statements that deny"));
        }
        for (operator, conditions) in statement.get("Condition")?.entries()? {
            for (name, value) in conditions.entries()? {
                match name {
                    // It also refuses requests without the header, and parts of an upload have
                    // none.
                    ENCRYPTION | ENCRYPTION_KEY if operator == "StringNotEquals" => {
                        return Err(value.error("would refuse the parts of every upload"));
                    }
                    TLS | ENCRYPTION_KEY | "s3:authType" => {}
                    ENCRYPTION => bucket.own_key_only = true,
                    _ => {
                        let key = name.strip_prefix(TAG);
                        let key = key.ok_or_else(|| {
                            value.error("the local run cannot honour this condition")
                        })?;
                        let resource = statement.get("Resource")?;
                        let tag = RequiredTag {
                            prefix: prefix(&resource.text()?, &bucket.name).ok_or_else(|| {
                                resource.error("must be one prefix of the bucket")
                            })?,
                            key: key.to_owned(),
                            value: value.text()?,
                        };
                        bucket.presigned_read_tag = Some(tag);
                    }
                }
            }
        }
    }
    Ok(())
}

/// `arn:aws:s3:::bucket/attachments/*` → `attachments/`
fn prefix(resource: &str, bucket: &str) -> Option<String> {
    let rest = resource
        .strip_prefix("arn:aws:s3:::")?
        .strip_prefix(bucket)?;
    Some(rest.strip_prefix('/')?.strip_suffix('*')?.to_owned())
}
