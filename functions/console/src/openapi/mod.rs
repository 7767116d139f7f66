//! The service's description as OpenAPI 3.1, made from the route table and the catalog.
//! Owns how a row becomes an operation: keys, limits and problems follow from the table,
//! so that they cannot disagree with what the edge enforces.

mod answers;
mod operations;
mod parameters;
mod requests;
mod shape;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use shared::http::routes::{Access, Route, Scope};

use operations::{OPERATIONS, Operation, Success, TAGS};

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// The document, serialised once.
pub fn text() -> &'static str {
    &TEXT
}

fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in OPERATIONS {
        let Some(route) = shared::http::routes::find(operation.route) else {
            continue;
        };
        let (method, path) = split(route.key);
        let of_path = paths.entry(path).or_default();
        of_path.insert(method.to_lowercase(), describe(route, operation));
    }
    let mut schemas = requests::schemas();
    schemas.extend(answers::schemas());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lethe",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Stores the personal data of end users, and deletes it on request and on \
                        expiry.",
            "description": "Every request is scoped to the tenant of its API key. Resources of \
                            another tenant return the same response as resources that do not \
                            exist. Unknown fields and parameters are rejected by name. Times are \
                            RFC 3339 timestamps in UTC.",
            "contact": {"name": "The operator of this service"},
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": TAGS.map(|(name, description)| json!({"name": name, "description": description})),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters::components(),
            "headers": parameters::headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

/// Method and path of a route's key.
fn split(key: &str) -> (&str, &str) {
    key.split_once(' ')
        .expect("a route's key is a method and a path")
}

fn describe(route: &Route, operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": route.summary,
        "description": operation.description,
        "tags": [operation.tag],
        "security": security(route),
        "responses": responses(route, operation),
    });
    let parameters = parameters::of(route, operation);
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if let Some(schema) = operation.body {
        let body = json!({"schema": reference("schemas", schema)});
        let mut content = json!({"application/json": body});
        if route.key.starts_with("PATCH ") {
            content["application/merge-patch+json"] = body;
        }
        described["requestBody"] = json!({"required": true, "content": content});
        described["x-max-bytes"] = json!(route.body);
    }
    described
}

/// How a caller authenticates: one scheme for each scope of an API key, since OpenAPI has no
/// scopes for a bearer token, and one for the operator.
fn security_schemes() -> Value {
    let bearer = |description: String| json!({"type": "http", "scheme": "bearer", "description": description});
    let of_scope = |scope: &Scope| {
        let name = scope.name();
        let description = format!("A tenant's API key with the `{name}` scope.");
        (name.to_owned(), bearer(description))
    };
    let mut schemes: Map<String, Value> = Scope::ALL.iter().map(of_scope).collect();
    let operator = "The operator of the service: a SigV4 signature in AWS, the operator's key in \
                    a local run.";
    schemes.insert("operator".into(), bearer(operator.into()));
    Value::Object(schemes)
}

/// Any one of the scopes is enough: each is a requirement of its own.
fn security(route: &Route) -> Value {
    match route.access {
        Access::Public => json!([]),
        Access::Operator => json!([{"operator": []}]),
        Access::Key(scopes) => scopes
            .iter()
            .map(|scope| json!({scope.name(): []}))
            .collect(),
    }
}

fn responses(route: &Route, operation: &Operation) -> Value {
    let mut responses = BTreeMap::new();
    for success in operation.successes {
        responses.insert(success.status.to_string(), answer(success));
    }
    let mut problems: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    let edge = edge_problems(route, operation);
    for (status, when) in edge.iter().chain(operation.problems) {
        problems.entry(*status).or_default().push(when);
    }
    for (status, when) in problems {
        responses.insert(status.to_string(), problem(status, &when.join(" ")));
    }
    json!(responses)
}

/// What the edge answers with before a route does anything.
fn edge_problems(route: &Route, operation: &Operation) -> Vec<(u16, &'static str)> {
    let mut problems = vec![
        (
            422,
            "The request failed validation. `errors` lists the violations.",
        ),
        (
            429,
            "Too many requests. Retry after the time in `Retry-After`.",
        ),
        (
            500,
            "Stored data is corrupt. The operator must investigate.",
        ),
        (
            503,
            "A data store did not respond. No data was lost. Retry the request.",
        ),
    ];
    match route.access {
        Access::Public => {}
        Access::Key(_) => problems.extend([
            (401, "The API key is missing or invalid."),
            (
                403,
                "The API key does not have the required scope, or does not allow the origin of \
                 the page.",
            ),
        ]),
        Access::Operator => problems.push((403, "The request is not signed by the operator.")),
    }
    if route.key.contains('{') {
        problems.push((
            404,
            "The resource does not exist, or belongs to another tenant.",
        ));
    }
    if route.body > 0 {
        problems.extend([
            (400, "The request body is not valid JSON."),
            (413, "The request body is larger than `x-max-bytes`."),
            (
                415,
                "The request body is not `application/json`, or has a content encoding.",
            ),
        ]);
    }
    if route.once {
        problems.push((
            409,
            "A request with the same `Idempotency-Key` is still in progress.",
        ));
    }
    if operation.if_match {
        problems.push((412, "`If-Match` does not match the current revision."));
    }
    problems
}

fn answer(success: &Success) -> Value {
    let mut headers = vec!["X-Request-Id"];
    headers.extend(success.headers);
    let mut answer = json!({
        "description": success.description,
        "headers": named_headers(&headers),
    });
    if let Some(schema) = success.schema {
        let media_type = match schema {
            "Page" => "text/html",
            "Receipt" => "application/jose",
            "KeySet" => "application/jwk-set+json",
            _ => "application/json",
        };
        answer["content"] = json!({media_type: {"schema": reference("schemas", schema)}});
    }
    for (to, parameter, from) in success.links {
        answer["links"][to] = json!({
            "operationId": to,
            "parameters": {*parameter: format!("$response.body#{from}")},
        });
    }
    answer
}

/// A problem. API Gateway answers some by itself, before any function is called.
fn problem(status: u16, when: &str) -> Value {
    let headers: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        429 | 503 => &["Retry-After"],
        _ => &[],
    };
    let mut content = json!({
        "application/problem+json": {"schema": reference("schemas", "Problem")},
    });
    if matches!(status, 400 | 403 | 413 | 429 | 503) {
        content["application/json"] = json!({"schema": reference("schemas", "GatewayMessage")});
    }
    let mut problem = json!({"description": when, "content": content});
    if !headers.is_empty() {
        problem["headers"] = named_headers(headers);
    }
    problem
}

fn named_headers(names: &[&str]) -> Value {
    let headers = names
        .iter()
        .map(|name| ((*name).to_owned(), reference("headers", name)));
    Value::Object(headers.collect())
}

fn reference(of: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{of}/{name}")})
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use shared::http::routes::ROUTES;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(target) if name == "$ref" => {
                            found.insert(target);
                        }
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_once_and_nothing_else_is() {
        let routes: Vec<_> = ROUTES.iter().map(|route| route.key).collect();
        let described: Vec<_> = OPERATIONS.iter().map(|operation| operation.route).collect();
        assert_eq!(routes, described);
        let ids: HashSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
        for operation in OPERATIONS {
            assert!(!operation.description.is_empty(), "{}", operation.id);
            assert!(
                TAGS.iter().any(|(tag, _)| *tag == operation.tag),
                "{}",
                operation.tag
            );
        }
    }

    #[test]
    fn a_body_is_described_where_one_is_taken() {
        for (route, operation) in ROUTES.iter().zip(OPERATIONS) {
            assert_eq!(operation.body.is_some(), route.body > 0, "{}", route.key);
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        let document = document();
        let mut found = HashSet::new();
        references(&document, &mut found);
        for target in &found {
            let place = target.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{target}");
        }
        for kind in ["schemas", "parameters", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let target = format!("#/components/{kind}/{name}");
                assert!(found.contains(target.as_str()), "{target}");
            }
        }
    }

    #[test]
    fn every_link_leads_to_a_parameter_of_an_operation() {
        for operation in OPERATIONS {
            for (to, parameter, _) in operation.successes.iter().flat_map(|it| it.links) {
                let known = OPERATIONS.iter().any(|other| {
                    other.id == *to && other.route.contains(&format!("{{{parameter}}}"))
                });
                assert!(known, "{} {to} {parameter}", operation.id);
            }
        }
    }

    #[test]
    fn every_parameter_of_the_table_is_described() {
        for (route, operation) in ROUTES.iter().zip(OPERATIONS) {
            let described = parameters::of(route, operation).len();
            let in_path = route.key.matches('{').count();
            let headers = usize::from(route.once) + usize::from(operation.if_match);
            assert_eq!(
                described,
                in_path + route.query.len() + headers,
                "{}",
                route.key
            );
        }
    }

    #[test]
    fn request_bodies_refuse_what_they_do_not_name() {
        for (name, schema) in requests::schemas() {
            let refuses = |schema: &Value| {
                schema["type"] != "object" || schema.get("additionalProperties").is_some()
            };
            assert!(refuses(&schema), "{name}");
        }
    }
}
