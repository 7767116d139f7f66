//! Parameters and headers: what stands in paths, queries and beside bodies.

use serde_json::{Map, Value, json};
use shared::domain::audit::entry::AuditEvent;
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
            path(
                "subject",
                "subject",
                id("sub"),
                "The subject ID of the person.",
            ),
            path(
                "attachment",
                "attachment",
                id("att"),
                "The ID of the attachment.",
            ),
            path("job", "id", id("job"), "The ID of the job."),
            path("key", "id", id("key"), "The ID of the API key."),
            path("tenant", "tenant", id("ten"), "The ID of the tenant."),
            path(
                "receipt",
                "id",
                json!({"anyOf": [id("job"), {"type": "string", "format": "date"}]}),
                "The ID of an erasure, or the UTC date of a day on which people expired.",
            ),
            query(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
                "The maximum number of entries on a page.",
            ),
            query(
                "cursor",
                json!({"type": "string"}),
                "The `next_cursor` of the previous page of the same list.",
            ),
            query("state", choice(&states), "Lists only jobs in this state."),
            (
                "rule",
                parameter(
                    "state",
                    "query",
                    choice(&Rule::ALL.map(Rule::name)),
                    "Lists only people under this rule. Suppression and objection stay in effect \
                     after the data is deleted.",
                ),
            ),
            (
                "of_subject",
                parameter(
                    "subject",
                    "query",
                    id("sub"),
                    "Lists only jobs about this person.",
                ),
            ),
            query(
                "expires_before",
                time(),
                "Lists only people who expire before this time.",
            ),
            query(
                "type",
                choice(&["conversation", "message", "attachment", "interaction"]),
                "Lists only records of this type.",
            ),
            query(
                "conversation",
                field(Record::Conversation, "conversation_id"),
                "Lists only records of the conversation with this ID, as assigned by the tenant.",
            ),
            query("since", time(), "Lists only records from this time on."),
            query("until", time(), "Lists only records before this time."),
            query(
                "order",
                choice(&["asc", "desc"]),
                "The sort order: oldest first (`asc`) or newest first (`desc`).",
            ),
            query(
                "suppress",
                json!({"type": "boolean"}),
                "Prevents the person from being stored again.",
            ),
            query(
                "include_related",
                choice(&["user_id"]),
                "Also erases other people who share this value, if it is verified for both.",
            ),
            query(
                "dry_run",
                json!({"type": "boolean"}),
                "Reports what would happen, without making changes.",
            ),
            query(
                "kind",
                choice(&AuditEvent::ALL.map(|event| event.name())),
                "Lists only entries of this kind.",
            ),
            query(
                "day",
                json!({"type": "string", "format": "date"}),
                "Lists only entries of this UTC day.",
            ),
            query(
                "member",
                json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}),
                "Lists only actions of this key or member.",
            ),
            (
                "IdempotencyKey",
                parameter(
                    "Idempotency-Key",
                    "header",
                    once,
                    "A repeated request with the same key and body within 24 hours returns the \
                     same response and has no further effect.",
                ),
            ),
            (
                "IfMatch",
                parameter(
                    "If-Match",
                    "header",
                    etag,
                    "Applies the request only if this is the current revision.",
                ),
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
            ("Location", text(), "The URL of the job."),
            (
                "ETag",
                text(),
                "The current revision, for use in `If-Match`.",
            ),
            (
                "Retry-After",
                json!({"type": "integer"}),
                "The number of seconds to wait.",
            ),
            ("WWW-Authenticate", text(), "The authentication scheme."),
            (
                "X-Request-Id",
                text(),
                "The ID of the request. The operator can find the request by it.",
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
