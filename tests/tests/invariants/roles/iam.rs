//! The template's roles, as far as IAM's language is used in them, and what a request of an
//! SDK asks of IAM. An operator or an element that is not known here is an error: a policy
//! must not be judged by half of what it says.

use std::collections::{BTreeMap, BTreeSet};

use emulators::{ACCOUNT, REGION};
use local::template::{Node, TemplateError, Tree};
use local::wire::{Engine, Sent, query};
use serde_json::{Value, json};
use shared::base::id::TenantId;

/// The partitions that a request to a table is about.
pub const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// What a request asks for: an action on a resource, and what IAM knows beside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    pub action: String,
    pub resource: String,
    pub context: BTreeMap<String, Vec<String>>,
}

/// Something that is allowed, and to whom it is.
pub struct Statement {
    /// Where it stands, for messages.
    pub place: String,
    actions: Vec<String>,
    resources: Vec<String>,
    /// Operator, key, values.
    conditions: Vec<(String, String, Vec<String>)>,
}

/// The parts of a statement that let something pass.
pub type Parts = BTreeSet<(String, String)>;

impl Statement {
    fn read(node: &Node<'_>) -> Result<Statement, TemplateError> {
        let mut conditions = Vec::new();
        for (name, part) in node.entries()? {
            match name {
                "Sid" | "Action" | "Resource" => {}
                "Effect" if part.text()? == "Allow" => {}
                "Condition" => {
                    for (operator, keys) in part.entries()? {
                        for (key, values) in keys.entries()? {
                            conditions.push((operator.to_owned(), key.to_owned(), values.texts()?));
                        }
                    }
                }
                _ => return Err(part.error("is not known to this test")),
            }
        }
        Ok(Statement {
            place: node.error("").place,
            actions: node.get("Action")?.texts()?,
            resources: node.get("Resource")?.texts()?,
            conditions,
        })
    }

    /// Whether it allows this, and by which of its parts.
    pub fn allows(&self, asked: &Asked) -> Option<Parts> {
        let mut parts = Parts::new();
        let mut by = |kind: &str, part: &str| parts.insert((kind.to_owned(), part.to_owned()));
        let action = self.actions.iter().find(|it| **it == asked.action)?;
        let resource = self.resources.iter().find(|it| like(&asked.resource, it))?;
        by("action", action);
        by("resource", resource);
        for (operator, key, wanted) in &self.conditions {
            let matches = |value: &String| match operator.trim_start_matches("ForAllValues:") {
                "StringEquals" => wanted.iter().find(|it| *it == value),
                "StringLike" => wanted.iter().find(|it| like(value, it)),
                other => panic!("{}: {other} is not known to this test", self.place),
            };
            match asked.context.get(key) {
                Some(values) => {
                    for value in values {
                        by(key, matches(value)?);
                    }
                }
                // AWS: what is absent satisfies `ForAllValues`, and nothing else.
                None if operator.starts_with("ForAllValues:") => {}
                None => return None,
            }
        }
        Some(parts)
    }

    /// Everything that should let something pass at some time.
    pub fn parts(&self) -> Parts {
        let pairs = |kind: &str, parts: &[String]| -> Vec<(String, String)> {
            parts
                .iter()
                .map(|it| (kind.to_owned(), it.clone()))
                .collect()
        };
        let conditions = self.conditions.iter();
        let conditions = conditions.flat_map(|(_, key, values)| pairs(key, values));
        let mut all: Parts = conditions.collect();
        all.extend(pairs("action", &self.actions));
        all.extend(pairs("resource", &self.resources));
        all
    }
}

/// IAM's wildcards: `*` is any text, `?` any character.
fn like(text: &str, pattern: &str) -> bool {
    fn from(text: &[u8], pattern: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=text.len()).any(|skipped| from(&text[skipped..], rest)),
            (Some((b'?', rest)), Some((_, left))) => from(left, rest),
            (Some((one, rest)), Some((other, left))) => one == other && from(left, rest),
            _ => false,
        }
    }
    from(text.as_bytes(), pattern.as_bytes())
}

/// The functions' roles, by the functions' names.
pub fn roles(tree: &Tree) -> Result<BTreeMap<String, Vec<Statement>>, TemplateError> {
    let mut roles = BTreeMap::new();
    for (_, function) in tree.resources("AWS::Serverless::Function")? {
        let function = function.get("Properties")?;
        let name = function.get("CodeUri")?.text()?;
        let name = name.trim_end_matches('/').rsplit('/').next();
        let id = function.get("Role")?.target("AWS::IAM::Role")?;
        let documents = documents(tree, &id)?;
        let mut statements = Vec::new();
        for document in documents {
            for statement in document.get("Statement")?.items()? {
                statements.push(Statement::read(&statement)?);
            }
        }
        roles.insert(name.unwrap_or_default().to_owned(), statements);
    }
    Ok(roles)
}

/// The policies of a role: its own, and those that it names.
fn documents<'t>(tree: &'t Tree, id: &str) -> Result<Vec<Node<'t>>, TemplateError> {
    let of = |kind: &str, id: &str| {
        let mut all = tree.resources(kind)?.into_iter();
        let found = all.find(|(known, _)| *known == id);
        let (_, found) = found.ok_or_else(|| tree.root().error(format!("{id} is missing")))?;
        found.get("Properties")
    };
    let role = of("AWS::IAM::Role", id)?;
    let mut documents = Vec::new();
    for policy in role.get("Policies")?.items()? {
        documents.push(policy.get("PolicyDocument")?);
    }
    if let Some(named) = role.find("ManagedPolicyArns") {
        for policy in named.items()? {
            let policy = policy.target("AWS::IAM::ManagedPolicy")?;
            documents.push(of("AWS::IAM::ManagedPolicy", &policy)?.get("PolicyDocument")?);
        }
    }
    Ok(documents)
}

/// What one request asks for.
pub fn asked(sent: &Sent<'_>) -> Vec<Asked> {
    let body = sent.request.body();
    if sent.operation == "ListRecoveryPointsByResource" {
        let asked = asks(&format!("backup:{}", sent.operation), "*".to_owned());
        return vec![asked.with("aws:RequestedRegion", REGION)];
    }
    match sent.engine {
        Engine::DynamoDb => of_table(sent.operation, &read(body)),
        Engine::S3 => of_bucket(sent, &String::from_utf8_lossy(body)),
        Engine::Kms => vec![of_key(sent.operation, &read(body))],
    }
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("an SDK sends JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn asks(action: &str, resource: String) -> Asked {
    Asked {
        action: action.to_owned(),
        resource,
        context: BTreeMap::new(),
    }
}

impl Asked {
    fn with(mut self, key: &str, value: &str) -> Asked {
        let values = self.context.entry(key.to_owned()).or_default();
        values.push(value.to_owned());
        self
    }
}

/// Whoever uses a table or an object under a key needs the key as well.
fn by_key(key: &str, action: &str, service: &str) -> Asked {
    let via = format!("{service}.{REGION}.amazonaws.com");
    asks(action, local::template::key_arn(key)).with("kms:ViaService", &via)
}

fn of_table(operation: &str, body: &Value) -> Vec<Asked> {
    let arn = |table: &Value| format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", text(table));
    let row = |action: &str, table: &Value, row: &Value| {
        asks(&format!("dynamodb:{action}"), arn(table)).with(LEADING_KEYS, text(&row["PK"]["S"]))
    };
    let mut asked = match operation {
        "GetItem" | "UpdateItem" | "DeleteItem" => {
            vec![row(operation, &body["TableName"], &body["Key"])]
        }
        "PutItem" => vec![row(operation, &body["TableName"], &body["Item"])],
        "Query" => {
            let index = match &body["IndexName"] {
                Value::Null => String::new(),
                name => format!("/index/{}", text(name)),
            };
            let partition = text(&body["ExpressionAttributeValues"][":pk"]["S"]);
            vec![
                asks("dynamodb:Query", arn(&body["TableName"]) + &index)
                    .with(LEADING_KEYS, partition),
            ]
        }
        // One decision for all keys of a table.
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().expect("tables").iter();
            let table = |(name, of): (&String, &Value)| {
                let requests = of["Keys"].as_array().or(of.as_array()).expect("requests");
                let all = asks(&format!("dynamodb:{operation}"), arn(&json!(name)));
                requests.iter().fold(all, |all, request| {
                    // Nothing is put in a batch.
                    let key = request.pointer("/DeleteRequest/Key").unwrap_or(request);
                    all.with(LEADING_KEYS, text(&key["PK"]["S"]))
                })
            };
            tables.map(table).collect()
        }
        // AWS does not document whether each part is judged alone, or with all keys of its
        // table: it has to pass either way.
        "TransactWriteItems" => {
            let parts = body["TransactItems"].as_array().expect("parts").iter();
            let part = |part: &Value| {
                let (kind, of) = part
                    .as_object()
                    .expect("a part")
                    .iter()
                    .next()
                    .expect("one");
                let (action, key) = match kind.as_str() {
                    "Put" => ("PutItem", &of["Item"]),
                    "Update" => ("UpdateItem", &of["Key"]),
                    "Delete" => ("DeleteItem", &of["Key"]),
                    "ConditionCheck" => ("ConditionCheckItem", &of["Key"]),
                    other => panic!("{other} is not known to this test"),
                };
                row(action, &of["TableName"], key)
            };
            let alone: Vec<_> = parts.map(part).collect();
            let together = alone.iter().map(|one| {
                let of_table = alone.iter().filter(|it| it.resource == one.resource);
                let keys = of_table.flat_map(|it| it.context[LEADING_KEYS].clone());
                let mut all = one.clone();
                all.context.insert(LEADING_KEYS.to_owned(), keys.collect());
                all
            });
            let together: Vec<_> = together.collect();
            [alone, together].concat()
        }
        "ListBackups" | "ListExports" => {
            let asked = asks(&format!("dynamodb:{operation}"), "*".to_owned());
            return vec![asked.with("aws:RequestedRegion", REGION)];
        }
        "DescribeTable" | "DescribeContinuousBackups" | "DescribeTimeToLive" => {
            let action = format!("dynamodb:{operation}");
            return vec![asks(&action, arn(&body["TableName"]))];
        }
        "Scan" => vec![asks("dynamodb:Scan", arn(&body["TableName"]))],
        other => panic!("{other} is not known to this test"),
    };
    // Each table has its key.
    let keys: BTreeSet<_> = asked
        .iter()
        .map(|it| match it.resource.contains("eyring") {
            true => "KeyringKey",
            false => "Key",
        })
        .collect();
    asked.extend(
        keys.iter()
            .map(|key| by_key(key, "kms:Decrypt", "dynamodb")),
    );
    asked
}

fn of_bucket(sent: &Sent<'_>, body: &str) -> Vec<Asked> {
    let uri = sent.request.uri();
    let path = uri.path().trim_matches('/');
    let arn = format!("arn:aws:s3:::{path}");
    // A version that is named is an action of its own.
    let version = match query(uri, "versionId") {
        Some(_) => "Version",
        None => "",
    };
    let prefix = query(uri, "prefix").unwrap_or_default().replace("%2F", "/");
    let encrypts = || by_key("Key", "kms:GenerateDataKey", "s3");
    let decrypts = || by_key("Key", "kms:Decrypt", "s3");
    match sent.operation {
        "GetObject" => {
            let asked = asks(&format!("s3:GetObject{version}"), arn);
            // What is fetched of attachments is clean; other tests see to that.
            let asked = asked.with("s3:ExistingObjectTag/lethe-verdict", "clean");
            vec![asked, decrypts()]
        }
        // Where a bucket has a key of its own, S3 opens it before it uses it.
        "PutObject" => vec![asks("s3:PutObject", arn), encrypts(), decrypts()],
        "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            vec![asks("s3:PutObject", arn), encrypts(), decrypts()]
        }
        "AbortMultipartUpload" => vec![asks("s3:AbortMultipartUpload", arn)],
        "PutObjectTagging" => vec![asks(&format!("s3:PutObject{version}Tagging"), arn)],
        "ListObjectsV2" => vec![asks("s3:ListBucket", arn).with("s3:prefix", &prefix)],
        "ListObjectVersions" => {
            vec![asks("s3:ListBucketVersions", arn).with("s3:prefix", &prefix)]
        }
        "ListMultipartUploads" => vec![asks("s3:ListBucketMultipartUploads", arn)],
        "GetBucketVersioning" => vec![asks("s3:GetBucketVersioning", arn)],
        "GetBucketLifecycleConfiguration" => {
            vec![asks("s3:GetLifecycleConfiguration", arn)]
        }
        "DeleteObjects" => {
            let objects = body.split("<Object>").skip(1);
            let object = |object: &str| {
                let (_, key) = object.split_once("<Key>").expect("a key");
                let (key, _) = key.split_once("</Key>").expect("its end");
                // S3's reference: the first for any of these requests, the second for a version.
                let mut actions = vec!["s3:DeleteObject"];
                if object.contains("<VersionId>") {
                    actions.push("s3:DeleteObjectVersion");
                }
                let asks = |action| asks(action, format!("{arn}/{key}"));
                actions.into_iter().map(asks).collect::<Vec<_>>()
            };
            objects.flat_map(object).collect()
        }
        other => panic!("{other} is not known to this test"),
    }
}

fn of_key(operation: &str, body: &Value) -> Asked {
    // The keys of this machine have names that nobody chose; by their use they are two.
    let key = match operation {
        "Sign" | "GetPublicKey" => "SigningKey",
        _ => "Key",
    };
    let mut asked = asks(&format!("kms:{operation}"), local::template::key_arn(key));
    for (name, value) in body["EncryptionContext"].as_object().into_iter().flatten() {
        let value = text(value);
        // Which tenant is no policy's business.
        if TenantId::parse(value).is_none() {
            asked = asked.with(&format!("kms:EncryptionContext:{name}"), value);
        }
    }
    asked
}
