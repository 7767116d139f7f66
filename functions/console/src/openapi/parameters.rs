//! Parameters and headers: what stands in paths, queries and beside bodies.

use serde_json::{Map, Value, json};
use shared::domain::jobs::JobState;
use shared::domain::keys::Rule;
use shared::http::routes::Route;
use shared::schema::catalog::Record;

use super::operations::Operation;
use super::reference;
use super::requests::field;
use super::shape::{choice, id, time};

/// What a route takes besides its body.
pub fn of(route: &Route, operation: &Operation) -> Vec<Value> {
    let in_path = route
        .key
        .split(['{', '}'])
        .skip(1)
        .step_by(2)
        .map(|name| component(route, name));
    let in_query = route.query.iter().map(|name| component(route, name));
    let mut parameters: Vec<_> = in_path.chain(in_query).collect();
    if route.once {
        parameters.push(reference("parameters", "IdempotencyKey"));
    }
    if operation.if_match {
        parameters.push(reference("parameters", "IfMatch"));
    }
    parameters
}

/// The component that describes a parameter of a route. `subject`, `state` and `id` mean
/// different things in different places.
fn component(route: &Route, name: &str) -> Value {
    let component = match name {
        "subject" if route.query.contains(&"subject") => "of_subject",
        "state" if route.function == "access" => "rule",
        "id" if route.function == "admin" => "key",
        "id" if route.key.ends_with("/receipt") => "receipt",
        "id" => "job",
        name => name,
    };
    reference("parameters", component)
}

fn parameter(name: &str, place: &str, schema: Value, description: &str) -> Value {
    json!({
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    })
}

/// Every parameter that a route may have.
pub fn components() -> Map<String, Value> {
    let states = JobState::ALL.map(JobState::name);
    let query = |name, schema, description| (name, parameter(name, "query", schema, description));
    let path = |component, name, schema, description| {
        (component, parameter(name, "path", schema, description))
    };
    // Entity tags in a list, or anything that is there (RFC 9110, 13.1.1).
    let etag = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
    let etag = json!({"type": "string", "pattern": etag});
    let once = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"});
    Map::from_iter(
        [
            path("subject", "subject", id("sub"), "A person."),
            path("attachment", "attachment", id("att"), "A file."),
            path("job", "id", id("job"), "A job."),
            path("key", "id", id("key"), "An API key."),
            path("tenant", "tenant", id("ten"), "A tenant."),
            path(
                "receipt",
                "id",
                json!({"anyOf": [id("job"), {"type": "string", "format": "date"}]}),
                "An erasure, or a day (UTC) on which people expired.",
            ),
            query(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
                "How many entries a page holds at most.",
            ),
            query(
                "cursor",
                json!({"type": "string"}),
                "Where to go on: `next_cursor` of the page before, of the same list.",
            ),
            query("state", choice(&states), "Only jobs in this state."),
            (
                "rule",
                parameter(
                    "state",
                    "query",
                    choice(&Rule::ALL.map(Rule::name)),
                    "Only people under this rule; suppression and objection outlast what was kept.",
                ),
            ),
            (
                "of_subject",
                parameter("subject", "query", id("sub"), "Only jobs about this person."),
            ),
            query("expires_before", time(), "Only people forgotten before this moment."),
            query(
                "type",
                choice(&["conversation", "message", "attachment", "interaction"]),
                "Only records of this type.",
            ),
            query(
                "conversation",
                field(Record::Conversation, "conversation_id"),
                "Only records of this conversation: the tenant's own id of it.",
            ),
            query("since", time(), "Only records from this moment on."),
            query("until", time(), "Only records before this moment."),
            query("order", choice(&["asc", "desc"]), "Oldest or newest first."),
            query("suppress", json!({"type": "boolean"}), "They stay away afterwards."),
            query(
                "include_related",
                choice(&["user_id"]),
                "Others go too who share this value, vouched for on both sides.",
            ),
            query("dry_run", json!({"type": "boolean"}), "Only says what would happen."),
            query(
                "kind",
                choice(&shared::domain::audit::entry::AuditEvent::ALL.map(|event| event.name())),
                "Only entries of this kind.",
            ),
            query("day", json!({"type": "string", "format": "date"}), "Only entries of this day, in UTC."),
            query(
                "member",
                json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}),
                "Only what this key or member did.",
            ),
            (
                "IdempotencyKey",
                parameter(
                    "Idempotency-Key",
                    "header",
                    once,
                    "The same key and body within 24 h get the same answer, and nothing is done twice.",
                ),
            ),
            (
                "IfMatch",
                parameter("If-Match", "header", etag, "Only if this is still the revision."),
            ),
        ]
        .map(|(name, schema)| (name.to_owned(), schema)),
    )
}

/// Every header that an answer may have.
pub fn headers() -> Map<String, Value> {
    let text = || json!({"type": "string"});
    Map::from_iter(
        [
            ("Location", text(), "The job."),
            ("ETag", text(), "The revision, for `If-Match`."),
            (
                "Retry-After",
                json!({"type": "integer"}),
                "Seconds to wait.",
            ),
            ("WWW-Authenticate", text(), "How to authenticate."),
            (
                "X-Request-Id",
                text(),
                "Names this request to the operator.",
            ),
        ]
        .map(|(name, schema, description)| {
            (
                name.to_owned(),
                json!({"schema": schema, "description": description}),
            )
        }),
    )
}
