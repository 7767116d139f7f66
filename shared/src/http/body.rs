//! Reading a body that senders have not written quite as they should: half a surrogate pair
//! becomes U+FFFD, and an item of a list of independent ones is lost alone. A name that an
//! object has twice is refused: readers differ in which of the two counts (RFC 8259, 4). Pure.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

use crate::base::error::{Error, Result};
use crate::schema::violations::pointer;

/// A body in JSON. An item of its list `each` that does not parse reads as `null`.
///
/// # Errors
/// [`Error::NotJson`], or [`Error::Invalid`] with the place of a name that is given twice.
pub fn read(body: &[u8], each: Option<&str>) -> Result<Value> {
    value(body).or_else(|error| each.and_then(|list| one_by_one(body, list)).ok_or(error))
}

fn value(text: &[u8]) -> Result<Value> {
    match strict(text) {
        Err(Error::NotJson) => strict(&whole_pairs(text)),
        read => read,
    }
}

fn strict(text: &[u8]) -> Result<Value> {
    let mut twice = None;
    let mut json = Deserializer::from_slice(text);
    let reader = Reader {
        place: &Place::Top,
        twice: &mut twice,
    };
    let read = reader.deserialize(&mut json);
    let read = read.and_then(|value| json.end().map(|()| value));
    read.map_err(|_| match twice {
        Some(place) => Error::field(place, "duplicate", "must not be repeated"),
        None => Error::NotJson,
    })
}

/// Where a value is in the body.
enum Place<'a> {
    Top,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Place::Top => String::new(),
            Place::Field(object, name) => pointer(&object.pointer(), name),
            Place::Item(list, at) => format!("{}/{at}", list.pointer()),
        }
    }
}

/// Reads a value as [`Value`] does, but for names that are given twice.
struct Reader<'a> {
    place: &'a Place<'a>,
    twice: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let reader = Reader {
                place: &Place::Item(self.place, items.len()),
                twice: &mut *self.twice,
            };
            match list.next_element_seed(reader)? {
                Some(item) => items.push(item),
                None => return Ok(items.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let place = Place::Field(self.place, &name);
            if fields.contains_key(&name) {
                *self.twice = Some(place.pointer());
                return Err(A::Error::custom("a name is given twice"));
            }
            let reader = Reader {
                place: &place,
                twice: &mut *self.twice,
            };
            let value = object.next_value_seed(reader)?;
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
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
            None => value(text).ok()?,
        };
        if object.insert(name, value).is_some() {
            return None;
        }
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

    fn read(text: &[u8], each: Option<&str>) -> Option<Value> {
        super::read(text, each).ok()
    }

    fn events(text: impl AsRef<[u8]>) -> Option<Value> {
        read(text.as_ref(), Some("events"))
    }

    #[test]
    fn a_name_given_twice_is_refused_by_its_place() {
        for (body, place) in [
            (r#"{"a": 1, "a": 1}"#, "/a"),
            (r#"{"a": 1, "\u0061": 1}"#, "/a"),
            (
                r#"{"a": [{}, {"b/c": {"d": 1, "d": 2}}], "a": 3}"#,
                "/a/1/b~1c/d",
            ),
            (r#"{"a": "\ud83d", "a": 1}"#, "/a"),
        ] {
            let Err(Error::Invalid(errors)) = super::read(body.as_bytes(), None) else {
                panic!("{body} is refused")
            };
            assert_eq!(
                (errors[0].pointer.as_str(), errors[0].code),
                (place, "duplicate")
            );
        }
        assert_eq!(events(r#"{"events": [], "events": []}"#), None);
        let others = json!({"events": [1, null, {"a": 1}]});
        assert_eq!(
            events(r#"{"events": [1, {"a": 1, "a": 1}, {"a": 1}]}"#),
            Some(others)
        );
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let body = r#"[null, true, -1, 18446744073709551615, 0.5, 1e300, "a\u00e9\n", {"a": []}]"#;
        let value: Value = serde_json::from_str(body).unwrap();
        assert_eq!(read(body.as_bytes(), None), Some(value));
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
                super::read(text.as_bytes(), None).ok(),
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
            assert_eq!(read(cut.as_bytes(), None), None, "{cut}");
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
