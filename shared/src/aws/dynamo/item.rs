//! One row, and how its attributes are read and written. Knows DynamoDB's types, not the
//! meaning of a row.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::base::error::{Error, Result};
use crate::crypto::Sealed;

/// The attributes of one row.
#[derive(Clone, Default)]
pub struct Item(pub(crate) HashMap<String, AttributeValue>);

/// An attribute value in DynamoDB's form.
#[derive(Clone)]
pub struct Attribute(pub(crate) AttributeValue);

impl From<&str> for Attribute {
    fn from(text: &str) -> Attribute {
        Attribute(AttributeValue::S(text.to_owned()))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Attribute {
        Attribute(AttributeValue::S(text))
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Attribute {
        Attribute(AttributeValue::Bool(flag))
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Attribute {
        Attribute(AttributeValue::N(number.to_string()))
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Attribute {
        Attribute(AttributeValue::N(number.to_string()))
    }
}

/// A timestamp is stored as milliseconds since the Unix epoch.
impl From<Timestamp> for Attribute {
    fn from(at: Timestamp) -> Attribute {
        at.as_millisecond().into()
    }
}

impl From<Sealed> for Attribute {
    fn from(sealed: Sealed) -> Attribute {
        sealed.0.into()
    }
}

impl From<Vec<u8>> for Attribute {
    fn from(bytes: Vec<u8>) -> Attribute {
        Attribute(AttributeValue::B(Blob::new(bytes)))
    }
}

impl From<&[Timestamp]> for Attribute {
    fn from(moments: &[Timestamp]) -> Attribute {
        let list = moments.iter().map(|at| Attribute::from(*at).0).collect();
        Attribute(AttributeValue::L(list))
    }
}

impl From<Vec<String>> for Attribute {
    /// A set. DynamoDB has no empty sets, so `texts` must not be empty.
    fn from(texts: Vec<String>) -> Attribute {
        Attribute(AttributeValue::Ss(texts))
    }
}

/// The primary key of a row.
pub(crate) fn key(partition: &str, sort: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("PK".to_owned(), AttributeValue::S(partition.to_owned())),
        ("SK".to_owned(), AttributeValue::S(sort.to_owned())),
    ])
}

impl Item {
    pub fn new(partition: &str, sort: &str) -> Item {
        Item(key(partition, sort))
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Attribute>) -> Item {
        self.0.insert(name.to_owned(), value.into().0);
        self
    }

    /// Sets an attribute if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Attribute>>) -> Item {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub fn partition(&self) -> &str {
        self.try_text("PK").unwrap_or_default()
    }

    pub fn sort(&self) -> &str {
        self.try_text("SK").unwrap_or_default()
    }

    pub fn try_text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    /// # Errors
    /// [`Error::Corrupt`] when the row lacks the attribute: it is not as it was written.
    pub fn text(&self, name: &'static str) -> Result<&str> {
        self.try_text(name).ok_or_else(|| missing(name))
    }

    pub fn try_number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_n().ok()?.parse().ok()
    }

    /// # Errors
    /// As [`Item::text`].
    pub fn number(&self, name: &'static str) -> Result<i64> {
        self.try_number(name).ok_or_else(|| missing(name))
    }

    /// A count; zero when there is none.
    pub fn count(&self, name: &str) -> u64 {
        self.try_number(name)
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0)
    }

    pub fn try_time(&self, name: &str) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.try_number(name)?).ok()
    }

    /// # Errors
    /// As [`Item::text`].
    pub fn time(&self, name: &'static str) -> Result<Timestamp> {
        self.try_time(name).ok_or_else(|| missing(name))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.0
            .get(name)
            .and_then(|value| value.as_bool().ok())
            .copied()
            .unwrap_or(false)
    }

    pub fn sealed(&self, name: &str) -> Option<Sealed> {
        self.bytes(name).map(|bytes| Sealed(bytes.to_vec()))
    }

    /// The binary attributes, by name.
    pub fn sealed_parts(&self) -> impl Iterator<Item = (&str, Sealed)> {
        let names = self.0.keys().map(String::as_str);
        names.filter_map(|name| Some((name, self.sealed(name)?)))
    }

    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        Some(self.0.get(name)?.as_b().ok()?.as_ref())
    }

    pub fn times(&self, name: &str) -> Vec<Timestamp> {
        let list = self.0.get(name).and_then(|value| value.as_l().ok());
        list.into_iter()
            .flatten()
            .filter_map(|value| value.as_n().ok()?.parse().ok())
            .filter_map(|millis| Timestamp::from_millisecond(millis).ok())
            .collect()
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        self.0
            .get(name)
            .and_then(|value| value.as_ss().ok())
            .cloned()
            .unwrap_or_default()
    }
}

fn missing(name: &'static str) -> Error {
    Error::Corrupt(format!("a row lacks its attribute {name}"))
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Item({}…)", self.sort())
    }
}
