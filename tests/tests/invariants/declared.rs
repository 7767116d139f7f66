//! What the template declares and the emulator of `tests/deployed` passes over, so that it
//! is held against the template itself; what outlives its time is in `backups`.

use local::Options;
use local::template::{Node, TemplateError, Tree};

type Checked = Result<(), TemplateError>;

fn template() -> Tree {
    let text = std::fs::read_to_string(Options::default().template).expect("the template");
    Tree::parse(&text).expect("the template is YAML")
}

/// The properties of every resource of a type, of which there must be some.
fn each<'t>(tree: &'t Tree, kind: &str) -> Vec<Node<'t>> {
    let all = tree.resources(kind).expect("there are resources");
    assert!(!all.is_empty(), "there is no {kind}");
    let properties = all.into_iter().map(|(_, node)| node.get("Properties"));
    properties.collect::<Result<_, _>>().expect("properties")
}

fn says(node: &Node<'_>, path: &str, expected: &str) -> Checked {
    let place = node.at(path)?;
    match place.text()? == expected {
        true => Ok(()),
        false => Err(place.error(format!("is not {expected}"))),
    }
}

#[test]
fn tables_and_bucket_are_encrypted_with_the_key_of_the_stack() {
    let tree = template();
    for table in each(&tree, "AWS::DynamoDB::Table") {
        let encryption = table.get("SSESpecification").expect("encryption");
        says(&encryption, "SSEEnabled", "true").unwrap();
        says(&encryption, "SSEType", "KMS").unwrap();
        let key = encryption.get("KMSMasterKeyId").expect("a key");
        key.target("AWS::KMS::Key").expect("a key of the stack");
    }
    for bucket in each(&tree, "AWS::S3::Bucket") {
        let rules = bucket
            .at("BucketEncryption.ServerSideEncryptionConfiguration")
            .and_then(|rules| rules.items())
            .expect("rules");
        assert_eq!(rules.len(), 1);
        let rule = rules[0]
            .get("ServerSideEncryptionByDefault")
            .expect("a default");
        says(&rule, "SSEAlgorithm", "aws:kms").unwrap();
        let key = rule.get("KMSMasterKeyID").expect("a key");
        key.target("AWS::KMS::Key").expect("a key of the stack");
    }
}

#[test]
fn tables_cannot_be_deleted_by_mistake() {
    for table in each(&template(), "AWS::DynamoDB::Table") {
        says(&table, "DeletionProtectionEnabled", "true").unwrap();
    }
}

#[test]
fn what_the_stream_hands_over_is_tried_again_record_by_record_and_then_kept() {
    let tree = template();
    let mut triggers = 0;
    for function in each(&tree, "AWS::Serverless::Function") {
        let Some(events) = function.find("Events") else {
            continue;
        };
        for (_, event) in events.entries().expect("events") {
            if event.get("Type").and_then(|kind| kind.text()).unwrap() != "DynamoDB" {
                continue;
            }
            let trigger = event.get("Properties").expect("properties");
            says(&trigger, "StartingPosition", "TRIM_HORIZON").unwrap();
            says(&trigger, "MaximumRetryAttempts", "5").unwrap();
            says(&trigger, "BisectBatchOnFunctionError", "true").unwrap();
            let reports = trigger.get("FunctionResponseTypes").expect("responses");
            assert_eq!(reports.texts().unwrap(), ["ReportBatchItemFailures"]);
            let kept = trigger
                .at("DestinationConfig.OnFailure.Destination")
                .unwrap();
            kept.target("AWS::SQS::Queue").expect("a queue");
            triggers += 1;
        }
    }
    assert_eq!(triggers, 2, "erasures and exports have their workers");
}

#[test]
fn the_api_is_throttled() {
    for api in each(&template(), "AWS::Serverless::HttpApi") {
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            let limit = api.at(&format!("DefaultRouteSettings.{limit}"));
            assert!(limit.and_then(|it| it.number()).expect("a limit") > 0);
        }
    }
}
