//! Versions and delete markers.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::start;
use crate::code;

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
    assert!(s3.engine.everything().is_empty());
    assert_eq!(code(get().version_id(&first).send().await), "NoSuchVersion");
}
