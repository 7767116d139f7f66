//! Multipart uploads.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use emulators::s3::HeldKind;

use super::{KEY_ARN, start};
use crate::code;

#[tokio::test]
async fn an_upload_in_parts_becomes_one_object_or_nothing() {
    let mut s3 = start().await;
    let begin = || {
        let request = s3
            .client
            .create_multipart_upload()
            .bucket("guarded")
            .key("incoming/big");
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
            .key("incoming/big")
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
        .prefix("incoming/")
        .send()
        .await
        .unwrap();
    assert_eq!(listed.uploads().len(), 2);
    let held = s3
        .client
        .list_parts()
        .bucket("guarded")
        .key("incoming/big")
        .upload_id(&upload)
        .send()
        .await
        .unwrap();
    assert_eq!(held.parts().len(), 2);
    assert!(
        s3.engine
            .everything()
            .iter()
            .all(|held| held.kind == HeldKind::UnfinishedUpload)
    );

    let request = s3
        .client
        .complete_multipart_upload()
        .bucket("guarded")
        .key("incoming/big")
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
        .key("incoming/big")
        .version_id(done.version_id().unwrap());
    let got = get.send().await.unwrap();
    assert_eq!(got.ssekms_key_id(), Some(KEY_ARN));
    assert!(got.body.collect().await.unwrap().to_vec() == bodies.concat());

    let abort = || {
        s3.client
            .abort_multipart_upload()
            .bucket("guarded")
            .key("incoming/big")
            .upload_id(&abandoned)
    };
    abort().send().await.unwrap();
    assert_eq!(code(abort().send().await), "NoSuchUpload");
    assert_eq!(s3.engine.everything().len(), 1);
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
