//! Listings, page by page.

use super::start;

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
