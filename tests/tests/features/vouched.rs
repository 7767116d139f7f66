//! What the tenant's server vouches for, value by value, and what a page's word alone does
//! not do.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lethe_tests::meter::{Cost, Meter};
use lethe_tests::{Service, assert_has, by_hand, days, minutes, subject};
use local::Options;
use serde_json::{Value, json};

use crate::rows;

/// A visitor token with these claims, signed with the tenant's `ingest` key.
pub fn token(service: &Service, visitor: &str, mut claims: Value) -> String {
    let key = &service.ours.ingest;
    let id = key.split('_').nth(2).expect("a key has an id");
    let header = Header {
        kid: Some(format!("key_{id}")),
        ..Header::new(Algorithm::HS256)
    };
    claims["sub"] = json!(visitor);
    claims["exp"] = json!((service.now() + minutes(5)).as_second());
    encode(&header, &claims, &EncodingKey::from_secret(key.as_bytes())).expect("a token")
}

/// A page says something with its key alone.
async fn page(service: &Service, event: Value) {
    let told = service.send_one(&service.ours.collect, event).await;
    assert_eq!(told["status"], "accepted", "{told}");
}

fn identify(visitor: &str, email: &str) -> Value {
    json!({"type": "identify", "visitor_id": visitor, "email": email})
}

#[tokio::test]
async fn a_token_vouches_for_the_visitor_and_for_the_values_that_it_claims() {
    let service = Service::start().await;
    let victim = service.acquaint("victim").await;
    let mallory = service.acquaint("mallory").await;
    let with = |mut event: Value, claims: Value| {
        event["visitor_token"] = json!(token(&service, "mallory", claims));
        event
    };
    let claim = identify("mallory", "victim@example.com");
    page(&service, with(claim.clone(), json!({}))).await;
    page(
        &service,
        with(claim.clone(), json!({"email": "mallory@example.com"})),
    )
    .await;
    let nulls = json!({"type": "identify", "visitor_id": "mallory", "custom": {"plan": "free"}});
    page(&service, with(nulls, json!({"plan": "free"}))).await;
    let shown = service.person(&mallory).await;
    assert_eq!(shown["contact"]["email"], "mallory@example.com");
    assert_eq!(shown["custom"]["plan"], "gold");

    // Of somebody of whom no server ever spoke, the claim is kept, and drives nothing.
    let told = json!({"type": "identify", "visitor_id": "eve", "email": "victim@example.com",
                      "visitor_token": token(&service, "eve", json!({"name": "Eve"}))});
    page(&service, told).await;
    let lookup = json!({"email": "victim@example.com"});
    let both = service.lookup(lookup.clone()).await;
    let verified = |subject: &str| {
        let row = both.iter().find(|row| row["subject"] == subject);
        row.map(|row| row["verified"].clone())
    };
    assert_eq!(verified(&victim), Some(json!(true)));
    assert_eq!(both.len(), 2, "{both:?}");
    let owner = &service.ours.owner;
    let export = service.post("/v1/exports", owner, json!({"lookup": lookup}));
    assert_eq!(export.await.status, 202);
    service.erasure(json!({"lookup": lookup})).await;
    service.advance(minutes(30)).await;
    // Once the victim has left, nothing is done about whoever claims the address.
    for (path, status) in [("/v1/exports", 404), ("/v1/erasures", 404)] {
        let reply = service.post(path, owner, json!({"lookup": lookup})).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
    }

    // A value that stands in the signed claims is vouched for, however it is written.
    let claims = json!({"email": "Mallory@Example.org", "name": "Mallory"});
    let mut event = identify("mallory", "mallory@example.ORG");
    event["name"] = json!("Mallory");
    page(&service, with(event, claims)).await;
    let shown = service.person(&mallory).await;
    assert_eq!(shown["identity"]["name"], "Mallory");
    assert_eq!(shown["verified"], true);
    let now = service
        .lookup(json!({"email": "mallory@example.org"}))
        .await;
    assert_eq!(
        (now.len(), &now[0]["verified"]),
        (1, &json!(true)),
        "{now:?}"
    );
}

#[tokio::test]
async fn a_page_does_not_replace_the_consent_that_a_server_recorded() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let given = json!({"basis": "consent", "source": "signed-form-7", "given_by": "guardian",
                       "at": "2026-03-01T11:00:00Z"});
    let vouched = json!({"type": "identify", "visitor_id": "ada", "consent": given});
    service.store(json!([vouched])).await;
    let mut other = json!({"type": "identify", "visitor_id": "ada",
                           "consent": {"basis": "contract", "source": "page"}});
    page(&service, other.clone()).await;
    other["visitor_token"] = json!(token(&service, "ada", json!({})));
    page(&service, other.clone()).await;
    let shown = service.person(&ada).await;
    assert_eq!(shown["consent"]["source"], "signed-form-7");
    assert_eq!(shown["consent"]["verified"], true);

    service.withdraw_consent(&ada).await;
    let shown = service.person(&ada).await;
    assert_has(&shown, json!({"identity": {}, "contact": {}}));
    assert_eq!(shown["consent_withdrawn"][0]["verified"], true);
    // Nor does it undo the withdrawal.
    other["visitor_token"].take();
    other
        .as_object_mut()
        .expect("an event")
        .remove("visitor_token");
    page(&service, other).await;
    assert_eq!(service.person(&ada).await["consent"], Value::Null);
}

#[tokio::test]
async fn a_basis_that_only_a_page_names_keeps_nothing_from_a_withdrawal() {
    let service = Service::start().await;
    let told = |basis: &str| json!({"type": "identify", "visitor_id": "ada", "name": "Ada", "consent": {"basis": basis}});
    page(&service, told("consent")).await;
    page(&service, told("contract")).await;
    let ada = service.lookup(json!({"visitor_id": "ada"})).await;
    let ada = subject(&ada[0]);
    assert_eq!(service.person(&ada).await["consent"]["verified"], false);
    service.withdraw_consent(&ada).await;
    assert_eq!(service.person(&ada).await["identity"], json!({}));
}

#[tokio::test]
async fn a_consent_that_only_a_page_tells_of_covers_what_pages_say() {
    let service = Service::start().await;
    service.settings(json!({"consent_required": "all"})).await;
    let message = |by: &str| json!({"type": "message", "visitor_id": "ada", "conversation_id": "c", "author": "end_user", "body": by});
    page(&service, message("too early")).await;
    let told = json!({"type": "identify", "visitor_id": "ada", "consent": {"basis": "consent"}});
    page(&service, told).await;
    page(&service, message("page")).await;
    let server = &service.ours.ingest;
    let refused = service.send_one(server, message("server")).await;
    assert_eq!(refused["reason"], "no_consent", "{refused}");
    let refused = service
        .send_one(server, identify("ada", "ada@example.com"))
        .await;
    assert_eq!(refused["reason"], "no_consent", "{refused}");
    // The server's own word covers all of it.
    let mut vouched = identify("ada", "ada@example.com");
    vouched["consent"] = json!({"basis": "consent", "source": "form"});
    service.store(json!([vouched, message("server")])).await;
    let ada = subject(&service.lookup(json!({"visitor_id": "ada"})).await[0]);
    let shown = service.person(&ada).await;
    assert_eq!(shown["consent"]["verified"], true);
    assert_eq!(shown["counts"]["messages"], 2);
}

#[tokio::test]
async fn however_many_claim_an_address_its_owner_is_erased_and_read_at_the_same_cost() {
    let meter = Meter::default();
    let service = Service::with(Options {
        events: false,
        watch: Some(meter.watch()),
        ..by_hand()
    })
    .await;
    let ada = service.acquaint("ada").await;
    let owner = &service.ours.owner;
    let cost = async || {
        let mut costs = Vec::new();
        service.get("/v1/settings", owner).await.expect(200);
        let dry = json!({"lookup": {"email": "ada@example.com"}, "dry_run": true});
        for (method, path, body) in [
            ("POST", "/v1/erasures".to_owned(), Some(&dry)),
            ("GET", format!("/v1/subjects/{ada}"), None),
        ] {
            meter.take();
            service.call(method, &path, owner, body).await.expect(200);
            costs.push(Cost::of(&meter.take()));
        }
        costs
    };
    let claim = async |from: usize, to: usize| {
        for first in (from..to).step_by(100) {
            let visitor = |n: usize| identify(&format!("claims-{n}"), "ADA@example.com");
            let events: Vec<_> = (first..to.min(first + 100)).map(visitor).collect();
            let events = json!({"events": events});
            service
                .post("/v1/events", &service.ours.collect, events)
                .await
                .expect(200);
        }
    };
    let alone = cost().await;
    claim(0, 100).await;
    let claimed = cost().await;
    assert_eq!(claimed[0], alone[0], "an erasure never reads claims");
    claim(100, 300).await;
    assert_eq!(cost().await, claimed, "nobody reads more than some claims");
    let listed = service.lookup(json!({"email": "ada@example.com"})).await;
    let verified: Vec<_> = listed.iter().filter(|it| it["verified"] == true).collect();
    assert_eq!(verified.len(), 1);
    assert_eq!(verified[0]["subject"], json!(ada));
    assert!((2..=51).contains(&listed.len()), "{}", listed.len());
}

#[tokio::test]
async fn a_value_leaves_no_lookup_behind_whoever_vouched_for_it() {
    let service = Service::start().await;
    page(&service, identify("ada", "ada@example.com")).await;
    let ada = subject(&service.lookup(json!({"visitor_id": "ada"})).await[0]);
    let lookups = async || {
        let mut rows = rows::about(&service, &ada).await;
        rows.retain(|row| {
            let key = |name| rows::text(row, name).unwrap_or_default();
            key("PK").contains("#lookup#") || key("SK").starts_with("lookup#")
        });
        rows.len()
    };
    assert_eq!(lookups().await, 2);
    // The server vouches for it: one kind takes the other's place.
    service
        .store(json!([identify("ada", "ada@example.com")]))
        .await;
    assert_eq!(lookups().await, 2);
    let now = service.lookup(json!({"email": "ada@example.com"})).await;
    assert_eq!((now.len(), &now[0]["verified"]), (1, &json!(true)));
    page(&service, identify("bob", "ada@example.com")).await;
    let bob = subject(&service.lookup(json!({"visitor_id": "bob"})).await[0]);
    let shown = service.person(&ada).await;
    let related = json!([{"subject": bob, "via": "email", "verified": false}]);
    assert_eq!(shown["related"], related);
    for gone in [&ada, &bob] {
        service.erase(gone).await;
        service.advance(minutes(30)).await;
        assert!(rows::about(&service, gone).await.is_empty());
    }
}

#[tokio::test]
async fn what_nobody_vouches_for_keeps_a_person_for_a_year_and_no_longer() {
    // Whoever is over is so at once, whether or not anybody has swept.
    let service = Service::by_hand().await;
    let mut people = Vec::new();
    for visitor in ["page", "token", "server"] {
        people.push(service.visit(visitor).await);
    }
    let visit = |visitor: &str| json!({"type": "visit", "visitor_id": visitor});
    let mut seen = Vec::new();
    for _ in 0..14 {
        service.advance(days(29)).await;
        for visitor in ["page", "server"] {
            page(&service, visit(visitor)).await;
        }
        service.store(json!([visit("server")])).await;
        let mut vouched = visit("token");
        vouched["visitor_token"] = json!(token(&service, "token", json!({})));
        page(&service, vouched).await;
        seen.push(service.person(&people[0]).await["created_at"].clone());
    }
    let shown = service.person(&people[0]).await;
    assert_ne!(shown["created_at"], seen[0], "another life has begun");
    // It went on for a year, as that of somebody who is seen every month should.
    assert!(seen[..12].iter().all(|created| *created == seen[0]));
    for vouched in &people[1..] {
        assert_eq!(service.person(vouched).await["created_at"], seen[0]);
    }
}

#[tokio::test]
async fn nothing_that_a_sender_chose_stands_in_the_key_of_a_message() {
    let service = Service::start().await;
    let id = "0190e000-ada0-4ada-8ada-adaadaadaada";
    let message = |visitor: &str, conversation: &str| {
        json!({"type": "message", "visitor_id": visitor, "conversation_id": conversation,
               "author": "end_user", "body": "hello", "id": id})
    };
    let mut names = Vec::new();
    for (visitor, conversation) in [("ada", "c-1"), ("ada", "c-2"), ("bob", "c-1")] {
        let event = message(visitor, conversation);
        let first = service.send_one(&service.ours.ingest, event.clone()).await;
        assert_eq!(first["status"], "stored");
        let again = service.send_one(&service.ours.ingest, event).await;
        assert_eq!(again["status"], "duplicate");
        assert_eq!(again["message"], first["message"]);
        names.push(first["message"].to_string());
    }
    let chosen = id.replace('-', "");
    assert!(names.iter().all(|name| !name.contains(&chosen)));
    let own = |name: &String| name[name.len() - 33..].to_owned();
    assert_ne!(own(&names[0]), own(&names[1]));
    assert_ne!(own(&names[0]), own(&names[2]));
    for row in rows::all(&service).await {
        let key = format!("{:?} {:?}", rows::text(&row, "PK"), rows::text(&row, "SK"));
        assert!(!key.contains(&chosen), "{key}");
    }
}
