//! Lifecycle rules. S3 applies them once a day, the engine when the caller requests it. Rules
//! from requests are kept in memory only.

use std::io;

use jiff::{SignedDuration, Timestamp};
use s3s::{S3Result, dto, s3_error};

use super::S3;
use super::store::{Bucket, Store, Version};

/// A rule of the lifecycle configuration. Ages are in days; `None` disables an action.
#[derive(Clone, Debug, Default)]
pub struct LifecycleRule {
    /// The key prefix that it applies to; empty is every key.
    pub prefix: String,
    /// Puts a delete marker on a current version of this age, and removes a delete marker
    /// that is its key's only version.
    pub expiration_days: Option<u32>,
    /// Removes a version this long after it became noncurrent.
    pub noncurrent_days: Option<u32>,
    /// Aborts an incomplete upload of this age.
    pub abort_upload_days: Option<u32>,
}

impl S3 {
    /// Applies every bucket's rules at the clock's time. Returns how many versions and
    /// uploads were removed or marked.
    pub fn apply_lifecycle(&self) -> io::Result<usize> {
        let mut changed = 0;
        for (bucket, rules) in self.store.lifecycles() {
            for rule in rules {
                let due = self
                    .store
                    .read(&bucket, |held| due(held, &rule, self.clock.now()))
                    .unwrap_or_default();
                changed += due.len();
                due.into_iter()
                    .try_for_each(|due| due.carry_out(&self.store, &bucket))?;
            }
        }
        Ok(changed)
    }
}

/// The rule as S3 returns it.
pub(super) fn to_dto(rule: &LifecycleRule) -> dto::LifecycleRule {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    dto::LifecycleRule {
        abort_incomplete_multipart_upload: rule.abort_upload_days.map(|_| {
            dto::AbortIncompleteMultipartUpload {
                days_after_initiation: days(rule.abort_upload_days),
            }
        }),
        expiration: rule.expiration_days.map(|_| dto::LifecycleExpiration {
            days: days(rule.expiration_days),
            ..dto::LifecycleExpiration::default()
        }),
        filter: Some(dto::LifecycleRuleFilter {
            prefix: Some(rule.prefix.clone()),
            ..dto::LifecycleRuleFilter::default()
        }),
        id: None,
        noncurrent_version_expiration: rule.noncurrent_days.map(|_| {
            dto::NoncurrentVersionExpiration {
                noncurrent_days: days(rule.noncurrent_days),
                newer_noncurrent_versions: None,
            }
        }),
        noncurrent_version_transitions: None,
        prefix: None,
        status: dto::ExpirationStatus::from_static(dto::ExpirationStatus::ENABLED),
        transitions: None,
    }
}

/// Reads a rule, and refuses one with anything that a [`LifecycleRule`] lacks.
pub(super) fn from_dto(rule: dto::LifecycleRule) -> S3Result<LifecycleRule> {
    let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
    let read = LifecycleRule {
        prefix: rule
            .filter
            .as_ref()
            .and_then(|filter| filter.prefix.clone())
            .unwrap_or_default(),
        expiration_days: days(rule.expiration.as_ref().and_then(|it| it.days)),
        noncurrent_days: days(
            rule.noncurrent_version_expiration
                .as_ref()
                .and_then(|it| it.noncurrent_days),
        ),
        abort_upload_days: days(
            rule.abort_incomplete_multipart_upload
                .as_ref()
                .and_then(|it| it.days_after_initiation),
        ),
    };
    let plain = dto::LifecycleRule { id: None, ..rule };
    match plain == to_dto(&read) {
        true => Ok(read),
        false => Err(s3_error!(NotImplemented)),
    }
}

/// An action that a rule demands now.
enum Due {
    Mark { key: String, current: String },
    Remove { key: String, id: String },
    Abort { key: String, id: String },
}

impl Due {
    fn carry_out(self, store: &Store, bucket: &str) -> io::Result<()> {
        match self {
            // An object that was put meanwhile stays the current version.
            Due::Mark { key, current } => {
                let unchanged = |latest: Option<&Version>| match latest
                    .is_some_and(|latest| latest.id == current)
                {
                    true => Ok(()),
                    false => Err(io::Error::from(io::ErrorKind::ResourceBusy)),
                };
                match store.add_version(bucket, &key, None, unchanged) {
                    Err(e) if e.kind() != io::ErrorKind::ResourceBusy => Err(e),
                    _ => Ok(()),
                }
            }
            Due::Remove { key, id } => store.remove_version(bucket, &key, &id).map(drop),
            Due::Abort { key, id } => store.remove_upload(bucket, &key, &id).map(drop),
        }
    }
}

fn due(bucket: &Bucket, rule: &LifecycleRule, now: Timestamp) -> Vec<Due> {
    let old = |since: Timestamp, days: Option<u32>| {
        days.is_some_and(|days| {
            now.duration_since(since) >= SignedDuration::from_hours(24 * i64::from(days))
        })
    };
    let mut due = Vec::new();
    for (key, versions) in bucket
        .keys
        .iter()
        .filter(|(key, _)| key.starts_with(&rule.prefix))
    {
        let (key, remove) = (key.clone(), |id: &str| Due::Remove {
            key: key.clone(),
            id: id.to_owned(),
        });
        let replaced = versions
            .windows(2)
            .filter(|pair| old(pair[1].modified, rule.noncurrent_days));
        due.extend(replaced.map(|pair| remove(&pair[0].id)));
        let Some(latest) = versions
            .last()
            .filter(|latest| old(latest.modified, rule.expiration_days))
        else {
            continue;
        };
        match (&latest.object, versions.len()) {
            (Some(_), _) => due.push(Due::Mark {
                key: key.clone(),
                current: latest.id.clone(),
            }),
            (None, 1) => due.push(remove(&latest.id)),
            (None, _) => {}
        }
    }
    let uploads = bucket
        .uploads
        .values()
        .filter(|upload| upload.key.starts_with(&rule.prefix));
    let stale = uploads.filter(|upload| old(upload.begun, rule.abort_upload_days));
    due.extend(stale.map(|upload| Due::Abort {
        key: upload.key.clone(),
        id: upload.id.clone(),
    }));
    due
}
