//! Single objects: checksums, metadata, conditions, encryption.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};

use super::{KEY_ARN, sha256, start};
use crate::code;

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
    assert_eq!(modified, s3.time.now().as_second());
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
    assert!(s3.engine.everything()[0].tags.is_empty());
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
    assert_eq!((stored, s3.engine.everything().len()), (1, 1));
}

#[tokio::test]
async fn what_is_not_encrypted_as_the_bucket_wants_is_refused() {
    let s3 = start().await;
    let put = || {
        s3.client
            .put_object()
            .bucket("guarded")
            .key("incoming/x")
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
        .key("incoming/x")
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
        .key("incoming/x")
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.server_side_encryption(),
        Some(&ServerSideEncryption::AwsKms)
    );
    assert_eq!(head.ssekms_key_id(), Some(KEY_ARN));
}
