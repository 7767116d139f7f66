//! A function of the template: its code, its environment and its triggers.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::tree::{Node, TemplateError};
use crate::pattern::Pattern;
use crate::routes::Route;

/// One Lambda function and its triggers, except for its routes.
#[derive(Debug)]
pub struct Function {
    /// The folder that its code is built into, named like its crate: `ingest`.
    pub name: String,
    pub timeout: SignedDuration,
    pub environment: BTreeMap<String, String>,
    /// How often an asynchronous invocation is retried.
    pub retries: u64,
    pub streams: Vec<StreamTrigger>,
    pub objects: Vec<ObjectTrigger>,
    pub schedules: Vec<Schedule>,
}

/// Invokes a function with the records of a table's stream.
#[derive(Debug)]
pub struct StreamTrigger {
    pub table: String,
    /// A record is delivered when at least one of them matches.
    pub patterns: Vec<Pattern>,
    pub batch: usize,
    pub retries: u64,
    pub bisect: bool,
    /// Whether the function reports the failed records of a batch.
    pub reports_items: bool,
}

/// Invokes a function when an object is written.
#[derive(Debug)]
pub struct ObjectTrigger {
    pub bucket: String,
    /// The prefix of the event's name, such as `ObjectCreated:`.
    pub events: String,
    pub prefix: String,
}

/// Invokes a function at an interval.
#[derive(Debug)]
pub struct Schedule {
    /// Its logical id in the template.
    pub name: String,
    pub every: SignedDuration,
}

/// Reads the function and appends its routes to `routes`.
pub fn read(
    node: &Node<'_>,
    globals: &Node<'_>,
    routes: &mut Vec<Route>,
) -> Result<Function, TemplateError> {
    let code = node.get("CodeUri")?;
    let folder = code.text()?;
    let name = folder
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let timeout = node
        .find("Timeout")
        .map_or_else(|| globals.get("Timeout"), Ok)?;
    let timeout = i64::try_from(timeout.number()?).map_err(|_| timeout.error("is too long"))?;
    let mut environment = BTreeMap::new();
    for level in [globals, node] {
        let Some(variables) = level.find("Environment") else {
            continue;
        };
        for (name, value) in variables.get("Variables")?.entries()? {
            environment.insert(name.to_owned(), value.text()?);
        }
    }
    let retries = match node.find("EventInvokeConfig") {
        Some(config) => config.get("MaximumRetryAttempts")?.number()?,
        None => 2,
    };
    let mut function = Function {
        name,
        timeout: SignedDuration::from_secs(timeout),
        environment,
        retries,
        streams: Vec::new(),
        objects: Vec::new(),
        schedules: Vec::new(),
    };
    let events = node.find("Events");
    for (id, event) in events.map_or(Ok(Vec::new()), |events| events.entries())? {
        let kind = event.get("Type")?;
        let properties = event.get("Properties")?;
        match kind.text()?.as_str() {
            "HttpApi" => routes.push(route(&properties, &function.name)?),
            "DynamoDB" => function.streams.push(stream_trigger(&properties)?),
            "S3" => function.objects.push(object_trigger(&properties)?),
            "Schedule" => {
                let every = rate(&properties.get("Schedule")?)?;
                function.schedules.push(Schedule {
                    name: id.to_owned(),
                    every,
                });
            }
            other => {
                return Err(kind.error(format!("the local run has no trigger of type {other}")));
            }
        }
    }
    Ok(function)
}

fn route(node: &Node<'_>, function: &str) -> Result<Route, TemplateError> {
    if node.find("Method").is_none() && node.find("Path").is_none() {
        return Ok(Route::default_of(function));
    }
    let method = node.get("Method")?.text()?.to_ascii_uppercase();
    let path = node.get("Path")?;
    if method == "ANY" || path.text()?.contains("+}") {
        return Err(path
            .error("the local run knows only routes of one method and without greedy parameters"));
    }
    let operator = match node.find("Auth") {
        None => false,
        Some(auth) => match auth.get("Authorizer")?.text()?.as_str() {
            "AWS_IAM" => true,
            "NONE" => false,
            other => return Err(auth.error(format!("the local run has no authorizer {other}"))),
        },
    };
    Ok(Route {
        method,
        path: path.text()?,
        function: function.to_owned(),
        operator,
    })
}

fn stream_trigger(node: &Node<'_>) -> Result<StreamTrigger, TemplateError> {
    let start = node.get("StartingPosition")?;
    if start.text()? != "TRIM_HORIZON" {
        return Err(
            start.error("must be TRIM_HORIZON, or what was written during a deployment is lost")
        );
    }
    let mut patterns = Vec::new();
    for item in node.at("FilterCriteria.Filters")?.items()? {
        let text = item.get("Pattern")?;
        patterns.push(Pattern::parse(&text.text()?).map_err(|problem| text.error(problem))?);
    }
    let reports = node
        .find("FunctionResponseTypes")
        .map_or(Ok(Vec::new()), |types| types.texts())?;
    let batch = node.get("BatchSize")?;
    Ok(StreamTrigger {
        table: node.get("Stream")?.named("AWS::DynamoDB::Table")?,
        patterns,
        batch: usize::try_from(batch.number()?)
            .map_err(|_| batch.error("is too large"))?
            .max(1),
        retries: node.get("MaximumRetryAttempts")?.number()?,
        bisect: node
            .find("BisectBatchOnFunctionError")
            .map_or(Ok(false), |flag| flag.flag())?,
        reports_items: reports.iter().any(|kind| kind == "ReportBatchItemFailures"),
    })
}

fn object_trigger(node: &Node<'_>) -> Result<ObjectTrigger, TemplateError> {
    let bucket = node.get("Bucket")?;
    bucket.target("AWS::S3::Bucket")?;
    let events = node.get("Events")?;
    let name = events.text()?;
    let name = name
        .strip_prefix("s3:")
        .and_then(|name| name.strip_suffix('*'));
    let mut prefix = String::new();
    if let Some(filter) = node.find("Filter") {
        for rule in filter.at("S3Key.Rules")?.items()? {
            let value = rule.get("Value")?.text()?;
            // Keys are URL-encoded in events; these characters encode as themselves.
            let plain = value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
            if rule.get("Name")?.text()? != "prefix" || !plain {
                return Err(
                    rule.error("the local run knows only a prefix of letters, digits and /-_.")
                );
            }
            prefix = value;
        }
    }
    Ok(ObjectTrigger {
        bucket: bucket.text()?,
        events: name
            .ok_or_else(|| {
                events.error("must be one family of events, such as s3:ObjectCreated:*")
            })?
            .to_owned(),
        prefix,
    })
}

/// `rate(15 minutes)`.
fn rate(node: &Node<'_>) -> Result<SignedDuration, TemplateError> {
    let text = node.text()?;
    let parts = text
        .strip_prefix("rate(")
        .and_then(|rest| rest.strip_suffix(')')?.split_once(' '));
    let every = parts.and_then(|(number, unit)| {
        let minutes = match unit.trim_end_matches('s') {
            "minute" => 1,
            "hour" => 60,
            "day" => 24 * 60,
            _ => return None,
        };
        number
            .parse::<i64>()
            .ok()
            .filter(|n| (1..=1000).contains(n))
            .map(|n| SignedDuration::from_mins(n * minutes))
    });
    every.ok_or_else(|| node.error("the local run knows only rate(…) in minutes, hours or days"))
}
