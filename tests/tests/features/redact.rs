//! Redaction: what is taken out stays out, and nothing else is touched.

use lethe_tests::Service;
use serde_json::{Value, json};

async fn redact(service: &Service, subject: &str, targets: Value) -> Vec<Value> {
    let body = json!({"subject": subject, "reason": "support_request", "targets": targets});
    let reply = service
        .post("/v1/redactions", &service.ours.owner, body)
        .await;
    let results = reply.expect(200)["results"].as_array().cloned();
    results.expect("a result per target")
}

#[tokio::test]
async fn a_redacted_message_keeps_no_body() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let before = service.records(&subject, "message").await;
    let target = json!([{"message": before[0]["message"]}]);
    for _ in 0..2 {
        let results = redact(&service, &subject, target.clone()).await;
        assert_eq!(results[0]["status"], "redacted");
        assert_eq!(results[0]["message"], before[0]["message"]);
    }
    let after = service.records(&subject, "message").await;
    assert_eq!(after[0]["redacted"], true);
    assert_eq!(after[0].get("body"), None);
    assert_eq!(after[0].get("content_hash"), None);
    assert_eq!(after[1], before[1]);
}

#[tokio::test]
async fn spans_are_blocked_only_in_the_body_they_were_chosen_in() {
    let service = Service::start().await;
    let subject = service.visit("ada").await;
    service
        .store(
            json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                       "author": "end_user", "body": "Grüße, call 0151 now"}]),
        )
        .await;
    let before = service.records(&subject, "message").await.remove(0);
    let target = |hash: &Value, start: u32, end: u32| json!([{"message": before["message"], "content_hash": hash, "spans": [{"start": start, "end": end}]}]);
    let first = target(&before["content_hash"], 12, 16);
    let results = redact(&service, &subject, first.clone()).await;
    assert_eq!(results[0]["status"], "redacted", "{results:?}");
    let after = service.records(&subject, "message").await.remove(0);
    assert_eq!(after["body"], "Grüße, call ████ now");
    assert_eq!(after["redacted"], false);
    assert_eq!(results[0]["content_hash"], after["content_hash"]);
    // The same again is done; other spans of the old body are not.
    assert_eq!(
        redact(&service, &subject, first).await[0]["status"],
        "redacted"
    );
    let stale = target(&before["content_hash"], 0, 5);
    assert_eq!(
        redact(&service, &subject, stale).await[0]["status"],
        "stale"
    );
    let beyond = target(&after["content_hash"], 0, 500);
    assert_eq!(
        redact(&service, &subject, beyond).await[0]["status"],
        "invalid"
    );
    assert_eq!(service.records(&subject, "message").await.remove(0), after);
}

#[tokio::test]
async fn two_targets_in_one_message_are_both_done() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let before = service.records(&subject, "message").await;
    let question = before
        .iter()
        .find(|it| it["author"] == "end_user")
        .expect("a question");
    let targets: Vec<_> = [(0, 5), (12, 19)]
        .map(|(start, end)| {
            json!({"message": question["message"], "content_hash": question["content_hash"],
                   "spans": [{"start": start, "end": end}]})
        })
        .into();
    let results = redact(&service, &subject, json!(targets)).await;
    assert!(
        results.iter().all(|it| it["status"] == "redacted"),
        "{results:?}"
    );
    let after = service.records(&subject, "message").await;
    let question = after
        .iter()
        .find(|it| it["author"] == "end_user")
        .expect("a question");
    assert_eq!(question["body"], "█████ is my ███████?");
}

#[tokio::test]
async fn a_redacted_file_is_gone_in_every_version() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let file = service
        .upload("ada", "note.txt", "text/plain", b"call me at 0151")
        .await;
    let path = format!("/v1/subjects/{subject}/attachments/{file}");
    let before = service.get(&path, &service.ours.read).await.expect(200);
    assert_eq!(before["state"], "clean", "{before}");
    let link = before["download"]["url"]
        .as_str()
        .expect("a link")
        .to_owned();
    assert_eq!(
        service.raw("GET", &link, &[], Vec::new()).await.text,
        "call me at 0151"
    );
    for _ in 0..2 {
        let results = redact(&service, &subject, json!([{"attachment": file}])).await;
        assert_eq!(
            results[0],
            json!({"index": 0, "status": "redacted", "attachment": file})
        );
    }
    assert_ne!(service.raw("GET", &link, &[], Vec::new()).await.status, 200);
    let after = service.get(&path, &service.ours.read).await.expect(200);
    assert_eq!(after["state"], "redacted");
    assert_eq!(after["download"], Value::Null);
    let records = format!("/v1/subjects/{subject}/records?type=attachment");
    let records = service.get(&records, &service.ours.read).await;
    assert!(!records.text.contains("note.txt"), "{}", records.text);
}

#[tokio::test]
async fn a_conversation_goes_with_its_title_messages_and_files() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let file = service
        .upload("ada", "note.txt", "text/plain", b"call me")
        .await;
    service
        .store(
            json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-2",
                       "author": "end_user", "body": "another one"}]),
        )
        .await;
    let targets = json!([{"conversation": "c-1"}, {"conversation": "c-9"}]);
    let results = redact(&service, &subject, targets).await;
    assert_eq!(
        results[0],
        json!({"index": 0, "status": "redacted", "conversation": "c-1"})
    );
    assert_eq!(results[1]["status"], "not_found");
    let records = format!("/v1/subjects/{subject}/records");
    let records = service.get(&records, &service.ours.read).await;
    for gone in ["Invoice", "invoice", "On its way", "note.txt"] {
        assert!(!records.text.contains(gone), "{gone}: {}", records.text);
    }
    assert!(records.text.contains("another one"));
    let path = format!("/v1/subjects/{subject}/attachments/{file}");
    let file = service.get(&path, &service.ours.read).await.expect(200);
    assert_eq!(file["state"], "redacted");
}

#[tokio::test]
async fn more_than_a_hundred_records_become_a_job() {
    let service = Service::start().await;
    let subject = service.visit("ada").await;
    for part in 0..3 {
        let message = |at: usize| {
            json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                   "author": "end_user", "body": format!("canary {part} {at}")})
        };
        service.store((0..40).map(message).collect()).await;
    }
    let body = json!({"targets": [
        {"subject": subject, "conversation": "c-1"},
        {"subject": format!("sub_{}", "0".repeat(32)), "conversation": "c-1"},
    ]});
    let reply = service
        .post("/v1/redactions", &service.ours.owner, body)
        .await;
    let job = reply.expect(202);
    let path = reply.header("location").expect("a location").to_owned();
    assert_eq!(
        path,
        format!("/v1/redactions/{}", job["id"].as_str().unwrap_or_default())
    );
    let job = service.job(&path).await;
    assert_eq!(job["state"], "completed", "{job}");
    assert_eq!(job["progress"], json!({"done": 121, "total": 121}));
    assert_eq!(job["results"]["redacted"], 1);
    assert_eq!(job["backups_clear_by"], "2026-03-03T12:15:00Z");
    assert_eq!(job["failed"], json!([{"index": 1, "status": "not_found"}]));
    let messages = service.records(&subject, "message").await;
    assert!(
        messages
            .iter()
            .all(|it| it["redacted"] == true && it.get("body").is_none())
    );

    let listed = format!("/v1/redactions?state=completed&subject={subject}");
    let listed = service.get(&listed, &service.ours.owner).await.expect(200);
    assert_eq!(listed["data"][0]["id"], job["id"]);
    let theirs = service.get(&path, &service.theirs.owner).await;
    assert_eq!(theirs.status, 404);
    let log = service
        .get("/v1/activity?kind=redaction.completed", &service.ours.owner)
        .await;
    assert_eq!(log.expect(200)["data"][0]["about"][0], job["id"]);
}

#[tokio::test]
async fn what_is_not_there_or_anothers_is_not_found() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let message = service.records(&subject, "message").await.remove(0);
    let body = json!({"subject": subject, "targets": [{"message": message["message"]}]});
    let reply = service
        .post("/v1/redactions", &service.theirs.owner, body)
        .await;
    assert_eq!(reply.expect(200)["results"][0]["status"], "not_found");
    let unknown = json!([
        {"message": format!("msg_{}", "0".repeat(64))},
        {"attachment": format!("att_{}", "0".repeat(32))},
    ]);
    let results = redact(&service, &subject, unknown).await;
    assert!(
        results.iter().all(|it| it["status"] == "not_found"),
        "{results:?}"
    );
    assert_eq!(
        service.records(&subject, "message").await.remove(0),
        message
    );
    service.erase(&subject).await;
    let results = redact(&service, &subject, json!([{"message": message["message"]}])).await;
    assert_eq!(results[0]["status"], "not_found");
}

#[tokio::test]
async fn a_body_at_fault_is_refused_by_name() {
    let service = Service::start().await;
    let post = async |body: Value| {
        service
            .post("/v1/redactions", &service.ours.owner, body)
            .await
            .faults()
    };
    let message = format!("msg_{}", "0".repeat(64));
    let subject = format!("sub_{}", "0".repeat(32));
    let detected =
        json!({"subject": subject, "targets": [{"message": message, "detected": ["email"]}]});
    assert_eq!(post(detected).await, ["/targets/0/detected"]);
    let free =
        json!({"subject": subject, "reason": "free text", "targets": [{"message": message}]});
    assert_eq!(post(free).await, ["/reason"]);
    let read = json!({"subject": subject, "targets": [{"message": message}]});
    assert_eq!(
        service
            .post("/v1/redactions", &service.ours.read, read)
            .await
            .status,
        403
    );
}
