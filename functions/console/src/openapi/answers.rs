//! Schemas of answers. They say what is always there; fields may be added, so answers are
//! not closed.

use serde_json::{Map, Value, json};
use shared::domain::audit::entry::AuditEvent;
use shared::domain::jobs::{JobKind, JobState};
use shared::http::routes::Scope;

use super::reference;
use super::requests::settings_fields;
use super::shape::{
    Schema, choice, count, described, id, list, message_id, object, only, or_null, text, time,
    whole, yes_or_no,
};

/// Every schema of an answer.
pub fn schemas() -> Map<String, Value> {
    Map::from_iter(
        edge()
            .into_iter()
            .chain(ingest())
            .chain(super::people::schemas())
            .chain(jobs())
            .chain(govern())
            .chain(pages())
            .map(|(name, schema)| (name.to_owned(), schema)),
    )
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
            json!({"type": "string", "description": "A JSON Pointer (RFC 6901) to a field of the \
                body, or the name of a parameter."}),
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
                json!({"type": "string", "description": "A stable error code for programs to \
                    branch on."}),
            ),
            ("request_id", text()),
            ("errors", list(reference("schemas", "Fault"))),
            ("candidates", list(id("sub"))),
            ("more", more()),
        ],
    );
    vec![
        ("Fault", fault),
        (
            "Problem",
            described(
                problem,
                "A problem document (RFC 9457). It never repeats a submitted value.",
            ),
        ),
        (
            "GatewayMessage",
            described(
                whole(vec![("message", text())]),
                "An error that API Gateway returns before the request reaches the service.",
            ),
        ),
        ("Page", text()),
        (
            "Receipt",
            described(text(), "A compact JWS (RFC 7515), signed with ES256."),
        ),
        (
            "Description",
            object(
                &["openapi", "info", "paths"],
                vec![
                    ("openapi", text()),
                    ("info", object(&[], vec![])),
                    ("paths", object(&[], vec![])),
                ],
            ),
        ),
        (
            "Health",
            whole(vec![
                ("status", json!({"const": "ok"})),
                ("version", text()),
                ("time", time()),
            ]),
        ),
        ("KeySet", whole(vec![("keys", list(signing_key()))])),
    ]
}

fn signing_key() -> Value {
    let one = |word: &str| json!({"const": word});
    whole(vec![
        ("kty", one("EC")),
        ("crv", one("P-256")),
        ("x", text()),
        ("y", text()),
        ("alg", one("ES256")),
        ("use", one("sig")),
        (
            "kid",
            described(text(), "The thumbprint of the key (RFC 7638)."),
        ),
    ])
}

fn more() -> Value {
    described(
        count(),
        "The number of entries that were omitted. A response contains at most 20 errors per \
         event or request, 256 kB of errors in total, and 100 candidates.",
    )
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
            (
                "reason",
                described(
                    text(),
                    "Why the event was ignored: `suppressed`, `objected`, `held`, `erasing`, \
                     `erased` or `no_consent`.",
                ),
            ),
            (
                "errors",
                described(
                    list(reference("schemas", "Fault")),
                    "For a rejected event, the reasons. For any other event, the fields that \
                     were left out.",
                ),
            ),
            ("more", more()),
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

/// What was, or would be, removed from each store.
fn stores() -> Vec<(&'static str, Value)> {
    let files = "File versions. Files that were only announced are not counted.";
    vec![
        ("keyring", count()),
        ("records", described(count(), "Rows.")),
        ("attachments", described(count(), files)),
        ("exports", count()),
    ]
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
    let excluded = || {
        list(whole(vec![
            ("subject", id("sub")),
            ("by", json!({"const": "hold"})),
        ]))
    };
    let erasure = object(
        &[],
        vec![
            ("scope", json!({"const": "tenant"})),
            (
                "not_before",
                described(time(), "When the erasure of a tenant starts."),
            ),
            ("unreadable_at", object(&["records"], moments.into())),
            ("erased_at", or_null(time())),
            (
                "backups_clear_by",
                described(
                    or_null(time()),
                    "The time from which no backup can restore a key that decrypts the erased \
                     data.",
                ),
            ),
            ("stores", object(&[], stores())),
            (
                "blocked",
                described(
                    excluded(),
                    "The people under a legal hold. Their erasure resumes when the hold is lifted.",
                ),
            ),
            (
                "cancelled",
                described(
                    excluded(),
                    "The people who were under a legal hold when the rest was cancelled.",
                ),
            ),
            (
                "partial",
                described(
                    list(text()),
                    "Data that could not be deleted so far. Deletion is retried daily.",
                ),
            ),
        ],
    );
    let download = whole(vec![
        ("name", text()),
        ("size", count()),
        ("sha256", text()),
        ("url", json!({"type": "string", "format": "uri"})),
        ("expires_at", time()),
    ]);
    let withdrawn = described(
        yes_or_no(),
        "Whether the export is no longer available because it is outdated: its data was redacted \
         or corrected, a consent was withdrawn, or the person's data was deleted. Start a new \
         export.",
    );
    let counts = whole(vec![
        ("dry_run", only(true)),
        ("subjects", count()),
        (
            "blocked",
            described(
                count(),
                "The number of these people who are under a legal hold.",
            ),
        ),
        ("stores", whole(stores())),
    ]);
    let statuses = ["redacted", "not_found", "stale", "invalid", "held"];
    let target = object(
        &["index", "status"],
        vec![
            ("index", count()),
            ("status", choice(&statuses)),
            ("message", message_id()),
            ("attachment", id("att")),
            ("conversation", text()),
            ("content_hash", text()),
        ],
    );
    let failed = whole(vec![("index", count()), ("status", choice(&statuses))]);
    let redaction = whole(vec![
        (
            "results",
            whole(statuses.map(|name| (name, count())).into()),
        ),
        ("failed", list(failed)),
        ("backups_clear_by", clear_by()),
    ]);
    vec![
        ("Job", job),
        ("ErasureJob", adds(erasure)),
        ("ErasureCounts", counts),
        (
            "ExportJob",
            adds(object(
                &["subject", "export"],
                vec![
                    ("subject", id("sub")),
                    ("export", choice(&["access", "portability"])),
                    ("withdrawn", withdrawn),
                    ("downloads", list(download)),
                ],
            )),
        ),
        ("RedactionJob", adds(redaction)),
        (
            "RedactionResults",
            whole(vec![
                ("results", list(target)),
                ("backups_clear_by", clear_by()),
            ]),
        ),
    ]
}

/// Of a redaction.
fn clear_by() -> Value {
    let says = "The time from which no backup can restore the redacted data. `null` if nothing \
                was redacted.";
    described(or_null(time()), says)
}

fn govern() -> Vec<Schema> {
    let key = || {
        let fields = vec![
            ("id", id("key")),
            ("scopes", list(choice(&Scope::ALL.map(Scope::name)))),
            ("allowed_origins", list(text())),
            ("reference", or_null(text())),
            ("created_at", time()),
        ];
        object(&["id", "scopes", "created_at"], fields)
    };
    let mut new_key = key();
    new_key["properties"]["secret"] = described(text(), "The complete key, as sent in requests.");
    let dry_run = whole(vec![
        ("dry_run", only(true)),
        (
            "would_erase",
            described(count(), "The number of people who would expire."),
        ),
        (
            "retention_days",
            whole(vec![("from", count()), ("to", count())]),
        ),
    ]);
    let entry = object(
        &["id", "at", "kind", "by", "about", "salt"],
        vec![
            ("id", id("act")),
            ("at", described(time(), "When the event was recorded.")),
            (
                "happened_at",
                described(time(), "When the event happened, if it was recorded later."),
            ),
            ("kind", choice(&AuditEvent::ALL.map(AuditEvent::name))),
            ("by", text()),
            ("about", list(text())),
            (
                "salt",
                described(
                    text(),
                    "16 bytes in base64url. The entry's leaf in the Merkle tree of the day (RFC \
                     6962) is the SHA-256 of a zero byte, the salt, and the entry without the \
                     salt in canonical JSON (RFC 8785).",
                ),
            ),
        ],
    );
    let seal = object(
        &["day", "entries", "root", "jws"],
        vec![
            ("day", json!({"type": "string", "format": "date"})),
            ("entries", count()),
            (
                "root",
                described(
                    text(),
                    "The Merkle tree root of the day's entries (RFC 6962, SHA-256), in base64url.",
                ),
            ),
            (
                "jws",
                described(
                    text(),
                    "A compact JWS (ES256) of the day, the number of entries, the root and the \
                     root of the previous day. Verify it with the keys at \
                     /.well-known/jwks.json.",
                ),
            ),
            (
                "leaves",
                described(
                    list(text()),
                    "Returned only for a single day: its leaves, in the order of the entry IDs. \
                     If the page does not contain all leaves, use its cursor to get the rest.",
                ),
            ),
        ],
    );
    let keys = object(&[], vec![("owner", text())]);
    vec![
        ("Settings", whole(settings_fields())),
        ("SettingsPreview", dry_run),
        (
            "ReplacedSettings",
            json!({"oneOf": [
                reference("schemas", "Settings"),
                reference("schemas", "SettingsPreview"),
            ]}),
        ),
        ("Key", key()),
        ("NewKey", new_key),
        ("ActivityEntry", entry),
        ("Seal", seal),
        (
            "Tenant",
            whole(vec![
                ("tenant", id("ten")),
                ("created_at", time()),
                ("state", choice(&["active", "leaving", "erased"])),
                (
                    "erasure",
                    described(or_null(id("job")), "The ID of the requested erasure."),
                ),
                ("erased_at", or_null(time())),
                (
                    "receipt",
                    described(
                        or_null(text()),
                        "The signed receipt of the erasure, a compact JWS.",
                    ),
                ),
            ]),
        ),
        (
            "NewTenant",
            whole(vec![("tenant", id("ten")), ("keys", keys)]),
        ),
    ]
}

fn pages() -> Vec<Schema> {
    [
        ("PersonPage", "PersonRow"),
        ("RecordPage", "Record"),
        ("RedactionPage", "RedactionJob"),
        ("ErasurePage", "ErasureJob"),
        ("ExportPage", "ExportJob"),
        ("KeyPage", "Key"),
        ("ActivityPage", "ActivityEntry"),
        ("SealPage", "Seal"),
        ("TenantPage", "Tenant"),
    ]
    .map(|(name, of)| (name, page(of)))
    .into()
}
