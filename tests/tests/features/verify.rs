//! A sealed day is checked from the outside, by what the API shows: whatever somebody with
//! the tables in hand changes afterwards is noticed, and named.

use jiff::civil::Date;
use lethe_tests::{Service, days};
use local::verify::{Evidence, Report, Source, check};
use shared::aws::dynamo::{Item, Write};
use shared::domain::keys::{self, SHARDS};

const DAY: &str = "2026-03-01";

/// A service whose first day, with four entries, is sealed.
async fn sealed() -> Service {
    let service = Service::start().await;
    service.advance(days(2)).await;
    service
}

fn day(text: &str) -> Date {
    text.parse().expect("a day")
}

/// The rows of the first day's entries, oldest first.
async fn entries(service: &Service) -> Vec<Item> {
    let mut rows = Vec::new();
    for shard in 0..SHARDS {
        let partition = keys::activity(service.tenant(), day(DAY), shard);
        let found = service.cloud.app().store.query_all(&partition, "").await;
        rows.extend(found.expect("it answers"));
    }
    rows.sort_by(|one, other| one.sort().cmp(other.sort()));
    rows
}

/// Writes past every rule.
async fn write(service: &Service, write: Write) {
    let written = service.cloud.app().store.write(write).await;
    written.expect("it answers").expect("nothing forbids it");
}

async fn evidence(service: &Service, of: &str) -> Evidence {
    let source = Source::Service {
        url: service.cloud.url().to_owned(),
        key: service.ours.owner.clone(),
    };
    source.evidence(day(of)).await.expect("it is sealed")
}

async fn verified(service: &Service, of: &str) -> Report {
    check(&evidence(service, of).await)
}

fn id(row: &Item) -> String {
    format!("act_{}", row.sort().split_once('#').expect("two parts").1)
}

#[tokio::test]
async fn an_untouched_day_is_valid() {
    let service = sealed().await;
    for (of, entries) in [(DAY, 4), ("2026-03-02", 0)] {
        let report = verified(&service, of).await;
        assert!(report.valid(), "{report}");
        let kept = format!("entries: {entries} of {entries} match their signed leaves");
        assert!(report.to_string().contains(&kept), "{report}");
    }
    let today = day("2026-03-03");
    let source = Source::Service {
        url: service.cloud.url().to_owned(),
        key: service.ours.owner.clone(),
    };
    let refused = source.evidence(today).await.expect_err("it is not over");
    assert!(
        refused.contains("2026-03-03 has no signed log root"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_entry_that_was_changed_is_named() {
    for (attribute, value) in [("by", "key_9"), ("about", "key_9"), ("kind", "key.revoked")] {
        let service = sealed().await;
        let row = &entries(&service).await[1];
        let change = Write::update(row.partition(), row.sort()).set(attribute, value);
        write(&service, change).await;
        let report = verified(&service, DAY).await;
        assert!(!report.valid(), "{report}");
        let named = format!("FAIL  changed: {}", id(row));
        assert!(report.to_string().contains(&named), "{report}");
        assert_eq!(report.to_string().matches("FAIL").count(), 1, "{report}");
    }
}

#[tokio::test]
async fn an_entry_that_is_gone_makes_the_day_invalid_until_its_tenant_has_left() {
    let service = sealed().await;
    for place in [0, 2] {
        let row = &entries(&service).await[place];
        write(&service, Write::delete(row.partition(), row.sort())).await;
    }
    let report = verified(&service, DAY).await;
    assert!(!report.valid(), "{report}");
    for missing in ["FAIL  missing: entry 1 of 4", "FAIL  missing: entry 4 of 4"] {
        assert!(report.to_string().contains(missing), "{report}");
    }
    // The root needs the leaves alone: of a tenant that has left, seals are all there is.
    let mut evidence = evidence(&service, DAY).await;
    evidence.left = true;
    let report = check(&evidence);
    assert!(report.valid(), "{report}");
    assert!(
        report.to_string().contains("note  missing: entry 1 of 4"),
        "{report}"
    );
}

#[tokio::test]
async fn an_entry_that_was_added_is_named() {
    let service = sealed().await;
    let row = entries(&service).await.remove(3);
    let (at, _) = row.sort().split_once('#').expect("two parts");
    // Another id in the same moment, and all else as it is.
    let sort = format!("{at}#ffffffffffffffffffffffffffffffff");
    let added = Item::new(row.partition(), &sort)
        .with("kind", "key.created")
        .with("by", "operator")
        .with("about", "key_1")
        .with("at", row.time("at").expect("a time"))
        .with("salt", vec![7; 16]);
    write(&service, Write::put(added)).await;
    let report = verified(&service, DAY).await;
    assert!(!report.valid(), "{report}");
    let named = "FAIL  added: act_ffffffffffffffffffffffffffffffff";
    assert!(report.to_string().contains(named), "{report}");
}

#[tokio::test]
async fn leaves_and_seals_that_were_changed_do_not_hold() {
    let service = sealed().await;
    let tenant = service.tenant();
    let leaves = Write::update(&keys::leaves(tenant, day(DAY)), &keys::leaves_part(0))
        .set("hashes", vec![1_u8; 4 * 32]);
    write(&service, leaves).await;
    let report = verified(&service, DAY).await;
    assert!(
        !report.valid() && report.to_string().contains("FAIL  root"),
        "{report}"
    );
    let root = Write::update(&keys::seals(tenant), "2026-03-02").set("root", "A".repeat(43));
    write(&service, root).await;
    let report = verified(&service, "2026-03-02").await;
    assert!(
        !report.valid() && report.to_string().contains("FAIL  seal"),
        "{report}"
    );
    // The other day's statement in its place is signed, and of another day.
    let store = &service.cloud.app().store;
    let other = store
        .seal(tenant, day(DAY))
        .await
        .expect("it answers")
        .expect("it is sealed");
    let jws = |day, jws: String| Write::update(&keys::seals(tenant), day).set("jws", jws);
    write(&service, jws("2026-03-02", other.jws.clone())).await;
    let report = verified(&service, "2026-03-02").await;
    assert!(
        !report.valid() && report.to_string().contains("FAIL  day"),
        "{report}"
    );
    let (signed, _) = other.jws.rsplit_once('.').expect("a signature");
    write(&service, jws(DAY, format!("{signed}.{}", "A".repeat(86)))).await;
    let report = verified(&service, DAY).await;
    assert!(
        !report.valid() && report.to_string().contains("FAIL  signature"),
        "{report}"
    );
}

#[tokio::test]
async fn a_day_that_is_sealed_anew_breaks_the_chain() {
    let service = sealed().await;
    let tenant = service.tenant();
    let row = &entries(&service).await[1];
    let seal = keys::seals(tenant);
    write(&service, Write::delete(row.partition(), row.sort())).await;
    write(
        &service,
        Write::delete(&keys::leaves(tenant, day(DAY)), &keys::leaves_part(0)),
    )
    .await;
    let report = verified(&service, "2026-03-02").await;
    assert!(report.valid(), "{report}");
    // With the signing key in hand, and the day's own watermarks and roots out of the way.
    let later = service
        .cloud
        .app()
        .store
        .seal(tenant, day("2026-03-02"))
        .await;
    let later = later.expect("it answers").expect("it is sealed");
    for day in [DAY, "2026-03-02"] {
        write(&service, Write::delete(&seal, day)).await;
    }
    service.sweep().await;
    let report = verified(&service, DAY).await;
    assert!(
        report.valid(),
        "the forged day alone tells nothing: {report}"
    );
    // Whoever has kept the next day's seal sees that it goes on from another root.
    let kept = Item::new(&seal, "2026-03-02")
        .with("entries", later.entries)
        .with("root", later.root.to_string())
        .with("jws", later.jws);
    write(&service, Write::put(kept)).await;
    let report = verified(&service, "2026-03-02").await;
    assert!(
        !report.valid() && report.to_string().contains("FAIL  chain"),
        "{report}"
    );
    write(&service, Write::delete(&seal, DAY)).await;
    let report = verified(&service, "2026-03-02").await;
    assert!(report.to_string().contains("is missing"), "{report}");
    assert!(!report.valid());
}
