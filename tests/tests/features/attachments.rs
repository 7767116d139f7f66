//! Files: sent by a link, looked at once, served when clean, and gone with their person.

use std::sync::{Arc, Mutex};

use lethe_tests::files::{EICAR, follow, note};
use lethe_tests::{Reply, Service, assert_has, days, fetch, file_of, minutes, seconds, sha256};
use local::Options;
use local::wire::Fate;
use serde_json::{Map, Value, json};

use crate::late::{arrived, asleep, created, everything, versions};
use crate::rows;

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\x9cc\0\x01\0\0\x05\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82";
const MIB: usize = 1024 * 1024;

/// Uses an upload link with other headers than it was signed for; `None` leaves one out.
async fn put_with(
    service: &Service,
    upload: &Value,
    body: &[u8],
    changes: &[(&str, Option<&str>)],
) -> Reply {
    let mut headers: Map<String, Value> = upload["headers"].as_object().expect("headers").clone();
    headers.remove("content-length");
    for (name, value) in changes {
        let known = headers.remove(*name).is_some();
        assert!(known || value.is_some(), "{name} is signed");
        if let Some(value) = value {
            headers.insert((*name).to_owned(), json!(value));
        }
    }
    let upload = json!({"url": upload["url"], "headers": headers});
    service.put(&upload, body).await
}

#[tokio::test]
async fn a_clean_file_comes_back_as_it_was_sent_by_links_that_live_a_minute() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let announced = service
        .post(
            "/v1/attachments",
            &service.ours.ingest,
            json!({"visitor_id": "ada", "conversation_id": "c-1", "filename": "dot.png",
                   "content_type": "image/png", "size": PNG.len(), "sha256": sha256(PNG)}),
        )
        .await
        .expect(201);
    let upload = &announced["upload"];
    assert_eq!(upload["method"], "PUT");
    let until = service.now() + minutes(10);
    assert_eq!(upload["expires_at"], json!(until));

    let waiting = service.attachment(&ada, file_of(&announced)).await;
    let expected = json!({"state": "awaiting_upload", "verdict": null, "download": null});
    assert_eq!(waiting, expected);
    assert_eq!(service.put(upload, PNG).await.status, 200);
    service.cloud.settle().await;

    let clean = service.attachment(&ada, file_of(&announced)).await;
    assert_eq!(clean["state"], "clean");
    assert_eq!(clean["verdict"]["media_type"], "image/png");
    assert_eq!(clean["verdict"]["reasons"], json!([]));
    let link = &clean["download"];
    let until = service.now() + seconds(60);
    assert_eq!(link["expires_at"], json!(until));
    let answer = follow(link).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, PNG));
    let disposition = &answer.headers()["content-disposition"];
    assert_eq!(disposition, "attachment", "never inline");

    service.advance(seconds(61)).await;
    assert_eq!(fetch(link).await.0, 403, "the link's minute is over");
    let again = service.attachment(&ada, file_of(&announced)).await;
    assert_eq!(fetch(&again["download"]).await.1, PNG);

    let person = service.person(&ada).await;
    assert_eq!(person["counts"]["attachments"], 1);
    let path = format!("/v1/subjects/{ada}/records?type=attachment");
    let records = service.get(&path, &service.ours.read).await.expect(200);
    let row = &records["data"][0];
    assert_has(
        row,
        json!({"filename": "dot.png", "conversation_id": "c-1", "state": "clean"}),
    );
}

#[tokio::test]
async fn a_first_contact_may_be_a_file() {
    let service = Service::start().await;
    service.attach("eve").await;
    let found = service.lookup(json!({"visitor_id": "eve"})).await;
    assert_eq!(found.len(), 1);
    service
        .post("/v1/attachments", &service.ours.collect, note("eve", b"x"))
        .await
        .expect(201);
    service
        .post("/v1/attachments", &service.ours.read, note("eve", b"x"))
        .await
        .expect(403);
}

#[tokio::test]
async fn an_upload_link_is_good_for_the_announced_file_only() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let announced = service.announce("ada", b"hello").await;
    let upload = &announced["upload"];
    let other = sha256(b"world");
    type Changed<'a> = &'a [(&'a str, Option<&'a str>)];
    let refused: &[(&str, &[u8], Changed<'_>)] = &[
        ("longer", b"hello, world", &[]),
        ("shorter", b"hell", &[]),
        ("empty", b"", &[]),
        (
            "another type",
            b"hello",
            &[("content-type", Some("text/html"))],
        ),
        ("no type", b"hello", &[("content-type", None)]),
        (
            "another checksum",
            b"world",
            &[("x-amz-checksum-sha256", Some(&other))],
        ),
        ("no checksum", b"hello", &[("x-amz-checksum-sha256", None)]),
        (
            "no encryption",
            b"hello",
            &[("x-amz-server-side-encryption", None)],
        ),
        (
            "other encryption",
            b"hello",
            &[("x-amz-server-side-encryption", Some("AES256"))],
        ),
        ("in place of another", b"hello", &[("if-none-match", None)]),
        (
            "tagged by the sender",
            b"hello",
            &[("x-amz-tagging", Some("lethe-verdict=clean"))],
        ),
    ];
    for (what, body, changes) in refused {
        let reply = put_with(&service, upload, body, changes).await;
        assert_eq!(reply.status, 403, "{what}: {}", reply.text);
    }
    let other_bytes = service.put(upload, b"world").await;
    assert_eq!(other_bytes.status, 400, "{}", other_bytes.text);
    let elsewhere = upload["url"]
        .as_str()
        .unwrap()
        .replace("attachments", "exports");
    let reply = service
        .put(
            &json!({"url": elsewhere, "headers": upload["headers"]}),
            b"hello",
        )
        .await;
    assert_eq!(reply.status, 403);
    let url = upload["url"].as_str().unwrap();
    assert_eq!(service.raw("GET", url, &[], Vec::new()).await.status, 403);
    assert_eq!(
        service.raw("DELETE", url, &[], Vec::new()).await.status,
        403
    );
    assert!(rows::files(&service).is_empty());

    assert_eq!(service.put(upload, b"hello").await.status, 200);
    assert_eq!(service.put(upload, b"hello").await.status, 412, "used up");
    service.settle().await;
    assert_eq!(service.put(upload, b"hello").await.status, 412, "scanned");
    assert_eq!(
        service.attachment(&ada, file_of(&announced)).await["state"],
        "clean"
    );
    assert_eq!(rows::files(&service).len(), 1);
}

#[tokio::test]
async fn an_upload_link_lives_ten_minutes() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let (early, late) = (
        service.announce("ada", b"hello").await,
        service.announce("ada", b"hello").await,
    );
    service.advance(minutes(10)).await;
    assert_eq!(service.put(&early["upload"], b"hello").await.status, 200);
    service.advance(seconds(1)).await;
    assert_eq!(service.put(&late["upload"], b"hello").await.status, 403);
    service.cloud.settle().await;
    assert_eq!(
        service.attachment(&ada, file_of(&early)).await["state"],
        "clean"
    );
    let waiting = service.attachment(&ada, file_of(&late)).await;
    assert_eq!(waiting["state"], "awaiting_upload");
}

#[tokio::test]
async fn what_is_no_clean_file_is_rejected_with_a_reason_and_leaves_no_version() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    for (filename, content_type, body, reason) in [
        ("note.txt", "text/plain", EICAR, "malware"),
        ("contract.pdf", "application/pdf", PNG, "type_mismatch"),
        (
            "run.txt",
            "text/plain",
            b"#!/bin/sh\nreboot\n",
            "executable",
        ),
    ] {
        let file = service.upload("ada", filename, content_type, body).await;
        let rejected = service.attachment(&ada, &file).await;
        assert_eq!(rejected["state"], "rejected", "{rejected}");
        let reasons = rejected["verdict"]["reasons"].as_array().unwrap();
        assert!(reasons.contains(&json!(reason)), "{rejected}");
        assert_eq!(rejected["download"], Value::Null);
        assert_eq!(rows::files(&service), Vec::<String>::new(), "{filename}");
    }
    assert_eq!(service.activity("attachment.scanned").await.len(), 3);
}

#[tokio::test]
async fn a_rejected_files_link_does_not_bring_another() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let announced = service.announce("ada", EICAR).await;
    for _ in 0..2 {
        // Nothing is there to be replaced, so the bucket takes it; nobody awaits it.
        assert_eq!(service.put(&announced["upload"], EICAR).await.status, 200);
        service.settle().await;
        let state = service.attachment(&ada, file_of(&announced)).await;
        assert_eq!(state["state"], "rejected");
        assert!(rows::files(&service).is_empty());
    }
    assert_eq!(service.activity("attachment.scanned").await.len(), 1);
}

#[tokio::test]
async fn the_bucket_serves_by_link_only_what_was_found_clean() {
    let (service, scan) = asleep("scan").await;
    let ada = service.visit("ada").await;
    let announced = service.announce("ada", b"hello").await;
    assert_eq!(
        service.put(&announced["upload"], b"hello").await.status,
        200
    );
    service.cloud.settle().await;
    let uploaded = service.attachment(&ada, file_of(&announced)).await;
    assert_eq!(uploaded["state"], "awaiting_upload", "nobody has looked");
    assert_eq!(uploaded["download"], Value::Null);
    let objects = &service.cloud.app().objects;
    let held = versions(&service, "attachments/").remove(0);
    let link = objects.download_link(&held.key, &held.id).await.unwrap();
    assert_eq!(
        fetch(&json!(link)).await.0,
        403,
        "a link alone is not enough"
    );

    scan.wake();
    let event = arrived(&held);
    service.cloud.invoke("scan", event).await.unwrap();
    assert_eq!(fetch(&json!(link)).await.0, 200);

    // Whoever may write to the bucket can put a second version on top.
    let upload = objects.begin_upload(&held.key, "text/plain").await.unwrap();
    let part = objects.upload_part(&held.key, &upload, 1, b"evil!".to_vec());
    let parts = vec![part.await.unwrap()];
    let second = objects.finish_upload(&held.key, &upload, parts).await;
    let second = second.unwrap();
    let untagged = objects.download_link(&held.key, &second).await.unwrap();
    assert_eq!(fetch(&json!(untagged)).await.0, 403);
    let clean = service.attachment(&ada, file_of(&announced)).await;
    assert_eq!(fetch(&clean["download"]).await.1, b"hello");
    // Its event finds a row that awaits another, and removes it.
    service.cloud.settle().await;
    let left = versions(&service, "attachments/");
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].id.as_str(), &left[0].body[..]),
        (held.id.as_str(), &b"hello"[..])
    );
}

#[tokio::test]
async fn an_announcement_at_fault_is_refused_by_name() {
    let service = Service::start().await;
    let faults = async |change: Value| {
        let mut body = note("ada", b"hello");
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = service.post("/v1/attachments", &service.ours.ingest, body);
        reply.await.faults()
    };
    assert_eq!(faults(json!({"size": 25 * MIB + 1})).await, ["/size"]);
    for size in [json!(0), json!(-1), json!(1.5), json!("5"), Value::Null] {
        assert_eq!(faults(json!({"size": size})).await, ["/size"]);
    }
    for sha256 in [
        json!("zz"),
        json!("ab"),
        json!("g".repeat(64)),
        json!("é".repeat(32)),
    ] {
        assert_eq!(faults(json!({"sha256": sha256})).await, ["/sha256"]);
    }
    for content_type in ["text", "a b/c", "text/\r\nx"] {
        let at = faults(json!({"content_type": content_type})).await;
        assert_eq!(at, ["/content_type"], "{content_type:?}");
    }
    assert_eq!(
        faults(json!({"filename": "a".repeat(256)})).await,
        ["/filename"]
    );
    assert_eq!(faults(json!({"filename": 7})).await, ["/filename"]);
    assert_eq!(faults(json!({"visitor_id": ""})).await, ["/visitor_id"]);
    assert_eq!(
        faults(json!({"conversation_id": []})).await,
        ["/conversation_id"]
    );
    assert_eq!(
        faults(json!({"tags": "a", "a/b": 1})).await,
        ["/a~1b", "/tags"]
    );
    let mut missing = service
        .post("/v1/attachments", &service.ours.ingest, json!({}))
        .await
        .faults();
    missing.sort();
    let required = [
        "/content_type",
        "/filename",
        "/sha256",
        "/size",
        "/visitor_id",
    ];
    assert_eq!(missing, required);
    assert!(rows::files(&service).is_empty());

    let mut largest = note("ada", b"hello");
    largest["size"] = json!(25 * MIB);
    service
        .post("/v1/attachments", &service.ours.ingest, largest)
        .await
        .expect(201);
}

#[tokio::test]
async fn the_largest_file_goes_through() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let body = vec![b'a'; 25 * MIB];
    let file = service.upload("ada", "a.txt", "text/plain", &body).await;
    let clean = service.attachment(&ada, &file).await;
    assert_eq!(clean["state"], "clean", "{clean}");
    let (_, bytes) = fetch(&clean["download"]).await;
    assert!(bytes == body, "the same bytes");
}

#[tokio::test]
async fn twenty_links_may_be_open_for_one_person() {
    let service = Service::start().await;
    service.visit("ada").await;
    for _ in 0..20 {
        service.announce("ada", b"hello").await;
    }
    let one_more = async || {
        service
            .post(
                "/v1/attachments",
                &service.ours.ingest,
                note("ada", b"hello"),
            )
            .await
    };
    let refused = one_more().await;
    let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((600..=601).contains(&wait), "{wait}");
    assert_eq!(refused.expect(429)["status"], 429);
    service.announce("bob", b"hello").await;

    service.advance(seconds(wait - 60)).await;
    let refused = one_more().await;
    let left: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((59..=61).contains(&left), "{left}");
    service.advance(seconds(left)).await;
    one_more().await.expect(201);
}

#[tokio::test]
async fn a_repeated_announcement_is_the_same_file() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let (body, once) = (note("ada", b"hello"), [("idempotency-key", "note-1")]);
    let send = || {
        let key = &service.ours.ingest;
        service.call_with("POST", "/v1/attachments", key, Some(&body), &once)
    };
    let first = send().await.expect(201);
    assert_eq!(send().await.expect(201), first);
    assert_eq!(service.put(&first["upload"], b"hello").await.status, 200);
    service.settle().await;
    assert_eq!(
        service.attachment(&ada, file_of(&first)).await["state"],
        "clean"
    );
    let person = service.person(&ada).await;
    assert_eq!(person["counts"]["attachments"], 1);
}

#[tokio::test]
async fn an_event_that_is_no_news_changes_nothing() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.attach("ada").await;
    service.announce("ada", b"awaited").await;
    let job = service.export(&ada).await;
    service.cloud.settle().await;
    let note = versions(&service, "attachments/").remove(0);
    let export = versions(&service, "exports/").remove(0);
    let before = everything(&service).await;

    let (bucket, key, version) = (note.bucket.as_str(), note.key.as_str(), note.id.as_str());
    let mut removed = arrived(&note);
    removed["Records"][0]["eventName"] = json!("ObjectRemoved:Delete");
    let mut unversioned = arrived(&note);
    let object = unversioned["Records"][0]["s3"]["object"].as_object_mut();
    object.unwrap().remove("versionId");
    let tenant = note.key.split('/').nth(1).unwrap();
    for event in [
        arrived(&note),
        arrived(&note),
        created(bucket, &key.replace('/', "%2F"), version),
        created(bucket, &key.replace("ten_", "ten%5F"), version),
        created(bucket, &key.replace('_', "+"), version),
        created(bucket, &format!("{key}+"), version),
        created(bucket, &format!("{key}%20"), version),
        created(bucket, &format!("{key}%zz"), version),
        created(bucket, &format!("{key}%"), version),
        created(bucket, &key.to_uppercase(), version),
        created(bucket, &format!("{key}/x"), version),
        created(bucket, &format!("attachments/../{key}"), version),
        created(bucket, "attachments/", version),
        created(bucket, "", version),
        created(bucket, "a+b%2Bc%C3%BC", version),
        // Others' files, and what is no attachment, are not ours to remove.
        created(bucket, &key.replace(tenant, &service.theirs.id), version),
        created(bucket, &export.key, &export.id),
        created(bucket, &format!("attachments/{}", export.key), &export.id),
        created(bucket, key, "no-such-version"),
        removed,
        unversioned,
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}),
        json!({"Records": [{"eventSource": "aws:s3"}]}),
        json!({"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": 7}}}]}),
    ] {
        let done = service.cloud.invoke("scan", event.clone()).await;
        assert!(done.is_ok(), "{event}: {done:?}");
        assert_eq!(everything(&service).await, before, "{event}");
    }
    assert!(service.cloud.dead_letters().is_empty());
    assert_eq!(
        service.follow(&job).await["downloads"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn one_bad_record_does_not_keep_another_from_being_scanned() {
    let (service, scan) = asleep("scan").await;
    let ada = service.visit("ada").await;
    let announced = service.announce("ada", b"hello").await;
    service.put(&announced["upload"], b"hello").await;
    service.cloud.settle().await;
    scan.wake();
    let held = versions(&service, "attachments/").remove(0);
    let mut event = created(&held.bucket, "attachments/%zz", &held.id);
    // Encoded throughout, as S3 may.
    let key = held
        .key
        .replace('/', "%2F")
        .replace('_', "%5f")
        .replace('-', "%2D");
    let good = created(&held.bucket, &key, &held.id)["Records"][0].clone();
    event["Records"].as_array_mut().unwrap().push(good);
    service.cloud.invoke("scan", event).await.unwrap();
    assert_eq!(
        service.attachment(&ada, file_of(&announced)).await["state"],
        "clean"
    );
}

#[tokio::test]
async fn a_scan_that_was_cut_off_is_made_good_by_the_next() {
    let (service, scan) = asleep("scan").await;
    let ada = service.visit("ada").await;
    let (note, virus) = (
        service.announce("ada", b"hello").await,
        service.announce("ada", EICAR).await,
    );
    service.put(&note["upload"], b"hello").await;
    service.put(&virus["upload"], EICAR).await;
    service.cloud.settle().await;
    let (objects, held) = (
        &service.cloud.app().objects,
        versions(&service, "attachments/"),
    );
    for it in &held {
        // Tagged, and no more: what the row does not say is not served.
        objects.tag(&it.key, &it.id, "clean").await.unwrap();
    }
    assert_eq!(
        service.attachment(&ada, file_of(&note)).await["download"],
        Value::Null
    );
    scan.wake();
    for _ in 0..2 {
        for it in &held {
            service.cloud.invoke("scan", arrived(it)).await.unwrap();
        }
        let clean = service.attachment(&ada, file_of(&note)).await;
        assert_eq!(fetch(&clean["download"]).await.1, b"hello");
        assert_eq!(
            service.attachment(&ada, file_of(&virus)).await["state"],
            "rejected"
        );
        assert_eq!(rows::files(&service).len(), 1);
        assert_eq!(
            service.activity("attachment.scanned").await.len(),
            2,
            "each is logged once"
        );
    }
}

#[tokio::test]
async fn two_scans_of_one_version_at_once_end_as_one() {
    let (service, scan) = asleep("scan").await;
    let ada = service.visit("ada").await;
    let announced = service.announce("ada", b"hello").await;
    service.put(&announced["upload"], b"hello").await;
    service.cloud.settle().await;
    scan.wake();
    let event = arrived(&versions(&service, "attachments/")[0]);
    let (one, other) = tokio::join!(
        service.cloud.invoke("scan", event.clone()),
        service.cloud.invoke("scan", event)
    );
    assert!(one.is_ok() && other.is_ok());
    let clean = service.attachment(&ada, file_of(&announced)).await;
    assert_eq!(fetch(&clean["download"]).await.1, b"hello");
    assert_eq!(service.activity("attachment.scanned").await.len(), 1);
}

#[tokio::test]
async fn a_scan_is_logged_without_saying_whose_file_it_was() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let file = service.attach("ada").await;
    let entries = service.activity("attachment.scanned").await;
    let [entry] = entries.as_slice() else {
        panic!("one entry: {entries:?}");
    };
    assert_eq!(entry["by"], "lethe");
    let about = entry["about"].as_array().unwrap();
    assert!(about.contains(&json!(file)), "{entry}");
    for personal in [ada.as_str(), "note.txt", "ada"] {
        assert!(
            !entry["about"]
                .to_string()
                .contains(&format!("\"{personal}"))
        );
    }
}

/// Hands out a link, ends the life, and sends the file after it.
async fn upload_after_erasure(service: &Service) {
    let ada = service.acquaint("ada").await;
    let announced = service.announce("ada", b"hello").await;
    let job = service.erase(&ada).await;
    assert_eq!(service.follow(&job).await["state"], "verifying");
    service.advance(minutes(9)).await;
    let sent = service.put(&announced["upload"], b"hello").await;
    assert_eq!(sent.status, 200, "the link is still good");
    service.cloud.settle().await;
    service.advance(minutes(30)).await;
    service.completed(&job).await;
    assert!(rows::files(service).is_empty());
    assert!(rows::about(service, &ada).await.is_empty());
    let sent = service.put(&announced["upload"], b"hello").await;
    assert_eq!(sent.status, 403, "nothing comes after the last look");
}

#[tokio::test]
async fn what_is_uploaded_after_an_erasure_is_removed_by_scan() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let announced = service.announce("ada", b"hello").await;
    service.erase(&ada).await;
    service.cloud.settle().await;
    assert_eq!(
        service.put(&announced["upload"], b"hello").await.status,
        200
    );
    service.cloud.settle().await;
    assert!(rows::files(&service).is_empty(), "at once");
    upload_after_erasure(&Service::start().await).await;
}

#[tokio::test]
async fn what_is_uploaded_after_an_erasure_is_removed_by_it_even_if_scan_never_runs() {
    let (service, _scan) = asleep("scan").await;
    upload_after_erasure(&service).await;
}

#[tokio::test]
async fn what_is_uploaded_after_its_redaction_is_removed() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let announced = service.announce("ada", b"hello").await;
    let body = json!({"subject": ada, "targets": [{"attachment": announced["attachment"]}]});
    let done = service.post("/v1/redactions", &service.ours.owner, body);
    assert_eq!(done.await.expect(200)["results"][0]["status"], "redacted");
    assert_eq!(
        service.put(&announced["upload"], b"hello").await.status,
        200
    );
    service.settle().await;
    assert!(rows::files(&service).is_empty());
    let after = service.attachment(&ada, file_of(&announced)).await;
    assert_has(&after, json!({"state": "redacted", "download": null}));
}

#[tokio::test]
async fn files_belong_to_one_life_of_one_person() {
    let service = Service::start().await;
    let (ada, bob) = (service.acquaint("ada").await, service.acquaint("bob").await);
    let old = service.upload("ada", "old.txt", "text/plain", b"old").await;
    let link = service.attachment(&ada, &old).await["download"].clone();
    let held = versions(&service, "attachments/").remove(0);
    let at = |subject: &str, file: &str| format!("/v1/subjects/{subject}/attachments/{file}");
    let read = &service.ours.read;
    service.get(&at(&bob, &old), read).await.expect(404);
    service
        .get(&at(&ada, &old), &service.theirs.read)
        .await
        .expect(404);
    for unknown in ["att_0", "x", "att_00000000000000000000000000000000"] {
        service.get(&at(&ada, unknown), read).await.expect(404);
    }

    let announced = service.announce("ada", b"hello").await;
    service.erase(&ada).await;
    service.get(&at(&ada, &old), read).await.expect(404);
    service.cloud.settle().await;
    assert_ne!(
        fetch(&link).await.0,
        200,
        "a link handed out before is void"
    );
    service.advance(minutes(30)).await;

    let new = service.upload("ada", "new.txt", "text/plain", b"new").await;
    service.get(&at(&ada, &old), read).await.expect(404);
    service
        .get(&at(&ada, file_of(&announced)), read)
        .await
        .expect(404);
    // The old life's events find nothing of the new one.
    service.cloud.invoke("scan", arrived(&held)).await.unwrap();
    let key = versions(&service, "attachments/").remove(0).key;
    let stale = created(&held.bucket, &key, &held.id);
    service.cloud.invoke("scan", stale).await.unwrap();
    assert_eq!(versions(&service, "attachments/").len(), 1);
    let clean = service.attachment(&ada, &new).await;
    assert_eq!(fetch(&clean["download"]).await.1, b"new");
}

#[tokio::test]
async fn an_event_of_an_expired_life_removes_what_it_brings() {
    let (service, scan) = asleep("scan").await;
    service.visit("ada").await;
    let announced = service.announce("ada", b"hello").await;
    service.put(&announced["upload"], b"hello").await;
    service.cloud.settle().await;
    let held = versions(&service, "attachments/").remove(0);
    service.advance(days(33)).await;
    assert!(rows::files(&service).is_empty());
    scan.wake();
    // Late by a month; the version is gone, and a second one would be.
    service.cloud.invoke("scan", arrived(&held)).await.unwrap();
    let objects = &service.cloud.app().objects;
    let upload = objects.begin_upload(&held.key, "text/plain").await.unwrap();
    let part = objects.upload_part(&held.key, &upload, 1, b"late".to_vec());
    let parts = vec![part.await.unwrap()];
    let finished = objects.finish_upload(&held.key, &upload, parts).await;
    finished.unwrap();
    service.cloud.settle().await;
    assert!(rows::files(&service).is_empty());
    assert!(service.cloud.dead_letters().is_empty());
}

#[tokio::test]
async fn a_link_runs_out_when_the_door_says_so_however_long_the_request_takes() {
    let slow = Arc::new(Mutex::new(None::<shared::base::clock::Clock>));
    let slowed = slow.clone();
    let options = Options {
        wire: Some(Arc::new(move |_| {
            // Every call takes seconds.
            let clock = slowed.lock().expect("no holder panics");
            if let Some(clock) = &*clock {
                clock.advance(seconds(3));
            }
            Fate::Pass
        })),
        ..Options::default()
    };
    let service = Service::with(options).await;
    let ada = service.visit("ada").await;
    *slow.lock().expect("no holder panics") = Some(service.cloud.clock().clone());
    let announced = service.announce("ada", b"hello").await;
    slow.lock().expect("no holder panics").take();
    let ends: jiff::Timestamp = announced["upload"]["expires_at"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("a time");
    let rows = rows::about(&service, &ada).await;
    let door = rows
        .iter()
        .find(|row| rows::text(row, "SK") == Some("door"))
        .expect("a door");
    let open = door["uploads"].as_l().expect("links");
    let told: Vec<_> = open.iter().filter_map(|at| at.as_n().ok()).collect();
    assert_eq!(told, [&ends.as_millisecond().to_string()]);
}

#[tokio::test]
async fn a_media_type_is_taken_as_browsers_give_it() {
    let service = Service::start().await;
    for (given, kept) in [
        ("audio/webm;codecs=opus", "audio/webm"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("text/csv; charset=\"UTF-8;x\" ; header=present", "text/csv"),
        ("Image/PNG", "image/png"),
        (" video/mp4 ;codecs=avc1", "video/mp4"),
        ("text/plain;", "text/plain"),
        ("", "application/octet-stream"),
    ] {
        let file = json!({"visitor_id": "ada", "filename": "a", "content_type": given, "size": 5,
                          "sha256": sha256(b"hello")});
        let key = &service.ours.ingest;
        service.post("/v1/attachments", key, file).await.expect(201);
        let ada = service.visit("ada").await;
        let path = format!("/v1/subjects/{ada}/records?type=attachment&limit=100");
        let page = service.get(&path, &service.ours.read).await.expect(200);
        let types = page["data"].as_array().unwrap().iter();
        let found = types.filter(|it| it["content_type"] == kept).count();
        assert!(found > 0, "{given:?}: {page}");
    }
    for given in [
        "png",
        "image/",
        "/png",
        "image/png, text/plain",
        "text/plain charset=x",
        ";",
        "a b/c",
    ] {
        let file = json!({"visitor_id": "ada", "filename": "a", "content_type": given, "size": 5,
                          "sha256": sha256(b"hello")});
        let reply = service
            .post("/v1/attachments", &service.ours.ingest, file)
            .await;
        match given {
            // No type, and no parameter either.
            ";" => drop(reply.expect(201)),
            _ => assert_eq!(reply.faults(), ["/content_type"], "{given:?}"),
        }
    }
}

#[tokio::test]
async fn an_announcement_repeated_after_its_link_has_run_out_is_given_another() {
    let service = Service::start().await;
    let once = [("idempotency-key", "file-1")];
    let send = async |key: &str| {
        let body = note("ada", b"hello");
        service
            .call_with("POST", "/v1/attachments", key, Some(&body), &once)
            .await
    };
    let ada = service.visit("ada").await;
    for key in [&service.ours.ingest, &service.ours.collect] {
        let first = send(key).await.expect(201);
        service.advance(minutes(8)).await;
        assert_eq!(send(key).await.expect(201), first, "it can still be used");
        service.advance(minutes(7)).await;
        assert_eq!(service.put(&first["upload"], b"hello").await.status, 403);
        let again = send(key).await.expect(201);
        assert_eq!(again["attachment"], first["attachment"]);
        assert_eq!(service.put(&again["upload"], b"hello").await.status, 200);
        service.settle().await;
        let file = first["attachment"].as_str().expect("an id");
        assert_eq!(service.attachment(&ada, file).await["state"], "clean");
        let counts = service.person(&ada).await["counts"].clone();
        assert!(
            counts["attachments"].as_u64() <= Some(2),
            "no second row: {counts}"
        );
    }
    // It is there by now: a server is told so, and a page is told of nothing.
    let refused = send(&service.ours.ingest).await.expect(409);
    assert_eq!(refused["code"], "uploaded");
    service.advance(minutes(15)).await;
    service.erase(&ada).await;
    send(&service.ours.ingest).await.expect(404);
    let void = send(&service.ours.collect).await.expect(201);
    service.put(&void["upload"], b"hello").await;
    service.advance(minutes(40)).await;
    assert!(rows::files(&service).is_empty());
    service.no_person(&ada).await;
}
