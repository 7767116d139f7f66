//! The bucket's current settings, as S3 reports them: a setting can have changed since the
//! template was deployed.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{BucketVersioningStatus, ExpirationStatus, LifecycleRule};

use crate::aws::clients::unavailable;
use crate::aws::s3::Objects;
use crate::base::error::Result;

/// The maximum age of objects under a prefix, in days; `None` means unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ages {
    /// Empty for all objects.
    pub prefix: String,
    /// A current version, until it is deleted.
    pub current: Option<i32>,
    /// A noncurrent version.
    pub older: Option<i32>,
    /// An incomplete multipart upload.
    pub unfinished: Option<i32>,
}

impl Ages {
    /// The ages that a lifecycle rule enforces for everything under its prefix. `None` for a
    /// rule that is disabled or filters by more than a prefix.
    fn read(rule: &LifecycleRule) -> Option<Ages> {
        let filter = rule.filter();
        let by_prefix = filter.is_none_or(|filter| {
            filter.tag.is_none()
                && filter.and.is_none()
                && filter.object_size_greater_than.is_none()
                && filter.object_size_less_than.is_none()
        });
        if !by_prefix || rule.status != ExpirationStatus::Enabled {
            return None;
        }
        #[expect(deprecated, reason = "CloudFormation still sets it for `Prefix`")]
        let prefix = filter.map_or_else(|| rule.prefix(), |filter| filter.prefix());
        let older = rule.noncurrent_version_expiration();
        let unfinished = rule.abort_incomplete_multipart_upload();
        Some(Ages {
            prefix: prefix.unwrap_or_default().to_owned(),
            current: rule.expiration().and_then(|it| it.days),
            // Such a rule keeps some versions regardless of age.
            older: older
                .filter(|it| it.newer_noncurrent_versions.is_none())
                .and_then(|it| it.noncurrent_days),
            unfinished: unfinished.and_then(|it| it.days_after_initiation),
        })
    }
}

impl Objects {
    /// Whether replaced or deleted objects remain as older versions.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when S3 does not answer.
    pub async fn versioning(&self) -> Result<bool> {
        let asked = self.client.get_bucket_versioning().bucket(&self.bucket);
        let told = asked
            .send()
            .await
            .map_err(|cause| unavailable("GetBucketVersioning", &cause))?;
        Ok(told.status == Some(BucketVersioningStatus::Enabled))
    }

    /// The lifecycle rules in force.
    ///
    /// # Errors
    /// As [`Objects::versioning`].
    pub async fn live_ages(&self) -> Result<Vec<Ages>> {
        let asked = self
            .client
            .get_bucket_lifecycle_configuration()
            .bucket(&self.bucket);
        match asked.send().await {
            Ok(told) => Ok(told.rules().iter().filter_map(Ages::read).collect()),
            Err(cause) if cause.code() == Some("NoSuchLifecycleConfiguration") => Ok(Vec::new()),
            Err(cause) => Err(unavailable("GetBucketLifecycleConfiguration", &cause)),
        }
    }
}
