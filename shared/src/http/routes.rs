//! The route table: who may call what. The edge obeys it, the OpenAPI document is made
//! from it, and a test holds the deployed template against it.

use crate::base::named::named;
use Access::{Key, Operator, Public};
use Scope::{Admin, Collect, Erase, Export, Govern, Ingest, Read, Rectify, Redact};

named! {
    /// What a key may do.
    #[derive(Hash)]
    pub enum Scope {
        /// May stand in a web page: adds, never reads.
        Collect = "collect",
        /// The tenant's servers.
        Ingest = "ingest",
        Read = "read",
        Rectify = "rectify",
        Redact = "redact",
        Erase = "erase",
        Export = "export",
        Govern = "govern",
        Admin = "admin",
    }
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// A key with any of these scopes.
    Key(&'static [Scope]),
    /// The operator: AWS has checked an IAM signature.
    Operator,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Method and path, as API Gateway names it.
    pub key: &'static str,
    pub function: &'static str,
    pub access: Access,
    /// Query parameters that it knows.
    pub query: &'static [&'static str],
    /// Honours `Idempotency-Key`.
    pub once: bool,
    /// The largest body, in bytes; none is taken where it is 0.
    pub body: usize,
    /// The list of the body whose items are judged one by one: one that is no JSON reads as
    /// `null`, and does not cost the others.
    pub each: Option<&'static str>,
    pub summary: &'static str,
}

const LIST: &[&str] = &["limit", "cursor"];
const JOBS: &[&str] = &["limit", "cursor", "state", "subject"];
const MIB: usize = 1024 * 1024;
const SMALL: usize = 64 * 1024;

const fn get(
    key: &'static str,
    function: &'static str,
    access: Access,
    query: &'static [&'static str],
    summary: &'static str,
) -> Route {
    Route {
        key,
        function,
        access,
        query,
        once: false,
        body: 0,
        each: None,
        summary,
    }
}

const fn change(
    key: &'static str,
    function: &'static str,
    access: Access,
    body: usize,
    once: bool,
    summary: &'static str,
) -> Route {
    Route {
        key,
        function,
        access,
        query: &[],
        once,
        body,
        each: None,
        summary,
    }
}

const fn with_query(mut route: Route, query: &'static [&'static str]) -> Route {
    route.query = query;
    route
}

const fn one_by_one(mut route: Route, list: &'static str) -> Route {
    route.each = Some(list);
    route
}

/// Every route of the service.
pub const ROUTES: &[Route] = &[
    one_by_one(
        change(
            "POST /v1/events",
            "ingest",
            Key(&[Collect, Ingest]),
            MIB,
            true,
            "Send up to 100 events",
        ),
        "events",
    ),
    change(
        "POST /v1/attachments",
        "ingest",
        Key(&[Collect, Ingest]),
        SMALL,
        true,
        "Announce a file and get an upload link",
    ),
    change(
        "PATCH /v1/subjects/{subject}",
        "ingest",
        Key(&[Rectify]),
        SMALL,
        false,
        "Correct a person's data (GDPR Art. 16)",
    ),
    get(
        "GET /v1/privacy-config",
        "ingest",
        Key(&[Collect]),
        &[],
        "Get the privacy settings for clients",
    ),
    change(
        "POST /v1/lookup",
        "access",
        Key(&[Read]),
        SMALL,
        false,
        "Find people by one value",
    ),
    get(
        "GET /v1/subjects",
        "access",
        Key(&[Read]),
        &["limit", "cursor", "state", "expires_before"],
        "List people",
    ),
    get(
        "GET /v1/subjects/{subject}",
        "access",
        Key(&[Read]),
        &[],
        "Get a person (GDPR Art. 15)",
    ),
    get(
        "GET /v1/subjects/{subject}/records",
        "access",
        Key(&[Read]),
        &[
            "limit",
            "cursor",
            "type",
            "conversation",
            "since",
            "until",
            "order",
        ],
        "List a person's records",
    ),
    get(
        "GET /v1/subjects/{subject}/attachments/{attachment}",
        "access",
        Key(&[Read]),
        &[],
        "Get an attachment's state and download link",
    ),
    change(
        "POST /v1/redactions",
        "redact",
        Key(&[Redact]),
        MIB,
        true,
        "Redact messages, spans, attachments or conversations",
    ),
    get(
        "GET /v1/redactions",
        "redact",
        Key(&[Redact]),
        JOBS,
        "List redaction jobs",
    ),
    get(
        "GET /v1/redactions/{id}",
        "redact",
        Key(&[Redact]),
        &[],
        "Get a redaction job",
    ),
    with_query(
        change(
            "DELETE /v1/subjects/{subject}",
            "delete",
            Key(&[Erase]),
            0,
            true,
            "Erase a person (GDPR Art. 17)",
        ),
        &["suppress", "include_related"],
    ),
    change(
        "POST /v1/erasures",
        "delete",
        Key(&[Erase]),
        MIB,
        true,
        "Erase several people, or count what would be deleted",
    ),
    get(
        "GET /v1/erasures",
        "delete",
        Key(&[Erase]),
        JOBS,
        "List erasures",
    ),
    get(
        "GET /v1/erasures/{id}",
        "delete",
        Key(&[Erase]),
        &[],
        "Get an erasure",
    ),
    get(
        "GET /v1/erasures/{id}/receipt",
        "delete",
        Key(&[Erase]),
        &[],
        "Get the signed receipt of an erasure or of a day's expiries",
    ),
    change(
        "POST /v1/erasures/{id}/cancel",
        "delete",
        Key(&[Erase]),
        0,
        true,
        "Cancel an erasure that is blocked or has not started",
    ),
    change(
        "POST /v1/exports",
        "export",
        Key(&[Export]),
        SMALL,
        true,
        "Export a person's data (GDPR Art. 15 and 20)",
    ),
    get(
        "GET /v1/exports",
        "export",
        Key(&[Export]),
        JOBS,
        "List exports",
    ),
    get(
        "GET /v1/exports/{id}",
        "export",
        Key(&[Export]),
        &[],
        "Get an export and its download links",
    ),
    change(
        "PUT /v1/subjects/{subject}/restriction",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Restrict the processing of a person's data (GDPR Art. 18)",
    ),
    change(
        "DELETE /v1/subjects/{subject}/restriction",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Lift a restriction",
    ),
    change(
        "PUT /v1/subjects/{subject}/objection",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Record a person's objection (GDPR Art. 21)",
    ),
    change(
        "DELETE /v1/subjects/{subject}/objection",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Withdraw an objection",
    ),
    change(
        "PUT /v1/subjects/{subject}/hold",
        "admin",
        Key(&[Govern]),
        SMALL,
        false,
        "Place a legal hold on a person",
    ),
    change(
        "DELETE /v1/subjects/{subject}/hold",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Lift a legal hold and resume blocked erasures",
    ),
    change(
        "PUT /v1/subjects/{subject}/suppression",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Suppress a person after an erasure or expiry",
    ),
    change(
        "DELETE /v1/subjects/{subject}/suppression",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Lift a suppression",
    ),
    change(
        "DELETE /v1/subjects/{subject}/consent",
        "admin",
        Key(&[Govern]),
        0,
        false,
        "Withdraw a person's consent (GDPR Art. 7(3))",
    ),
    get(
        "GET /v1/settings",
        "admin",
        Key(&[Admin]),
        &[],
        "Get the tenant's settings",
    ),
    with_query(
        change(
            "PUT /v1/settings",
            "admin",
            Key(&[Admin]),
            SMALL,
            false,
            "Replace the tenant's settings",
        ),
        &["dry_run"],
    ),
    change(
        "POST /v1/keys",
        "admin",
        Key(&[Admin]),
        SMALL,
        true,
        "Create an API key",
    ),
    get(
        "GET /v1/keys",
        "admin",
        Key(&[Admin]),
        LIST,
        "List the tenant's API keys",
    ),
    change(
        "DELETE /v1/keys/{id}",
        "admin",
        Key(&[Admin]),
        0,
        false,
        "Revoke an API key",
    ),
    get(
        "GET /v1/activity",
        "admin",
        Key(&[Admin]),
        &["limit", "cursor", "kind", "day", "member"],
        "List the activity log",
    ),
    get(
        "GET /v1/activity/seals",
        "admin",
        Key(&[Admin]),
        &["limit", "cursor", "day"],
        "List the signed log roots",
    ),
    change(
        "POST /v1/tenants",
        "admin",
        Operator,
        SMALL,
        true,
        "Create a tenant and its first API key",
    ),
    get("GET /v1/tenants", "admin", Operator, LIST, "List tenants"),
    change(
        "POST /v1/tenants/{tenant}/keys",
        "admin",
        Operator,
        SMALL,
        true,
        "Create another owner key for a tenant",
    ),
    change(
        "DELETE /v1/tenants/{tenant}",
        "admin",
        Operator,
        0,
        false,
        "Schedule the erasure of a tenant",
    ),
    get("GET /console", "console", Public, &[], "Open the console"),
    get(
        "GET /v1/openapi.json",
        "console",
        Public,
        &[],
        "Get this OpenAPI document",
    ),
    get(
        "GET /v1/health",
        "console",
        Public,
        &[],
        "Check the health of the service",
    ),
    get(
        "GET /.well-known/jwks.json",
        "console",
        Public,
        &[],
        "Get the public signing keys (RFC 7517)",
    ),
];

/// Stands for what no route takes, under API Gateway's name for it.
pub static DEFAULT: Route = Route {
    key: "$default",
    function: "console",
    access: Access::Public,
    query: &[],
    once: false,
    body: 0,
    each: None,
    summary: "",
};

/// The methods that a path has; none where there is no such path.
pub fn methods(path: &str) -> Vec<&'static str> {
    let mut methods = declared(path);
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods
}

fn declared(path: &str) -> Vec<&'static str> {
    let keys = ROUTES.iter().filter_map(|route| route.key.split_once(' '));
    keys.filter(|(_, known)| {
        let (known, given) = (known.split('/'), path.split('/'));
        known.clone().count() == given.clone().count()
            && known
                .zip(given)
                .all(|(known, given)| match known.starts_with('{') {
                    true => !given.is_empty(),
                    false => known == given,
                })
    })
    .map(|(method, _)| method)
    .collect()
}

/// The route that API Gateway names by this key. `HEAD` is the route of `GET`.
pub fn find(key: &str) -> Option<&'static Route> {
    let head = key.strip_prefix("HEAD ");
    ROUTES.iter().find(|route| match head {
        Some(path) => route.key.strip_prefix("GET ") == Some(path),
        None => route.key == key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_post_that_changes_something_and_the_erasure_of_a_person_honour_idempotency_keys() {
        let reads = ["POST /v1/lookup"];
        for route in ROUTES {
            let unsafe_once = route.key.starts_with("POST ") && !reads.contains(&route.key);
            let erases = route.key == "DELETE /v1/subjects/{subject}";
            assert_eq!(route.once, unsafe_once || erases, "{}", route.key);
        }
    }
}
