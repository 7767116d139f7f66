//! Payment-card numbers are never stored, and nothing that merely looks like one is touched.

use lethe_tests::{Service, sha256, subject};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// The messages as they read once they are stored.
async fn said(service: &Service, bodies: &[&str]) -> Vec<String> {
    let event = |body| {
        json!({"type": "message", "visitor_id": "ada", "conversation_id": "c",
               "author": "end_user", "body": body})
    };
    let stored = service
        .store(bodies.iter().map(event).collect::<Vec<_>>().into())
        .await;
    let records = service.records(&subject(&stored[0]), "message").await;
    let body = |result: &Value| {
        let mut rows = records
            .iter()
            .filter(|row| row["message"] == result["message"]);
        rows.next().unwrap()["body"].as_str().unwrap().to_owned()
    };
    stored.iter().map(body).collect()
}

#[tokio::test]
async fn numbers_that_are_no_cards_are_stored_as_sent() {
    let service = Service::start().await;
    let bodies = [
        "9438452998241083116505",
        "74537606281640124230958",
        "IBAN DE85694738466343913603 ok",
        "at 1764561864837798970",
        "it moved by 0.6472306980343963 percent",
        "sizes 36 38 40 42 44 46 48 50 52 54",
        "call +49 176 7923 0871 or 0176 7923 0871",
        "order 20260686 0151 21059731",
        "ref ab479031-8212-4974-b5ca-7509933a61a1 please",
    ];
    assert_eq!(said(&service, &bodies).await, bodies);
}

#[tokio::test]
async fn cards_are_masked_however_they_are_typed() {
    let service = Service::start().await;
    let bodies = [
        "4111.1111.1111.1111",
        "4111  1111  1111  1111",
        "4111 1111\r\n1111 1111",
        "4111 \u{2013} 1111 \u{2013} 1111 \u{2013} 1111",
        "4111\u{200b}1111\u{200b}1111\u{200b}1111",
        "\u{ff14}\u{ff11}\u{ff11}\u{ff11} 1111 1111 1111",
        "+44 7700 900123 4111 1111 1111 1111",
        "2026 4111 1111 1111 1111",
        "4111 1111 1111 1111 5555 5555 5555 4444",
        "9792030394440796",
        "pay 4222222222222",
    ];
    let cards = ["4111", "\u{ff14}", "9792", "4222"];
    for (sent, read) in bodies.iter().zip(said(&service, &bodies).await) {
        let card = cards.iter().find_map(|card| sent.find(card)).unwrap();
        let digits = sent[card..].chars().filter(|c| c.is_numeric()).count();
        let masked = read.chars().filter(|c| *c == '█').count();
        assert_eq!(masked, digits, "{sent:?}: {read:?}");
        assert_eq!(read.chars().count(), sent.chars().count(), "{sent:?}");
    }
}

#[tokio::test]
async fn numbers_in_custom_values_keep_their_value_and_cards_do_not() {
    let service = Service::start().await;
    let custom = json!({
        "score": 0.647_230_698_034_396_3, "latitude": -22.363_358_479_416_533,
        "seen": 1_764_561_864_837_798u64, "big": 9_223_372_036_854_775_808u64, "price": 19.99,
    });
    let mut sent = custom.clone();
    sent["card"] = json!(4_111_111_111_111_111u64);
    let stored = service
        .store(json!([{"type": "identify", "visitor_id": "ada", "custom": sent}]))
        .await;
    let mut read = service.person(&subject(&stored[0])).await["custom"].take();
    assert_eq!(read["card"].take(), "█".repeat(16));
    read.as_object_mut().unwrap().remove("card");
    assert_eq!(read, custom);
}

/// Ids of the forms that systems make.
fn ids(rng: &mut StdRng) -> Vec<String> {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut letters = |count: usize| -> String {
        let letter = |_| ALPHABET[rng.random_range(0..ALPHABET.len())] as char;
        (0..count).map(letter).collect()
    };
    let (ulid, nano) = (letters(26), letters(21).to_lowercase());
    let hex = format!("{:032x}", rng.random::<u128>());
    vec![
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        ),
        hex,
        ulid,
        nano,
        rng.random_range(10u64.pow(16)..10u64.pow(19)).to_string(),
        rng.random_range(10u64.pow(5)..10u64.pow(12)).to_string(),
        format!(
            "{}-{}",
            rng.random_range(10_000..99_999),
            rng.random_range(10_000_000..99_999_999)
        ),
        rng.random_range(1_600_000_000_000_000u64..1_900_000_000_000_000)
            .to_string(),
    ]
}

#[tokio::test]
async fn an_id_is_never_refused_for_a_checksum_that_it_meets_by_chance() {
    let service = Service::start().await;
    let seed = 20_260_301;
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // Of 400 UUIDs, some twenty hold digits that satisfy the checksum.
    for _ in 0..50 {
        let events: Vec<_> = ids(&mut rng)
            .into_iter()
            .flat_map(|id| {
                [
                    json!({"type": "identify", "visitor_id": id, "user_id": id, "custom": {id.clone(): 1}}),
                    json!({"type": "interaction", "visitor_id": id, "item_id": id, "action": "viewed", "scope": id}),
                    json!({"type": "message", "visitor_id": id, "conversation_id": id, "author": "end_user", "body": "hi"}),
                ]
            })
            .collect();
        service.store(events.into()).await;
    }
}

#[tokio::test]
async fn an_id_with_digits_like_a_card_names_a_visitor_everywhere() {
    let service = Service::start().await;
    let id = "8c2fc702-c694-4876-8721-1286738083eb";
    let ada = service.acquaint(id).await;
    let file = json!({"visitor_id": id, "conversation_id": id, "filename": "a.txt",
                      "content_type": "text/plain", "size": 1, "sha256": sha256(b"x")});
    service
        .post("/v1/attachments", &service.ours.ingest, file)
        .await
        .expect(201);
    let found = service.lookup(json!({"visitor_id": id})).await;
    assert_eq!(subject(&found[0]), ada);
    let dry = json!({"visitors": [id], "dry_run": true});
    service
        .post("/v1/erasures", &service.ours.owner, dry)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_name_that_is_a_card_is_refused() {
    let service = Service::start().await;
    let card = "4111-1111-1111-1111";
    for (event, field) in [
        (
            json!({"type": "visit", "visitor_id": "4111111111111111"}),
            "visitor_id",
        ),
        (json!({"type": "visit", "visitor_id": card}), "visitor_id"),
        (
            json!({"type": "interaction", "visitor_id": "a", "item_id": card, "action": "viewed"}),
            "item_id",
        ),
        (
            json!({"type": "message", "visitor_id": "a", "conversation_id": card, "author": "end_user", "body": "hi"}),
            "conversation_id",
        ),
        (
            json!({"type": "identify", "visitor_id": "a", "user_id": card}),
            "user_id",
        ),
        (
            json!({"type": "identify", "visitor_id": "a", "email": format!("{card}@example.com")}),
            "email",
        ),
        (
            json!({"type": "identify", "visitor_id": "a", "custom": {card: 1}}),
            "custom",
        ),
        (
            json!({"type": "identify", "visitor_id": "a", "phone": "3782 822463 10005"}),
            "phone",
        ),
    ] {
        let result = &service.send_one(&service.ours.ingest, event).await;
        assert_eq!(
            result["errors"][0]["code"], "card_number",
            "{field}: {result}"
        );
        let pointer = result["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer.contains(field), "{pointer}");
        assert!(!result.to_string().contains("4111"), "{result}");
    }
}

#[tokio::test]
async fn a_telephone_number_or_an_address_is_no_card() {
    let service = Service::start().await;
    let contact = [
        json!({"phone": "+378282246310005"}),
        json!({"phone": "004917679230871"}),
        json!({"phone": "+49 176 7923 0871"}),
        json!({"email": "ada4111111111111111@example.com"}),
        json!({"email": "ada@4111111111111111.example"}),
    ];
    for (n, contact) in contact.into_iter().enumerate() {
        let mut event = json!({"type": "identify", "visitor_id": format!("v-{n}")});
        for (name, value) in contact.as_object().unwrap() {
            event[name] = value.clone();
        }
        let stored = service.store(json!([event])).await;
        assert_eq!(
            service.person(&subject(&stored[0])).await["contact"],
            contact
        );
    }
}
