//! The leaf of an audit event in the Merkle tree of its day. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

use crate::proof::merkle::Hash;

/// The `typ` of a signed log root (the seal of a day): a JWS with the claims `tenant`, `day`,
/// `entries`, `root`, `previous` (the root of the previous day, `null` on the first) and
/// `iat`.
pub const SEAL: &str = "lethe-seal";

/// Length of an entry's salt, in bytes.
pub const SALT: usize = 16;

/// An entry's leaf in the tree of its day: its salt, then the entry as the API shows it, in
/// canonical JSON (RFC 8785). `None` when `entry` is not an entry.
///
/// The leaf seals everything that the API shows of an entry. A stored entry must therefore be
/// shown unchanged for ever; a new field may appear only in entries that have it.
pub fn leaf(entry: &Value) -> Option<Hash> {
    let mut fields: BTreeMap<_, _> = entry.as_object()?.iter().collect();
    let salt = BASE64URL.decode(fields.remove(&"salt".to_owned())?.as_str()?);
    let salt = salt.ok().filter(|salt| salt.len() == SALT)?;
    // Only texts and lists of texts: for these, RFC 8785 requires no more than sorted fields.
    let text = serde_json::to_vec(&fields).ok()?;
    Some(Hash::leaf(&[&salt, &text]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_leaf_is_made_of_everything_that_an_entry_shows() {
        let entry = json!({"at": "2026-03-01T12:00:00Z", "kind": "key.created", "by": "key_1",
            "about": ["key_2"], "id": "act_1", "salt": "AAECAwQFBgcICQoLDA0ODw"});
        let text = r#"{"about":["key_2"],"at":"2026-03-01T12:00:00Z","by":"key_1","id":"act_1","kind":"key.created"}"#;
        let salt: Vec<_> = (0..16).collect();
        assert_eq!(leaf(&entry), Some(Hash::leaf(&[&salt, text.as_bytes()])));
        for name in ["at", "kind", "by", "about", "id", "salt", "new"] {
            let mut changed = entry.clone();
            changed[name] = json!("x");
            assert_ne!(leaf(&changed), leaf(&entry), "{name}");
        }
    }
}
