//! Input as people, pages and proxies really send it: no odd field costs its event, no odd
//! event its batch, and people are found by what can be seen of a value.

use lethe_tests::{Service, assert_has, subject};
use serde_json::{Value, json};

/// The fields that a result names, without the event's own place.
fn named(result: &Value) -> Vec<String> {
    let errors = result["errors"].as_array().cloned().unwrap_or_default();
    let pointer = |error: &Value| error["pointer"].as_str().unwrap().to_owned();
    let mut named: Vec<_> = errors.iter().map(pointer).collect();
    for name in &mut named {
        *name = name.split('/').skip(3).collect::<Vec<_>>().join("/");
    }
    named.sort();
    named
}

/// Who is found by a value.
async fn found(service: &Service, value: Value) -> Vec<String> {
    service.lookup(value).await.iter().map(subject).collect()
}

#[tokio::test]
async fn everybody_is_found_by_the_address_that_can_be_seen() {
    let service = Service::start().await;
    for (at, (sent_as, asked_by, kept)) in [
        ("a0@example.com\u{200b}", "a0@example.com", "a0@example.com"),
        ("\u{feff}a1@example.com", "A1@EXAMPLE.COM", "a1@example.com"),
        (
            "\u{202a}a2@example.com\u{202c}",
            "a2@example.com",
            "a2@example.com",
        ),
        ("a3@exam\u{ad}ple.com", "a3@example.com", "a3@example.com"),
        (
            "a4\u{2060}@example.com",
            "a4@example.com\u{fe0f}",
            "a4@example.com",
        ),
        (
            "Ä5@Bücher.example",
            "a\u{308}5@xn--bcher-kva.example",
            "Ä5@Bücher.example",
        ),
        (
            "a6@xn--bcher-kva.example",
            "A6@BÜCHER.EXAMPLE",
            "a6@xn--bcher-kva.example",
        ),
        (
            "a7@例え。テスト",
            "a7@xn--r8jz45g.xn--zckzah",
            "a7@例え。テスト",
        ),
        (
            "mailto:a8@example.com",
            "Ada <a8@example.com>",
            "a8@example.com",
        ),
        ("a9@example.com\r\n", "a9@example.com.", "a9@example.com"),
    ]
    .into_iter()
    .enumerate()
    {
        let event = json!({"type": "identify", "visitor_id": format!("v{at}"), "email": sent_as});
        let stored = service.send_one(&service.ours.ingest, event).await;
        assert_eq!(stored["errors"], Value::Null, "{sent_as:?}: {stored}");
        let who = subject(&stored);
        assert_eq!(service.person(&who).await["contact"]["email"], kept);
        for asked in [sent_as, asked_by, kept] {
            assert_eq!(
                found(&service, json!({"email": asked})).await,
                [&*who],
                "{asked:?}"
            );
        }
        let owner = &service.ours.owner;
        let erasure = service
            .dry_run(json!({"lookup": {"email": asked_by}}))
            .await;
        assert_eq!(erasure["subjects"], 1, "{erasure}");
        let copy = json!({"lookup": {"email": asked_by}});
        let copy = service.post("/v1/exports", owner, copy).await;
        assert_eq!(copy.status, 202, "{asked_by:?}: {}", copy.text);
    }
}

#[tokio::test]
async fn everybody_is_found_by_their_number_however_it_is_written() {
    let service = Service::start().await;
    for (at, (sent_as, e164, kept)) in [
        (
            "\u{202a}+44 20 7946 0001\u{202c}",
            "+442079460001",
            "+44 20 7946 0001",
        ),
        (
            "+44\u{a0}20\u{2011}7946\u{202f}0002",
            "+442079460002",
            "+44 20-7946 0002",
        ),
        (
            "＋４４２０７９４６０００３",
            "+442079460003",
            "+442079460003",
        ),
        ("+٤٤ ٢٠ ٧٩٤٦ ٠٠٠٤", "+442079460004", "+44 20 7946 0004"),
        (
            "tel:+44-20-7946-0005;ext=5",
            "+442079460005",
            "+44-20-7946-0005;ext=5",
        ),
        (
            "+44 20 7946 0006 ext. 5",
            "+442079460006",
            "+44 20 7946 0006 ext. 5",
        ),
        ("+44 20 7946 0007x5", "+442079460007", "+44 20 7946 0007x5"),
        (
            "+44 (0)20 7946 0008",
            "+442079460008",
            "+44 (0)20 7946 0008",
        ),
        (
            "0044 (0) 20 7946 0009",
            "+442079460009",
            "0044 (0) 20 7946 0009",
        ),
        ("+39 06 698 12345", "+390669812345", "+39 06 698 12345"),
    ]
    .into_iter()
    .enumerate()
    {
        let visitor = format!("v{at}");
        let event =
            json!({"type": "identify", "visitor_id": visitor, "name": "Ada", "phone": sent_as});
        let stored = service.send_one(&service.ours.ingest, event).await;
        assert_eq!(stored["errors"], Value::Null, "{sent_as:?}: {stored}");
        let who = subject(&stored);
        assert_eq!(service.person(&who).await["contact"]["phone"], kept);
        for asked in [sent_as, e164] {
            assert_eq!(
                found(&service, json!({"phone": asked})).await,
                [&*who],
                "{asked:?}"
            );
        }
    }
}

#[tokio::test]
async fn everybody_is_found_by_a_user_id_that_was_pasted() {
    let service = Service::start().await;
    let event = json!({"type": "identify", "visitor_id": "ada", "user_id": "u-e\u{301}1"});
    let ada = subject(&service.send_one(&service.ours.ingest, event).await);
    for asked in ["u-\u{e9}1", " u-\u{e9}1\u{200b}", "\u{feff}u-e\u{301}1"] {
        let found = found(&service, json!({"user_id": asked})).await;
        assert_eq!(found, [&*ada], "{asked:?}");
    }
}

#[tokio::test]
async fn a_card_number_in_a_url_is_masked_whatever_is_kept_of_it() {
    let service = Service::start().await;
    let card = "4111 1111 1111 1111";
    for url in [
        format!("https://shop.example/{card}?q=1"),
        format!("https://shop.example/?card={card}"),
        format!("https://shop.example/#{}", card.replace(' ', "-")),
    ] {
        let stored = service
            .send_one(
                &service.ours.ingest,
                json!({"type": "visit", "visitor_id": "ada", "url": url}),
            )
            .await;
        let ada = service.person(&subject(&stored)).await;
        assert!(!ada["network"].to_string().contains("1111"), "{ada}");
        service.settings(json!({"store_url": "full"})).await;
        service.advance(lethe_tests::minutes(2)).await;
    }
}

#[tokio::test]
async fn a_field_that_does_not_parse_is_left_out_by_name_and_the_rest_is_stored() {
    let service = Service::start().await;
    let event = json!({"type": "identify", "visitor_id": "ada", "name": "Ada\r\nLovelace", "username": 7,
        "user_id": "u".repeat(300), "email": "none", "phone": "call me", "id": "7", "at": "yesterday",
        "custom": {"plan": "gold", "list": [1], "long": "x".repeat(2000)},
        "consent": {"basis": "consent", "source": "A form!", "given_by": "parent", "at": 7}});
    let stored = service.send_one(&service.ours.ingest, event).await;
    assert_eq!(stored["status"], "stored", "{stored}");
    let left_out = [
        "at",
        "consent/at",
        "consent/given_by",
        "consent/source",
        "custom",
        "custom",
        "email",
        "id",
        "phone",
        "user_id",
        "username",
    ];
    assert_eq!(named(&stored), left_out);
    let ada = service.person(&subject(&stored)).await;
    assert_eq!(ada["identity"], json!({"name": "Ada Lovelace"}));
    assert_has(&ada, json!({"contact": {}, "custom": {"plan": "gold"}}));
    assert_eq!(ada["consent"]["basis"], "consent");

    let nothing_else = json!({"type": "identify", "visitor_id": "bob", "email": "none", "consent": {"basis": "no"}});
    let stored = service.send_one(&service.ours.ingest, nothing_else).await;
    assert_eq!(
        (&stored["status"], named(&stored)),
        (
            &json!("stored"),
            vec!["consent/basis".into(), "email".into()]
        )
    );
    assert_eq!(
        service.person(&subject(&stored)).await["consent"],
        Value::Null
    );

    let message = json!({"type": "message", "visitor_id": "ada", "conversation_id": "c", "author": "end_user", "body": "",
        "title": "t".repeat(600), "member": "mem_1", "attachments": ["att_1", 7]});
    let stored = service.send_one(&service.ours.ingest, message).await;
    assert_eq!(stored["status"], "stored", "{stored}");
    assert_eq!(
        named(&stored),
        ["attachments/0", "attachments/1", "member", "title"]
    );
    let interaction = json!({"type": "interaction", "visitor_id": "ada", "item_id": "i", "action": "viewed", "scope": 7});
    assert_eq!(
        named(&service.send_one(&service.ours.ingest, interaction).await),
        ["scope"]
    );
}

#[tokio::test]
async fn a_visit_always_counts() {
    let service = Service::start().await;
    for (with, left_out) in [
        (json!({"url": "capacitor://localhost/x"}), "url"),
        (json!({"url": "android-app://com.example/"}), "url"),
        (json!({"url": "file:///C:/a.html"}), "url"),
        (json!({"url": "about:blank"}), "url"),
        (json!({"url": "/cart"}), "url"),
        (json!({"url": 7}), "url"),
        (
            json!({"url": format!("https://shop.example/{}", "x".repeat(2100))}),
            "url",
        ),
        (json!({"ip": "unknown"}), "ip"),
        (json!({"ip": ["203.0.113.9"]}), "ip"),
        (json!({"device": "Firefox"}), "device"),
        (
            json!({"device": {"browser": "Mozilla/5.0 ".repeat(20), "os": "Linux"}}),
            "device/browser",
        ),
        (json!({"full_privacy": "yes"}), "full_privacy"),
        (json!({"at": "2026-03-01T12:10:00Z"}), "at"),
    ] {
        let mut event = json!({"type": "visit", "visitor_id": "ada"});
        event
            .as_object_mut()
            .unwrap()
            .extend(with.as_object().unwrap().clone());
        let stored = service.send_one(&service.ours.ingest, event).await;
        assert_eq!(stored["status"], "stored", "{with}: {stored}");
        assert_eq!(named(&stored), [left_out], "{with}");
        let ada = service.person(&subject(&stored)).await;
        assert_eq!(ada["last_seen"], service.now().to_string(), "{with}");
    }
    let rejected = service
        .send_one(
            &service.ours.ingest,
            json!({"type": "visit", "visitor_id": "ada", "device": {"screen": "x"}}),
        )
        .await;
    assert_eq!(
        (&rejected["status"], named(&rejected)),
        (&json!("rejected"), vec!["device/screen".into()])
    );
}

#[tokio::test]
async fn what_the_settings_drop_is_not_judged() {
    let service = Service::start().await;
    let long = |mark| format!("https://shop.example/a{mark}{}", "x".repeat(2100));
    for url in [long('?'), long('#')] {
        let stored = service
            .send_one(
                &service.ours.ingest,
                json!({"type": "visit", "visitor_id": "ada", "url": url}),
            )
            .await;
        assert_eq!(stored["errors"], Value::Null, "{stored}");
        let ada = service.person(&subject(&stored)).await;
        assert_eq!(ada["network"]["url"], "https://shop.example/a");
    }
    let settings = json!({"store_url": "none", "store_ip": "none", "full_privacy": true});
    service.settings(settings).await;
    service.advance(lethe_tests::minutes(2)).await;
    let visit = json!({"type": "visit", "visitor_id": "ada", "url": 7, "ip": "unknown",
        "device": {"device_id": "x".repeat(300), "country": 7, "os": "Linux"}});
    let identify = json!({"type": "identify", "visitor_id": "ada", "custom": {"list": []}});
    for event in [visit, identify] {
        let stored = service.send_one(&service.ours.ingest, event).await;
        assert_eq!(
            (&stored["status"], &stored["errors"]),
            (&json!("stored"), &Value::Null),
            "{stored}"
        );
    }
}

#[tokio::test]
async fn what_full_privacy_cannot_be_read_as_is_not_taken_for_no() {
    let service = Service::start().await;
    let stored = service.send_one(&service.ours.ingest, json!({"type": "identify", "visitor_id": "ada", "full_privacy": "true", "custom": {"plan": "gold"}})).await;
    assert_eq!(named(&stored), ["full_privacy"]);
    assert_eq!(service.person(&subject(&stored)).await["custom"], json!({}));
}

#[tokio::test]
async fn a_client_has_one_address_whatever_stands_around_it() {
    let service = Service::start().await;
    let settings = json!({"store_ip": "full"});
    let ip = |ip: &str| json!({"type": "visit", "visitor_id": "ada", "ip": ip});
    let ada = subject(
        &service
            .send_one(&service.ours.ingest, ip("203.0.113.77"))
            .await,
    );
    assert_eq!(
        service.person(&ada).await["network"]["ip"],
        "203.0.113.0",
        "the network alone, by default"
    );
    service.settings(settings).await;
    service.advance(lethe_tests::minutes(2)).await;
    for (given, kept) in [
        ("203.0.113.9:54321", "203.0.113.9"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        (" 203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
    ] {
        let stored = service.send_one(&service.ours.ingest, ip(given)).await;
        assert_eq!(stored["errors"], Value::Null, "{given}: {stored}");
        assert_eq!(service.person(&ada).await["network"]["ip"], kept, "{given}");
    }
}

#[tokio::test]
async fn null_and_an_empty_text_say_nothing() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let before = service.person(&ada).await;
    for nothing in [Value::Null, json!(""), json!(" \u{200b}")] {
        let unknown = (0..60).map(|at| (format!("n{at}"), Value::Null));
        let unknown: serde_json::Map<_, _> =
            unknown.chain([("plan".into(), Value::Null)]).collect();
        let mut event = json!({"type": "identify", "visitor_id": "ada", "custom": unknown});
        for name in [
            "user_id",
            "name",
            "email",
            "phone",
            "consent",
            "id",
            "at",
            "visitor_token",
            "full_privacy",
        ] {
            event[name] = nothing.clone();
        }
        let visit = json!({"type": "visit", "visitor_id": "ada", "url": nothing, "ip": nothing, "device": nothing});
        let message = json!({"type": "message", "visitor_id": "ada", "conversation_id": "c-1", "author": "end_user",
            "body": "hi", "title": nothing, "member": nothing, "attachments": []});
        for event in [event, visit, message] {
            let stored = service.send_one(&service.ours.ingest, event).await;
            assert_eq!(
                (&stored["status"], &stored["errors"]),
                (&json!("stored"), &Value::Null),
                "{stored}"
            );
        }
    }
    let after = service.person(&ada).await;
    for category in ["identity", "contact", "custom", "consent"] {
        assert_eq!(after[category], before[category], "{category}");
    }
    let nobody = service
        .send_one(
            &service.ours.ingest,
            json!({"type": "visit", "visitor_id": null}),
        )
        .await;
    assert_eq!(
        (&nobody["status"], named(&nobody)),
        (&json!("rejected"), vec!["visitor_id".into()])
    );
    // A correction is deliberate.
    let patch = json!({"contact": {"email": null}, "custom": {"plan": null}});
    let (path, owner) = (format!("/v1/subjects/{ada}"), &service.ours.owner);
    service.correct(&ada, patch).await;
    let after = service.person(&ada).await;
    assert_has(&after, json!({"contact": {}, "custom": {}}));
    let patch = json!({"contact": {"email": "", "phone": "call me"}, "custom": {"list": [], "plan": "gold"}});
    let mut faults = service
        .call("PATCH", &path, owner, Some(&patch))
        .await
        .faults();
    faults.sort();
    assert_eq!(faults, ["/contact/email", "/contact/phone", "/custom"]);
}

#[tokio::test]
async fn an_event_that_does_not_parse_is_rejected_alone() {
    let service = Service::start().await;
    let auth = format!("Bearer {}", service.ours.ingest);
    let headers = [
        ("authorization", auth.as_str()),
        ("content-type", "application/json"),
    ];
    let message = |id: usize, body: &str| {
        format!(
            r#"{{"type":"message","visitor_id":"v{id}","conversation_id":"c","author":"end_user","body":{body}}}"#
        )
    };
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let bodies = [
        r#""good""#,
        "1e400",
        r#""cut \ud83d""#,
        deep.as_str(),
        r#""\ude00\ud83d""#,
        "NaN",
        r#""pair \ud83d\ude00""#,
        "\"line\nbreak\"",
        r#""last""#,
    ];
    let events: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(id, body)| message(id, body))
        .collect();
    let body = format!(r#"{{"events": [{}]}}"#, events.join(", ")).into_bytes();
    let reply = service
        .raw("POST", "/v1/events", &headers, body)
        .await
        .expect(200);
    let results = reply["results"].as_array().unwrap();
    for (at, said) in [
        "good",
        "",
        "cut \u{fffd}",
        "",
        "\u{fffd}\u{fffd}",
        "",
        "pair 😀",
        "",
        "last",
    ]
    .iter()
    .enumerate()
    {
        let result = &results[at];
        if said.is_empty() {
            assert_eq!(
                (&result["status"], &result["errors"][0]["code"]),
                (&json!("rejected"), &json!("not_json"))
            );
            assert_eq!(result["errors"][0]["pointer"], format!("/events/{at}"));
            continue;
        }
        let path = format!("/v1/subjects/{}/records?type=message", subject(result));
        let records = service.get(&path, &service.ours.owner).await.expect(200);
        assert_eq!(records["data"][0]["body"], *said, "{result}");
    }
    for no_json in [r#"{"events": [1e400}"#, r#"{"events": 1e400}"#, "1e400"] {
        service
            .raw("POST", "/v1/events", &headers, no_json.into())
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn a_page_is_not_told_which_field_was_left_out() {
    let service = Service::start().await;
    let event = json!([{"type": "identify", "visitor_id": "ada", "name": "Ada", "email": "none", "phone": null}]);
    let told = service.send(&service.ours.collect, event).await;
    assert_eq!(told, [json!({"index": 0, "status": "accepted"})]);
    let ada = service.subject_of("ada").await;
    assert_eq!(
        service.person(&ada).await["identity"],
        json!({"name": "Ada"})
    );
}

#[tokio::test]
async fn custom_values_beyond_the_limit_are_left_out_together_and_the_rest_is_stored() {
    let service = Service::start().await;
    let many = |from: usize, to: usize| -> Value {
        (from..to)
            .map(|at| (format!("n{at}"), json!(at)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let identify = |name: &str, custom: Value| json!({"type": "identify", "visitor_id": "ada", "name": name, "custom": custom});
    let stored = service
        .send_one(&service.ours.ingest, identify("Ada", many(0, 40)))
        .await;
    assert_eq!(stored["errors"], Value::Null);
    for (name, custom) in [("Ada L.", many(40, 60)), ("Ada Lovelace", many(0, 60))] {
        let stored = service
            .send_one(&service.ours.ingest, identify(name, custom))
            .await;
        assert_eq!(
            (&stored["status"], named(&stored)),
            (&json!("stored"), vec!["custom".into()]),
            "{stored}"
        );
        let ada = service.person(&subject(&stored)).await;
        assert_eq!(ada["identity"]["name"], name);
        assert_eq!(ada["custom"], many(0, 40));
    }
    // Sent again under its key, it is told the same.
    let body = json!({"events": [identify("Ada", many(40, 60))]});
    let once = [("idempotency-key", "k-1")];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let reply = service
            .call_with(
                "POST",
                "/v1/events",
                &service.ours.ingest,
                Some(&body),
                &once,
            )
            .await;
        answers.push(reply.expect(200));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_file_is_announced_as_leniently() {
    let service = Service::start().await;
    let file = |name: &str| {
        json!({"visitor_id": "ada", "conversation_id": null, "filename": name, "content_type": "text/plain",
        "size": 3, "sha256": "0".repeat(64)})
    };
    let ingest = &service.ours.ingest;
    service
        .post("/v1/attachments", ingest, file("two\nlines.txt"))
        .await
        .expect(201);
    let ada = service.subject_of("ada").await;
    let path = format!("/v1/subjects/{}/records?type=attachment", ada);
    let records = service.get(&path, &service.ours.owner).await.expect(200);
    assert_eq!(records["data"][0]["filename"], "two lines.txt");
}
