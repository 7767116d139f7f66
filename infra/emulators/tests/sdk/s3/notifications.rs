//! Event notifications.

use super::start;

#[tokio::test]
async fn objects_under_the_prefix_are_announced() {
    let mut s3 = start().await;
    s3.put_guarded("exports/unannounced", b"x").await;
    let version = s3.put_guarded("incoming/a b+ü.txt", b"hello").await;
    let record = s3.events.recv().await.unwrap();
    assert_eq!(record["eventVersion"], "2.1");
    assert_eq!(record["eventSource"], "aws:s3");
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!(record["eventTime"], "2031-05-01T10:00:00.000Z");
    assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::guarded");
    assert_eq!(record["s3"]["object"]["key"], "incoming/a+b%2B%C3%BC.txt");
    assert_eq!(record["s3"]["object"]["versionId"], version);
    assert_eq!(record["s3"]["object"]["size"], 5);
    let event = serde_json::json!({"Records": [record]});
    let event: aws_lambda_events::s3::S3Event = serde_json::from_value(event).unwrap();
    assert_eq!(event.records[0].s3.bucket.name.as_deref(), Some("guarded"));
    assert!(s3.events.try_recv().is_err());
}
