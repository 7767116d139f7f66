//! A CloudFormation template as a tree whose nodes know their paths.
//!
//! Owns YAML, the short-form tags, and the resolution of `Ref`, `Fn::Sub`, `Fn::GetAtt`,
//! `Fn::FindInMap` and `Fn::If` to local names and values. A parameter has its default unless
//! it is set; a resource whose condition is false does not exist. Knows nothing of individual
//! properties: the reader (`super`) does.

use std::fmt;

use emulators::{ACCOUNT, REGION};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// A problem with a template, in one line: place and problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct TemplateError {
    pub place: String,
    pub problem: String,
}

/// The whole template, with every tag in its long form.
pub struct Tree(Value);

impl Tree {
    pub fn parse(text: &str) -> Result<Tree, TemplateError> {
        let at = |place: &str, problem: String| TemplateError {
            place: place.to_owned(),
            problem,
        };
        let documents = Yaml::load_from_str(text)
            .map_err(|e| at("not YAML", e.to_string().replace('\n', " ")))?;
        let [document] = documents.as_slice() else {
            return Err(at(
                "not a template",
                format!("{} documents in one file", documents.len()),
            ));
        };
        let value = plain(document).map_err(|problem| at("not a template", problem))?;
        Ok(Tree(value))
    }

    /// Sets a parameter to a value other than its default.
    ///
    /// # Errors
    /// If the template has no such parameter.
    pub fn set(&mut self, parameter: &str, value: &str) -> Result<(), TemplateError> {
        let Some(declared) = self.0["Parameters"].get_mut(parameter) else {
            let problem = format!("has no parameter {parameter}");
            return Err(self.root().error(problem));
        };
        declared["Default"] = json!(value);
        Ok(())
    }

    pub fn root(&self) -> Node<'_> {
        Node {
            tree: self,
            path: String::new(),
            value: &self.0,
        }
    }

    /// The logical ids and nodes of the existing resources of this type.
    pub fn resources(&self, kind: &str) -> Result<Vec<(&str, Node<'_>)>, TemplateError> {
        let mut of_kind = Vec::new();
        for (id, node) in self.root().get("Resources")?.entries()? {
            // Messages begin with the resource: "Resources." would add nothing.
            let path = id.to_owned();
            let node = Node { path, ..node };
            if node.value["Type"] == kind && self.exists(&node)? {
                of_kind.push((id, node));
            }
        }
        Ok(of_kind)
    }

    fn exists(&self, resource: &Node<'_>) -> Result<bool, TemplateError> {
        let Some(condition) = resource.find("Condition") else {
            return Ok(true);
        };
        let holds = self.holds(&self.0["Conditions"][condition.text()?]);
        holds.ok_or_else(|| condition.error("cannot be resolved"))
    }

    fn resource(&self, id: &str) -> Option<&Value> {
        self.0["Resources"].get(id)
    }

    /// The value of `Ref`: a parameter's default, or a resource's local name.
    fn reference(&self, name: &str) -> Option<String> {
        let pseudo = match name {
            "AWS::AccountId" => ACCOUNT,
            "AWS::Region" => REGION,
            "AWS::Partition" => "aws",
            "AWS::StackName" => "lethe",
            "AWS::URLSuffix" => "localhost",
            _ => "",
        };
        if !pseudo.is_empty() {
            return Some(pseudo.to_owned());
        }
        if let Some(parameter) = self.0["Parameters"].get(name) {
            return text(&parameter["Default"]);
        }
        let properties = &self.resource(name)?["Properties"];
        // Buckets and tables have explicit names; other resources use their logical id.
        let given = ["BucketName", "TableName"].map(|name| &properties[name]);
        match given.into_iter().find(|given| !given.is_null()) {
            None => Some(name.to_owned()),
            Some(given) => self.resolve(given),
        }
    }

    /// The effective value: for `Fn::If`, the branch that its condition selects.
    fn chosen<'t>(&'t self, value: &'t Value) -> &'t Value {
        let Some(("Fn::If", Value::Array(parts))) = intrinsic(value) else {
            return value;
        };
        let [Value::String(condition), then, otherwise] = parts.as_slice() else {
            return value;
        };
        match self.holds(&self.0["Conditions"][condition]) {
            Some(true) => self.chosen(then),
            Some(false) => self.chosen(otherwise),
            None => value,
        }
    }

    fn holds(&self, condition: &Value) -> Option<bool> {
        match intrinsic(condition)? {
            ("Fn::Not", Value::Array(parts)) => Some(!self.holds(parts.first()?)?),
            ("Fn::Equals", Value::Array(parts)) => {
                let [one, other] = parts.as_slice() else {
                    return None;
                };
                Some(self.resolve(one)? == self.resolve(other)?)
            }
            _ => None,
        }
    }

    fn attribute(&self, id: &str, attribute: &str) -> Option<String> {
        let kind = self.resource(id)?["Type"].as_str()?;
        let name = self.reference(id)?;
        let regional = |service: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:");
        match (kind, attribute) {
            ("AWS::KMS::Key", "Arn") => Some(key_arn(id)),
            ("AWS::S3::Bucket", "Arn") => Some(format!("arn:aws:s3:::{name}")),
            ("AWS::DynamoDB::Table", "Arn") => Some(regional("dynamodb") + "table/" + &name),
            ("AWS::SQS::Queue", "Arn") => Some(regional("sqs") + &name),
            ("AWS::Logs::LogGroup", "Arn") => Some(regional("logs") + "log-group:" + &name + ":*"),
            _ => None,
        }
    }

    /// The text of a scalar or of an intrinsic function.
    fn resolve(&self, value: &Value) -> Option<String> {
        let value = self.chosen(value);
        let Some((function, argument)) = intrinsic(value) else {
            return text(value);
        };
        match (function, argument) {
            ("Ref", Value::String(name)) => self.reference(name),
            ("Fn::GetAtt", Value::Array(parts)) => {
                self.attribute(parts.first()?.as_str()?, parts.get(1)?.as_str()?)
            }
            ("Fn::Sub", Value::String(pattern)) => self.substitute(pattern),
            ("Fn::FindInMap", Value::Array(names)) => self.lookup(names),
            _ => None,
        }
    }

    /// A constant from the template's mappings, by map and two keys.
    fn lookup(&self, names: &[Value]) -> Option<String> {
        let [map, top, second] = names else {
            return None;
        };
        let names = [map, top, second].map(|name| self.resolve(name));
        let mut constant = &self.0["Mappings"];
        for name in names {
            constant = constant.get(name?)?;
        }
        text(constant)
    }

    fn substitute(&self, pattern: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(&match (name.strip_prefix('!'), name.split_once('.')) {
                (Some(literal), _) => format!("${{{literal}}}"),
                (None, Some((id, attribute))) => self.attribute(id, attribute)?,
                (None, None) => self.reference(name)?,
            });
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }
}

/// The local ARN of a key of the template.
pub fn key_arn(id: &str) -> String {
    format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}")
}

/// One node of the tree.
#[derive(Clone)]
pub struct Node<'t> {
    tree: &'t Tree,
    path: String,
    value: &'t Value,
}

impl<'t> Node<'t> {
    /// An error at this node.
    pub fn error(&self, problem: impl Into<String>) -> TemplateError {
        let place = if self.path.is_empty() {
            "not a template"
        } else {
            &self.path
        };
        TemplateError {
            place: place.to_owned(),
            problem: problem.into(),
        }
    }

    fn child(&self, name: impl fmt::Display, value: &'t Value) -> Node<'t> {
        let path = if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        };
        Node {
            tree: self.tree,
            path,
            value: self.tree.chosen(value),
        }
    }

    pub fn find(&self, name: &str) -> Option<Node<'t>> {
        self.value.get(name).map(|value| self.child(name, value))
    }

    pub fn get(&self, name: &str) -> Result<Node<'t>, TemplateError> {
        self.find(name)
            .ok_or_else(|| self.error(format!("{name} is missing")))
    }

    /// The node at a path of names separated by dots.
    pub fn at(&self, path: &str) -> Result<Node<'t>, TemplateError> {
        path.split('.')
            .try_fold(self.clone(), |node, name| node.get(name))
    }

    pub fn text(&self) -> Result<String, TemplateError> {
        self.tree
            .resolve(self.value)
            .ok_or_else(|| self.error(format!("cannot be resolved: {}", self.value)))
    }

    pub fn number(&self) -> Result<u64, TemplateError> {
        let number = match self.value {
            Value::Object(_) => self.text()?.parse().ok(),
            value => value.as_u64(),
        };
        number.ok_or_else(|| self.error("must be a whole number"))
    }

    pub fn flag(&self) -> Result<bool, TemplateError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.error("must be true or false"))
    }

    pub fn items(&self) -> Result<Vec<Node<'t>>, TemplateError> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.error("must be a list"))?;
        Ok(items
            .iter()
            .enumerate()
            .map(|(i, value)| self.child(i, value))
            .collect())
    }

    pub fn texts(&self) -> Result<Vec<String>, TemplateError> {
        match self.value {
            Value::Array(_) => self.items()?.iter().map(Node::text).collect(),
            _ => Ok(vec![self.text()?]),
        }
    }

    pub fn entries(&self) -> Result<Vec<(&'t str, Node<'t>)>, TemplateError> {
        let entries = self
            .value
            .as_object()
            .ok_or_else(|| self.error("must be a mapping"))?;
        Ok(entries
            .iter()
            .map(|(name, value)| (name.as_str(), self.child(name, value)))
            .collect())
    }

    /// The logical id of the resource of this type that the node refers to.
    pub fn target(&self, kind: &str) -> Result<String, TemplateError> {
        let id = match intrinsic(self.value) {
            Some(("Ref", Value::String(id))) => Some(id.as_str()),
            Some(("Fn::GetAtt", Value::Array(parts))) => parts.first().and_then(Value::as_str),
            _ => None,
        };
        let is_one = |id: &&str| {
            self.tree
                .resource(id)
                .is_some_and(|resource| resource["Type"] == kind)
        };
        let id = id
            .filter(is_one)
            .ok_or_else(|| self.error(format!("must refer to an {kind} of this template")))?;
        Ok(id.to_owned())
    }
}

impl Node<'_> {
    /// The local name of the resource of this type that the node refers to.
    pub fn named(&self, kind: &str) -> Result<String, TemplateError> {
        let id = self.target(kind)?;
        let name = self.tree.reference(&id);
        name.ok_or_else(|| self.error(format!("{id} has no name")))
    }
}

fn intrinsic(value: &Value) -> Option<(&str, &Value)> {
    let (name, argument) = value
        .as_object()
        .filter(|map| map.len() == 1)?
        .iter()
        .next()?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// YAML as JSON, with `!Ref x` as `{"Ref": "x"}` and so on.
fn plain(yaml: &Yaml<'_>) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items
            .iter()
            .map(plain)
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (name, value) in entries {
                let name = text(&plain(name)?).ok_or("a name that is not a word")?;
                map.insert(name, plain(value)?);
            }
            map.into()
        }
        Yaml::Representation(value, _, None) => json!(value),
        Yaml::Representation(value, _, Some(tag)) => long_form(&tag.suffix, json!(value)),
        Yaml::Tagged(tag, inner) => long_form(&tag.suffix, plain(inner)?),
        Yaml::Alias(_) => return Err("CloudFormation has no aliases".to_owned()),
        Yaml::BadValue => return Err("a value that YAML cannot read".to_owned()),
    })
}

fn long_form(tag: &str, argument: Value) -> Value {
    match (tag, &argument) {
        ("Ref", _) => json!({"Ref": argument}),
        ("GetAtt", Value::String(path)) => {
            let (id, attribute) = path.split_once('.').unwrap_or((path, ""));
            json!({"Fn::GetAtt": [id, attribute]})
        }
        _ => Value::Object(Map::from_iter([(format!("Fn::{tag}"), argument)])),
    }
}
