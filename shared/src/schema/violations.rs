//! Reads a request's JSON by field name and collects every violation with its pointer. Never
//! repeats submitted values. Pure.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::error::{Error, FieldError, Result};
use crate::schema::catalog::{self, Category, Record};
use crate::schema::normalize;

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldError>);

/// One object of the body being read, with its pointer.
pub struct Object<'a> {
    at: String,
    fields: &'a Map<String, Value>,
    lenient: bool,
}

impl Violations {
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: &str) {
        self.0.push(FieldError::new(pointer, code, message));
    }

    /// Reads an object. A field that is not in `known` is a violation.
    pub fn object<'a>(
        &mut self,
        value: &'a Value,
        at: impl Into<String>,
        known: &[&str],
    ) -> Option<Object<'a>> {
        let object = self.any_object(value, at)?;
        for name in object
            .fields
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
        {
            self.add(object.pointer(name), "unknown", "is not a known field");
        }
        Some(object)
    }

    /// Reads an object with arbitrary fields.
    pub fn any_object<'a>(
        &mut self,
        value: &'a Value,
        at: impl Into<String>,
    ) -> Option<Object<'a>> {
        let at = at.into();
        let Value::Object(fields) = value else {
            self.add(at, "type", "must be an object");
            return None;
        };
        Some(Object {
            at,
            fields,
            lenient: false,
        })
    }

    /// Whether there are no violations so far.
    pub fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// Every violation.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }

    /// The value that was read, if there are no violations.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every violation. A reader that returns `None` has added one.
    pub fn unless_any<T>(self, read: Option<T>) -> Result<T> {
        match read {
            Some(read) if self.none() => Ok(read),
            _ => Err(self.into()),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] with every violation, if there is one.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into())
        }
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Error {
        Error::Invalid(violations.0)
    }
}

impl<'a> Object<'a> {
    /// The JSON Pointer of a field.
    pub fn pointer(&self, name: &str) -> String {
        pointer(&self.at, name)
    }

    /// Treats `null` as absent, and an optional field's empty text or list as well: SDKs send
    /// these for unknown values.
    #[must_use]
    pub fn lenient(mut self) -> Object<'a> {
        self.lenient = true;
        self
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        let value = self.fields.get(name);
        value.filter(|value| !(self.lenient && value.is_null()))
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// An optional field, if it was sent with a value.
    pub fn said(&self, name: &str) -> Option<&'a Value> {
        let blank = |value: &Value| value.as_str().is_some_and(normalize::blank);
        self.get(name).filter(|it| !(self.lenient && blank(it)))
    }

    /// A text field, if it was sent.
    pub fn text(&self, name: &str, violations: &mut Violations) -> Option<&'a str> {
        let text = self.said(name)?.as_str();
        if text.is_none() {
            violations.add(self.pointer(name), "type", "must be a string");
        }
        text
    }

    /// A boolean field; false when it was not sent.
    pub fn flag(&self, name: &str, violations: &mut Violations) -> bool {
        let flag = self.said(name).map(Value::as_bool);
        if flag == Some(None) {
            violations.add(self.pointer(name), "type", "must be true or false");
        }
        flag.flatten().unwrap_or(false)
    }

    /// A field that `parse` accepts, if it was sent.
    pub fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        violations: &mut Violations,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(self.text(name, violations)?);
        if parsed.is_none() {
            violations.add(self.pointer(name), "format", expected);
        }
        parsed
    }

    /// A field of the catalog in its stored form, if it was sent.
    pub fn field(&self, record: Record, name: &str, violations: &mut Violations) -> Option<Value> {
        self.accept(record, name, self.said(name)?, violations)
    }

    /// A value of a catalog field in its stored form.
    pub fn accept(
        &self,
        record: Record,
        name: &str,
        value: &Value,
        violations: &mut Violations,
    ) -> Option<Value> {
        let row = catalog::field(record, name).expect("the name is a row of the catalog");
        match row.kind.accept(value) {
            Ok(value) => Some(value),
            Err((code, message)) => {
                violations.add(self.pointer(name), code, &message);
                None
            }
        }
    }

    /// The tenant's own values that can be stored, in their stored form, if they were sent.
    pub fn custom(&self, name: &str, violations: &mut Violations) -> Option<Map<String, Value>> {
        let mut sent = self.said(name)?.clone();
        if let (true, Value::Object(values)) = (self.lenient, &mut sent) {
            values.retain(|_, value| !value.is_null());
        }
        let (kept, at_fault) = match catalog::custom(&sent) {
            Ok(custom) => (Some(custom.kept), custom.at_fault),
            Err(misfit) => (None, vec![misfit]),
        };
        for (code, message) in at_fault {
            violations.add(self.pointer(name), code, &message);
        }
        kept
    }

    /// A text field of the catalog in its stored form, if it was sent.
    pub fn stored_text(
        &self,
        record: Record,
        name: &str,
        violations: &mut Violations,
    ) -> Option<String> {
        match self.field(record, name, violations)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A required text field of the catalog.
    pub fn required_text(
        &self,
        record: Record,
        name: &str,
        violations: &mut Violations,
    ) -> Option<String> {
        let Some(value) = self.get(name) else {
            violations.add(self.pointer(name), "required", "is required");
            return None;
        };
        match self.accept(record, name, value, violations)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The fields of one category in this object, in their stored form. Fields that are not
    /// `wanted` are not validated either.
    pub fn category(
        &self,
        record: Record,
        category: Category,
        wanted: impl Fn(&str) -> bool,
        violations: &mut Violations,
    ) -> Map<String, Value> {
        catalog::fields(record, category)
            .filter(|row| wanted(row.name))
            .filter_map(|row| {
                Some((
                    row.name.to_owned(),
                    self.field(record, row.name, violations)?,
                ))
            })
            .collect()
    }

    /// An integer in a range, if it was sent.
    pub fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u8>,
        violations: &mut Violations,
    ) -> Option<u8> {
        let number = self
            .said(name)?
            .as_u64()
            .and_then(|it| u8::try_from(it).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let expected = format!(
                "must be an integer from {} to {}",
                range.start(),
                range.end()
            );
            violations.add(self.pointer(name), "range", &expected);
        }
        number
    }

    /// One of a closed list of words, if it was sent.
    pub fn one_of<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        violations: &mut Violations,
    ) -> Option<T> {
        self.said(name)?;
        self.choice(name, choices, violations)
    }

    /// One of a closed list of words; required.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        violations: &mut Violations,
    ) -> Option<T> {
        let word = self.get(name).and_then(Value::as_str);
        let found = choices.iter().find(|(choice, _)| Some(*choice) == word);
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            let code = if self.has(name) { "choice" } else { "required" };
            violations.add(
                self.pointer(name),
                code,
                &format!("must be one of: {}", words.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A list of 1 to `most` values, if it was sent.
    pub fn list(
        &self,
        name: &str,
        most: usize,
        violations: &mut Violations,
    ) -> Option<&'a [Value]> {
        let Some(list) = self.said(name)?.as_array() else {
            violations.add(self.pointer(name), "type", "must be an array");
            return None;
        };
        if list.is_empty() && self.lenient {
            return None;
        }
        if list.is_empty() || list.len() > most {
            let expected = format!("must have 1 to {most} items");
            violations.add(self.pointer(name), "length", &expected);
            return None;
        }
        Some(list)
    }
}

/// The single value of a lookup: its kind (the visitor's own id, or a searchable field of the
/// catalog) and the value in its stored form. A value that could never have been stored is a
/// violation, not an empty result.
pub fn lookup(
    value: &Value,
    at: &str,
    violations: &mut Violations,
) -> Option<(&'static str, String)> {
    let kinds: Vec<_> = catalog::FIELDS
        .iter()
        .filter(|field| {
            field.record == Record::Person && (field.lookup || field.name == "visitor_id")
        })
        .map(|field| field.name)
        .collect();
    let fields = violations.object(value, at, &kinds)?;
    let mut given = kinds.iter().filter(|kind| fields.has(kind));
    let (Some(kind), None) = (given.next(), given.next()) else {
        let expected = format!("must have exactly one of: {}", kinds.join(", "));
        violations.add(at, "exactly_one", &expected);
        return None;
    };
    // Must be a text: the catalog may accept a number for one.
    fields.text(kind, violations)?;
    let value = fields.stored_text(Record::Person, kind, violations)?;
    Some((kind, value))
}

/// Errors of one event, or of one request, in a response.
const LISTED: usize = 20;
/// Bytes of errors in one answer. Their pointers hold the names that were sent, so an answer
/// would grow with the request past what Lambda can return.
pub const ROOM: usize = 256_000;

/// The errors that a response has room for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// The violations, or the fields that were left out.
    errors: Vec<FieldError>,
    /// The number of entries that were omitted. A response contains at most 20 errors per
    /// event or request, and 256 kB of errors in total.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

impl Listed {
    /// Lists errors until a response's [`ROOM`] is used up.
    pub fn new(mut errors: Vec<FieldError>, room: &mut usize) -> Listed {
        let all = errors.len();
        let fit = errors.iter().take(LISTED).take_while(|error| {
            let left = room.checked_sub(sent_size(error));
            *room = left.unwrap_or(*room);
            left.is_some()
        });
        let fit = fit.count();
        errors.truncate(fit);
        let more = all - fit;
        Listed {
            errors,
            more: (more > 0).then_some(more),
        }
    }
}

/// Bytes that a value takes in a response: Lambda returns JSON in which the body is a string.
pub fn sent_size(value: &impl Serialize) -> usize {
    let text = serde_json::to_string(value).expect("responses are plain data");
    let escaped = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\'));
    text.len() + escaped.count()
}

/// The JSON Pointer (RFC 6901) of a field.
pub fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The format of a `reason` or `reference`. Both are kept permanently, so free text is
/// refused.
pub fn code(text: &str) -> Option<&str> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_is_named_by_its_place_and_no_value_is_repeated() {
        let body = json!({"a/b": "canary", "text": 7, "list": [], "code": "canary!"});
        let mut violations = Violations::default();
        let object = violations
            .object(&body, "/in", &["text", "list", "code"])
            .unwrap();
        assert_eq!(object.text("text", &mut violations), None);
        assert_eq!(object.list("list", 3, &mut violations), None);
        let code = object.parsed("code", "must be a code", &mut violations, super::code);
        assert_eq!(code, None);
        let Err(Error::Invalid(errors)) = violations.end() else {
            panic!("there are violations")
        };
        let places: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(places, ["/in/a~1b", "/in/text", "/in/list", "/in/code"]);
        assert!(errors.iter().all(|error| !error.message.contains("canary")));
    }

    #[test]
    fn a_code_is_no_free_text() {
        for code in ["subject_request", "DSR-2026.7"] {
            assert_eq!(super::code(code), Some(code));
        }
        for refused in ["", "Ada Lovelace", "a@b", "call me"] {
            assert_eq!(super::code(refused), None, "{refused}");
        }
    }
}
