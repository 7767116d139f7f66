use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::builders::LifecycleRuleBuilder;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus,
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration, ObjectIdentifier, ServerSideEncryption, Tag, Tagging,
};
use aws_sdk_s3::{Client, Error};
use base64::Engine as _;
use jiff::SignedDuration;
use lethe_local::engines::objects::{BucketSpec, CleanTag, Credentials, HeldKind, Objects};
use lethe_local::engines::{EngineError, Place};
use serde_json::Value;
use shared::base::clock::Clock;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{ACCESS_KEY, SECRET_KEY, code, sdk};

pub(super) const KEY_ARN: &str =
    "arn:aws:kms:us-east-1:000000000000:key/0b5c7a8e-8a43-4e6b-9c62-9d7d3d1b1c01";

pub(super) struct S3 {
    pub(super) objects: Objects,
    events: UnboundedReceiver<Value>,
    pub(super) client: Client,
    pub(super) clock: Clock,
}

fn buckets() -> Vec<BucketSpec> {
    let plain = BucketSpec {
        name: "plain".into(),
        ..BucketSpec::default()
    };
    let guarded = BucketSpec {
        name: "guarded".into(),
        encryption_key: Some(KEY_ARN.into()),
        encryption_own: true,
        clean_tag_gated: Some(CleanTag {
            prefix: "attachments/".into(),
            key: "scan".into(),
            value: "clean".into(),
        }),
        allowed_origins: vec!["https://shop.example".into()],
        notify_prefix: Some("attachments/".into()),
        lifecycle: Vec::new(),
    };
    vec![plain, guarded]
}

async fn open(place: &Place) -> Result<S3, EngineError> {
    // Nothing here may depend on this clock standing near the machine's.
    let clock = Clock::frozen("2031-05-01T10:00:00Z".parse().unwrap());
    let credentials = Credentials {
        access_key: ACCESS_KEY.into(),
        secret_key: SECRET_KEY.into(),
    };
    let (objects, events) = Objects::start(place, &clock, &credentials, buckets()).await?;
    let client = Client::new(&sdk(objects.endpoint()));
    Ok(S3 {
        objects,
        events,
        client,
        clock,
    })
}

pub(super) async fn start() -> S3 {
    open(&Place::Memory).await.unwrap()
}

impl S3 {
    pub(super) async fn put(&self, key: &str, body: &'static [u8]) -> String {
        let request = self
            .client
            .put_object()
            .bucket("plain")
            .key(key)
            .body(ByteStream::from_static(body));
        request.send().await.unwrap().version_id.unwrap()
    }

    pub(super) async fn put_guarded(&self, key: &str, body: &'static [u8]) -> String {
        let request = self
            .client
            .put_object()
            .bucket("guarded")
            .key(key)
            .body(ByteStream::from_static(body));
        let request = request
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(KEY_ARN);
        request.send().await.unwrap().version_id.unwrap()
    }

    async fn get(&self, key: &str, version: Option<&str>) -> Vec<u8> {
        let request = self
            .client
            .get_object()
            .bucket("plain")
            .key(key)
            .set_version_id(version.map(str::to_owned));
        request
            .send()
            .await
            .unwrap()
            .body
            .collect()
            .await
            .unwrap()
            .to_vec()
    }

    pub(super) async fn tag_clean(&self, key: &str, version: &str, verdict: &str) {
        let tag = Tag::builder().key("scan").value(verdict).build().unwrap();
        let tagging = Tagging::builder().tag_set(tag).build().unwrap();
        let request = self
            .client
            .put_object_tagging()
            .bucket("guarded")
            .key(key)
            .version_id(version);
        request.tagging(tagging).send().await.unwrap();
    }
}

pub(super) fn sha256(body: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(digest(&SHA256, body))
}

#[tokio::test]
async fn every_version_can_be_read_until_it_is_deleted() {
    let s3 = start().await;
    let first = s3.put("a/b c+ü.txt", b"first").await;
    let second = s3.put("a/b c+ü.txt", b"second").await;
    assert_eq!(s3.get("a/b c+ü.txt", None).await, b"second");
    assert_eq!(s3.get("a/b c+ü.txt", Some(&first)).await, b"first");

    let deleted = s3
        .client
        .delete_object()
        .bucket("plain")
        .key("a/b c+ü.txt")
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let get = || s3.client.get_object().bucket("plain").key("a/b c+ü.txt");
    assert_eq!(code(get().send().await), "NoSuchKey");
    assert_eq!(
        code(get().version_id(deleted.version_id().unwrap()).send().await),
        "MethodNotAllowed"
    );
    assert_eq!(s3.get("a/b c+ü.txt", Some(&second)).await, b"second");

    let listed = s3
        .client
        .list_object_versions()
        .bucket("plain")
        .prefix("a/")
        .send()
        .await
        .unwrap();
    let ids: Vec<_> = listed
        .versions()
        .iter()
        .filter_map(|version| version.version_id())
        .collect();
    assert_eq!(ids, [&*second, &*first]);
    assert_eq!(listed.versions()[0].key(), Some("a/b c+ü.txt"));
    assert_eq!(listed.delete_markers()[0].is_latest(), Some(true));

    let every = [deleted.version_id().unwrap(), &first, &second].map(|id| {
        ObjectIdentifier::builder()
            .key("a/b c+ü.txt")
            .version_id(id)
            .build()
            .unwrap()
    });
    let every = Delete::builder()
        .set_objects(Some(every.into()))
        .build()
        .unwrap();
    let gone = s3
        .client
        .delete_objects()
        .bucket("plain")
        .delete(every)
        .send()
        .await
        .unwrap();
    assert_eq!(gone.deleted().len(), 3);
    assert!(s3.objects.everything().is_empty());
    assert_eq!(code(get().version_id(&first).send().await), "NoSuchVersion");
}

#[tokio::test]
async fn a_page_of_versions_goes_on_where_the_last_one_ended() {
    let s3 = start().await;
    for key in ["x/1", "x/2", "x/2", "x/2", "y"] {
        s3.put(key, b"body").await;
    }
    s3.client
        .delete_object()
        .bucket("plain")
        .key("x/1")
        .send()
        .await
        .unwrap();
    let (mut seen, mut marker) = (Vec::new(), (None, None));
    loop {
        let request = s3
            .client
            .list_object_versions()
            .bucket("plain")
            .prefix("x/")
            .max_keys(2);
        let page = request
            .set_key_marker(marker.0)
            .set_version_id_marker(marker.1)
            .send()
            .await
            .unwrap();
        let versions = page
            .versions()
            .iter()
            .map(|v| (v.key().unwrap(), v.version_id().unwrap()));
        let markers = page
            .delete_markers()
            .iter()
            .map(|v| (v.key().unwrap(), v.version_id().unwrap()));
        for (key, id) in versions.chain(markers) {
            seen.push(key.to_owned());
            // What is deleted as it is read must not upset the next page.
            s3.client
                .delete_object()
                .bucket("plain")
                .key(key)
                .version_id(id)
                .send()
                .await
                .unwrap();
        }
        marker = (
            page.next_key_marker.clone(),
            page.next_version_id_marker.clone(),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
    }
    assert_eq!(seen, ["x/1", "x/1", "x/2", "x/2", "x/2"]);
    let left = s3
        .client
        .list_objects_v2()
        .bucket("plain")
        .send()
        .await
        .unwrap();
    assert_eq!(
        left.contents()
            .iter()
            .filter_map(|object| object.key())
            .collect::<Vec<_>>(),
        ["y"]
    );
}

#[tokio::test]
async fn objects_are_listed_in_pages_and_folders() {
    let s3 = start().await;
    for key in ["a", "d/1", "d/2", "e", "f/1"] {
        s3.put(key, b"").await;
    }
    s3.client
        .delete_object()
        .bucket("plain")
        .key("e")
        .send()
        .await
        .unwrap();
    let list = || s3.client.list_objects_v2().bucket("plain").max_keys(2);
    let folded = list().delimiter("/").send().await.unwrap();
    assert_eq!(folded.contents()[0].key(), Some("a"));
    assert_eq!(folded.common_prefixes()[0].prefix(), Some("d/"));
    let rest = list()
        .delimiter("/")
        .continuation_token(folded.next_continuation_token().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (rest.contents().len(), rest.common_prefixes()[0].prefix()),
        (0, Some("f/"))
    );
    let pages = list().into_paginator().send().try_collect().await.unwrap();
    let keys: Vec<_> = pages
        .iter()
        .flat_map(|page| page.contents())
        .filter_map(|object| object.key())
        .collect();
    assert_eq!(keys, ["a", "d/1", "d/2", "f/1"]);
}

#[tokio::test]
async fn a_conditional_put_never_replaces() {
    let s3 = start().await;
    let put = || {
        s3.client
            .put_object()
            .bucket("plain")
            .key("once")
            .if_none_match("*")
            .body(ByteStream::from_static(b"1"))
    };
    put().send().await.unwrap();
    let again = put().send().await.unwrap_err();
    assert_eq!(again.raw_response().unwrap().status().as_u16(), 412);
    assert_eq!(code(Err::<(), _>(again)), "PreconditionFailed");
    s3.client
        .delete_object()
        .bucket("plain")
        .key("once")
        .send()
        .await
        .unwrap();
    put().send().await.unwrap();
}

#[tokio::test]
async fn checksums_metadata_and_ranges_are_kept() {
    let s3 = start().await;
    let put = |sum: String| {
        let request = s3
            .client
            .put_object()
            .bucket("plain")
            .key("k")
            .body(ByteStream::from_static(b"hello world"));
        request
            .content_type("text/plain")
            .metadata("colour", "blue")
            .tagging("scan=pending&x=y%20z")
            .checksum_sha256(sum)
    };
    assert_eq!(code(put(sha256(b"another body")).send().await), "BadDigest");
    put(sha256(b"hello world")).send().await.unwrap();
    let head = s3
        .client
        .head_object()
        .bucket("plain")
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(11));
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.checksum_sha256(), Some(&*sha256(b"hello world")));
    assert_eq!(head.metadata().unwrap()["colour"], "blue");
    let modified = head.last_modified().unwrap().secs();
    assert_eq!(modified, s3.clock.now().as_second());
    let part = s3
        .client
        .get_object()
        .bucket("plain")
        .key("k")
        .range("bytes=6-")
        .send()
        .await
        .unwrap();
    assert_eq!(part.content_range(), Some("bytes 6-10/11"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), b"world");
    let tags = s3
        .client
        .get_object_tagging()
        .bucket("plain")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tag_set()[1].value(), "y z");
    s3.client
        .delete_object_tagging()
        .bucket("plain")
        .key("k")
        .send()
        .await
        .unwrap();
    assert!(s3.objects.everything()[0].tags.is_empty());
    assert!(
        s3.client
            .head_object()
            .bucket("plain")
            .key("none")
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_not_found()
    );
    s3.client
        .head_bucket()
        .bucket("plain")
        .send()
        .await
        .unwrap();
    s3.client
        .head_bucket()
        .bucket("nobody")
        .send()
        .await
        .unwrap_err();
}

#[tokio::test]
async fn an_upload_in_parts_becomes_one_object_or_nothing() {
    let mut s3 = start().await;
    let begin = || {
        let request = s3
            .client
            .create_multipart_upload()
            .bucket("guarded")
            .key("attachments/big");
        request
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(KEY_ARN)
    };
    let upload = begin().send().await.unwrap().upload_id.unwrap();
    let bodies = [vec![b'a'; 5 * 1024 * 1024], b"tail".to_vec()];
    let mut parts = CompletedMultipartUpload::builder();
    for (number, body) in (1..).zip(bodies.clone()) {
        let request = s3
            .client
            .upload_part()
            .bucket("guarded")
            .key("attachments/big")
            .upload_id(&upload);
        let part = request
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .body(body.into())
            .send()
            .await
            .unwrap();
        parts = parts.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .set_checksum_sha256(part.checksum_sha256)
                .build(),
        );
    }
    let abandoned = begin().send().await.unwrap().upload_id.unwrap();
    let listed = s3
        .client
        .list_multipart_uploads()
        .bucket("guarded")
        .prefix("attachments/")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.uploads().len(), 2);
    let held = s3
        .client
        .list_parts()
        .bucket("guarded")
        .key("attachments/big")
        .upload_id(&upload)
        .send()
        .await
        .unwrap();
    assert_eq!(held.parts().len(), 2);
    assert!(
        s3.objects
            .everything()
            .iter()
            .all(|held| held.kind == HeldKind::UnfinishedUpload)
    );

    let request = s3
        .client
        .complete_multipart_upload()
        .bucket("guarded")
        .key("attachments/big")
        .upload_id(&upload);
    let done = request
        .multipart_upload(parts.build())
        .send()
        .await
        .unwrap();
    assert_eq!(
        s3.events.recv().await.unwrap()["eventName"],
        "ObjectCreated:CompleteMultipartUpload"
    );
    let get = s3
        .client
        .get_object()
        .bucket("guarded")
        .key("attachments/big")
        .version_id(done.version_id().unwrap());
    let got = get.send().await.unwrap();
    assert_eq!(got.ssekms_key_id(), Some(KEY_ARN));
    assert!(got.body.collect().await.unwrap().to_vec() == bodies.concat());

    let abort = || {
        s3.client
            .abort_multipart_upload()
            .bucket("guarded")
            .key("attachments/big")
            .upload_id(&abandoned)
    };
    abort().send().await.unwrap();
    assert_eq!(code(abort().send().await), "NoSuchUpload");
    assert_eq!(s3.objects.everything().len(), 1);
}

/// Amazon S3 User Guide, "Checking object integrity": the algorithm is agreed on when an upload
/// begins, every part brings its checksum, and so does the list of parts.
#[tokio::test]
async fn an_upload_in_parts_is_checked_by_what_was_agreed_on() {
    let s3 = start().await;
    let begin = |algorithm| {
        let begin = s3.client.create_multipart_upload();
        let begin = begin.bucket("plain").key("big");
        begin.set_checksum_algorithm(algorithm)
    };
    let send = |upload: &str, algorithm| {
        let part = s3.client.upload_part();
        let part = part.bucket("plain").key("big").upload_id(upload);
        let part = part.part_number(1).checksum_algorithm(algorithm);
        part.body(ByteStream::from_static(b"part")).send()
    };
    let finish = |upload: &str, part: CompletedPart| {
        let finish = s3.client.complete_multipart_upload();
        let finish = finish.bucket("plain").key("big").upload_id(upload);
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        finish.multipart_upload(parts).send()
    };
    let upload = begin(Some(ChecksumAlgorithm::Sha256)).send().await;
    let upload = upload.unwrap().upload_id.unwrap();
    let refused = send(&upload, ChecksumAlgorithm::Crc32).await;
    assert_eq!(code(refused), "InvalidRequest");
    let part = send(&upload, ChecksumAlgorithm::Sha256).await.unwrap();
    let listed = || {
        CompletedPart::builder()
            .part_number(1)
            .set_e_tag(part.e_tag.clone())
    };
    let refused = finish(&upload, listed().build()).await;
    assert_eq!(code(refused), "InvalidRequest");
    let refused = finish(&upload, listed().checksum_sha256("AAAA").build()).await;
    assert_eq!(code(refused), "InvalidPart");
    let whole = listed().set_checksum_sha256(part.checksum_sha256.clone());
    finish(&upload, whole.build()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_encrypted_as_the_bucket_wants_is_refused() {
    let s3 = start().await;
    let put = || {
        s3.client
            .put_object()
            .bucket("guarded")
            .key("attachments/x")
            .body(ByteStream::from_static(b"x"))
    };
    let by_s3 = put().server_side_encryption(ServerSideEncryption::Aes256);
    let refused = by_s3.send().await.unwrap_err();
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 403);
    assert_eq!(code(Err::<(), _>(refused)), "AccessDenied");
    let by_kms = || put().server_side_encryption(ServerSideEncryption::AwsKms);
    assert_eq!(code(by_kms().send().await), "AccessDenied");
    assert_eq!(
        code(by_kms().ssekms_key_id("another").send().await),
        "AccessDenied"
    );
    let begun = s3
        .client
        .create_multipart_upload()
        .bucket("guarded")
        .key("attachments/x")
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id("another")
        .send()
        .await;
    assert_eq!(code(begun), "AccessDenied");
    by_kms().ssekms_key_id(KEY_ARN).send().await.unwrap();
    // What names none is encrypted as the bucket is.
    put().send().await.unwrap();
    let head = s3
        .client
        .head_object()
        .bucket("guarded")
        .key("attachments/x")
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.server_side_encryption(),
        Some(&ServerSideEncryption::AwsKms)
    );
    assert_eq!(head.ssekms_key_id(), Some(KEY_ARN));
}

#[tokio::test]
async fn objects_under_the_prefix_are_announced() {
    let mut s3 = start().await;
    s3.put_guarded("exports/unannounced", b"x").await;
    let version = s3.put_guarded("attachments/a b+ü.txt", b"hello").await;
    let record = s3.events.recv().await.unwrap();
    assert_eq!(record["eventVersion"], "2.1");
    assert_eq!(record["eventSource"], "aws:s3");
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!(record["eventTime"], "2031-05-01T10:00:00.000Z");
    assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::guarded");
    assert_eq!(
        record["s3"]["object"]["key"],
        "attachments/a+b%2B%C3%BC.txt"
    );
    assert_eq!(record["s3"]["object"]["versionId"], version);
    assert_eq!(record["s3"]["object"]["size"], 5);
    let event = serde_json::json!({"Records": [record]});
    let event: aws_lambda_events::s3::S3Event = serde_json::from_value(event).unwrap();
    assert_eq!(event.records[0].s3.bucket.name.as_deref(), Some("guarded"));
    assert!(s3.events.try_recv().is_err());
}

#[tokio::test]
async fn what_lies_in_a_folder_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let s3 = open(&place).await.unwrap();
    let first = s3.put("k", b"first").await;
    s3.put("k", b"second").await;
    s3.client
        .delete_object()
        .bucket("plain")
        .key("k")
        .send()
        .await
        .unwrap();
    let version = s3.put_guarded("attachments/x", b"x").await;
    s3.tag_clean("attachments/x", &version, "clean").await;
    let upload = s3
        .client
        .create_multipart_upload()
        .bucket("plain")
        .key("big")
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .send()
        .await
        .unwrap()
        .upload_id
        .unwrap();
    let part = s3
        .client
        .upload_part()
        .bucket("plain")
        .key("big")
        .upload_id(&upload)
        .part_number(1);
    part.body(ByteStream::from_static(b"part"))
        .send()
        .await
        .unwrap();
    let before = format!("{:?}", s3.objects.everything());
    assert!(matches!(
        open(&place).await.err(),
        Some(EngineError::Busy(_))
    ));
    drop(s3);

    let s3 = open(&place).await.unwrap();
    assert_eq!(format!("{:?}", s3.objects.everything()), before);
    assert_eq!(s3.get("k", Some(&first)).await, b"first");
    let latest = s3.put("k", b"third").await;
    let listed = s3
        .client
        .list_object_versions()
        .bucket("plain")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.versions()[0].version_id(), Some(&*latest));
    drop(s3);

    let bucket = folder.path().join("objects").join("plain");
    std::fs::remove_file(bucket.join(format!("{first}.body"))).unwrap();
    let damaged = open(&place).await.err().unwrap().to_string();
    assert!(damaged.contains(&first), "{damaged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_conditional_puts_at_once_one_succeeds() {
    let s3 = start().await;
    let puts = (0..50).map(|at: u8| {
        let put = s3
            .client
            .put_object()
            .bucket("plain")
            .key("once")
            .if_none_match("*");
        put.body(vec![at; 1000].into()).send()
    });
    let stored = futures::future::join_all(puts)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!((stored, s3.objects.everything().len()), (1, 1));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(&Place::Folder(file.path().join("data")))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains(&*file.path().to_string_lossy()) && !error.contains('\n'),
        "{error}"
    );
}

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

impl S3 {
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
    let apply = || s3.objects.age().unwrap();
    s3.put("attachments/x", b"first").await;
    s3.clock.advance(days(40));
    s3.put("attachments/x", b"second").await;
    s3.put("exports/x", b"zip").await;
    s3.client
        .create_multipart_upload()
        .bucket("plain")
        .key("attachments/y")
        .send()
        .await
        .unwrap();
    assert_eq!(apply(), 0);
    s3.clock.advance(days(1));
    // The upload goes and the export is marked; a day later it goes, then its marker.
    assert_eq!([apply(), apply()], [2, 0]);
    s3.clock.advance(days(1));
    assert_eq!([apply(), apply(), apply()], [1, 1, 0]);
    s3.clock.advance(days(28));
    assert_eq!(apply(), 1);
    let left = s3.objects.everything();
    assert_eq!(
        left.iter().map(|held| &*held.body).collect::<Vec<_>>(),
        [b"second"]
    );
}
