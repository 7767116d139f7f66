//! Settings, keys, activity, tenants.

use lethe_tests::{Service, days};
use serde_json::{Value, json};

#[tokio::test]
async fn settings_are_replaced_by_who_has_seen_them() {
    let service = Service::start().await;
    let key = &service.ours.owner;
    let before = service.get("/v1/settings", key).await;
    assert_eq!(before.expect(200)["retention_days"], 30);
    let tag = before.header("etag").expect("a tag").to_owned();
    let wanted = json!({"retention_days": 7, "store_ip": "none"});
    let put = async |tag: &str| {
        let headers = [("if-match", tag)];
        service
            .call_with("PUT", "/v1/settings", key, Some(&wanted), &headers)
            .await
    };
    let changed = put(&tag).await;
    assert_eq!(changed.expect(200)["store_ip"], "none");
    put(&tag).await.expect(412);
    let after = service.get("/v1/settings", key).await;
    assert_eq!(after.expect(200)["retention_days"], 7);
    assert_eq!(after.header("etag"), changed.header("etag"));
    let refused = service
        .call(
            "PUT",
            "/v1/settings",
            key,
            Some(&json!({"retention_days": 31})),
        )
        .await;
    assert_eq!(refused.faults(), ["/retention_days"]);
    service
        .get("/v1/settings", &service.ours.read)
        .await
        .expect(403);
    let log = service
        .get("/v1/activity?kind=settings.changed", key)
        .await
        .expect(200);
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_dry_run_says_whom_a_shorter_retention_would_end() {
    let service = Service::start().await;
    service.visit("old").await;
    service.visit("back").await;
    service.advance(days(10)).await;
    service.visit("back").await;
    service.visit("new").await;
    let put = async |query: &str, body: Value| {
        let path = format!("/v1/settings{query}");
        service
            .call("PUT", &path, &service.ours.owner, Some(&body))
            .await
    };
    let preview = put("?dry_run=true", json!({"retention_days": 7}))
        .await
        .expect(200);
    assert_eq!(preview["would_erase"], 1, "{preview}");
    let preview = put("?dry_run=true", json!({"retention_days": 20}))
        .await
        .expect(200);
    assert_eq!(preview["would_erase"], 0);
    let settings = service
        .get("/v1/settings", &service.ours.owner)
        .await
        .expect(200);
    assert_eq!(settings["retention_days"], 30);
    put("?dry_run=perhaps", json!({})).await.expect(422);
}

#[tokio::test]
async fn a_key_is_shown_once_and_gone_when_revoked() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let body = json!({"scopes": ["read"], "reference": "crm-1"});
    let headers = [("idempotency-key", "one")];
    let made = service
        .call_with("POST", "/v1/keys", owner, Some(&body), &headers)
        .await
        .expect(201);
    let again = service
        .call_with("POST", "/v1/keys", owner, Some(&body), &headers)
        .await
        .expect(201);
    let (secret, id) = (
        made["secret"].as_str().unwrap(),
        made["id"].as_str().unwrap(),
    );
    assert_eq!(again["id"], id);
    assert_eq!(again.get("secret"), None);
    service.get("/v1/subjects", secret).await.expect(200);
    let listed = service.get("/v1/keys?limit=100", owner).await;
    assert!(!listed.text.contains("secret"));
    let found = listed.expect(200)["data"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert_eq!(found.len(), 5);
    assert!(
        found
            .iter()
            .any(|key| key["id"] == id && key["reference"] == "crm-1")
    );
    let path = format!("/v1/keys/{id}");
    assert_eq!(
        service.delete(&path, &service.theirs.owner).await.status,
        404
    );
    service.delete(&path, owner).await.expect(204);
    service.delete(&path, owner).await.expect(404);
    service.get("/v1/subjects", secret).await.expect(401);
}

#[tokio::test]
async fn the_last_key_that_administers_stays() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let listed = service.get("/v1/keys?limit=100", owner).await.expect(200);
    let keys = listed["data"].as_array().cloned().unwrap_or_default();
    let admin = |key: &&Value| {
        key["scopes"]
            .as_array()
            .is_some_and(|it| it.contains(&json!("admin")))
    };
    let own = keys.iter().find(admin).expect("the owner's")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/keys/{own}");
    let refused = service.delete(&path, owner).await;
    assert_eq!(refused.expect(409)["code"], "last_admin");
    let made = service
        .post("/v1/keys", owner, json!({"scopes": ["admin"]}))
        .await
        .expect(201);
    service.delete(&path, owner).await.expect(204);
    service
        .get("/v1/keys", made["secret"].as_str().unwrap())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_key_of_a_page_may_only_collect_from_its_origins() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let mixed = json!({"scopes": ["collect", "read"]});
    assert_eq!(
        service.post("/v1/keys", owner, mixed).await.faults(),
        ["/scopes"]
    );
    let body = json!({"scopes": ["collect"], "allowed_origins": ["https://shop.example"]});
    let made = service.post("/v1/keys", owner, body).await.expect(201);
    let key = made["secret"].as_str().unwrap();
    let from = async |origin: &str| {
        let headers = [("origin", origin)];
        service
            .call_with("GET", "/v1/privacy-config", key, None, &headers)
            .await
            .status
    };
    assert_eq!(from("https://shop.example").await, 200);
    assert_eq!(from("https://evil.example").await, 403);
}

#[tokio::test]
async fn the_log_reads_newest_first_over_days_and_pages() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    for day in 1..=4 {
        let body = json!({"retention_days": 30 - day});
        service.settings(body).await;
        service
            .post("/v1/keys", owner, json!({"scopes": ["read"]}))
            .await
            .expect(201);
        service.advance(days(day)).await;
    }
    let all = async |query: &str| {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = service
                .get(&format!("/v1/activity?{query}{cursor}"), owner)
                .await
                .expect(200);
            rows.extend(page["data"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    };
    let everything = all("limit=100").await;
    // The tenant and three keys to begin with; a change and a key on each of four days.
    assert_eq!(everything.len(), 12, "{everything:?}");
    // What was done in the same moment comes in no order.
    assert!(
        everything[8..]
            .iter()
            .any(|row| row["kind"] == "tenant.created")
    );
    assert!(everything.is_sorted_by(|one, next| one["at"].as_str() >= next["at"].as_str()));
    for limit in [1, 2, 5] {
        assert_eq!(all(&format!("limit={limit}")).await, everything);
    }
    let changes = all("limit=1&kind=settings.changed").await;
    assert_eq!(changes.len(), 4);
    let first = all("limit=2&day=2026-03-01").await;
    assert_eq!(first.len(), 6);
    let member = everything[0]["by"].as_str().unwrap();
    assert_eq!(all(&format!("limit=100&member={member}")).await.len(), 11);
    for wrong in ["kind=all", "day=today", "member=Ada%20Lovelace"] {
        service
            .get(&format!("/v1/activity?{wrong}"), owner)
            .await
            .expect(422);
    }
}

#[tokio::test]
async fn only_the_operator_makes_and_lists_tenants() {
    let service = Service::start().await;
    let operator = service.cloud.operator_key().to_owned();
    let listed = service
        .get("/v1/tenants?limit=1", &operator)
        .await
        .expect(200);
    let cursor = listed["next_cursor"]
        .as_str()
        .expect("there are two")
        .to_owned();
    let rest = service
        .get(&format!("/v1/tenants?cursor={cursor}"), &operator)
        .await
        .expect(200);
    let mut found: Vec<_> = [&listed, &rest]
        .iter()
        .flat_map(|page| page["data"].as_array().cloned().unwrap_or_default())
        .map(|row| row["tenant"].as_str().unwrap_or_default().to_owned())
        .collect();
    found.sort();
    let mut expected = [service.ours.id.clone(), service.theirs.id.clone()];
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(
        service.get("/v1/tenants", &service.ours.owner).await.status,
        403
    );
    service
        .get("/v1/tenants?cursor=x", &operator)
        .await
        .expect(422);
    let named = service
        .post("/v1/tenants", &operator, json!({"name": "x"}))
        .await;
    assert_eq!(named.faults(), ["/name"]);
}

/// A tenant can tell one operator from another, and nobody by name.
#[tokio::test]
async fn an_operator_is_named_in_the_log_by_a_hash_of_their_arn() {
    let service = Service::start().await;
    let event: Value = serde_json::from_str(include_str!("../../../events/admin.operator.json"))
        .expect("an event is JSON");
    let mut named = Vec::new();
    for who in ["ada", "ada", "bob"] {
        let mut event = event.clone();
        let iam = &mut event["requestContext"]["authorizer"]["iam"];
        iam["userArn"] = json!(format!("arn:aws:iam::123456789012:user/{who}"));
        let made = service
            .cloud
            .invoke("admin", event)
            .await
            .expect("an answer");
        assert_eq!(made["statusCode"], 201, "{made}");
        let made: Value =
            serde_json::from_str(made["body"].as_str().expect("a body")).expect("JSON");
        let owner = made["keys"]["owner"].as_str().expect("a key");
        let log = service.get("/v1/activity", owner).await.expect(200);
        let entries = log["data"].as_array().expect("entries");
        let by = entries[0]["by"].as_str().expect("a name").to_owned();
        let hash = by.strip_prefix("operator:").expect("an operator");
        assert!(
            hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()),
            "{by}"
        );
        named.push(by);
    }
    assert_eq!(named[0], named[1]);
    assert_ne!(named[1], named[2]);
}
