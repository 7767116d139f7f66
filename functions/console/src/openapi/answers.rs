//! Schemas of the answers, derived from the types that the functions answer with.

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use shared::domain::audit::entry::EntryView;
use shared::domain::erasure::outcome::ErasureCounts;
use shared::domain::jobs::JobView;
use shared::domain::people::profile::ProfileView;
use shared::domain::records::view::RecordView;
use shared::domain::tenant::settings::Settings;
use shared::domain::{erasure, export, redaction};
use shared::http::answers::{
    AnnouncedAttachment, AttachmentState, EventResults, FoundPeople, Health, KeyView, NewKey,
    NewTenant, PersonRow, PrivacyConfig, RedactionResults, SealView, SettingsPreview, TenantView,
};
use shared::http::page::Page;
use shared::http::problem::Problem;

use super::reference;
use super::shape::{described, list, object, text, whole};

type ErasureJob = JobView<erasure::outcome::Outcome>;
type ExportJob = JobView<export::Outcome>;
type RedactionJob = JobView<redaction::Outcome>;

/// Every schema of an answer, by name.
pub fn schemas() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .with_transform(plain)
        .into_generator();
    let add: &[fn(&mut SchemaGenerator)] = &[
        add::<Problem<'_>>,
        add::<Health>,
        add::<EventResults>,
        add::<AnnouncedAttachment>,
        add::<PrivacyConfig<'_>>,
        add::<ProfileView>,
        add::<Page<PersonRow>>,
        add::<FoundPeople>,
        add::<Page<RecordView>>,
        add::<AttachmentState>,
        add::<ErasureCounts>,
        add::<Page<ErasureJob>>,
        add::<Page<ExportJob>>,
        add::<Page<RedactionJob>>,
        add::<RedactionResults>,
        add::<Settings>,
        add::<SettingsPreview>,
        add::<Page<KeyView>>,
        add::<NewKey>,
        add::<Page<EntryView>>,
        add::<Page<SealView>>,
        add::<Page<TenantView>>,
        add::<NewTenant>,
    ];
    add.iter().for_each(|add| add(&mut generator));
    let mut schemas = generator.take_definitions(true);
    schemas.extend(others().map(|(name, schema)| (name.to_owned(), schema)));
    schemas
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// The schema as a client needs it: integers without Rust's formats, descriptions in one line,
/// and optional fields without `null`, since they are left out instead.
pub fn plain(schema: &mut Schema) {
    transform_subschemas(&mut plain, schema);
    let format = schema.get("format").and_then(Value::as_str);
    if format.is_some_and(|format| format.starts_with("uint")) {
        schema.remove("format");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    let required = schema.get("required").cloned();
    if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        let optional = |name: &str| {
            let names = required.iter().filter_map(Value::as_array).flatten();
            !names.into_iter().any(|required| required == name)
        };
        let optional = fields.iter_mut().filter(|(name, _)| optional(name));
        optional.for_each(|(_, field)| never_null(field));
    }
}

fn never_null(field: &mut Value) {
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|name| name != "null");
        field["type"] = types[0].take();
    }
    if let Some(Value::Array(names)) = field.get_mut("enum") {
        names.retain(|name| !name.is_null());
    }
    let Some(Value::Array(choices)) = field.get("anyOf") else {
        return;
    };
    let rest: Vec<_> = choices.iter().filter(|it| it["type"] != "null").collect();
    if let (true, [Value::Object(only)]) = (rest.len() < choices.len(), rest.as_slice()) {
        let only = only.clone();
        if let Value::Object(field) = field {
            field.remove("anyOf");
            field.extend(only);
        }
    }
}

/// Answers that are not made by this project's own types.
fn others() -> [(&'static str, Value); 6] {
    let word = |word: &str| json!({"const": word});
    let signing_key = whole(vec![
        ("kty", word("EC")),
        ("crv", word("P-256")),
        ("x", text()),
        ("y", text()),
        ("alg", word("ES256")),
        ("use", word("sig")),
        (
            "kid",
            described(text(), "The thumbprint of the key (RFC 7638)."),
        ),
    ]);
    let description = object(
        &["openapi", "info", "paths"],
        vec![
            ("openapi", text()),
            ("info", object(&[], vec![])),
            ("paths", object(&[], vec![])),
        ],
    );
    let replaced = ["Settings", "SettingsPreview"].map(|name| reference("schemas", name));
    [
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
        ("Description", description),
        ("KeySet", whole(vec![("keys", list(signing_key))])),
        ("ReplacedSettings", json!({"oneOf": replaced})),
    ]
}
