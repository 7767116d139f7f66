//! The operations, as `s3s` calls them. The others return `NotImplemented`.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Result, s3_error};

use super::service::{Answer, Failure, Service, answer, check_tags};
use super::{lifecycle, list};

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        self.put(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        self.get(request)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        self.head(request)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> Answer<DeleteObjectOutput> {
        let DeleteObjectInput {
            bucket,
            key,
            version_id,
            ..
        } = request.input;
        let (version_id, marker) = self.delete(&bucket, &key, version_id.as_deref())?;
        answer(DeleteObjectOutput {
            delete_marker: marker.then_some(true),
            version_id,
            request_charged: None,
        })
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> Answer<DeleteObjectsOutput> {
        self.delete_all(request)
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> Answer<GetObjectTaggingOutput> {
        let input = &request.input;
        let (version, object) = self.find(
            &request,
            &input.bucket,
            &input.key,
            input.version_id.as_deref(),
        )?;
        let tags = object.about.tags.into_iter().map(|(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        });
        answer(GetObjectTaggingOutput {
            tag_set: tags.collect(),
            version_id: Some(version.id),
        })
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> Answer<PutObjectTaggingOutput> {
        let input = &request.input;
        let pairs = input
            .tagging
            .tag_set
            .iter()
            .map(|tag| Some((tag.key.clone()?, tag.value.clone()?)));
        let tags = check_tags(
            pairs
                .collect::<Option<_>>()
                .ok_or_else(|| s3_error!(InvalidTag))?,
        )?;
        let id = self.set_tags(
            &request,
            (&input.bucket, &input.key, input.version_id.as_deref()),
            tags,
        )?;
        answer(PutObjectTaggingOutput {
            version_id: Some(id),
        })
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> Answer<DeleteObjectTaggingOutput> {
        let input = &request.input;
        let object = (&*input.bucket, &*input.key, input.version_id.as_deref());
        let id = self.set_tags(&request, object, BTreeMap::new())?;
        answer(DeleteObjectTaggingOutput {
            version_id: Some(id),
        })
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.bucket(&request.input.bucket, |_| {
            answer(HeadBucketOutput::default())
        })
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> Answer<CreateBucketOutput> {
        let name = request.input.bucket;
        match self.store.add_bucket(&name).map_err(Failure::from)? {
            true => answer(CreateBucketOutput {
                location: Some(format!("/{name}")),
            }),
            false => Err(s3_error!(BucketAlreadyOwnedByYou)),
        }
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        let enabled = BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED);
        self.bucket(&request.input.bucket, |_| {
            answer(GetBucketVersioningOutput {
                status: Some(enabled),
                mfa_delete: None,
            })
        })
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Answer<GetBucketLifecycleConfigurationOutput> {
        self.bucket(&request.input.bucket, |bucket| {
            let rules: Vec<_> = bucket
                .spec
                .lifecycle
                .iter()
                .map(lifecycle::to_dto)
                .collect();
            if rules.is_empty() {
                return Err(s3_error!(NoSuchLifecycleConfiguration));
            }
            answer(GetBucketLifecycleConfigurationOutput {
                rules: Some(rules),
                ..GetBucketLifecycleConfigurationOutput::default()
            })
        })
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> Answer<PutBucketLifecycleConfigurationOutput> {
        let PutBucketLifecycleConfigurationInput {
            bucket,
            lifecycle_configuration,
            ..
        } = request.input;
        let rules = lifecycle_configuration.map_or(Vec::new(), |it| it.rules);
        let rules = rules
            .into_iter()
            .map(lifecycle::from_dto)
            .collect::<S3Result<_>>()?;
        match self.store.set_lifecycle(&bucket, rules) {
            true => answer(PutBucketLifecycleConfigurationOutput::default()),
            false => Err(s3_error!(NoSuchBucket)),
        }
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        self.bucket(&request.input.bucket.clone(), |bucket| {
            answer(list::objects(bucket, request.input))
        })
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Answer<ListObjectVersionsOutput> {
        self.bucket(&request.input.bucket.clone(), |bucket| {
            answer(list::versions(bucket, request.input)?)
        })
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        self.bucket(&request.input.bucket.clone(), |bucket| {
            answer(list::uploads(bucket, request.input)?)
        })
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        self.bucket(&request.input.bucket.clone(), |bucket| {
            answer(list::parts(bucket, request.input)?)
        })
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        answer(self.begin_upload(request.input)?)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        answer(self.add_part(request).await?)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        answer(self.complete_upload(request.input)?)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        let AbortMultipartUploadInput {
            bucket,
            key,
            upload_id,
            ..
        } = request.input;
        match self
            .store
            .remove_upload(&bucket, &key, &upload_id)
            .map_err(Failure::from)?
        {
            true => answer(AbortMultipartUploadOutput::default()),
            false => Err(s3_error!(NoSuchUpload)),
        }
    }
}
