//! A page's key learns nothing of anybody, whatever it asks for.

use lethe_tests::files::note;
use lethe_tests::{Service, minutes};
use serde_json::{Value, json};

use crate::rows;

/// The part of a link that says whose file it is.
fn whose(announced: &Value) -> String {
    let url = announced["upload"]["url"].as_str().expect("a link");
    let path = url.split('?').next().expect("a path");
    path.rsplit_once('/').expect("a file in it").0.to_owned()
}

/// What a page is told of somebody: of a visit, and of two files that it announces. Their
/// links, in which nothing but the file differs.
async fn told(service: &Service, visitor: &str) -> (Value, Vec<Value>) {
    let collect = &service.ours.collect;
    let visit = json!({"events": [{"type": "visit", "visitor_id": visitor}]});
    let visited = service.post("/v1/events", collect, visit).await;
    let mut links = Vec::new();
    for _ in 0..2 {
        let reply = service.announce_with(collect, visitor).await;
        assert_eq!(reply.status, 201, "{visitor}: {}", reply.text);
        assert_eq!(reply.header("retry-after"), None);
        links.push(reply.json());
    }
    assert_eq!(whose(&links[0]), whose(&links[1]), "{visitor}");
    assert_ne!(links[0]["attachment"], links[1]["attachment"]);
    (visited.expect(200), links)
}

#[tokio::test]
async fn a_page_gets_a_link_whatever_becomes_of_the_file() {
    let service = Service::start().await;
    for (visitor, name) in [
        ("held", "hold"),
        ("restricted", "restriction"),
        ("objected", "objection"),
    ] {
        let subject = service.acquaint(visitor).await;
        service.set_rule(&subject, name).await;
    }
    service.acquaint("known").await;
    let gone = service.acquaint("erased").await;
    service.erase(&gone).await;
    let suppressed = service.acquaint("suppressed").await;
    service.erase_and_suppress(&suppressed).await;
    service.advance(minutes(30)).await;
    let full = service.acquaint("full").await;
    for _ in 0..20 {
        let reply = service.announce_with(&service.ours.ingest, "full").await;
        assert_eq!(reply.status, 201);
    }
    let erasing = service.acquaint("erasing").await;
    let reply = service.announce_with(&service.ours.ingest, "erasing").await;
    assert_eq!(reply.status, 201);
    service.erase(&erasing).await;

    let (expected, links) = told(&service, "unknown").await;
    let shape = |link: &Value| {
        let mut shape: Vec<_> = link["upload"]
            .as_object()
            .expect("a link")
            .keys()
            .cloned()
            .collect();
        shape.push(link["upload"]["expires_at"].to_string());
        shape
    };
    let stored = [
        "unknown",
        "known",
        "held",
        "restricted",
        "objected",
        "erased",
    ];
    let passed_over = ["suppressed", "erasing", "full"];
    for visitor in stored.iter().chain(&passed_over) {
        let (visited, announced) = told(&service, visitor).await;
        assert_eq!(visited, expected, "{visitor}");
        assert_eq!(shape(&announced[0]), shape(&links[0]), "{visitor}");
        let uploaded = service.put(&announced[0]["upload"], b"hello").await;
        assert_eq!(uploaded.status, 200, "{visitor}: {}", uploaded.text);
        service.settle().await;
        // Nobody could fetch it, and `scan` has deleted what no row awaits.
        let prefix = whose(&announced[0]);
        let prefix = prefix.split_once("/attachments/").expect("a prefix").1;
        let kept = rows::files(&service).iter().any(|key| key.contains(prefix));
        assert_eq!(kept, stored.contains(visitor), "{visitor}");
    }
    // The tenant's own server is told why.
    for (visitor, status) in [("suppressed", 409), ("erasing", 409), ("full", 429)] {
        let reply = service.announce_with(&service.ours.ingest, visitor).await;
        assert_eq!(reply.status, status, "{visitor}: {}", reply.text);
    }
    let shown = service.person(&full).await;
    assert_eq!(shown["counts"]["attachments"], 20);
    service.advance(minutes(30)).await;
    assert!(rows::about(&service, &erasing).await.is_empty());
}

#[tokio::test]
async fn an_erasure_waits_for_links_that_lead_nowhere_too() {
    let service = Service::start().await;
    let full = service.acquaint("full").await;
    for _ in 0..20 {
        let reply = service.announce_with(&service.ours.ingest, "full").await;
        assert_eq!(reply.status, 201);
    }
    service.advance(minutes(5)).await;
    let link = service
        .announce_with(&service.ours.collect, "full")
        .await
        .expect(201);
    service.erase(&full).await;
    let path = format!("/v1/erasures?subject={full}");
    let job = async || service.get(&path, &service.ours.owner).await.expect(200)["data"][0].clone();
    // The links of the server have run out, and the page's has not.
    service.advance(minutes(6)).await;
    assert_eq!(service.put(&link["upload"], b"hello").await.status, 200);
    assert_eq!(job().await["state"], "verifying");
    // An upload that was begun by one of them may still arrive until ten minutes after its
    // link's end: by the server's for a quarter of an hour in all, by the page's for longer.
    service.advance(minutes(11)).await;
    assert_eq!(job().await["state"], "verifying");
    service.advance(minutes(19)).await;
    assert_eq!(job().await["state"], "completed");
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn a_repeated_announcement_of_a_page_is_answered_alike() {
    let service = Service::start().await;
    let gone = service.acquaint("suppressed").await;
    service.erase_and_suppress(&gone).await;
    for visitor in ["suppressed", "known"] {
        let file = note(visitor, b"hello");
        let once = [("idempotency-key", visitor)];
        let send = || {
            let key = &service.ours.collect;
            service.call_with("POST", "/v1/attachments", key, Some(&file), &once)
        };
        let first = send().await.expect(201);
        assert_eq!(send().await.expect(201), first, "{visitor}");
    }
}

#[tokio::test]
async fn a_pages_links_are_counted_whomever_they_are_for() {
    let service = Service::start().await;
    let collect = &service.ours.collect;
    let mut statuses = Vec::new();
    for n in 0..110 {
        let visitor = format!("v-{}", n % 3);
        statuses.push(service.announce_with(collect, &visitor).await.status);
    }
    let mut expected = vec![201; 100];
    expected.resize(110, 429);
    assert_eq!(statuses, expected);
    // A server's are not.
    let reply = service.announce_with(&service.ours.ingest, "v-9").await;
    assert_eq!(reply.status, 201);
    service.advance(minutes(1)).await;
    assert_eq!(service.announce_with(collect, "v-0").await.status, 201);
}

#[tokio::test]
async fn where_a_consent_is_required_for_all_it_is_for_files_too() {
    let service = Service::start().await;
    let (owner, server) = (&service.ours.owner, &service.ours.ingest);
    let known = service.acquaint("known").await;
    let settings = json!({"consent_required": "all"});
    let set = service.call("PUT", "/v1/settings", owner, Some(&settings));
    assert!(set.await.status < 300);
    for visitor in ["known", "unknown"] {
        let refused = service.announce_with(server, visitor).await;
        assert_eq!(refused.expect(409)["code"], "no_consent", "{visitor}");
        let (_, links) = told(&service, visitor).await;
        let uploaded = service.put(&links[0]["upload"], b"hello").await;
        assert_eq!(uploaded.status, 200);
    }
    service.settle().await;
    assert!(rows::files(&service).is_empty());
    let shown = service.person(&known).await;
    assert_eq!(shown["counts"]["attachments"], 0);
    let found = service.post("/v1/lookup", owner, json!({"visitor_id": "unknown"}));
    assert_eq!(found.await.expect(200)["subjects"], json!([]));

    // A page's own word covers what pages announce, the server's everything.
    let consent = json!({"events": [{"type": "identify", "visitor_id": "known", "consent": {"basis": "consent"}}]});
    service
        .post("/v1/events", &service.ours.collect, consent.clone())
        .await
        .expect(200);
    service.announce_with(server, "known").await.expect(409);
    service
        .announce_with(&service.ours.collect, "known")
        .await
        .expect(201);
    let shown = service.person(&known).await;
    assert_eq!(shown["counts"]["attachments"], 1);
    let told = service
        .post("/v1/events", server, consent)
        .await
        .expect(200);
    assert_eq!(told["results"][0]["status"], "stored");
    service.announce_with(server, "known").await.expect(201);
}
