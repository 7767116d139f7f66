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
            ("more", more()),
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
        ("kid", described(text(), "Its thumbprint (RFC 7638).")),
    ])
}

fn more() -> Value {
    described(
        count(),
        "How many more there are: at most 20 errors of an event or a request are told, 256 kB of \
         them in one answer, and at most 100 candidates.",
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
                    "Why it was ignored: `suppressed`, `objected`, `held`, `erasing`, `erased` or \
                     `no_consent`.",
                ),
            ),
            (
                "errors",
                described(
                    list(reference("schemas", "Fault")),
                    "Of a rejected event, why; of any other, which fields were left out.",
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
    let files = "Versions of files; none of those that were only announced.";
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
                described(time(), "When the erasure of a tenant begins."),
            ),
            ("unreadable_at", object(&["records"], moments.into())),
            ("erased_at", or_null(time())),
            (
                "backups_clear_by",
                described(
                    or_null(time()),
                    "When no backup can bring back a key that opens what was sealed.",
                ),
            ),
            ("stores", object(&[], stores())),
            (
                "blocked",
                described(
                    excluded(),
                    "Who is held: for them it goes on when the hold is lifted.",
                ),
            ),
            (
                "cancelled",
                described(excluded(), "Who was held when the rest was cancelled."),
            ),
            (
                "partial",
                described(
                    list(text()),
                    "What could not be removed so far: tried again each day.",
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
        "Whether the export can be had no more because it has become untrue: something in it \
         was redacted or corrected since, a consent was withdrawn, or the person's data has \
         gone. Make a new one.",
    );
    let counts = whole(vec![
        ("dry_run", only(true)),
        ("subjects", count()),
        ("blocked", described(count(), "Those of them who are held.")),
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
    let says = "From when on no backup can be made to show what was redacted; null where \
                nothing was.";
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
    new_key["properties"]["secret"] = described(text(), "The whole key, as it is sent.");
    let dry_run = whole(vec![
        ("dry_run", only(true)),
        (
            "would_erase",
            described(count(), "People whose time would be up."),
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
            ("at", described(time(), "When it was recorded.")),
            (
                "happened_at",
                described(time(), "When it happened, where that was told of later."),
            ),
            ("kind", choice(&AuditEvent::ALL.map(AuditEvent::name))),
            ("by", text()),
            ("about", list(text())),
            (
                "salt",
                described(
                    text(),
                    "16 bytes in base64url. The entry's leaf in the day's tree (RFC 6962) is the \
                     SHA-256 of a zero byte, the salt, and the entry without it in canonical \
                     JSON (RFC 8785).",
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
                    "The root of the tree over the day's entries (RFC 6962, SHA-256), in base64url.",
                ),
            ),
            (
                "jws",
                described(
                    text(),
                    "Day, entries, root and the root of the day before, signed: a compact JWS \
                     (ES256) that the keys at /.well-known/jwks.json verify.",
                ),
            ),
            (
                "leaves",
                described(
                    list(text()),
                    "Where one day is asked for: its leaves, in the order of the entries' ids. What a \
                     page does not hold comes with its cursor.",
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
                    described(or_null(id("job")), "The erasure that has been asked for."),
                ),
                ("erased_at", or_null(time())),
                (
                    "receipt",
                    described(or_null(text()), "Its signed receipt: a compact JWS."),
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
