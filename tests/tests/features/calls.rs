use lethe_tests::Service;
use lethe_tests::meter::{Cost, Meter};
use local::Options;
use serde_json::json;

#[tokio::test]
async fn probe() {
    let meter = Meter::default();
    let service = Service::with(Options {
        listen: Some(meter.listener()),
        schedules: false,
        ..Options::default()
    })
    .await;
    let who = service.acquaint("ada").await;
    let file = service.upload("ada", "a.txt", "text/plain", b"hello").await;
    let (owner, ingest, read, collect) = (
        &service.ours.owner,
        &service.ours.ingest,
        &service.ours.read,
        &service.ours.collect,
    );
    service.visit("bea").await;
    service.get("/v1/settings", owner).await;
    service.get("/v1/settings", read).await;
    service.get("/v1/privacy-config", collect).await;
    macro_rules! m {
        ($n:expr, $e:expr) => {{
            meter.take();
            let r = $e;
            service.cloud.settle().await;
            let c = Cost::of(&meter.take());
            eprintln!(
                "{:<28} r {:>5} w {:>5}  {:?}",
                $n, c.reads, c.writes, c.calls
            );
            r
        }};
    }
    m!("visit", service.visit("ada").await);
    m!(
        "visit collect",
        service
            .post(
                "/v1/events",
                collect,
                json!({"events":[{"type":"visit","visitor_id":"ada","url":"https://x.example/"}]})
            )
            .await
            .expect(200)
    );
    m!(
        "identify same",
        service
            .store(json!([{"type":"identify","visitor_id":"ada","name":"Ada Lovelace"}]))
            .await
    );
    m!(
        "identify new mail",
        service
            .store(json!([{"type":"identify","visitor_id":"ada","email":"b@example.com"}]))
            .await
    );
    m!("message", service.store(json!([{"type":"message","visitor_id":"ada","conversation_id":"c-1","author":"end_user","body":"hello"}])).await);
    m!("message new conv", service.store(json!([{"type":"message","visitor_id":"ada","conversation_id":"c-2","author":"end_user","body":"hello"}])).await);
    m!("message with ext id", service.store(json!([{"type":"message","visitor_id":"ada","conversation_id":"c-1","id":"018f0000-0000-7000-8000-000000000001","author":"end_user","body":"hello"}])).await);
    m!("interaction", service.store(json!([{"type":"interaction","visitor_id":"ada","item_id":"help-7","action":"viewed"}])).await);
    m!("first contact", service.visit("eve").await);
    let many: Vec<_> = (0..100)
        .map(|n| json!({"type":"visit","visitor_id":"ada","url":format!("https://x.example/{n}")}))
        .collect();
    m!("100 visits one", service.store(json!(many)).await);
    let many: Vec<_> = (0..100).map(|n| json!({"type":"message","visitor_id":"ada","conversation_id":"c-1","author":"end_user","body":format!("{n}")})).collect();
    m!("100 messages one", service.store(json!(many)).await);
    let many: Vec<_> = (0..100)
        .map(|n| json!({"type":"visit","visitor_id":format!("v{n}"),"url":"https://x.example/"}))
        .collect();
    m!("100 first contacts", service.store(json!(many)).await);
    m!("100 visits", service.store(json!(many)).await);
    m!(
        "privacy-config",
        service.get("/v1/privacy-config", collect).await.expect(200)
    );
    m!(
        "patch",
        service
            .call_with(
                "PATCH",
                &format!("/v1/subjects/{who}"),
                owner,
                Some(&json!({"name":"Ada L"})),
                &[]
            )
            .await
    );
    m!(
        "lookup",
        service
            .post("/v1/lookup", read, json!({"visitor_id":"ada"}))
            .await
            .expect(200)
    );
    m!(
        "lookup mail",
        service
            .post("/v1/lookup", read, json!({"email":"b@example.com"}))
            .await
            .expect(200)
    );
    m!(
        "profile",
        service
            .get(&format!("/v1/subjects/{who}"), read)
            .await
            .expect(200)
    );
    m!(
        "records",
        service
            .get(&format!("/v1/subjects/{who}/records"), read)
            .await
            .expect(200)
    );
    m!(
        "subjects",
        service.get("/v1/subjects?limit=10", read).await.expect(200)
    );
    m!(
        "attachment",
        service
            .get(&format!("/v1/subjects/{who}/attachments/{file}"), read)
            .await
            .expect(200)
    );
    let a = m!("announce", service.post("/v1/attachments", ingest, json!({"visitor_id":"ada","filename":"b.txt","content_type":"text/plain","size":5,"sha256":lethe_tests::sha256(b"hello")})).await.expect(201));
    m!("upload+scan", service.put(&a["upload"], b"hello").await);
    let recs = service
        .get(&format!("/v1/subjects/{who}/records?type=message"), read)
        .await
        .expect(200);
    eprintln!("{}", recs["records"][0]);
    let msg = recs["records"][0]["id"].clone();
    m!(
        "redact message",
        service
            .post(
                "/v1/redactions",
                owner,
                json!({"subject":who,"targets":[{"message":msg}]})
            )
            .await
    );
    m!(
        "redact list",
        service.get("/v1/redactions", owner).await.expect(200)
    );
    m!(
        "restrict",
        service
            .call(
                "PUT",
                &format!("/v1/subjects/{who}/restriction"),
                owner,
                Some(&json!({"reason":"x"}))
            )
            .await
    );
    m!(
        "unrestrict",
        service
            .call(
                "DELETE",
                &format!("/v1/subjects/{who}/restriction"),
                owner,
                None
            )
            .await
    );
    m!(
        "settings",
        service.get("/v1/settings", owner).await.expect(200)
    );
    m!(
        "put settings",
        service
            .call(
                "PUT",
                "/v1/settings",
                owner,
                Some(&json!({"retention_days": 20}))
            )
            .await
    );
    m!("keys", service.get("/v1/keys", owner).await.expect(200));
    m!(
        "activity",
        service.get("/v1/activity", owner).await.expect(200)
    );
    m!(
        "seals",
        service.get("/v1/activity/seals", owner).await.expect(200)
    );
    let e = m!(
        "export",
        service
            .post("/v1/exports", owner, json!({"subject":who}))
            .await
    );
    m!(
        "export get",
        service
            .get(
                &format!("/v1/exports/{}", e.json()["id"].as_str().unwrap_or("x")),
                owner
            )
            .await
    );
    m!(
        "cleanup nothing",
        service.cloud.run_schedule("cleanup").await.unwrap()
    );
    m!(
        "cleanup nothing 2",
        service.cloud.run_schedule("cleanup").await.unwrap()
    );
    let j = m!(
        "erase eve",
        service
            .call(
                "DELETE",
                &format!("/v1/subjects/{}", service.visit("eve").await),
                owner,
                None
            )
            .await
    );
    m!(
        "erasure",
        service
            .get(
                &format!("/v1/erasures/{}", j.json()["id"].as_str().unwrap()),
                owner
            )
            .await
            .expect(200)
    );
    m!(
        "receipt",
        service
            .get(
                &format!("/v1/erasures/{}/receipt", j.json()["id"].as_str().unwrap()),
                owner
            )
            .await
            .expect(200)
    );
    m!(
        "erasures",
        service.get("/v1/erasures", owner).await.expect(200)
    );
    m!(
        "erase ada",
        service
            .call("DELETE", &format!("/v1/subjects/{who}"), owner, None)
            .await
    );
    m!(
        "jwks",
        service.get("/.well-known/jwks.json", "").await.expect(200)
    );
    m!(
        "jwks",
        service.get("/.well-known/jwks.json", "").await.expect(200)
    );
}
