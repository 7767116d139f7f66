//! What `infra/README.md` says that an operation costs is what it asks of AWS: counted at the
//! wire, once its tenant's key and settings are cached.

use std::collections::BTreeMap;

use lethe_tests::meter::{self, Meter};
use lethe_tests::{Service, by_hand, days, minutes, subject};
use local::Options;
use serde_json::json;

/// Units of DynamoDB (rows here are under 1 KB), and requests to S3 and KMS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    read: usize,
    written: usize,
    s3: usize,
    kms: usize,
}

async fn watched() -> (Service, Meter) {
    let meter = Meter::default();
    // Nothing comes between a sweep and what it hands over.
    let options = Options {
        events: false,
        watch: Some(meter.watch()),
        ..by_hand()
    };
    (Service::with(options).await, meter)
}

fn taken(meter: &Meter) -> Cost {
    let cost = meter::Cost::of(&meter.take());
    let of = |service: &str| {
        let calls = cost.calls.iter();
        let calls = calls.filter(|(call, _)| call.starts_with(service));
        calls.map(|(_, number)| number).sum()
    };
    Cost {
        read: cost.reads.round() as usize,
        written: cost.writes as usize,
        s3: of("s3:"),
        kms: of("kms:"),
    }
}

async fn swept(service: &Service) {
    service.sweep().await;
    service.cloud.settle().await;
}

/// What the day costs on which these many people expire, to the last look at each.
async fn expiry_of(service: &Service, counted: &Meter, people: usize) -> Cost {
    let visits = (0..people).map(|n| json!({"type": "visit", "visitor_id": format!("v{n}")}));
    service.store(visits.collect()).await;
    // Their time is over tomorrow; all else that a sweep then finds to do is done before.
    service.skip(days(29));
    swept(service).await;
    taken(counted);
    service.skip(days(2));
    for _ in 0..3 {
        swept(service).await;
        service.skip(minutes(15));
    }
    taken(counted)
}

/// The rows of the table in `infra/README.md`, by their first column.
fn infra_readme() -> BTreeMap<String, Cost> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/README.md");
    let text = std::fs::read_to_string(path).expect("infra/README.md");
    let (_, costs) = text
        .split_once("| operation | read | written | S3 | KMS |")
        .expect("its table");
    let rows = costs
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let number = |at: usize| cells[at].parse().expect("a number");
        let cost = Cost {
            read: number(2),
            written: number(3),
            s3: number(4),
            kms: number(5),
        };
        (cells[1].to_owned(), cost)
    };
    rows.map(row).collect()
}

#[tokio::test]
async fn the_infra_readme_counts_what_operations_ask_of_aws() {
    let (service, counted) = watched().await;
    service
        .store(json!([{"type": "visit", "visitor_id": "warm"}]))
        .await;
    taken(&counted);
    let visit = || {
        json!([{"type": "visit", "visitor_id": "ada", "url": "https://shop.example/cart",
                           "ip": "203.0.113.9", "device": {"browser": "Firefox", "os": "Linux"}}])
    };
    let message = || {
        json!([{"type": "message", "visitor_id": "ada", "conversation_id": "c-1",
                             "author": "end_user", "body": "Where is my invoice?"}])
    };
    let identify = json!([{"type": "identify", "visitor_id": "ada", "user_id": "u-ada",
                           "name": "Ada Lovelace", "email": "ada@example.com"}]);
    let mut found = BTreeMap::new();
    let mut note = |name: &str| {
        found.insert(name.to_owned(), taken(&counted));
    };
    let ada = subject(&service.store(visit()).await[0]);
    note("first visit");
    service.store(visit()).await;
    note("visit");
    service.skip(minutes(16));
    service.store(visit()).await;
    note("visit, the first in a quarter of an hour");
    service.store(identify).await;
    note("identify, with e-mail and user id");
    service.store(message()).await;
    taken(&counted);
    service.store(message()).await;
    note("message");
    service.upload("ada", "note.txt", "text/plain", b"hi").await;
    note("file, scanned");
    service.person(&ada).await;
    taken(&counted);
    service.person(&ada).await;
    note("a person, read");
    let bob = json!([{"type": "visit", "visitor_id": "bob"}]);
    let bob = subject(&service.store(bob).await[0]);
    taken(&counted);
    service.erase(&bob).await;
    service.cloud.settle().await;
    note("erasure, with its receipt");

    // What a sweep asks for once, however many expire, is not theirs.
    let (service, counted) = watched().await;
    let few = expiry_of(&service, &counted, 10).await;
    let (service, counted) = watched().await;
    let many = expiry_of(&service, &counted, 30).await;
    let one = |of: fn(&Cost) -> usize| (of(&many) - of(&few)) / 20;
    let expiry = Cost {
        read: one(|it| it.read),
        written: one(|it| it.written),
        s3: one(|it| it.s3),
        kms: one(|it| it.kms),
    };
    found.insert("expiry".to_owned(), expiry);
    assert_eq!(found, infra_readme());
}

#[tokio::test]
async fn a_tenants_keys_ask_kms_once_in_five_to_fifteen_minutes() {
    let (service, counted) = watched().await;
    service.visit("ada").await;
    taken(&counted);
    for _ in 0..6 * 60 {
        service.skip(minutes(1));
        service.visit("ada").await;
    }
    let asked = taken(&counted).kms;
    assert!(
        (6 * 4..=6 * 12).contains(&asked),
        "{asked} times in six hours"
    );
}
