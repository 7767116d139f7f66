//! Lifecycle rules.

use aws_sdk_s3::Error;
use aws_sdk_s3::types::builders::LifecycleRuleBuilder;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration,
};
use jiff::SignedDuration;

use super::{Setup, start};
use crate::code;

fn rule(prefix: &str) -> LifecycleRuleBuilder {
    LifecycleRule::builder()
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
}

fn noncurrent(days: i32) -> NoncurrentVersionExpiration {
    NoncurrentVersionExpiration::builder()
        .noncurrent_days(days)
        .build()
}

impl Setup {
    async fn put_lifecycle(&self, rules: &[LifecycleRule]) -> Result<(), Error> {
        let rules = BucketLifecycleConfiguration::builder().set_rules(Some(rules.to_vec()));
        self.client
            .put_bucket_lifecycle_configuration()
            .bucket("plain")
            .lifecycle_configuration(rules.build().unwrap())
            .send()
            .await?;
        Ok(())
    }

    async fn lifecycle(&self) -> Result<Vec<LifecycleRule>, Error> {
        let asked = self
            .client
            .get_bucket_lifecycle_configuration()
            .bucket("plain");
        Ok(asked.send().await?.rules.unwrap_or_default())
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_honoured_is_refused() {
    let s3 = start().await;
    let none = s3.lifecycle().await;
    assert_eq!(code(none), "NoSuchLifecycleConfiguration");
    let kept = NoncurrentVersionExpiration::builder()
        .noncurrent_days(30)
        .newer_noncurrent_versions(3);
    let rule = rule("").noncurrent_version_expiration(kept.build());
    let refused = s3.put_lifecycle(&[rule.build().unwrap()]).await;
    assert_eq!(code(refused), "NotImplemented");
    let versioning = s3.client.get_bucket_versioning().bucket("plain");
    assert_eq!(
        versioning.send().await.unwrap().status,
        Some(BucketVersioningStatus::Enabled)
    );
}

#[tokio::test]
async fn what_is_old_goes_by_the_rules() {
    let s3 = start().await;
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let versions = rule("")
        .noncurrent_version_expiration(noncurrent(30))
        .abort_incomplete_multipart_upload(
            AbortIncompleteMultipartUpload::builder()
                .days_after_initiation(1)
                .build(),
        );
    let exports = rule("exports/")
        .expiration(LifecycleExpiration::builder().days(1).build())
        .noncurrent_version_expiration(noncurrent(1));
    let rules = [versions.build().unwrap(), exports.build().unwrap()];
    s3.put_lifecycle(&rules).await.unwrap();
    assert_eq!(s3.lifecycle().await.unwrap(), rules);
    let apply = || s3.engine.apply_lifecycle().unwrap();
    s3.put("incoming/x", b"first").await;
    s3.time.advance(days(40));
    s3.put("incoming/x", b"second").await;
    s3.put("exports/x", b"zip").await;
    s3.client
        .create_multipart_upload()
        .bucket("plain")
        .key("incoming/y")
        .send()
        .await
        .unwrap();
    assert_eq!(apply(), 0);
    s3.time.advance(days(1));
    // The upload goes and the export is marked; a day later it goes, then its marker.
    assert_eq!([apply(), apply()], [2, 0]);
    s3.time.advance(days(1));
    assert_eq!([apply(), apply(), apply()], [1, 1, 0]);
    s3.time.advance(days(28));
    assert_eq!(apply(), 1);
    let left = s3.engine.everything();
    assert_eq!(
        left.iter().map(|held| &*held.body).collect::<Vec<_>>(),
        [b"second"]
    );
}
