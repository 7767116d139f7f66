//! Reading a body that senders have not written quite as they should: half a surrogate pair
//! becomes U+FFFD, and an item of a list of independent ones is lost alone. Pure.

use std::borrow::Cow;

use serde_json::{Deserializer, Map, Value};

/// A body in JSON. An item of its list `each` that does not parse reads as `null`.
pub fn read(body: &[u8], each: Option<&str>) -> Option<Value> {
    value(body).or_else(|| one_by_one(body, each?))
}

fn value(text: &[u8]) -> Option<Value> {
    let strict = serde_json::from_slice(text);
    strict
        .or_else(|_| serde_json::from_slice(&whole_pairs(text)))
        .ok()
}

/// The body, an object, with the items of a list each parsed by itself.
fn one_by_one(body: &[u8], list: &str) -> Option<Value> {
    let mut object = Map::new();
    let inner = body.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    for member in split(inner)? {
        let mut names = Deserializer::from_slice(member).into_iter::<String>();
        let name = names.next()?.ok()?;
        let text = member[names.byte_offset()..].trim_ascii_start();
        let text = text.strip_prefix(b":")?.trim_ascii();
        let items = text.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"));
        let value = match items.filter(|_| name == list) {
            Some(items) => split(items)?
                .into_iter()
                .map(|it| value(it).unwrap_or_default())
                .collect(),
            None => value(text)?,
        };
        object.insert(name, value);
    }
    Some(Value::Object(object))
}

/// The parts of the inside of an object or list, which commas part. Quotes and brackets
/// alone say where a part ends, whatever else is wrong with it. `None` where they do not
/// match, or a part is empty: then nothing says where the others end.
fn split(inner: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in inner.iter().enumerate() {
        if quoted {
            quoted = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                parts.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    let whole = depth == 0 && !quoted && parts.iter().all(|part| !part.trim_ascii().is_empty());
    whole.then_some(parts)
}

/// The text with U+FFFD, as an escape, in the place of every half of a surrogate pair that
/// stands alone: browsers cut strings between the two (RFC 8259, 8.2).
fn whole_pairs(text: &[u8]) -> Cow<'_, [u8]> {
    let mut whole = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(next) = text[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        let (first, second) = (escape(text, at), escape(text, at + 6));
        let (high, low) = (0xd800..0xdc00, 0xdc00..0xe000);
        at += match (first, second) {
            (Some(first), Some(second)) if high.contains(&first) && low.contains(&second) => 12,
            (Some(half), _) if high.contains(&half) || low.contains(&half) => {
                whole.to_mut()[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            // Whatever is escaped: the next escape begins behind it.
            _ => 2.min(text.len() - at),
        };
    }
    whole
}

/// The code unit of the escape at a place (`\u0041`), if one stands there.
fn escape(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn events(text: impl AsRef<[u8]>) -> Option<Value> {
        read(text.as_ref(), Some("events"))
    }

    #[test]
    fn half_a_pair_is_replaced_wherever_it_stands() {
        for (sent, read) in [
            (r"cut \ud83d", "cut \u{fffd}"),
            (r"\ude00 cut", "\u{fffd} cut"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\uD83D\n\uDE00", "\u{fffd}\n\u{fffd}"),
            (r"\\ud83d \ud83d", r"\ud83d �"),
            (r"\ud83d\\", "\u{fffd}\\"),
            (r"\ud83d\ude00", "😀"),
        ] {
            let text = format!(r#"{{"a": "{sent}"}}"#);
            assert_eq!(
                super::read(text.as_bytes(), None),
                Some(json!({"a": read})),
                "{sent}"
            );
        }
        for cut in [
            r#"{"a": "\"#,
            r#"{"a": "\ud8"#,
            r#"{"a": "\ud83d"#,
            r#"{"a": "\ud83g"}"#,
            "\\",
        ] {
            assert_eq!(super::read(cut.as_bytes(), None), None, "{cut}");
        }
    }

    #[test]
    fn an_item_that_does_not_parse_is_lost_alone() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        for bad in [
            r#"{"n": 1e400}"#,
            r#"{"n": -1e999999}"#,
            r#"{"n": NaN}"#,
            r#"{"n": 1,}"#,
            r#"{"n" 1}"#,
            r#"{"n": "\x"}"#,
            "{\"n\": \"a\nb\"}",
            r#"{"n": "a,b]}", "m": 1e400}"#,
            r#"{"n": "\"", "m": 1e400}"#,
            r#"{"n": "\\", "m": 1e400}"#,
            "undefined",
            deep.as_str(),
        ] {
            let body = format!(r#" {{"events": [{{"a": 1}}, {bad} ,{{"b": [2, 3]}}]}} "#);
            let expected = json!({"events": [{"a": 1}, null, {"b": [2, 3]}]});
            assert_eq!(events(&body), Some(expected), "{bad:.40}");
            assert_eq!(
                read(body.as_bytes(), None),
                None,
                "elsewhere it is no JSON: {bad:.40}"
            );
        }
        let cut = [b"{\"events\": [1, \"\xf0\x9f\x98\", 2]}".as_slice()].concat();
        assert_eq!(events(cut), Some(json!({"events": [1, null, 2]})));
    }

    #[test]
    fn what_is_wrong_outside_of_the_list_is_no_json() {
        for bad in [
            "",
            "{",
            "[1e400]",
            r#"{"events": [1e400]"#,
            r#"{"events": [1e400}"#,
            r#"{"events": 1e400}"#,
            r#"{"events": [1], "n": 1e400}"#,
            r#"{"other": [1e400]}"#,
            r#"{events: [1]}"#,
            r#"{"events" [1e400]}"#,
            r#"{"events": [1e400]},"#,
            r#"{"events": [1]}{"events": [1]}"#,
            r#"{"events": [1,]}"#,
            r#"{"events": [1e400, ,1]}"#,
            r#"{"events": [1e400}, {1]}"#,
            r#"{"events": [1e400, "]}"#,
        ] {
            assert_eq!(events(bad), None, "{bad}");
        }
    }

    /// A text of what decides where a part ends.
    fn text() -> impl Strategy<Value = String> {
        let letters = prop::sample::select(r#"{}[]",:\ud83e01 é😀"#.chars().collect::<Vec<_>>());
        prop::collection::vec(letters, 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn good_items_outlive_any_bad_one(
            said in text(),
            bad in prop::sample::select(&["1e400", r#"{"a": NaN}"#, r#"["\q"]"#, "tru"][..]),
        ) {
            let good = json!({"said": said, "list": [said]});
            let body = format!(r#"{{"events": [{good}, {bad}, {good}]}}"#);
            prop_assert_eq!(events(body), Some(json!({"events": [good, null, good]})));
        }

        #[test]
        fn nothing_makes_it_panic(text in text()) {
            let _read = (events(&text), events(format!("{{\"events\": [{text}]}}")));
        }
    }
}
