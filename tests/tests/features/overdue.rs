//! Erasures that take too long are told of: an alarm of the template stands on the number.

use lethe_tests::{Service, minutes};
use local::Options;
use local::template::Tree;
use serde_json::{Value, json};

use crate::late::asleep_with;

/// Lets cleanup run, and gives the metric that it logged: no other service has this time.
async fn measured(service: &Service) -> Value {
    service.sweep().await;
    let now = service.now().as_millisecond();
    let text = lethe_tests::logs::text();
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let mut metrics = lines
        .map(|line| line.expect("a line is JSON"))
        .filter(|line| line["_aws"]["Timestamp"] == now)
        .filter(|line| !line["OldestOverdueErasure"].is_null());
    metrics.next_back().expect("a metric")
}

#[tokio::test]
async fn the_oldest_erasure_that_does_not_end_is_told_with_its_age() {
    let options = Options {
        schedules: false,
        ..Options::default()
    };
    let (service, worker) = asleep_with("delete", options).await;
    // A time that is this test's own.
    let off = jiff::SignedDuration::from_millis(7);
    service.skip(off);
    let ada = service.acquaint("ada").await;
    let held = service.acquaint("bob").await;
    service.hold(&held).await;
    let body = json!({"subjects": [held]});
    service.erasure(body).await;
    service.skip(minutes(60));
    let job = service.erasure(json!({"subjects": [ada]})).await;

    let metric = measured(&service).await;
    assert_eq!(metric["OldestOverdueErasure"], 0, "it has just begun");
    service.skip(minutes(3 * 60 + 25));
    let metric = measured(&service).await;
    assert_eq!(
        metric["OldestOverdueErasure"],
        25 * 60,
        "the held one is not late"
    );
    assert_eq!(metric["job"], job["id"]);
    assert_eq!(
        metric["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"],
        "Seconds"
    );

    worker.wake();
    service.pass(minutes(15)).await;
    service.skip(minutes(15));
    let metric = measured(&service).await;
    assert_eq!(metric["OldestOverdueErasure"], 0, "it is over: {metric}");
    assert!(metric["job"].is_null());

    let text = std::fs::read_to_string(Options::default().template).expect("the template");
    let tree = Tree::parse(&text).expect("the template is YAML");
    let alarms = tree.resources("AWS::CloudWatch::Alarm").expect("alarms");
    let stands = alarms.iter().any(|(_, alarm)| {
        let said = |name: &str| alarm.at(&format!("Properties.{name}")).ok()?.text().ok();
        said("MetricName").as_deref() == Some("OldestOverdueErasure")
            && said("Namespace")
                == metric["_aws"]["CloudWatchMetrics"][0]["Namespace"]
                    .as_str()
                    .map(str::to_owned)
            && said("TreatMissingData").as_deref() == Some("breaching")
    });
    assert!(stands, "an alarm stands on it");
}
