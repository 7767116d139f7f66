//! Somebody with far more records than most: their erasure goes on through a worker that is
//! cut off again and again, and its progress only ever grows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use lethe_tests::{Service, by_hand, minutes, sha256, subject};
use local::Options;
use serde_json::json;

use crate::rows;

/// How much there is, and how long a worker may live.
struct Size {
    messages: usize,
    attachments: usize,
    cut_off: Duration,
}

#[cfg(feature = "long")]
const SIZE: Size = Size {
    messages: 100_000,
    attachments: 1_000,
    cut_off: Duration::from_secs(2),
};
#[cfg(not(feature = "long"))]
const SIZE: Size = Size {
    messages: 4_000,
    attachments: 40,
    cut_off: Duration::from_millis(150),
};

async fn write_messages(service: &Service) -> String {
    let batches: Vec<Vec<usize>> = (0..SIZE.messages)
        .collect::<Vec<_>>()
        .chunks(100)
        .map(<[usize]>::to_vec)
        .collect();
    let who = service.visit("giant").await;
    let sent = futures::stream::iter(batches).map(async |batch| {
        let events: Vec<_> = batch
            .iter()
            .map(|n| {
                json!({"type": "message", "visitor_id": "giant", "conversation_id": format!("c-{}", n / 1000),
                       "author": "end_user", "body": format!("message {n}")})
            })
            .collect();
        let results = service.store(json!(events)).await;
        assert_eq!(subject(&results[0]), who);
    });
    sent.buffer_unordered(2).collect::<Vec<_>>().await;
    who
}

/// Twenty links at most are open at a time: time moves on between them.
async fn upload(service: &Service) {
    for some in (0..SIZE.attachments).collect::<Vec<_>>().chunks(20) {
        for n in some {
            let text = format!("file {n}");
            let announced = service
                .post(
                    "/v1/attachments",
                    &service.ours.ingest,
                    json!({"visitor_id": "giant", "filename": "note.txt", "content_type": "text/plain",
                           "size": text.len(), "sha256": sha256(text.as_bytes())}),
                )
                .await
                .expect(201);
            let reply = service.put(&announced["upload"], text.as_bytes()).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        service.cloud.settle().await;
        service.skip(minutes(11));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giant_is_erased_by_a_worker_that_is_cut_off_again_and_again() {
    let service = Service::with(Options {
        timeouts: BTreeMap::from([("delete".to_owned(), SIZE.cut_off)]),
        ..by_hand()
    })
    .await;
    let who = write_messages(&service).await;
    upload(&service).await;
    let counts = service.person(&who).await["counts"].clone();
    assert_eq!(counts["messages"], SIZE.messages);
    assert_eq!(counts["attachments"], SIZE.attachments);

    let asked = Instant::now();
    let job = service.erase(&who).await;
    let answered = asked.elapsed();
    service.no_person(&who).await;
    let (mut before, mut looks, mut cut_offs) = (0, 0, 0);
    let done = loop {
        let job = service.follow(&job).await;
        let now = job["progress"]["done"].as_u64().expect("a number");
        assert!(now >= before, "progress went back from {before} to {now}");
        before = now;
        if job["state"] == "completed" {
            break job;
        }
        // The platform has given up on this turn: cleanup hands over the next.
        looks += 1;
        assert!(looks < 1_000, "it does not end: {job}");
        service.skip(minutes(7));
        service.sweep().await;
        cut_offs = service.cloud.dead_letters().len();
    };
    eprintln!(
        "{} messages and {} attachments: answered after {answered:?}, gone after {:?}, {cut_offs} turns given up",
        SIZE.messages,
        SIZE.attachments,
        asked.elapsed()
    );
    let conversations = SIZE.messages.div_ceil(1_000);
    assert_eq!(done["stores"]["attachments"], SIZE.attachments);
    // Besides those: the person, and their clock; the door closed with the request.
    let rows = SIZE.messages + conversations + SIZE.attachments + 2;
    assert_eq!(done["stores"]["records"], rows, "{done}");
    assert_eq!(done["progress"]["done"], done["progress"]["total"]);
    assert!(rows::about(&service, &who).await.is_empty());
    assert!(
        rows::objects(&service)
            .iter()
            .all(|key| !key.contains(&who))
    );
}
