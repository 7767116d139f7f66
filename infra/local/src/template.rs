//! Reads `infra/template.yaml` for the local run.
//!
//! Owns which properties of the template apply to one machine, and reports missing or
//! unsupported ones. Ignores what only AWS can do (roles, alarms, backup plans). Knows nothing
//! of how anything is run.

use std::path::Path;

use emulators::dynamodb::{IndexSpec, RECOVERY_DAYS, TableSpec};
use emulators::kms::{KeySpec, KeyUsage};
use emulators::s3::BucketSpec;

use crate::routes::Routes;

mod bucket;
mod function;
mod tree;

pub use function::{Function, ObjectTrigger, Schedule, StreamTrigger};
pub use tree::{Node, TemplateError, Tree, key_arn};

/// Values of the template's parameters that differ from the defaults.
pub type Parameters = &'static [(&'static str, &'static str)];

/// The stack during a restore: the function `restore` exists.
pub const RESTORING: Parameters = &[("Restore", "enabled")];

/// What the template declares.
#[derive(Debug)]
pub struct Template {
    pub tables: Vec<TableSpec>,
    pub buckets: Vec<BucketSpec>,
    pub keys: Vec<KeySpec>,
    pub functions: Vec<Function>,
    pub routes: Routes,
    pub cors: Cors,
}

/// The CORS configuration of the API.
#[derive(Clone, Debug)]
pub struct Cors {
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    pub headers: Vec<String>,
    pub exposed: Vec<String>,
    /// In seconds.
    pub max_age: u64,
}

impl Template {
    /// Reads the template in this file, with these parameters set.
    ///
    /// # Errors
    /// The problem in one line, beginning with the file's name.
    pub fn read(path: &Path, parameters: Parameters) -> Result<Template, TemplateError> {
        let in_file = |place: &str| match place {
            "" => path.display().to_string(),
            _ => format!("{}: {place}", path.display()),
        };
        let text = std::fs::read_to_string(path).map_err(|e| TemplateError {
            place: in_file(""),
            problem: e.to_string(),
        })?;
        Template::parse(&text, parameters).map_err(|e| TemplateError {
            place: in_file(&e.place),
            ..e
        })
    }

    /// The error for a template without functions.
    pub fn without_functions(path: &Path) -> TemplateError {
        TemplateError {
            place: path.display().to_string(),
            problem: "declares no function".to_owned(),
        }
    }

    pub fn parse(text: &str, parameters: Parameters) -> Result<Template, TemplateError> {
        let mut tree = Tree::parse(text)?;
        for (name, value) in parameters {
            tree.set(name, value)?;
        }
        let properties = |kind| -> Result<Vec<(&str, Node<'_>)>, TemplateError> {
            let resources = tree.resources(kind)?.into_iter();
            resources
                .map(|(id, node)| Ok((id, node.get("Properties")?)))
                .collect()
        };
        let each = |kind| Ok::<_, TemplateError>(properties(kind)?.into_iter());
        let globals = tree.root().at("Globals.Function")?;
        let mut routes = Vec::new();
        let functions = each("AWS::Serverless::Function")?
            .map(|(_, node)| function::read(&node, &globals, &mut routes))
            .collect::<Result<Vec<_>, _>>()?;
        let apis = properties("AWS::Serverless::HttpApi")?;
        let [(_, api)] = apis.as_slice() else {
            return Err(tree
                .root()
                .error("exactly one AWS::Serverless::HttpApi is needed"));
        };
        let mut buckets = each("AWS::S3::Bucket")?
            .map(|(_, node)| bucket::read(&node))
            .collect::<Result<Vec<_>, _>>()?;
        for (_, policy) in each("AWS::S3::BucketPolicy")? {
            bucket::read_policy(&policy, &mut buckets)?;
        }
        note_triggers(&functions, &mut buckets);
        Ok(Template {
            tables: each("AWS::DynamoDB::Table")?
                .map(|(id, node)| table(id, &node))
                .collect::<Result<_, _>>()?,
            buckets,
            keys: each("AWS::KMS::Key")?
                .map(|(id, node)| key(id, &node))
                .collect::<Result<_, _>>()?,
            functions,
            routes: Routes::new(routes),
            cors: cors(&api.get("CorsConfiguration")?)?,
        })
    }
}

fn table(id: &str, node: &Node<'_>) -> Result<TableSpec, TemplateError> {
    let types = node.get("AttributeDefinitions")?;
    for item in types.items()? {
        if item.get("AttributeType")?.text()? != "S" {
            return Err(item.error("the local run knows only keys that are strings (S)"));
        }
    }
    let (hash_key, range_key) = key_schema(&node.get("KeySchema")?)?;
    let mut indexes = Vec::new();
    if let Some(list) = node.find("GlobalSecondaryIndexes") {
        for item in list.items()? {
            let (hash_key, range_key) = key_schema(&item.get("KeySchema")?)?;
            let projection = item.at("Projection.ProjectionType")?.text()?;
            let name = item.get("IndexName")?.text()?;
            indexes.push(IndexSpec {
                name,
                hash_key,
                range_key,
                keys_only: projection == "KEYS_ONLY",
            });
        }
    }
    let stream = node.find("StreamSpecification");
    if let Some(stream) = &stream
        && stream.get("StreamViewType")?.text()? != "KEYS_ONLY"
    {
        return Err(stream.error("the local run knows only streams of keys (KEYS_ONLY)"));
    }
    let ttl_attribute = match node.find("TimeToLiveSpecification") {
        Some(ttl) if ttl.get("Enabled")?.flag()? => Some(ttl.get("AttributeName")?.text()?),
        _ => None,
    };
    Ok(TableSpec {
        name: node
            .find("TableName")
            .map_or(Ok(id.to_owned()), |name| name.text())?,
        hash_key,
        range_key,
        indexes,
        stream: stream.is_some(),
        ttl_attribute,
        recovery_days: recovery(node)?,
    })
}

/// The recovery window of a table in days, if recovery is enabled.
fn recovery(node: &Node<'_>) -> Result<Option<u8>, TemplateError> {
    let Some(recovery) = node.find("PointInTimeRecoverySpecification") else {
        return Ok(None);
    };
    if !recovery.get("PointInTimeRecoveryEnabled")?.flag()? {
        return Ok(None);
    }
    let days = recovery.get("RecoveryPeriodInDays")?;
    let number = u8::try_from(days.number()?).ok();
    let number = number.filter(|days| RECOVERY_DAYS.contains(days));
    Ok(Some(number.ok_or_else(|| {
        days.error("must be a number of days from 1 to 35")
    })?))
}

fn key_schema(node: &Node<'_>) -> Result<(String, Option<String>), TemplateError> {
    let (mut hash, mut range) = (None, None);
    for item in node.items()? {
        let name = Some(item.get("AttributeName")?.text()?);
        match item.get("KeyType")?.text()?.as_str() {
            "HASH" => hash = name,
            "RANGE" => range = name,
            _ => return Err(item.error("KeyType must be HASH or RANGE")),
        }
    }
    Ok((hash.ok_or_else(|| node.error("has no HASH key"))?, range))
}

/// Sets each bucket's notifications: as in AWS, they are a property of the bucket.
fn note_triggers(functions: &[Function], buckets: &mut [BucketSpec]) {
    for trigger in functions.iter().flat_map(|function| &function.objects) {
        for bucket in buckets
            .iter_mut()
            .filter(|bucket| bucket.name == trigger.bucket)
        {
            bucket.notify_prefix = Some(trigger.prefix.clone());
        }
    }
}

fn key(id: &str, node: &Node<'_>) -> Result<KeySpec, TemplateError> {
    let spec = node
        .find("KeySpec")
        .map_or(Ok("SYMMETRIC_DEFAULT".to_owned()), |spec| spec.text())?;
    let usage = match spec.as_str() {
        "SYMMETRIC_DEFAULT" => KeyUsage::EncryptDecrypt,
        "ECC_NIST_P256" => KeyUsage::SignVerify,
        _ => {
            return Err(
                node.error("the local run knows only KeySpec SYMMETRIC_DEFAULT and ECC_NIST_P256")
            );
        }
    };
    Ok(KeySpec {
        name: id.to_owned(),
        alias: None,
        usage,
    })
}

fn cors(node: &Node<'_>) -> Result<Cors, TemplateError> {
    let list = |name| node.find(name).map_or(Ok(Vec::new()), |node| node.texts());
    Ok(Cors {
        origins: list("AllowOrigins")?,
        methods: list("AllowMethods")?,
        headers: list("AllowHeaders")?,
        exposed: list("ExposeHeaders")?,
        max_age: node.find("MaxAge").map_or(Ok(0), |age| age.number())?,
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");

    fn text() -> String {
        std::fs::read_to_string(PATH).unwrap()
    }

    #[test]
    fn the_template_declares_tables_bucket_and_key() {
        let template = Template::parse(&text(), &[]).unwrap();
        let [keyring, records] = template.tables.as_slice() else {
            panic!("two tables")
        };
        assert_eq!(
            (records.name.as_str(), records.hash_key.as_str()),
            ("lethe-prod-records", "PK")
        );
        assert_eq!(records.ttl_attribute.as_deref(), Some("expires_at"));
        assert_eq!(records.indexes[0].range_key.as_deref(), Some("due_sk"));
        assert!(records.stream && records.indexes[0].keys_only);
        assert!(!keyring.stream && keyring.indexes.is_empty());
        assert_eq!(keyring.ttl_attribute.as_deref(), Some("expires_at"));
        assert_eq!(
            (records.recovery_days, keyring.recovery_days),
            (Some(30), Some(1))
        );
        let bucket = &template.buckets[0];
        assert_eq!(bucket.name, "lethe-prod-000000000000-us-east-1");
        assert_eq!(bucket.encryption_key, Some(key_arn("Key")));
        assert!(bucket.own_key_only);
        assert_eq!(bucket.notify_prefix.as_deref(), Some("attachments/"));
        assert_eq!(
            bucket
                .presigned_read_tag
                .as_ref()
                .map(|tag| tag.prefix.as_str()),
            Some("attachments/")
        );
        let rules = &bucket.lifecycle;
        assert_eq!(
            (rules[0].noncurrent_days, rules[0].abort_upload_days),
            (Some(30), Some(1))
        );
        assert_eq!(
            (rules[1].prefix.as_str(), rules[1].expiration_days),
            ("exports/", Some(1))
        );
        let keys: Vec<_> = template.keys.iter().map(|key| &key.name).collect();
        assert_eq!(keys, ["AlarmsKey", "Key", "KeyringKey", "SigningKey"]);
    }

    #[test]
    fn every_function_gets_its_environment_and_its_triggers() {
        let template = Template::parse(&text(), &[]).unwrap();
        let named = |name: &str| template.functions.iter().find(|f| f.name == name).unwrap();
        for function in &template.functions {
            assert_eq!(
                function.environment["LETHE_RECORDS_TABLE"], "lethe-prod-records",
                "{}",
                function.name
            );
            assert_eq!(
                function.environment["LETHE_BUCKET"],
                template.buckets[0].name
            );
            assert_eq!(function.environment["LETHE_KEY"], key_arn("Key"));
            assert_eq!(
                function.environment["LETHE_SIGNING_KEY"],
                key_arn("SigningKey")
            );
            assert_eq!(function.environment["LETHE_RECORDS_RECOVERY_DAYS"], "30");
        }
        assert_eq!(named("delete").streams[0].patterns.len(), 2);
        assert_eq!(named("delete").timeout, SignedDuration::from_secs(90));
        assert_eq!(named("ingest").timeout, SignedDuration::from_secs(15));
        assert_eq!(
            named("cleanup").schedules[0].every,
            SignedDuration::from_mins(15)
        );
        assert_eq!(named("scan").objects[0].events, "ObjectCreated:");
        let routes = template.routes.all().iter();
        let operators = routes.filter(|route| route.path.starts_with("/v1/tenants"));
        let operators: Vec<_> = operators.map(|route| route.operator).collect();
        assert!(!operators.is_empty() && operators.iter().all(|operator| *operator));
    }

    #[test]
    fn what_has_a_condition_exists_only_where_it_holds() {
        let names = |parameters| {
            let template = Template::parse(&text(), parameters).unwrap();
            let names = template.functions.into_iter().map(|it| it.name);
            names.collect::<Vec<_>>()
        };
        let (mut usual, restoring) = (names(&[]), names(RESTORING));
        usual.push("restore".to_owned());
        usual.sort();
        assert_eq!(usual, restoring);
        let unknown = Template::parse(&text(), &[("Restoring", "enabled")]);
        let error = unknown.unwrap_err().to_string();
        assert_eq!(error, "not a template: has no parameter Restoring");
    }

    /// Checks the one-line error (place and problem) that a change of the template causes.
    #[track_caller]
    fn check(old: &str, new: &str, expected: &str) {
        let text = text();
        assert!(text.contains(old), "{old}");
        let error = Template::parse(&text.replacen(old, new, 1), &[]).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_bad_template_is_one_line_that_names_the_place() {
        check(
            "StartingPosition: TRIM_HORIZON",
            "StartingPosition: LATEST",
            "DeleteFunction.Properties.Events.Turns.Properties.StartingPosition: \
             must be TRIM_HORIZON, or what was written during a deployment is lost",
        );
        check(
            "!Ref RecordsTable",
            "!Ref RecordTable",
            "Globals.Function.Environment.Variables.LETHE_RECORDS_TABLE: \
             cannot be resolved: {\"Ref\":\"RecordTable\"}",
        );
        check(
            "      Records: 30\n",
            "",
            "Globals.Function.Environment.Variables.LETHE_RECORDS_RECOVERY_DAYS: \
             cannot be resolved: {\"Fn::FindInMap\":[\"Retention\",\"Days\",\"Records\"]}",
        );
        check(
            "            Path: /v1/events\n",
            "",
            "IngestFunction.Properties.Events.PostEvents.Properties: Path is missing",
        );
        check(
            r#""eventName":["INSERT"]"#,
            r#""eventName":[{"suffix":"T"}]"#,
            "DeleteFunction.Properties.Events.Turns.Properties.FilterCriteria.Filters.0.Pattern: \
             pattern operator is not understood by the local run: {\"suffix\":\"T\"}",
        );
        check(
            "rate(15 minutes)",
            "cron(0 * * * ? *)",
            "CleanupFunction.Properties.Events.Every15Minutes.Properties.Schedule: \
             the local run knows only rate(…) in minutes, hours or days",
        );
    }

    #[test]
    fn what_is_not_yaml_or_not_a_template_is_said_so() {
        for text in ["", "a: [", "a: b", "[]", "Resources: 1", "\u{0}"] {
            let error = Template::parse(text, &[]).unwrap_err().to_string();
            assert!(
                error.starts_with("not ") && !error.contains('\n'),
                "{text}: {error}"
            );
        }
    }
}
