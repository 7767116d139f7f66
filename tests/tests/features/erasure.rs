//! Forgetting when asked.

use lethe_tests::{Service, days, minutes, subject};
use serde_json::json;

use crate::rows;

#[tokio::test]
async fn an_erased_person_is_unreadable_in_the_answer_and_gone_in_the_end() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.attach("ada").await;
    let owner = &service.ours.owner;

    let job = service.delete(&format!("/v1/subjects/{ada}"), owner).await;
    let location = job
        .header("location")
        .expect("a job has a place")
        .to_owned();
    let body = job.expect(202);
    assert!(body["unreadable_at"]["records"].is_string(), "{body}");
    // At once, before any turn has run: nobody finds them, and their key is gone.
    service.no_person(&ada).await;
    let row = rows::keyring(&service)
        .await
        .into_iter()
        .find(|row| rows::text(row, "PK").is_some_and(|key| key.ends_with(&ada)));
    assert!(!row.expect("the keyring remembers").contains_key("data_key"));

    // A link to upload was handed out: the last look waits until it has run out.
    let waiting = service.job(&location).await;
    assert_eq!(waiting["state"], "verifying", "{waiting}");
    assert!(rows::files(&service).is_empty());
    service.advance(minutes(30)).await;
    let done = service.job(&location).await;
    assert_eq!(done["state"], "completed", "{done}");
    assert_eq!(done["progress"]["done"], done["progress"]["total"]);
    assert!(done["erased_at"].is_string());
    assert!(
        rows::about(&service, &ada).await.is_empty(),
        "nothing is left"
    );
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn who_returns_after_an_erasure_is_new() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.erase(&ada).await;
    service.cloud.settle().await;
    service.advance(minutes(1)).await;
    assert_eq!(service.visit("ada").await, ada, "the pseudonym is stable");
    let person = service.person(&ada).await;
    assert_eq!(person["identity"], json!({}));
    assert_eq!(person["contact"], json!({}));
    assert_eq!(person["counts"]["messages"], 0);
    let found = service.lookup(json!({"email": "ada@example.com"})).await;
    assert!(found.is_empty());
}

#[tokio::test]
async fn events_from_before_an_erasure_are_ignored() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let sent_at = service.now().to_string();
    service.advance(minutes(5)).await;
    service.erase(&ada).await;
    let event = json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user",
                       "body": "late", "at": sent_at});
    let send = || {
        service.post(
            "/v1/events",
            &service.ours.ingest,
            json!({"events": [event]}),
        )
    };
    // The turns run as soon as they are written, so either word may come first.
    let reason = send().await.expect(200)["results"][0]["reason"].clone();
    assert!(reason == "erasing" || reason == "erased", "{reason}");
    service.cloud.settle().await;
    service.advance(minutes(5)).await;
    assert_eq!(send().await.expect(200)["results"][0]["reason"], "erased");
    service.visit("ada").await;
    assert_eq!(
        send().await.expect(200)["results"][0]["reason"],
        "erased",
        "in the next life too"
    );
}

#[tokio::test]
async fn several_people_are_erased_by_one_request() {
    let service = Service::start().await;
    let (ada, bob, eve) = (
        service.acquaint("ada").await,
        service.acquaint("bob").await,
        service.acquaint("eve").await,
    );
    let owner = &service.ours.owner;
    let request =
        json!({"subjects": [ada, bob], "reason": "subject_request", "reference": "DSR-7"});
    let counts = service.dry_run(json!({"subjects": [ada, bob]})).await;
    assert_eq!(counts["subjects"], 2);
    // Of each: person, clock, conversation, two messages, interaction, two lookups.
    assert_eq!(counts["stores"]["records"], 16);
    service.person(&ada).await;

    let job = service.erasure(request).await;
    assert_eq!(job["reference"], "DSR-7");
    let done = service.follow(&job).await;
    assert_eq!(done["state"], "completed");
    for gone in [&ada, &bob] {
        service.no_person(gone).await;
        assert!(rows::about(&service, gone).await.is_empty());
    }
    service.person(&eve).await;

    let listed = service
        .get(
            &format!("/v1/erasures?subject={bob}&state=completed"),
            owner,
        )
        .await
        .expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let listed = service
        .get("/v1/erasures?state=queued", owner)
        .await
        .expect(200);
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test]
async fn a_lookup_erases_by_vouched_values_and_one_person_only() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let identify = |visitor: &str| json!([{"type": "identify", "visitor_id": visitor, "email": "shared@example.com"}]);
    let ada = subject(&service.store(identify("ada")).await[0]);
    let bob = subject(&service.store(identify("bob")).await[0]);
    // A page claims the same address; nobody vouches for it.
    service
        .send(
            &service.ours.collect,
            json!([{"type": "identify", "visitor_id": "eve", "email": "shared@example.com"}]),
        )
        .await;

    let request = json!({"lookup": {"email": "Shared@Example.com"}});
    let refused = service
        .post("/v1/erasures", owner, request.clone())
        .await
        .expect(409);
    assert_eq!(refused["code"], "ambiguous");
    let mut candidates: Vec<_> = refused["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect();
    candidates.sort();
    let mut both = vec![ada, bob];
    both.sort();
    assert_eq!(candidates, both);
    let all = json!({"lookup": {"email": "shared@example.com"}, "all": true});
    service.erasure(all).await;
    service.settle().await;
    let left = service.lookup(json!({"email": "shared@example.com"})).await;
    assert_eq!(left.len(), 1, "eve is not meant");
    service
        .post("/v1/erasures", owner, request)
        .await
        .expect(404);
}

#[tokio::test]
async fn a_repeated_request_is_answered_alike_and_a_late_turn_harms_nobody() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let (owner, request) = (&service.ours.owner, json!({"subjects": [ada]}));
    let once = [("idempotency-key", "erase-ada")];
    let first = service
        .call_with("POST", "/v1/erasures", owner, Some(&request), &once)
        .await;
    let again = service
        .call_with("POST", "/v1/erasures", owner, Some(&request), &once)
        .await;
    assert_eq!(first.expect(202), again.expect(202));
    let other = json!({"subjects": [ada], "dry_run": true});
    let reused = service
        .call_with("POST", "/v1/erasures", owner, Some(&other), &once)
        .await;
    assert_eq!(reused.faults(), ["Idempotency-Key"]);
    service.cloud.settle().await;
    service.advance(minutes(1)).await;
    service.acquaint("ada").await;

    let turns: Vec<_> = rows::records(&service)
        .await
        .into_iter()
        .filter(|row| rows::text(row, "SK").is_some_and(|sort| sort.starts_with("turn#")))
        .collect();
    assert!(!turns.is_empty());
    for turn in turns {
        let (pk, sk) = (
            rows::text(&turn, "PK").unwrap(),
            rows::text(&turn, "SK").unwrap(),
        );
        let record = json!({"Records": [{"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb":
            {"SequenceNumber": "1", "Keys": {"PK": {"S": pk}, "SK": {"S": sk}}}}]});
        let done = service.cloud.invoke("delete", record).await.unwrap();
        assert_eq!(done["batchItemFailures"], json!([]));
    }
    let person = service.person(&ada).await;
    assert_eq!(
        person["counts"]["messages"], 2,
        "the later life is untouched"
    );
}

#[tokio::test]
async fn a_bad_request_is_refused_by_name_and_nothing_is_lost() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let faults = async |body| service.post("/v1/erasures", owner, body).await.faults();
    assert_eq!(faults(json!({})).await, [""]);
    assert_eq!(
        faults(json!({"subjects": [ada], "visitors": ["ada"]})).await,
        [""]
    );
    assert_eq!(faults(json!({"subjects": ["ada"]})).await, ["/subjects/0"]);
    assert_eq!(
        faults(json!({"subjects": [ada], "reason": "she asked!"})).await,
        ["/reason"]
    );
    assert_eq!(
        faults(json!({"subjects": [ada], "tenant_id": "x"})).await,
        ["/tenant_id"]
    );
    assert_eq!(
        faults(json!({"lookup": {"name": "Ada"}})).await,
        ["/lookup/name", "/lookup"]
    );
    service.person(&ada).await;
    service
        .call("DELETE", "/v1/subjects/sub_0", owner, None)
        .await
        .expect(404);
    service
        .delete(&format!("/v1/subjects/{ada}"), &service.ours.read)
        .await
        .expect(403);
}

#[tokio::test]
async fn what_an_erasure_did_stands_in_the_activity_log() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.erase(&ada).await;
    service.cloud.settle().await;
    service.advance(days(40)).await;
    let day = lethe_tests::NOON.split('T').next().unwrap();
    let log = service
        .get(&format!("/v1/activity?day={day}"), &service.ours.owner)
        .await
        .expect(200);
    let kinds: Vec<_> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"erasure.requested") && kinds.contains(&"erasure.completed"),
        "{kinds:?}"
    );
    assert!(
        !log.to_string().contains(&ada),
        "the log names lives, never subjects"
    );
}
