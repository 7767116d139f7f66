//! The activity log cannot be quietly changed: a day that is over takes no more entries, and
//! what the service signs can be checked by whoever has its public key.

use lethe_tests::{Service, days, hours, minutes};
use serde_json::{Value, json};
use shared::aws::dynamo::{Item, Write};
use shared::domain::audit::entry::{AuditEvent, Entry, writes};
use shared::domain::audit::roots::PART;
use shared::domain::keys::{self, WATERMARKS};
use shared::proof::leaf::leaf;
use shared::proof::merkle::{Hash, Tree};

use crate::signed;

/// Moves every watermark of our tenant to this day, as signing does.
async fn close(service: &Service, day: &str) {
    let tenant = service.tenant();
    for number in 0..WATERMARKS {
        let row = Item::new(&keys::watermarks(tenant), &keys::watermark(number))
            .with("sealed_until", day);
        let written = service.cloud.app().store.write(Write::put(row)).await;
        written.expect("it answers").expect("nothing forbids it");
    }
}

/// What every event of a tenant would be answered with now, by route.
async fn events(service: &Service, subject: &str) -> Vec<(&'static str, u16)> {
    let owner = &service.ours.owner;
    let session = json!({"events": [{"type": "session", "visitor_id": "ada", "member": "mem_1", "action": "started"}]});
    let whole = json!({"subject": subject, "targets": [{"conversation": "c-1"}]});
    let path = format!("/v1/subjects/{subject}");
    let settings = json!({"store_ip": "none"});
    let replies = [
        (
            "key",
            service
                .post("/v1/keys", owner, json!({"scopes": ["read"]}))
                .await,
        ),
        (
            "settings",
            service
                .call("PUT", "/v1/settings", owner, Some(&settings))
                .await,
        ),
        (
            "session",
            service
                .post("/v1/events", &service.ours.ingest, session)
                .await,
        ),
        (
            "correction",
            service
                .patch(&path, owner, json!({"identity": {"name": "A"}}))
                .await,
        ),
        (
            "redaction",
            service.post("/v1/redactions", owner, whole).await,
        ),
        (
            "export",
            service
                .post("/v1/exports", owner, json!({"subject": subject}))
                .await,
        ),
        ("erasure", service.delete(&path, owner).await),
    ];
    replies.map(|(event, reply)| (event, reply.status)).into()
}

#[tokio::test]
async fn no_deed_is_done_whose_entry_would_stand_on_a_sealed_day() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    close(&service, "2026-03-01").await;
    for (event, status) in events(&service, &ada).await {
        assert_eq!(status, 503, "{event}");
    }
    let person = service.person(&ada).await;
    assert_eq!(person["identity"]["name"], "Ada Lovelace");
    // What is not logged goes on.
    service.visit("ada").await;
    close(&service, "2026-02-28").await;
    for (event, status) in events(&service, &ada).await {
        assert!((200..300).contains(&status), "{event}: {status}");
    }
}

#[tokio::test]
async fn a_session_stands_on_the_day_it_was_told_of_and_says_when_it_was() {
    let service = Service::start().await;
    let session = |at: &str, action: &str| json!({"type": "session", "visitor_id": "ada", "member": "mem_1", "action": action, "at": at});
    let events = [
        session("2026-02-28T22:00:00Z", "started"),
        session("2026-02-28T23:00:00Z", "ended"),
    ];
    service.store(json!(events)).await;
    let log = async |day: &str| {
        let path = format!("/v1/activity?day={day}");
        let page = service.get(&path, &service.ours.owner).await.expect(200);
        let entries = page["data"].as_array().cloned().unwrap_or_default();
        let mut sessions: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry["by"] == "mem_1")
            .map(|entry| [&entry["kind"], &entry["at"], &entry["happened_at"]].map(Value::clone))
            .collect();
        sessions.sort_by_key(|entry| entry[2].to_string());
        sessions
    };
    assert_eq!(log("2026-02-28").await, Vec::<[Value; 3]>::new());
    let now = json!(service.now());
    let expected = [
        [
            json!("session.started"),
            now.clone(),
            json!("2026-02-28T22:00:00Z"),
        ],
        [json!("session.ended"), now, json!("2026-02-28T23:00:00Z")],
    ];
    assert_eq!(log("2026-03-01").await, expected);
}

#[tokio::test]
async fn what_the_service_signs_is_verified_with_the_published_keys() {
    let service = Service::start().await;
    // Longer than what KMS takes as a message.
    let claims = json!({"tenant": service.ours.id, "lives": vec!["life"; 2_000]});
    let vault = &service.cloud.app().vault;
    let signed = vault.sign("lethe-test", &claims).await.expect("KMS signs");
    let (typ, read) = signed::open(&service, &signed).await;
    assert_eq!((typ.as_str(), read), ("lethe-test", claims));
    let forged = signed.replacen(".ey", ".eY", 1);
    assert_eq!(signed::try_open(&service, &forged).await.1, None);
}

#[tokio::test]
async fn every_day_that_is_over_is_sealed_once_and_chained_to_the_one_before() {
    let service = Service::start().await;
    service.acquaint("ada").await;
    service.advance(days(1)).await;
    let headers = [("idempotency-key", "one")];
    let body = json!({"scopes": ["read"]});
    service
        .call_with(
            "POST",
            "/v1/keys",
            &service.ours.owner,
            Some(&body),
            &headers,
        )
        .await
        .expect(201);
    service.advance(days(4)).await;
    let sealed = service.list("/v1/activity/seals?limit=2").await;
    let listed: Vec<_> = sealed
        .iter()
        .map(|seal| seal["day"].as_str().unwrap())
        .collect();
    assert_eq!(
        listed,
        [
            "2026-03-05",
            "2026-03-04",
            "2026-03-03",
            "2026-03-02",
            "2026-03-01"
        ]
    );
    let entries: Vec<_> = sealed
        .iter()
        .map(|seal| seal["entries"].as_u64().unwrap())
        .collect();
    // The tenant and its three keys; one key more; then nobody did anything.
    assert_eq!(entries, [0, 0, 0, 1, 4]);
    let mut previous = Value::Null;
    for seal in sealed.iter().rev() {
        let jws = seal["jws"].as_str().expect("a statement");
        let (_, claims) = signed::open(&service, jws).await;
        assert_eq!(claims["tenant"], json!(service.ours.id));
        for name in ["day", "entries", "root"] {
            assert_eq!(claims[name], seal[name], "{seal}");
        }
        assert_eq!(claims["previous"], previous);
        previous = claims["root"].clone();
    }
    service.sweep().await;
    assert_eq!(service.list("/v1/activity/seals?limit=100").await, sealed);
    let kept = service.cloud.objects().everything();
    for seal in &sealed {
        let object = format!(
            "seals/{}/{}.jws",
            service.ours.id,
            seal["day"].as_str().unwrap()
        );
        assert!(kept.iter().any(|held| held.key == object), "{object}");
    }
}

#[tokio::test]
async fn a_day_is_sealed_an_hour_after_it_is_over_and_takes_no_more() {
    let service = Service::start().await;
    service.advance(minutes(12 * 60 + 59)).await;
    service.sweep().await;
    assert_eq!(
        service.list("/v1/activity/seals?").await,
        Vec::<Value>::new()
    );
    service.advance(minutes(2)).await;
    service.sweep().await;
    assert_eq!(service.list("/v1/activity/seals?").await.len(), 1);
    let body = json!({"scopes": ["read"]});
    let made = async || {
        service
            .post("/v1/keys", &service.ours.owner, body.clone())
            .await
            .status
    };
    assert_eq!(made().await, 201);
    // Somebody's clock goes wrong.
    service.skip(hours(-3));
    assert_eq!(made().await, 503);
    service.skip(hours(3));
    let log = service
        .get("/v1/activity?day=2026-03-01", &service.ours.owner)
        .await;
    assert_eq!(log.expect(200)["data"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn the_leaves_of_a_day_are_made_of_its_entries_and_make_its_root() {
    let service = Service::start().await;
    service.store(json!([{"type": "session", "visitor_id": "ada", "member": "ada.lovelace", "action": "started", "at": "2026-03-01T11:00:00Z"}])).await;
    service.advance(days(1)).await;
    let sealed = service.list("/v1/activity/seals?day=2026-03-01").await;
    let leaves: Vec<_> = sealed[0]["leaves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leaf| Hash::parse(leaf.as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(
        json!(leaves.iter().copied().collect::<Tree>().root()),
        sealed[0]["root"]
    );
    let log = service
        .get("/v1/activity?day=2026-03-01", &service.ours.owner)
        .await
        .expect(200);
    let mut entries = log["data"].as_array().cloned().unwrap();
    assert!(
        entries
            .iter()
            .any(|entry| entry["by"] == "a…" && entry["kind"] == "session.started")
    );
    assert!(!log.to_string().contains("lovelace"));
    entries.sort_by_key(|entry| entry["id"].to_string());
    let made: Vec<_> = entries.iter().filter_map(leaf).collect();
    assert_eq!(made, leaves);
    assert_eq!(
        service.list("/v1/activity/seals?day=2026-02-28").await,
        Vec::<Value>::new()
    );
    for wrong in ["day=today", "cursor=x", "limit=0"] {
        let path = format!("/v1/activity/seals?{wrong}");
        service.get(&path, &service.ours.owner).await.expect(422);
    }
    let theirs = service
        .get("/v1/activity/seals", &service.theirs.owner)
        .await
        .expect(200);
    assert_ne!(theirs["data"][0]["root"], sealed[0]["root"]);
}

/// Writes entries of now, as many as one transaction takes at a time.
async fn write_entries(service: &Service, count: usize) {
    let tenant = service.tenant();
    let entry = Entry {
        tenant,
        event: AuditEvent::SettingsChanged,
        by: "key_1",
        about: &[],
        at: service.now(),
        happened_at: None,
    };
    for some in vec![entry; count].chunks(90) {
        let store = &service.cloud.app().store;
        let written = store.transact(writes(some)).await;
        written.expect("it answers").expect("the day is open");
    }
}

#[tokio::test]
async fn a_busy_day_is_sealed_in_parts_and_gone_on_with_where_a_sweep_stopped() {
    let service = Service::start().await;
    write_entries(&service, PART + 1).await;
    service.advance(days(1)).await;
    let whole = service.list("/v1/activity/seals?day=2026-03-01").await;
    assert_eq!(whole[0]["entries"], json!(PART + 5));
    assert_eq!(whole[0]["leaves"].as_array().map(Vec::len), Some(PART + 5));
    // As after a sweep that was cut off behind the first part.
    let tenant = service.tenant();
    let day = "2026-03-01".parse().expect("a day");
    for write in [
        Write::delete(&keys::seals(tenant), "2026-03-01"),
        Write::delete(&keys::leaves(tenant, day), &keys::leaves_part(1)),
    ] {
        let written = service.cloud.app().store.write(write).await;
        written.expect("it answers").expect("nothing forbids it");
    }
    service.sweep().await;
    let again = service.list("/v1/activity/seals?day=2026-03-01").await;
    for name in ["root", "entries", "leaves"] {
        assert_eq!(again[0][name], whole[0][name]);
    }
}
