//! Schemas of answers about a person: what is kept of them, and their records.

use serde_json::{Value, json};
use shared::domain::records::content::FileState;
use shared::schema::catalog::{self, Category, Record};

use super::reference;
use super::shape::Schema;
use super::shape::{
    choice, count, id, list, message_id, object, or_null, text, time, whole, yes_or_no,
};

/// Every one of them.
pub fn schemas() -> Vec<Schema> {
    let row = object(
        &["subject", "last_seen", "expires_at", "state", "verified"],
        vec![
            ("subject", id("sub")),
            ("last_seen", or_null(time())),
            ("expires_at", or_null(time())),
            (
                "state",
                choice(&["active", "held", "restricted", "objected", "suppressed"]),
            ),
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
            "restriction",
            "objection",
            "hold",
            "counts",
        ],
        vec![
            ("subject", id("sub")),
            ("visitor_id", or_null(text())),
            (
                "state",
                choice(&["active", "held", "restricted", "objected"]),
            ),
            ("created_at", time()),
            ("last_seen", time()),
            ("expires_at", or_null(time())),
            ("identity", kept(Record::Person, Category::Identity)),
            ("contact", kept(Record::Person, Category::Contact)),
            ("network", kept(Record::Visit, Category::Network)),
            ("device", kept(Record::Visit, Category::Device)),
            ("custom", json!({"type": "object"})),
            ("consent", or_null(reference("schemas", "Consent"))),
            (
                "consent_withdrawn",
                list(reference("schemas", "WithdrawnConsent")),
            ),
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
            "Verdict",
            whole(vec![
                ("media_type", text()),
                ("reasons", list(text())),
                ("rules", list(text())),
                ("scanned_at", or_null(time())),
            ]),
        ),
        ("Consent", object(&["basis", "verified"], consent())),
        (
            "WithdrawnConsent",
            object(
                &["basis", "verified", "withdrawn_at"],
                [consent(), vec![("withdrawn_at", time())]].concat(),
            ),
        ),
        (
            "AttachmentState",
            object(
                &["state", "verdict", "download"],
                vec![
                    ("state", choice(&FileState::ALL.map(FileState::name))),
                    ("verdict", or_null(reference("schemas", "Verdict"))),
                    ("download", or_null(download)),
                ],
            ),
        ),
    ]
}

fn consent() -> Vec<(&'static str, Value)> {
    vec![
        ("basis", text()),
        ("source", text()),
        ("given_by", text()),
        ("at", time()),
        ("verified", yes_or_no()),
    ]
}

/// What is kept of a category: any of the catalog's fields.
fn kept(record: Record, category: Category) -> Value {
    // The visitor id stands beside the categories.
    let fields = catalog::fields(record, category).filter(|row| row.name != "visitor_id");
    object(&[], fields.map(|row| (row.name, text())).collect())
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
            ("verdict", reference("schemas", "Verdict")),
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
