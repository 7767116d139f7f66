//! Buckets in a folder.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use emulators::{EngineError, Storage};

use super::open;

#[tokio::test]
async fn what_lies_in_a_folder_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Folder(folder.path().to_owned());
    let s3 = open(&storage).await.unwrap();
    let first = s3.put("k", b"first").await;
    s3.put("k", b"second").await;
    s3.client
        .delete_object()
        .bucket("plain")
        .key("k")
        .send()
        .await
        .unwrap();
    let version = s3.put_guarded("incoming/x", b"x").await;
    s3.tag_clean("incoming/x", &version, "clean").await;
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
    let before = format!("{:?}", s3.engine.everything());
    assert!(matches!(
        open(&storage).await.err(),
        Some(EngineError::Busy(_))
    ));
    drop(s3);

    let s3 = open(&storage).await.unwrap();
    assert_eq!(format!("{:?}", s3.engine.everything()), before);
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
    let damaged = open(&storage).await.err().unwrap().to_string();
    assert!(damaged.contains(&first), "{damaged}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(&Storage::Folder(file.path().join("data")))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains(&*file.path().to_string_lossy()) && !error.contains('\n'),
        "{error}"
    );
}
