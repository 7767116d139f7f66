//! How the activity log treats names, and what proves that it was not changed: an id that
//! looks personal is masked; a day that is over becomes a tree whose root is signed. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

use crate::merkle::Hash;

/// The `typ` of a day's seal: a signed statement (JWS) with the claims `tenant`, `day`,
/// `entries`, `root`, `previous` (the root of the day before, `null` on the first) and
/// `iat`.
pub const SEAL: &str = "lethe-seal";

/// Bytes of an entry's salt.
pub const SALT: usize = 16;

/// An entry's leaf in the tree of its day: its salt, then the rest of it as the API shows
/// it, in canonical JSON (RFC 8785). `None` for what is no entry.
///
/// Whatever is shown of an entry is thereby sealed, so one that is written already must be
/// shown the same for ever: a new field may stand only in entries that have it.
pub fn leaf(entry: &Value) -> Option<Hash> {
    let mut fields: BTreeMap<_, _> = entry.as_object()?.iter().collect();
    let salt = BASE64URL.decode(fields.remove(&"salt".to_owned())?.as_str()?);
    let salt = salt.ok().filter(|salt| salt.len() == SALT)?;
    // Texts and lists of texts alone: for these, sorted fields are all that RFC 8785 asks.
    let text = serde_json::to_vec(&fields).ok()?;
    Some(Hash::leaf(&[&salt, &text]))
}

/// Masks a name that looks like a person's: an e-mail address, a telephone number, a full
/// name, also in the forms that they have in URLs and user names. Leaves ids alone.
pub fn mask(name: &str) -> String {
    let plain = ["%40", "%20", "%2B", "%2b"]
        .into_iter()
        .zip(["@", " ", "+", "+"])
        .fold(name.to_owned(), |name, (form, plain)| {
            name.replace(form, plain)
        });
    let personal = plain.contains('@')
        || plain.contains(char::is_whitespace)
        || !plain.is_ascii()
        || is_phone(&plain)
        || is_full_name(&plain);
    match plain.chars().next() {
        Some(first) if personal => format!("{first}…"),
        _ => name.to_owned(),
    }
}

/// As many digits as telephone numbers have (E.164), and nothing but what they are written
/// with.
fn is_phone(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    (7..=15).contains(&digits)
        && name
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.()/ _".contains(c))
}

/// `ada.lovelace`, `a.lovelace`, `Ada.King.Lovelace`: words of letters, joined by dots, as
/// in user names. Codes and ids are joined otherwise.
fn is_full_name(name: &str) -> bool {
    let words: Vec<_> = name.split('.').collect();
    let letters = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic());
    (2..=4).contains(&words.len())
        && words.iter().all(letters)
        && words.last().is_some_and(|word| word.len() > 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_looks_personal_is_masked() {
        for (name, masked) in [
            ("ada@example.com", "a…"),
            ("ada%40example.com", "a…"),
            ("ada.lovelace%40example.com", "a…"),
            ("+49 151 234567", "+…"),
            ("%2B49151234567", "+…"),
            ("4915199887766", "4…"),
            ("0151_234-567", "0…"),
            ("(0151) 234567", "(…"),
            ("Ada Lovelace", "A…"),
            ("Ada%20Lovelace", "A…"),
            ("ada.lovelace", "a…"),
            ("A.Lovelace", "A…"),
            ("ada.king.lovelace", "a…"),
            ("Zoë", "Z…"),
        ] {
            assert_eq!(mask(name), masked, "{name}");
        }
    }

    #[test]
    fn ids_and_codes_are_left_alone() {
        for name in [
            "key_0192",
            "key_0f6d0e0c102f38190f6d0e0c102f3819",
            "mem_7",
            "lethe",
            "operator",
            "agent-7",
            "support_team",
            "gdpr-request",
            "art.17",
            "v1.2.3",
            "100200",
            "2f1c1a52-6d2b-4f6e-9a54-0d4f3cf4b1aa",
            "00000000-0000-4000-8000-000000000000",
            "a.b",
            "",
        ] {
            assert_eq!(mask(name), name);
        }
    }

    proptest! {
        #[test]
        fn every_id_is_left_alone(id in any::<u128>()) {
            let uuid = Uuid::from_u128(id);
            let ids = ["key_", "mem_", "job_", "life_", ""].map(|prefix| format!("{prefix}{}", uuid.simple()));
            for name in ids.into_iter().chain([uuid.to_string()]) {
                prop_assert_eq!(mask(&name), name);
            }
        }
    }

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
