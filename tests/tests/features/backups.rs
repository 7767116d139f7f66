//! Backups age out: nothing that the template declares can keep what was deleted for longer
//! than was promised, and cleanup says so when what is in force does.

use aws_sdk_dynamodb::types::{PointInTimeRecoverySpecification, TimeToLiveSpecification};
use emulators::{ACCOUNT, REGION};
use lethe_tests::{Service, days};
use local::Options;
use local::template::{Node, TemplateError, Tree};
use serde_json::{Value, json};

use crate::rows;

fn text() -> String {
    std::fs::read_to_string(Options::default().template).expect("the template")
}

type Checked = Result<(), TemplateError>;

/// What a template lets outlive its time, or leaves open: the place, and what is wrong.
fn outliving(text: &str) -> Vec<TemplateError> {
    let tree = Tree::parse(text).expect("the template is YAML");
    let mut found = Vec::new();
    let checks = [tables, backups, objects, logs, queues];
    for check in checks {
        let problems = check(&tree).unwrap_or_else(|e| vec![Err(e)]);
        found.extend(problems.into_iter().filter_map(Result::err));
    }
    found
}

fn at_most(node: &Node<'_>, path: &str, most: u64) -> Checked {
    let place = node.at(path)?;
    match place.number()? <= most {
        true => Ok(()),
        false => Err(place.error(format!("is more than {most}"))),
    }
}

fn says(node: &Node<'_>, path: &str, expected: &str) -> Checked {
    let place = node.at(path)?;
    match place.text()? == expected {
        true => Ok(()),
        false => Err(place.error(format!("is not {expected}"))),
    }
}

fn without(node: &Node<'_>, names: &[&str]) -> Vec<Checked> {
    let found = names.iter().filter_map(|name| node.find(name));
    found.map(|it| Err(it.error("must not be there"))).collect()
}

/// The properties of every resource of a type, of which there must be some.
fn each<'t>(tree: &'t Tree, kind: &str) -> Result<Vec<(&'t str, Node<'t>)>, TemplateError> {
    let all = tree.resources(kind)?;
    if all.is_empty() {
        return Err(tree.root().error(format!("has no {kind}")));
    }
    let properties = all.into_iter();
    properties
        .map(|(id, node)| Ok((id, node.get("Properties")?)))
        .collect()
}

/// The logical ids of the two tables, as the functions are told them.
fn names(tree: &Tree) -> Result<[String; 2], TemplateError> {
    let told = tree.root().at("Globals.Function.Environment.Variables")?;
    let table = |name| told.get(name)?.target("AWS::DynamoDB::Table");
    Ok([table("LETHE_RECORDS_TABLE")?, table("LETHE_KEYRING_TABLE")?])
}

/// Recovery windows, as the functions promise them; streams of keys, and none of the keyring.
fn tables(tree: &Tree) -> Result<Vec<Checked>, TemplateError> {
    let [records, keyring] = names(tree)?;
    let told = tree.root().at("Globals.Function.Environment.Variables")?;
    let mut found = Vec::new();
    for (id, table) in each(tree, "AWS::DynamoDB::Table")? {
        let recovery = table.get("PointInTimeRecoverySpecification")?;
        found.push(says(&recovery, "PointInTimeRecoveryEnabled", "true"));
        let (most, variable) = match id == keyring {
            true => (1, "LETHE_KEYRING_RECOVERY_DAYS"),
            false => (30, "LETHE_RECORDS_RECOVERY_DAYS"),
        };
        found.push(at_most(&recovery, "RecoveryPeriodInDays", most));
        let days = recovery.get("RecoveryPeriodInDays")?.text()?;
        found.push(says(&told, variable, &days));
        found.extend(without(&table, &["KinesisStreamSpecification"]));
        if id == keyring {
            let ways = [
                "StreamSpecification",
                "GlobalSecondaryIndexes",
                "LocalSecondaryIndexes",
            ];
            found.extend(without(&table, &ways));
        } else if let Some(stream) = table.find("StreamSpecification") {
            found.push(says(&stream, "StreamViewType", "KEYS_ONLY"));
        }
        if [&records, &keyring].contains(&&id.to_owned()) {
            found.push(says(&table, "TimeToLiveSpecification.Enabled", "true"));
            let attribute = "TimeToLiveSpecification.AttributeName";
            found.push(says(&table, attribute, "expires_at"));
        }
    }
    let replicas = tree.resources("AWS::DynamoDB::GlobalTable")?;
    found.extend(
        replicas
            .into_iter()
            .map(|(_, it)| Err(it.error("is a copy"))),
    );
    Ok(found)
}

/// A plan for the records, named, and for nothing else; what it makes goes after a month.
fn backups(tree: &Tree) -> Result<Vec<Checked>, TemplateError> {
    let [records, _] = names(tree)?;
    let mut found = Vec::new();
    for (_, vault) in each(tree, "AWS::Backup::BackupVault")? {
        let key = vault.get("EncryptionKeyArn");
        found.push(key.and_then(|key| key.target("AWS::KMS::Key").map(drop)));
    }
    for (_, plan) in each(tree, "AWS::Backup::BackupPlan")? {
        for rule in plan.at("BackupPlan.BackupPlanRule")?.items()? {
            let vault = rule.get("TargetBackupVault")?;
            found.push(vault.target("AWS::Backup::BackupVault").map(drop));
            found.push(at_most(&rule, "Lifecycle.DeleteAfterDays", 30));
            found.extend(without(&rule, &["CopyActions"]));
        }
    }
    for (_, selection) in each(tree, "AWS::Backup::BackupSelection")? {
        let selection = selection.get("BackupSelection")?;
        for table in selection.get("Resources")?.items()? {
            found.push(match table.target("AWS::DynamoDB::Table")? == records {
                true => Ok(()),
                false => Err(table.error("is not the table of records")),
            });
        }
        let others = ["ListOfTags", "Conditions", "NotResources"];
        found.extend(without(&selection, &others));
    }
    Ok(found)
}

const OLDER: &str = "NoncurrentVersionExpiration.NoncurrentDays";

/// Older versions, unfinished uploads and what has a life of its own in the bucket.
fn objects(tree: &Tree) -> Result<Vec<Checked>, TemplateError> {
    let mut found = Vec::new();
    for (_, bucket) in each(tree, "AWS::S3::Bucket")? {
        found.push(says(&bucket, "VersioningConfiguration.Status", "Enabled"));
        let copies = ["ReplicationConfiguration", "ObjectLockConfiguration"];
        found.extend(without(&bucket, &copies));
        let lifecycle = bucket.get("LifecycleConfiguration")?;
        let mut rules = Vec::new();
        for rule in lifecycle.get("Rules")?.items()? {
            let prefix = rule
                .find("Prefix")
                .map_or(Ok(String::new()), |it| it.text())?;
            found.extend(without(&rule, &["TagFilters", "ObjectSizeGreaterThan"]));
            if let Some(older) = rule.find("NoncurrentVersionExpiration") {
                found.push(at_most(&rule, OLDER, 30));
                found.extend(without(&older, &["NewerNoncurrentVersions"]));
            }
            rules.push((prefix, rule));
        }
        let uploads = "AbortIncompleteMultipartUpload.DaysAfterInitiation";
        for (under, age, most) in [
            ("", OLDER, 30),
            ("", uploads, 1),
            ("exports/", "ExpirationInDays", 1),
            ("exports/", OLDER, 1),
            ("ledger/", "ExpirationInDays", 35),
            ("ledger/", OLDER, 1),
        ] {
            let goes = rules.iter().any(|(prefix, rule)| {
                under.starts_with(prefix)
                    && says(rule, "Status", "Enabled").is_ok()
                    && at_most(rule, age, most).is_ok()
            });
            if !goes {
                found.push(Err(
                    lifecycle.error(format!("{under}: no {age} within {most}"))
                ));
            }
        }
        for under in ["receipts/", "seals/"] {
            let goes = |(prefix, rule): &(String, Node<'_>)| {
                under.starts_with(prefix) && rule.find("ExpirationInDays").is_some()
            };
            if rules.iter().any(goes) {
                found.push(Err(lifecycle.error(format!("{under}: is kept for good"))));
            }
        }
    }
    Ok(found)
}

/// Every function writes into a group that forgets.
fn logs(tree: &Tree) -> Result<Vec<Checked>, TemplateError> {
    let mut found = Vec::new();
    for (_, function) in each(tree, "AWS::Serverless::Function")? {
        let group = function.at("LoggingConfig.LogGroup");
        found.push(group.and_then(|it| it.target("AWS::Logs::LogGroup").map(drop)));
    }
    let groups = each(tree, "AWS::Logs::LogGroup")?;
    let groups = groups.iter();
    found.extend(groups.map(|(_, group)| at_most(group, "RetentionInDays", 30)));
    Ok(found)
}

fn queues(tree: &Tree) -> Result<Vec<Checked>, TemplateError> {
    const TWO_WEEKS: u64 = 14 * 24 * 60 * 60;
    let queues = each(tree, "AWS::SQS::Queue")?;
    let queues = queues.iter();
    Ok(queues
        .map(|(_, queue)| at_most(queue, "MessageRetentionPeriod", TWO_WEEKS))
        .collect())
}

#[test]
fn nothing_outlives_its_time() {
    let found = outliving(&text());
    assert!(found.is_empty(), "{found:?}");
}

/// The template with one change that is really one.
#[track_caller]
fn changed(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

const KEYRING: &str = "        - { AttributeName: PK, AttributeType: S }\n      KeySchema:\n";
const PASSING: &str =
    "ExpirationInDays: 1\n            NoncurrentVersionExpiration: { NoncurrentDays: 1 }";

/// A change of the template, and the places where it must be noticed.
const CHANGES: &[(&str, &str, &[&str])] = &[
    (
        "      Records: 30\n",
        "      Records: 31\n",
        &[
            "RecordsTable.Properties.PointInTimeRecoverySpecification.RecoveryPeriodInDays",
            "BackupPlan.Properties.BackupPlan.BackupPlanRule.0.Lifecycle.DeleteAfterDays",
            "Bucket.Properties.LifecycleConfiguration.Rules.0.NoncurrentVersionExpiration.NoncurrentDays",
            "Bucket.Properties.LifecycleConfiguration",
        ],
    ),
    (
        "      Keyring: 1\n",
        "      Keyring: 2\n",
        &["KeyringTable.Properties.PointInTimeRecoverySpecification.RecoveryPeriodInDays"],
    ),
    (
        "RecoveryPeriodInDays: !FindInMap [Retention, Days, Records]",
        "RecoveryPeriodInDays: 29",
        &["Globals.Function.Environment.Variables.LETHE_RECORDS_RECOVERY_DAYS"],
    ),
    (
        "PointInTimeRecoveryEnabled: true",
        "PointInTimeRecoveryEnabled: false",
        &["RecordsTable.Properties.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled"],
    ),
    (
        "StreamViewType: KEYS_ONLY",
        "StreamViewType: NEW_AND_OLD_IMAGES",
        &["RecordsTable.Properties.StreamSpecification.StreamViewType"],
    ),
    (
        "AttributeName: expires_at, Enabled: true",
        "AttributeName: expires_at, Enabled: false",
        &["RecordsTable.Properties.TimeToLiveSpecification.Enabled"],
    ),
    (
        "      # Tombstones, when no backup can bring anything back.\n      TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true }\n",
        "      TimeToLiveSpecification: { AttributeName: due_day, Enabled: true }\n",
        &["KeyringTable.Properties.TimeToLiveSpecification.AttributeName"],
    ),
    (
        KEYRING,
        "        - { AttributeName: PK, AttributeType: S }\n      StreamSpecification: { StreamViewType: KEYS_ONLY }\n      KeySchema:\n",
        &["KeyringTable.Properties.StreamSpecification"],
    ),
    (
        KEYRING,
        "        - { AttributeName: PK, AttributeType: S }\n      GlobalSecondaryIndexes: []\n      KeySchema:\n",
        &["KeyringTable.Properties.GlobalSecondaryIndexes"],
    ),
    (
        "        Resources: [!If",
        "        Resources: [!GetAtt KeyringTable.Arn, !If",
        &["BackupSelection.Properties.BackupSelection.Resources.0"],
    ),
    (
        "        SelectionName: records\n",
        "        SelectionName: records\n        ListOfTags: []\n",
        &["BackupSelection.Properties.BackupSelection.ListOfTags"],
    ),
    (
        "DeleteAfterDays: !FindInMap [Retention, Days, Records]",
        "DeleteAfterDays: 31",
        &["BackupPlan.Properties.BackupPlan.BackupPlanRule.0.Lifecycle.DeleteAfterDays"],
    ),
    (
        "            Lifecycle:\n              DeleteAfterDays: !FindInMap [Retention, Days, Records]\n",
        "",
        &["BackupPlan.Properties.BackupPlan.BackupPlanRule.0"],
    ),
    (
        "            Lifecycle:\n              DeleteAfterDays",
        "            CopyActions: []\n            Lifecycle:\n              DeleteAfterDays",
        &["BackupPlan.Properties.BackupPlan.BackupPlanRule.0.CopyActions"],
    ),
    (
        "      EncryptionKeyArn: !GetAtt Key.Arn\n",
        "",
        &["BackupVault.Properties"],
    ),
    (
        "NoncurrentDays: !FindInMap [Retention, Days, Records]",
        "NoncurrentDays: !FindInMap [Retention, Days, Records]\n              NewerNoncurrentVersions: 3",
        &[
            "Bucket.Properties.LifecycleConfiguration.Rules.0.NoncurrentVersionExpiration.NewerNoncurrentVersions",
        ],
    ),
    (
        "older-versions-age-out\n            Status: Enabled",
        "older-versions-age-out\n            Status: Disabled",
        // Neither older versions nor uploads go.
        &["Bucket.Properties.LifecycleConfiguration"; 2],
    ),
    (
        "DaysAfterInitiation: 1",
        "DaysAfterInitiation: 7",
        &["Bucket.Properties.LifecycleConfiguration"],
    ),
    (
        PASSING,
        "ExpirationInDays: 2\n            NoncurrentVersionExpiration: { NoncurrentDays: 1 }",
        &["Bucket.Properties.LifecycleConfiguration"],
    ),
    (
        PASSING,
        "ExpirationInDays: 1",
        &["Bucket.Properties.LifecycleConfiguration"],
    ),
    (
        "ExpirationInDays: 35",
        "ExpirationInDays: 36",
        &["Bucket.Properties.LifecycleConfiguration"],
    ),
    (
        "            Prefix: exports/\n",
        "",
        // Everything would go in a day: receipts and seals.
        &["Bucket.Properties.LifecycleConfiguration"; 2],
    ),
    (
        "      RetentionInDays: 30\n",
        "      RetentionInDays: 60\n",
        &["IngestLogs.Properties.RetentionInDays"],
    ),
    (
        "      RetentionInDays: 30\n",
        "",
        &["IngestLogs.Properties"],
    ),
    (
        "      LoggingConfig: { LogGroup: !Ref IngestLogs }\n",
        "",
        &["IngestFunction.Properties"],
    ),
    (
        "MessageRetentionPeriod: 1209600",
        "MessageRetentionPeriod: 12096000",
        &["DeadLetters.Properties.MessageRetentionPeriod"],
    ),
];

#[test]
fn whatever_would_outlive_its_time_is_noticed() {
    let text = text();
    for (old, new, places) in CHANGES {
        let found = outliving(&changed(&text, old, new));
        let noticed: Vec<_> = found.iter().map(|it| it.place.as_str()).collect();
        assert_eq!(noticed, *places, "{old} -> {new}: {found:?}");
    }
}

/// Lets cleanup run, and gives what it logged meanwhile of backups: no other service has this
/// time.
async fn metrics(service: &Service) -> Vec<Value> {
    service.sweep().await;
    let now = service.now().as_millisecond();
    let text = lethe_tests::logs::text();
    let lines = text.lines().map(serde_json::from_str::<Value>);
    lines
        .map(|line| line.expect("a line is JSON"))
        .filter(|line| line["_aws"]["Timestamp"] == now && !line["BackupsDrifting"].is_null())
        .collect()
}

/// The one metric of a day's first sweep must name these settings.
async fn expect(service: &Service, drifting: &[&str]) {
    let metrics = metrics(service).await;
    let [metric] = metrics.as_slice() else {
        panic!("one metric: {metrics:?}")
    };
    assert_eq!(metric["drifting"], json!(drifting));
    assert_eq!(metric["BackupsDrifting"], drifting.len());
}

/// A service at a time that is its own, by this many milliseconds past noon.
async fn service(template: &str, millis: i64) -> Service {
    let file = format!("{}/backups-{millis}.yaml", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&file, template).expect("a template is written");
    let options = Options {
        template: file.into(),
        schedules: false,
        ..Options::default()
    };
    let service = Service::with(options).await;
    let off = jiff::SignedDuration::from_millis(millis);
    service.skip(off);
    service
}

#[tokio::test]
async fn settings_that_drift_are_counted_and_named_once_a_day() {
    let service = service(&text(), 1).await;
    let (client, config) = (rows::client(&service), &service.cloud.app().config);
    expect(&service, &[]).await;

    let window = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .recovery_period_in_days(35);
    client
        .update_continuous_backups()
        .table_name(&config.keyring_table)
        .point_in_time_recovery_specification(window.build().expect("a window"))
        .send()
        .await
        .expect("the window is changed");
    for table in [&config.records_table, &config.keyring_table] {
        let expiry = TimeToLiveSpecification::builder()
            .attribute_name("expires_at")
            .enabled(false);
        client
            .update_time_to_live()
            .table_name(table)
            .time_to_live_specification(expiry.build().expect("a setting"))
            .send()
            .await
            .expect("TTL is turned off");
    }
    service.skip(lethe_tests::minutes(15));
    assert!(metrics(&service).await.is_empty(), "it has looked today");
    service.skip(days(1));
    let drifting = ["records.expiry", "keyring.recovery", "keyring.expiry"];
    expect(&service, &drifting).await;
    service.skip(days(1));
    expect(&service, &drifting).await;
}

#[tokio::test]
async fn a_backup_of_the_keyring_drifts_at_once_and_one_of_the_records_after_a_month() {
    let service = service(&text(), 4).await;
    let config = &service.cloud.app().config;
    let back_up = async |table: &str| {
        let asked = rows::client(&service).create_backup().table_name(table);
        let made = asked.backup_name("by-hand").send().await;
        made.expect("a backup is made");
    };
    back_up(&config.records_table).await;
    expect(&service, &[]).await;
    service.skip(days(31));
    expect(&service, &[]).await;
    service.skip(days(1));
    expect(&service, &["records.backups"]).await;
    back_up(&config.keyring_table).await;
    service.skip(days(1));
    expect(&service, &["records.backups", "keyring.backups"]).await;
}

/// DynamoDB does not list what AWS Backup has made.
#[tokio::test]
async fn a_backup_by_aws_backup_drifts_as_any_other_does() {
    let service = service(&text(), 5).await;
    let config = &service.cloud.app().config;
    let sdk = aws_sdk_backup::config::Builder::new()
        .behavior_version(aws_sdk_backup::config::BehaviorVersion::latest())
        .region(aws_sdk_backup::config::Region::new(REGION))
        .endpoint_url(service.cloud.dynamo().endpoint())
        .credentials_provider(aws_sdk_backup::config::Credentials::new(
            "a", "b", None, None, "test",
        ));
    let client = aws_sdk_backup::Client::from_conf(sdk.build());
    let back_up = async |table: &str| {
        let started = client
            .start_backup_job()
            .backup_vault_name("elsewhere")
            .resource_arn(arn(table))
            .iam_role_arn("arn:aws:iam::000000000000:role/somebody");
        started.send().await.expect("a backup is made");
    };
    back_up(&config.records_table).await;
    expect(&service, &[]).await;
    service.skip(days(31));
    expect(&service, &[]).await;
    service.skip(days(1));
    expect(&service, &["records.backups"]).await;
    back_up(&config.keyring_table).await;
    service.skip(days(1));
    expect(&service, &["records.backups", "keyring.backups"]).await;
}

#[tokio::test]
async fn an_export_of_a_table_drifts() {
    let service = service(&text(), 6).await;
    let config = &service.cloud.app().config;
    expect(&service, &[]).await;
    let export = async |table: &str| {
        let asked = rows::client(&service).export_table_to_point_in_time();
        let made = asked.table_arn(arn(table)).s3_bucket("elsewhere").send();
        made.await.expect("an export is made");
    };
    export(&config.keyring_table).await;
    service.skip(days(1));
    expect(&service, &["keyring.exports"]).await;
    export(&config.records_table).await;
    service.skip(days(1));
    expect(&service, &["records.exports", "keyring.exports"]).await;
}

fn arn(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}")
}

#[tokio::test]
async fn what_was_deployed_is_held_against_the_promise() {
    let mut template = text();
    for (old, new) in [
        ("      Records: 30\n", "      Records: 31\n"),
        ("DaysAfterInitiation: 1", "DaysAfterInitiation: 2"),
        ("ExpirationInDays: 1\n", "ExpirationInDays: 2\n"),
        (
            KEYRING,
            "        - { AttributeName: PK, AttributeType: S }\n      StreamSpecification: { StreamViewType: KEYS_ONLY }\n      KeySchema:\n",
        ),
    ] {
        template = changed(&template, old, new);
    }
    let service = service(&template, 2).await;
    let drifting = [
        "records.recovery",
        "keyring.stream",
        "bucket.older-versions",
        "bucket.uploads",
        "bucket.exports",
    ];
    expect(&service, &drifting).await;
}

#[tokio::test]
async fn the_alarm_stands_on_the_metric_that_is_logged() {
    let text = text();
    let service = service(&text, 3).await;
    let metrics = metrics(&service).await;
    let metric = &metrics[0]["_aws"]["CloudWatchMetrics"][0];
    let tree = Tree::parse(&text).expect("the template is YAML");
    let alarms = tree.resources("AWS::CloudWatch::Alarm").expect("alarms");
    let mut alarms = alarms.into_iter().map(|(_, alarm)| alarm);
    let alarm = alarms
        .find(|it| says(it, "Properties.MetricName", "BackupsDrifting").is_ok())
        .expect("an alarm")
        .get("Properties")
        .expect("properties");
    let said = |node: &Node<'_>, name: &str| node.get(name).and_then(|it| it.text());
    let told = |name: &str| said(&alarm, name).expect("a text");
    assert_eq!(metric["Namespace"], told("Namespace"));
    assert_eq!(metric["Metrics"][0]["Name"], told("MetricName"));
    let dimensions = alarm.get("Dimensions").and_then(|it| it.items());
    let [dimension] = &dimensions.expect("dimensions")[..] else {
        panic!("one dimension")
    };
    let dimension = |name: &str| said(dimension, name).expect("a text");
    assert_eq!(metric["Dimensions"], json!([[dimension("Name")]]));
    assert_eq!(metrics[0][dimension("Name")], dimension("Value"));
    // One day over it is enough, and so are two days without an answer.
    let stands = [
        ("Statistic", "Maximum"),
        ("Period", "86400"),
        ("Threshold", "0"),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("EvaluationPeriods", "2"),
        ("DatapointsToAlarm", "1"),
        ("TreatMissingData", "breaching"),
    ];
    for (name, expected) in stands {
        assert_eq!(told(name), expected, "{name}");
    }
}
