//! The shapes that schemas are made of.

use serde_json::{Value, json};

/// An object that has at least the fields named as required.
pub fn object(required: &[&str], fields: Vec<(&str, Value)>) -> Value {
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
pub fn whole(fields: Vec<(&'static str, Value)>) -> Value {
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    object(&names, fields)
}

pub fn text() -> Value {
    json!({"type": "string"})
}

/// A flag with the one value that is possible here. A generator of clients reads an
/// enumeration where it stumbles over a constant.
pub fn only(value: bool) -> Value {
    json!({"type": "boolean", "enum": [value]})
}

pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

pub fn choice(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

pub fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// 32 digits of lower-case hexadecimal behind a prefix, as every id has them.
pub fn id(prefix: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{prefix}_[0-9a-f]{{32}}$")})
}

/// A moment, as RFC 3339 writes it.
pub fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}
