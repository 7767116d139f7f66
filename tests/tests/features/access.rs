//! Access: who is found, what is shown of them, page by page.

use lethe_tests::{Service, days};
use serde_json::{Value, json};

#[tokio::test]
async fn a_person_is_found_by_each_value_in_any_of_its_forms() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    service
        .store(json!([{"type": "identify", "visitor_id": "ada", "phone": "+49 151 2345678"}]))
        .await;
    for lookup in [
        json!({"visitor_id": "ada"}),
        json!({"user_id": "u-ada"}),
        json!({"email": "ADA@example.com"}),
        json!({"phone": "0049 (151) 234-5678"}),
    ] {
        let found = service
            .post("/v1/lookup", &service.ours.read, lookup.clone())
            .await
            .expect(200);
        assert_eq!(
            found["subjects"][0]["subject"], subject,
            "{lookup}: {found}"
        );
        assert_eq!(found["subjects"][0]["verified"], true, "{lookup}: {found}");
        assert_eq!(found["subjects"][0]["state"], "active");
        let theirs = service
            .post("/v1/lookup", &service.theirs.read, lookup)
            .await
            .expect(200);
        assert_eq!(theirs, json!({"subjects": []}));
    }
    let nobody = json!({"phone": "0151 2345678"});
    let nobody = service
        .post("/v1/lookup", &service.ours.read, nobody)
        .await
        .expect(200);
    assert_eq!(nobody, json!({"subjects": []}));
    let two = json!({"email": "a@example.com", "phone": "+49 151 2345678"});
    service
        .post("/v1/lookup", &service.ours.read, two)
        .await
        .expect(422);
}

#[tokio::test]
async fn a_person_is_shown_as_they_are_known() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    let other = service.visit("ada2").await;
    service
        .store(json!([{"type": "identify", "visitor_id": "ada2", "user_id": "u-ada"}]))
        .await;
    let reply = service
        .get(&format!("/v1/subjects/{subject}"), &service.ours.read)
        .await;
    let person = reply.expect(200);
    assert_eq!(person["subject"], subject);
    assert_eq!(person["visitor_id"], "ada");
    assert_eq!(
        person["identity"],
        json!({"user_id": "u-ada", "name": "Ada Lovelace"})
    );
    assert_eq!(person["contact"], json!({"email": "ada@example.com"}));
    assert_eq!(person["custom"], json!({"plan": "gold"}));
    assert_eq!(
        person["device"],
        json!({"browser": "Firefox", "os": "Linux"})
    );
    assert_eq!(person["network"]["ip"], "203.0.113.0");
    assert_eq!(person["verified"], true);
    assert_eq!(
        person["related"],
        json!([{"subject": other, "via": "user_id", "verified": true}])
    );
    let counts = json!({"conversations": 1, "messages": 2, "attachments": 0, "interactions": 1});
    assert_eq!(person["counts"], counts);
    assert!(reply.header("etag").is_some_and(|tag| tag.starts_with('"')));
    let theirs = service
        .get(&format!("/v1/subjects/{subject}"), &service.theirs.read)
        .await;
    let unknown = format!("/v1/subjects/sub_{}", "0".repeat(32));
    let unknown = service.get(&unknown, &service.theirs.read).await;
    assert_eq!(theirs.status, 404);
    let body = |reply: &lethe_tests::Reply| {
        let mut body = reply.json();
        body["request_id"] = Value::Null;
        body
    };
    assert_eq!(body(&theirs), body(&unknown));
}

#[tokio::test]
async fn everybody_is_listed_once_over_pages() {
    let service = Service::start().await;
    let mut subjects = Vec::new();
    for at in 0..25 {
        subjects.push(service.visit(&format!("v-{at}")).await);
    }
    service.advance(days(10)).await;
    for at in 0..5 {
        service.visit(&format!("v-{at}")).await;
    }
    subjects.sort();
    let listed = service.list("/v1/subjects?limit=4").await;
    let mut names: Vec<_> = listed
        .iter()
        .map(|row| row["subject"].as_str().unwrap_or_default())
        .collect();
    names.sort_unstable();
    assert_eq!(names, subjects);
    let soon = (service.now() + days(25)).to_string();
    let ending = service
        .list(&format!("/v1/subjects?expires_before={soon}&limit=3"))
        .await;
    assert_eq!(ending.len(), 20);
    let erased = &subjects[0];
    service
        .delete(&format!("/v1/subjects/{erased}"), &service.ours.owner)
        .await
        .expect(202);
    assert_eq!(service.list("/v1/subjects?limit=100").await.len(), 24);
    service
        .get("/v1/subjects?expires_before=soon", &service.ours.read)
        .await
        .expect(422);
}

#[tokio::test]
async fn records_are_paged_and_filtered() {
    let service = Service::start().await;
    let subject = service.acquaint("ada").await;
    service.advance(days(1)).await;
    let message = |at: usize| {
        json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-2",
               "author": "end_user", "body": format!("later {at}")})
    };
    service.store((0..7).map(message).collect()).await;
    let base = format!("/v1/subjects/{subject}/records");
    let everything = service.list(&format!("{base}?limit=100")).await;
    let types: Vec<_> = everything
        .iter()
        .map(|it| it["type"].as_str().unwrap_or_default())
        .collect();
    let mut expected = vec!["conversation"; 2];
    expected.extend(vec!["message"; 9]);
    expected.push("interaction");
    assert_eq!(types, expected);
    for limit in [1, 2, 3, 5] {
        assert_eq!(
            service.list(&format!("{base}?limit={limit}")).await,
            everything
        );
    }
    let messages = service.list(&format!("{base}?type=message&limit=4")).await;
    assert_eq!(messages, everything[2..11]);
    let mut reversed = service
        .list(&format!("{base}?type=message&order=desc&limit=4"))
        .await;
    reversed.reverse();
    assert_eq!(reversed, messages);
    let of_one = service
        .list(&format!("{base}?conversation=c-2&limit=3"))
        .await;
    assert_eq!(of_one.len(), 8);
    assert!(of_one.iter().all(|it| it["conversation_id"] == "c-2"));
    let since = (service.now() - days(1) + lethe_tests::minutes(1)).to_string();
    let late = service
        .list(&format!("{base}?type=message&since={since}&limit=2"))
        .await;
    assert_eq!(late.len(), 7);
    let early = service.list(&format!("{base}?until={since}&limit=2")).await;
    assert_eq!(early.len(), 4, "{early:?}");
    for wrong in [
        "type=person",
        "order=up",
        "since=today",
        "limit=0",
        "cursor=x",
        "colour=red",
    ] {
        service
            .get(&format!("{base}?{wrong}"), &service.ours.read)
            .await
            .expect(422);
    }
    // A cursor is for the list that gave it.
    let page = service
        .get(&format!("{base}?limit=1"), &service.ours.read)
        .await
        .expect(200);
    let cursor = page["next_cursor"]
        .as_str()
        .expect("there is more")
        .to_owned();
    let elsewhere = format!("{base}?type=message&cursor={cursor}");
    service
        .get(&elsewhere, &service.ours.read)
        .await
        .expect(422);
}

#[tokio::test]
async fn a_page_of_long_messages_stays_within_what_can_be_answered() {
    let service = Service::start().await;
    let subject = service.visit("ada").await;
    let body = "\u{1}".repeat(64 * 1024 - 8);
    for at in 0..30 {
        let event = json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                            "author": "end_user", "body": format!("{at} {body}")}]);
        service.store(event).await;
    }
    let path = format!("/v1/subjects/{subject}/records?type=message&limit=100");
    let first = service.get(&path, &service.ours.read).await;
    assert!(first.text.len() < 5_000_000, "{}", first.text.len());
    assert!(first.json()["next_cursor"].is_string());
    assert_eq!(service.list(&path).await.len(), 30);
}
