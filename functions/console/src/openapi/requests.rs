//! Schemas of request bodies. Which fields there are, and how long they may be, comes
//! from the catalog. Every object refuses what it does not name.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use shared::domain::records::content::{Basis, GivenBy};
use shared::domain::tenant::settings::Settings;
use shared::http::routes::Scope;
use shared::schema::catalog::{self, Category, Field, Kind, Record};

use super::answers::plain;
use super::reference;
use super::shape::{choice, described, id, only, time};

/// A name without control characters.
const PLAIN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// A name that is kept for good, and so holds nothing personal.
const CODE: &str = "^[A-Za-z0-9._-]{1,64}$";

/// An origin: a host by its name or its address (IPv4), and a port if need be.
const ORIGIN: &str = concat!(
    "^https?://",
    r"(([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?",
    r"|((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]))",
    "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$",
);

/// Every schema of a request.
pub fn schemas() -> Map<String, Value> {
    Map::from_iter(
        [
            ("Events", events()),
            ("Visit", visit()),
            ("Identify", identify()),
            ("Message", message()),
            ("Interaction", interaction()),
            ("Session", session()),
            ("ConsentGiven", consent()),
            ("NotSaid", not_said()),
            ("AttachmentAnnouncement", attachment()),
            ("Correction", correction()),
            ("Lookup", lookup()),
            ("Redaction", redaction()),
            ("Erasure", erasure()),
            ("Export", export()),
            ("Hold", hold()),
            ("SettingsReplacement", settings()),
            ("KeyRequest", key()),
            ("TenantRequest", object(&[], vec![])),
        ]
        .map(|(name, schema)| (name.to_owned(), schema)),
    )
}

/// An object of these fields and no others.
fn object(required: &[&str], fields: Vec<(&str, Value)>) -> Value {
    let fields = fields
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema));
    let mut object = json!({
        "type": "object",
        "properties": Value::Object(fields.collect()),
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn code() -> Value {
    json!({"type": "string", "pattern": CODE})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "default": false, "description": description})
}

/// What a kind of field accepts: the plain forms. More is read than these say.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::Text(limit) => json!({
            "type": "string",
            "maxLength": limit,
            "description": "A single line. Line breaks and other control characters become \
                            spaces.",
        }),
        Kind::Body(limit) => json!({
            "type": "string",
            "maxLength": limit,
            "description": format!("At most {limit} bytes of UTF-8."),
        }),
        Kind::Url(limit) => json!({
            "type": "string",
            "format": "uri",
            "pattern": "^https?://",
            "maxLength": limit,
            "description": "The length limit applies to the stored URL, without the parts that \
                            `store_url` drops.",
        }),
        Kind::Address => json!({
            "type": "string",
            "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}],
            "description": "Can also have a port, brackets or a zone, or be the first address in \
                            a list, as proxies write it.",
        }),
        Kind::Email => json!({
            "type": "string",
            "format": "email",
            "maxLength": 254,
            "description": "Stored as sent, without invisible characters. Lookups ignore case \
                            and accept both forms of an internationalized domain.",
        }),
        Kind::Phone => json!({
            "type": "string",
            "pattern": r"^\+?[-.()/ ]*([0-9][-.()/ ]*){3,15}((ext\.?|x|;ext=) ?[0-9]{1,7})?$",
            "maxLength": 64,
            "description": "3 to 15 digits of any script, with optional spaces, dashes, `tel:` \
                            prefix and extension. Lookups use the E.164 form of an international \
                            number (`+` or `00`), without the extension and without the domestic \
                            `(0)`.",
        }),
        Kind::Name(limit) => {
            json!({"type": "string", "minLength": 1, "maxLength": limit, "pattern": PLAIN})
        }
        Kind::Custom => json!({
            "type": "object",
            "maxProperties": 50,
            "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": PLAIN},
            "additionalProperties": {
                "type": ["string", "number", "boolean", "null"],
                "maxLength": 1024,
            },
        }),
    }
}

/// What a field of the catalog accepts.
pub fn field(record: Record, name: &str) -> Value {
    let row = catalog::field(record, name).expect("the name is a row of the catalog");
    value(row.kind)
}

/// The fields of a category of a record, by the catalog.
fn fields_of(record: Record, category: Category) -> Vec<(&'static str, Value)> {
    catalog::fields(record, category)
        .map(|row| (row.name, value(row.kind)))
        .collect()
}

/// A field that may say nothing. SDKs send `null` or an empty text for what they do not know.
fn optional(schema: Value) -> Value {
    json!({"anyOf": [schema, reference("schemas", "NotSaid")]})
}

fn not_said() -> Value {
    let says = "No value. Equivalent to omitting the field.";
    described(
        json!({"type": ["string", "null"], "pattern": r"^\s*$"}),
        says,
    )
}

fn optional_fields_of(record: Record, category: Category) -> Vec<(&'static str, Value)> {
    let fields = fields_of(record, category).into_iter();
    fields
        .map(|(name, schema)| (name, optional(schema)))
        .collect()
}

/// An event of a type: what all have, and what this one adds.
fn event(kind: &str, required: &[&str], mut fields: Vec<(&'static str, Value)>) -> Value {
    fields.extend([
        ("type", json!({"const": kind})),
        ("visitor_id", field(Record::Person, "visitor_id")),
        ("id", json!({"type": "string", "format": "uuid", "description": "The sender's ID for \
            the event. A message that is sent again is stored once."})),
        ("at", json!({"type": "string", "format": "date-time", "description": "When the event \
            happened: at most 24 hours ago or 5 minutes ahead. The default is the current time."})),
        ("full_privacy", flag("Drops custom values and device IDs from this event.")),
        ("visitor_token", json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "description": "A JWT for the visitor ID, signed by the tenant's server. It verifies \
                            the visitor ID, and the identity and contact values that its claims \
                            contain.",
        })),
    ]);
    let required = [&["type", "visitor_id"], required].concat();
    let fields = fields.into_iter().map(|(name, schema)| {
        let schema = match required.contains(&name) {
            true => schema,
            false => optional(schema),
        };
        (name, schema)
    });
    object(&required, fields.collect())
}

fn events() -> Value {
    const KINDS: [(&str, &str); 5] = [
        ("visit", "Visit"),
        ("identify", "Identify"),
        ("message", "Message"),
        ("interaction", "Interaction"),
        ("session", "Session"),
    ];
    let mapping = KINDS.map(|(kind, schema)| {
        (
            kind.to_owned(),
            json!(format!("#/components/schemas/{schema}")),
        )
    });
    let event = json!({
        "oneOf": KINDS.map(|(_, schema)| reference("schemas", schema)),
        "discriminator": {"propertyName": "type", "mapping": Map::from_iter(mapping)},
        "description": "An event that lacks a required field, has an unknown field, is too old \
                        or cannot be parsed is rejected in its own result. Any other field that \
                        cannot be parsed is left out and named in the result.",
    });
    let list = json!({"type": "array", "minItems": 1, "maxItems": 100, "items": event});
    object(&["events"], vec![("events", list)])
}

fn visit() -> Value {
    let mut fields = fields_of(Record::Visit, Category::Network);
    fields.push((
        "device",
        object(&[], optional_fields_of(Record::Visit, Category::Device)),
    ));
    event("visit", &[], fields)
}

fn identify() -> Value {
    let mut fields = fields_of(Record::Person, Category::Identity);
    fields.extend(fields_of(Record::Person, Category::Contact));
    fields.extend([
        ("custom", field(Record::Person, "custom")),
        ("consent", reference("schemas", "ConsentGiven")),
    ]);
    event("identify", &[], fields)
}

fn consent() -> Value {
    object(
        &["basis"],
        vec![
            ("basis", choice(&Basis::ALL.map(Basis::name))),
            ("source", optional(code())),
            (
                "given_by",
                optional(choice(&GivenBy::ALL.map(GivenBy::name))),
            ),
            ("at", optional(time())),
        ],
    )
}

fn message() -> Value {
    let attachments = json!({"type": "array", "maxItems": 20, "items": id("att")});
    let fields = vec![
        (
            "conversation_id",
            field(Record::Conversation, "conversation_id"),
        ),
        ("title", field(Record::Conversation, "title")),
        ("author", choice(&["end_user", "agent"])),
        ("member", code()),
        ("body", field(Record::Message, "body")),
        ("attachments", attachments),
    ];
    event("message", &["conversation_id", "author", "body"], fields)
}

fn interaction() -> Value {
    let mut fields = fields_of(Record::Interaction, Category::Usage);
    fields.push(("action", choice(&["loaded", "viewed", "clicked"])));
    event("interaction", &["item_id", "action"], fields)
}

fn session() -> Value {
    let fields = vec![
        ("member", code()),
        ("action", choice(&["started", "ended"])),
    ];
    event("session", &["member", "action"], fields)
}

fn attachment() -> Value {
    object(
        &["visitor_id", "filename", "content_type", "size", "sha256"],
        vec![
            ("visitor_id", field(Record::Person, "visitor_id")),
            (
                "conversation_id",
                optional(field(Record::Conversation, "conversation_id")),
            ),
            ("filename", field(Record::Attachment, "filename")),
            (
                "content_type",
                json!({
                    "type": "string",
                    "maxLength": 255,
                    "pattern": r"^[ \t]*([A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}[ \t]*)?(;[\s\S]*)?$",
                    "description": "The file's media type. Parameters are dropped. An empty \
                                    value means application/octet-stream.",
                    "examples": ["image/png", "audio/webm;codecs=opus", ""],
                }),
            ),
            (
                "size",
                json!({"type": "integer", "minimum": 1, "maximum": 25 * 1024 * 1024}),
            ),
            (
                "sha256",
                json!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}),
            ),
        ],
    )
}

/// A merge patch (RFC 7396): `null` removes.
fn correction() -> Value {
    let nullable = |row: &Field| json!({"anyOf": [value(row.kind), {"type": "null"}]});
    let part = |category| {
        let fields = catalog::fields(Record::Person, category)
            .filter(|row| row.name != "visitor_id")
            .map(|row| (row.name, nullable(row)));
        object(&[], fields.collect())
    };
    object(
        &[],
        vec![
            ("identity", part(Category::Identity)),
            ("contact", part(Category::Contact)),
            ("custom", field(Record::Person, "custom")),
        ],
    )
}

/// Exactly one of the values by which people are found.
fn lookup() -> Value {
    let found_by = catalog::FIELDS.iter().filter(|row| row.lookup);
    let mut fields = vec![("visitor_id", field(Record::Person, "visitor_id"))];
    fields.extend(found_by.map(|row| (row.name, value(row.kind))));
    let mut lookup = object(&[], fields);
    lookup["minProperties"] = json!(1);
    lookup["maxProperties"] = json!(1);
    lookup
}

fn redaction() -> Value {
    let message = || json!({"type": "string", "pattern": "^msg_[0-9a-f]{64}$"});
    let offset = |least| json!({"type": "integer", "minimum": least, "maximum": u32::MAX});
    let span = object(
        &["start", "end"],
        vec![("start", offset(0)), ("end", offset(1))],
    );
    let spans = json!({
        "type": "array",
        "minItems": 1,
        "maxItems": 2000,
        "items": span,
        "description": "Offsets in Unicode code points. `end` is exclusive.",
    });
    let hash = json!({"type": "string", "pattern": "^[0-9a-f]{32}$"});
    let conversation = field(Record::Conversation, "conversation_id");
    let target = |required: &[&str], mut fields: Vec<(&'static str, Value)>| {
        fields.push(("subject", id("sub")));
        object(required, fields)
    };
    let target = json!({"oneOf": [
        target(&["message"], vec![("message", message())]),
        target(
            &["message", "content_hash", "spans"],
            vec![("message", message()), ("content_hash", hash), ("spans", spans)],
        ),
        target(&["attachment"], vec![("attachment", id("att"))]),
        target(&["conversation"], vec![("conversation", conversation)]),
    ]});
    let targets = json!({"type": "array", "minItems": 1, "maxItems": 1000, "items": target});
    let mut redaction = object(
        &["targets"],
        vec![
            ("subject", id("sub")),
            ("reason", code()),
            ("targets", targets),
        ],
    );
    redaction["anyOf"] = json!([
        {"required": ["subject"]},
        {"properties": {"targets": {"items": {
            "properties": {"subject": id("sub")},
            "required": ["subject"],
        }}}},
    ]);
    redaction
}

fn erasure() -> Value {
    let list =
        |item: Value| json!({"type": "array", "minItems": 1, "maxItems": 5000, "items": item});
    let way = |required: &[&str], fields: Vec<(&'static str, Value)>| {
        let always = vec![
            ("reason", code()),
            ("reference", code()),
            (
                "dry_run",
                flag("Counts what would be deleted, without making changes."),
            ),
        ];
        // The last of a name stands: a way may say more of a field that all have.
        object(required, [always, fields].concat())
    };
    let people = |name: &'static str, whom: Value, all: Value| {
        let suppress = flag("Prevents the people from being stored again.");
        way(
            &[name],
            vec![
                (name, whom),
                ("all", all),
                ("suppress", suppress),
                ("tenant", only(false)),
            ],
        )
    };
    let all = flag(
        "Erases everyone that the lookup matches. Otherwise, the lookup must match one person.",
    );
    let not_before = "When the erasure starts, at most 30 days ahead. The default is one day \
                      ahead.";
    let whom = "Erases all people and the tenant itself. Only the tenant's owner can do this.";
    let tenant = |required: (&'static str, Value)| {
        let fields = vec![
            ("tenant", described(only(true), whom)),
            ("not_before", described(time(), not_before)),
            ("all", only(false)),
            ("suppress", only(false)),
        ];
        way(&["tenant", required.0], [fields, vec![required]].concat())
    };
    let confirm = described(id("ten"), "The tenant's own ID.");
    json!({"oneOf": [
        people("subjects", list(id("sub")), only(false)),
        people("visitors", list(field(Record::Person, "visitor_id")), only(false)),
        people("lookup", reference("schemas", "Lookup"), all),
        tenant(("confirm", confirm)),
        tenant(("dry_run", only(true))),
    ]})
}

fn export() -> Value {
    let of = |name: &'static str, whom: Value| {
        let kinds =
            json!({"type": "string", "enum": ["access", "portability"], "default": "access"});
        let agents = flag("Includes the names of the agents who wrote.");
        object(
            &[name],
            vec![(name, whom), ("kind", kinds), ("include_agents", agents)],
        )
    };
    json!({"oneOf": [
        of("subject", id("sub")),
        of("lookup", reference("schemas", "Lookup")),
    ]})
}

fn hold() -> Value {
    let until = json!({
        "type": "string",
        "format": "date-time",
        "description": "When the hold ends automatically: in the future, at most ten years ahead.",
    });
    object(&["reason"], vec![("reason", code()), ("until", until)])
}

/// The settings as they are sent. Each field has a default.
fn settings() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let generator = settings.with_transform(plain).into_generator();
    generator.into_root_schema_for::<Settings>().to_value()
}

/// A key that may stand in a page does nothing else, and may be bound to pages.
fn key() -> Value {
    let scopes = |words: &[&str]| {
        json!({
            "type": "array",
            "minItems": 1,
            "maxItems": Scope::ALL.len(),
            "items": choice(words),
        })
    };
    let collect = Scope::Collect.name();
    let others: Vec<_> = Scope::ALL
        .map(Scope::name)
        .into_iter()
        .filter(|name| *name != collect)
        .collect();
    let origins = json!({
        "type": "array",
        "minItems": 1,
        "maxItems": 20,
        "items": {"type": "string", "pattern": ORIGIN, "not": {"pattern": "^(http://.*:80|https://.*:443)$"}},
        "description": "Origins as browsers send them (RFC 6454), without the default port of \
                        the scheme.",
    });
    let reference = || ("reference", code());
    json!({"oneOf": [
        object(&["scopes"], vec![("scopes", scopes(&others)), reference()]),
        object(
            &["scopes"],
            vec![("scopes", scopes(&[collect])), ("allowed_origins", origins), reference()],
        ),
    ]})
}
