//! Schemas of answers. They say what is always there; fields may be added, so none of
//! them is closed.

use serde_json::{Map, Value, json};
use shared::catalog::{self, Category, Record};
use shared::http::caller::Scope;
use shared::record::FileState;
use shared::store::activity::Deed;
use shared::store::jobs::{JobKind, JobState};

use super::parameters::{id, time};
use super::reference;
use super::requests::settings_fields;

/// Every schema of an answer.
pub fn schemas() -> Map<String, Value> {
    Map::from_iter(
        edge()
            .into_iter()
            .chain(ingest())
            .chain(access())
            .chain(jobs())
            .chain(govern())
            .chain(pages())
            .map(|(name, schema)| (name.to_owned(), schema)),
    )
}

type Schema = (&'static str, Value);

/// An object that has at least the fields named as required.
fn object(required: &[&str], fields: Vec<(&str, Value)>) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema));
    let mut object = json!({"type": "object", "properties": Value::Object(fields.collect())});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// An object in which every field is always there.
fn whole(fields: Vec<(&'static str, Value)>) -> Value {
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    object(&names, fields)
}

fn text() -> Value {
    json!({"type": "string"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn yes_or_no() -> Value {
    json!({"type": "boolean"})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn choice(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn page(schema: &str) -> Value {
    whole(vec![
        ("data", list(reference("schemas", schema))),
        ("next_cursor", json!({"type": ["string", "null"]})),
    ])
}

fn edge() -> Vec<Schema> {
    let fault = whole(vec![
        (
            "pointer",
            json!({"type": "string", "description": "A JSON Pointer (RFC 6901) into the body, or a parameter's name."}),
        ),
        ("code", text()),
        ("message", text()),
    ]);
    let problem = object(
        &["type", "title", "status", "detail", "code", "request_id"],
        vec![
            ("type", json!({"type": "string", "format": "uri-reference"})),
            ("title", text()),
            (
                "status",
                json!({"type": "integer", "minimum": 400, "maximum": 599}),
            ),
            ("detail", text()),
            (
                "code",
                json!({"type": "string", "description": "A stable word to branch on."}),
            ),
            ("request_id", text()),
            ("errors", list(reference("schemas", "Fault"))),
            ("candidates", list(id("sub"))),
        ],
    );
    vec![
        ("Fault", fault),
        (
            "Problem",
            described(
                problem,
                "RFC 9457. A submitted value is never repeated in it.",
            ),
        ),
        (
            "GatewayMessage",
            described(
                whole(vec![("message", text())]),
                "What API Gateway says by itself.",
            ),
        ),
        ("Page", text()),
        ("Description", object(&["openapi", "info", "paths"], vec![])),
        (
            "Health",
            whole(vec![
                ("status", json!({"const": "ok"})),
                ("version", text()),
                ("time", time()),
            ]),
        ),
    ]
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn ingest() -> Vec<Schema> {
    let result = object(
        &["index", "status"],
        vec![
            ("index", count()),
            (
                "status",
                choice(&["stored", "duplicate", "ignored", "rejected", "accepted"]),
            ),
            ("subject", id("sub")),
            ("message", message_id()),
            ("reason", described(text(), "Why it was ignored.")),
            ("errors", list(reference("schemas", "Fault"))),
        ],
    );
    let config = settings_fields()
        .into_iter()
        .filter(|(name, _)| {
            [
                "full_privacy",
                "hide_selectors",
                "location",
                "store_url",
                "integrations",
            ]
            .contains(name)
        })
        .collect();
    vec![
        ("EventResults", whole(vec![("results", list(result))])),
        (
            "AnnouncedAttachment",
            whole(vec![
                ("attachment", id("att")),
                ("upload", reference("schemas", "UploadLink")),
            ]),
        ),
        (
            "UploadLink",
            whole(vec![
                ("method", json!({"const": "PUT"})),
                ("url", json!({"type": "string", "format": "uri"})),
                (
                    "headers",
                    json!({"type": "object", "additionalProperties": text()}),
                ),
                ("expires_at", time()),
            ]),
        ),
        ("PrivacyConfig", whole(config)),
    ]
}

fn message_id() -> Value {
    json!({"type": "string", "pattern": "^msg_[0-9a-f]{64}$"})
}

/// What is kept of a category: any of the catalog's fields.
fn kept(record: Record, category: Category) -> Value {
    object(
        &[],
        catalog::fields(record, category)
            .map(|row| (row.name, text()))
            .collect(),
    )
}

fn access() -> Vec<Schema> {
    let row = object(
        &["subject", "last_seen", "expires_at", "state", "verified"],
        vec![
            ("subject", id("sub")),
            ("last_seen", time()),
            ("expires_at", or_null(time())),
            ("state", text()),
            ("verified", yes_or_no()),
        ],
    );
    let person = object(
        &[
            "subject",
            "visitor_id",
            "state",
            "last_seen",
            "expires_at",
            "identity",
            "contact",
            "network",
            "device",
            "custom",
            "verified",
            "counts",
        ],
        vec![
            ("subject", id("sub")),
            ("visitor_id", text()),
            ("state", text()),
            ("created_at", time()),
            ("last_seen", time()),
            ("expires_at", or_null(time())),
            ("identity", kept(Record::Person, Category::Identity)),
            ("contact", kept(Record::Person, Category::Contact)),
            ("network", kept(Record::Visit, Category::Network)),
            ("device", kept(Record::Visit, Category::Device)),
            ("custom", json!({"type": "object"})),
            ("consent", json!({"type": ["object", "null"]})),
            ("verified", yes_or_no()),
            ("restriction", yes_or_no()),
            ("objection", yes_or_no()),
            ("hold", yes_or_no()),
            (
                "related",
                list(whole(vec![
                    ("subject", id("sub")),
                    ("via", text()),
                    ("verified", yes_or_no()),
                ])),
            ),
            (
                "counts",
                whole(
                    ["conversations", "messages", "attachments", "interactions"]
                        .map(|name| (name, count()))
                        .into(),
                ),
            ),
        ],
    );
    let download = whole(vec![
        ("url", json!({"type": "string", "format": "uri"})),
        ("expires_at", time()),
    ]);
    vec![
        ("PersonRow", row),
        (
            "FoundPeople",
            whole(vec![("subjects", list(reference("schemas", "PersonRow")))]),
        ),
        ("Person", person),
        ("Record", record()),
        (
            "AttachmentState",
            object(
                &["state", "download"],
                vec![
                    ("state", choice(&FileState::ALL.map(FileState::name))),
                    ("verdict", json!({"type": ["object", "null"]})),
                    ("download", or_null(download)),
                ],
            ),
        ),
    ]
}

fn record() -> Value {
    let typed = |kind: &str, required: &[&str], mut fields: Vec<(&'static str, Value)>| {
        fields.push(("type", json!({"const": kind})));
        object(&[&["type"], required].concat(), fields)
    };
    let conversation = typed(
        "conversation",
        &["conversation_id", "at", "messages"],
        vec![
            ("conversation_id", text()),
            ("title", text()),
            ("at", time()),
            ("messages", count()),
        ],
    );
    let message = typed(
        "message",
        &["message", "conversation_id", "author", "at", "redacted"],
        vec![
            ("message", message_id()),
            ("conversation_id", text()),
            ("author", choice(&["end_user", "agent"])),
            ("member", text()),
            ("at", time()),
            ("body", text()),
            ("content_hash", text()),
            ("redacted", yes_or_no()),
            ("attachments", list(id("att"))),
        ],
    );
    let attachment = typed(
        "attachment",
        &["attachment", "size", "at", "state"],
        vec![
            ("attachment", id("att")),
            ("conversation_id", text()),
            ("filename", text()),
            ("content_type", text()),
            ("sha256", text()),
            ("size", count()),
            ("at", time()),
            ("state", choice(&FileState::ALL.map(FileState::name))),
            ("verdict", json!({"type": "object"})),
        ],
    );
    let counts = ["loaded", "viewed", "clicked"].map(|name| (name, count()));
    let mut fields = vec![
        ("item_id", text()),
        ("scope", text()),
        ("first_at", time()),
        ("last_at", time()),
    ];
    fields.extend(counts);
    let interaction = typed(
        "interaction",
        &[
            "item_id", "loaded", "viewed", "clicked", "first_at", "last_at",
        ],
        fields,
    );
    json!({"oneOf": [conversation, message, attachment, interaction]})
}

fn jobs() -> Vec<Schema> {
    let job = object(
        &["id", "kind", "state", "progress", "created_at"],
        vec![
            ("id", id("job")),
            ("kind", choice(&JobKind::ALL.map(JobKind::name))),
            ("state", choice(&JobState::ALL.map(JobState::name))),
            (
                "progress",
                whole(vec![("done", count()), ("total", count())]),
            ),
            ("created_at", time()),
            ("finished_at", or_null(time())),
            ("reason", text()),
            ("reference", text()),
        ],
    );
    let adds = |schema: Value| json!({"allOf": [reference("schemas", "Job"), schema]});
    let moments = ["records", "attachments", "exports"].map(|name| (name, or_null(time())));
    let erasure = object(
        &["unreadable_at"],
        vec![
            ("unreadable_at", object(&["records"], moments.into())),
            ("erased_at", or_null(time())),
            ("backups_clear_by", or_null(time())),
            ("stores", json!({"type": "object"})),
        ],
    );
    let download = whole(vec![
        ("name", text()),
        ("size", count()),
        ("sha256", text()),
        ("url", json!({"type": "string", "format": "uri"})),
        ("expires_at", time()),
    ]);
    let counts = whole(vec![
        ("dry_run", json!({"const": true})),
        ("subjects", count()),
        ("stores", json!({"type": "object"})),
    ]);
    vec![
        ("Job", job),
        ("ErasureJob", adds(erasure)),
        ("ErasureCounts", counts),
        (
            "ExportJob",
            adds(object(&[], vec![("downloads", list(download))])),
        ),
        (
            "RedactionResults",
            whole(vec![("results", list(json!({"type": "object"})))]),
        ),
    ]
}

fn govern() -> Vec<Schema> {
    let key = |more: Vec<(&'static str, Value)>| {
        let mut required = vec!["id", "scopes", "created_at"];
        required.extend(more.iter().map(|(name, _)| *name));
        let mut fields = vec![
            ("id", id("key")),
            ("scopes", list(choice(&Scope::ALL.map(Scope::name)))),
            ("allowed_origins", list(text())),
            ("reference", text()),
            ("created_at", time()),
        ];
        fields.extend(more);
        object(&required, fields)
    };
    let tenant = vec![("tenant", id("ten")), ("created_at", time())];
    let entry = object(
        &["at", "kind", "by", "about"],
        vec![
            ("at", time()),
            ("kind", choice(&Deed::ALL.map(Deed::name))),
            ("by", text()),
            ("about", list(text())),
        ],
    );
    vec![
        ("Settings", whole(settings_fields())),
        ("ReplacedSettings", json!({"type": "object"})),
        ("Key", key(vec![])),
        ("NewKey", key(vec![("key", text())])),
        ("ActivityEntry", entry),
        ("Tenant", whole(tenant.clone())),
        (
            "NewTenant",
            object(&["tenant"], [tenant, vec![("key", text())]].concat()),
        ),
    ]
}

fn pages() -> Vec<Schema> {
    [
        ("PersonPage", "PersonRow"),
        ("RecordPage", "Record"),
        ("JobPage", "Job"),
        ("ErasurePage", "ErasureJob"),
        ("ExportPage", "ExportJob"),
        ("KeyPage", "Key"),
        ("ActivityPage", "ActivityEntry"),
        ("TenantPage", "Tenant"),
    ]
    .map(|(name, of)| (name, page(of)))
    .into()
}
