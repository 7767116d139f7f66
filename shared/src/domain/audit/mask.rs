//! How the audit log treats names: an id that looks personal is masked. Pure.

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
}
