//! Sustained load over HTTP: mostly visits, of many people, from several callers at once,
//! on engines that keep everything on disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use emulators::Storage;
use lethe_tests::Service;
use local::Options;
use serde_json::json;
use shared::base::clock::Clock;

use crate::process::resident;
use crate::table::{Line, show};

const PEOPLE: usize = 1_000;
const CALLERS: usize = 8;

pub async fn lines(quick: bool) -> Vec<Line> {
    let whole = Duration::from_secs(if quick { 6 } else { 60 });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::like(Options {
        storage: Storage::Folder(folder.path().to_owned()),
        clock: Clock::system(),
        schedules: false,
        ..Options::default()
    })
    .await;
    let mut subjects = Vec::new();
    for n in 0..PEOPLE {
        subjects.push(service.visit(&format!("v-{n}")).await);
    }
    let (stop, next, failed) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let caller = async || {
        let mut times = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            if !request(&service, &subjects, n).await {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            times.push(began.elapsed());
        }
        times
    };
    let watch = async {
        tokio::time::sleep(whole / 4).await;
        let early = resident(std::process::id()).expect("this process");
        tokio::time::sleep(whole * 3 / 4).await;
        stop.store(true, Ordering::Relaxed);
        (early, resident(std::process::id()).expect("this process"))
    };
    let calls = futures::future::join_all((0..CALLERS).map(|_| caller()));
    let (times, (early, late)) = futures::future::join(calls, watch).await;
    let mut times: Vec<_> = times.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.50), at(0.99));
    let failed = failed.load(Ordering::Relaxed);
    let rate = times.len() as f64 / whole.as_secs_f64();
    let growth = late as f64 / early as f64;
    let mib = |bytes: u64| bytes / 1024 / 1024;
    vec![
        Line::new(format!(
            "{} s of load, 90 % visits, {CALLERS} callers: p99",
            whole.as_secs()
        ))
        .ours(format!("{} ({rate:.0} requests a second)", show(p99)))
        .reference(format!("{}: p50", show(p50)))
        .at_most(p99.as_secs_f64() / p50.as_secs_f64(), 10.0, "×")
        .and(failed == 0, "no errors"),
        Line::new("its memory at the end")
            .ours(format!("{} MiB", mib(late)))
            .reference(format!("{} MiB: after a quarter of the time", mib(early)))
            .at_most(growth, 1.1, "×"),
    ]
}

/// 90 visits, 5 messages, 3 profiles and 2 lookups of every hundred. Whether it succeeded.
async fn request(service: &Service, subjects: &[String], n: usize) -> bool {
    // Each person comes up in each role.
    let who = n * 7919 % PEOPLE;
    let visitor = format!("v-{who}");
    let reply = match n % 100 {
        0..90 => {
            let visit = json!({"events": [{"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart"}]});
            service
                .post("/v1/events", &service.ours.ingest, visit)
                .await
        }
        90..95 => {
            let message = json!({"events": [{"type": "message", "visitor_id": visitor, "conversation_id": "c-1",
                                             "author": "end_user", "body": "Where is my invoice?"}]});
            service
                .post("/v1/events", &service.ours.ingest, message)
                .await
        }
        95..98 => {
            service
                .get(
                    &format!("/v1/subjects/{}", subjects[who]),
                    &service.ours.read,
                )
                .await
        }
        _ => {
            service
                .post(
                    "/v1/lookup",
                    &service.ours.read,
                    json!({"visitor_id": visitor}),
                )
                .await
        }
    };
    let stored = reply.status == 200 && !reply.text.contains("\"rejected\"");
    stored && (n % 100 >= 95 || reply.text.contains("\"stored\""))
}
