//! What a tenant has chosen. Pure: the shape, the defaults, what is allowed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, FieldError, Result};

/// How much of an address is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreIp {
    Full,
    /// The network only: /24 of IPv4, /48 of IPv6.
    Truncated,
    None,
}

/// How much of a page's URL is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreUrl {
    Full,
    /// Without query, fragment and credentials.
    Path,
    None,
}

/// For what a consent must be on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsentRequired {
    None,
    /// For identity and contact.
    Identity,
    /// For anything at all.
    All,
}

/// A switch of an integration that the tenant's pages may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integration {
    pub enabled: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Integrations {
    pub clarity: Integration,
}

/// A tenant's settings. A field that is not sent has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Days after a person was last seen until they are forgotten: 1 to 30.
    pub retention_days: u8,
    /// Drops custom values and device ids.
    pub full_privacy: bool,
    pub store_ip: StoreIp,
    pub store_url: StoreUrl,
    /// Whether a visitor's country is kept.
    pub location: bool,
    /// CSS selectors that the tenant's client hides: up to 100 of up to 256 characters.
    pub hide_selectors: Vec<String>,
    pub consent_required: ConsentRequired,
    pub integrations: Integrations,
}

impl Default for Settings {
    /// What data protection by default asks for (GDPR Art. 25(2)), within the service's
    /// purpose: everything goes after 30 days, addresses and pages are kept short.
    fn default() -> Settings {
        Settings {
            retention_days: 30,
            full_privacy: false,
            store_ip: StoreIp::Truncated,
            store_url: StoreUrl::Path,
            location: false,
            hide_selectors: Vec::new(),
            consent_required: ConsentRequired::None,
            integrations: Integrations::default(),
        }
    }
}

impl Settings {
    /// The settings in a body, each field checked by name.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every field at fault.
    pub fn parse(body: &Value) -> Result<Settings> {
        let Value::Object(fields) = body else {
            return Err(Error::field("", "type", "must be an object"));
        };
        // One field at a time, so that every fault is named and none hides another.
        let mut errors = Vec::new();
        for (name, value) in fields {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if let Err(cause) = serde_json::from_value::<Settings>(Value::Object(alone)) {
                errors.push(fault(name, &cause.to_string()));
            }
        }
        let settings: Settings = match serde_json::from_value(body.clone()) {
            Ok(settings) if errors.is_empty() => settings,
            _ => return Err(Error::Invalid(errors)),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        let mut errors = Vec::new();
        if !(1..=30).contains(&self.retention_days) {
            errors.push(FieldError::new(
                "/retention_days",
                "range",
                "must be 1 to 30",
            ));
        }
        if self.hide_selectors.len() > 100 {
            errors.push(FieldError::new(
                "/hide_selectors",
                "too_many",
                "must hold at most 100",
            ));
        }
        for (at, selector) in self.hide_selectors.iter().enumerate() {
            if selector.is_empty() || selector.chars().count() > 256 {
                let pointer = format!("/hide_selectors/{at}");
                errors.push(FieldError::new(
                    pointer,
                    "length",
                    "must be 1 to 256 characters",
                ));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(errors))
        }
    }
}

fn fault(name: &str, cause: &str) -> FieldError {
    let known = serde_json::to_value(Settings::default())
        .is_ok_and(|defaults| defaults.get(name).is_some());
    if !known {
        // The name of an unknown field is the caller's own text: it is named as a place,
        // escaped as JSON Pointer asks, and never interpreted.
        return FieldError::new(pointer(name), "unknown", "is not a setting");
    }
    // The last one: before it the cause may repeat what was sent, whatever that says.
    let expected = match cause.rsplit_once("expected ") {
        Some((_, "u8")) => "a whole number",
        Some((_, rest)) => rest,
        None => "another type",
    };
    FieldError::new(pointer(name), "type", format!("must be {expected}"))
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_at_fault_is_named() {
        let refused = Settings::parse(&json!({"retention_days": 31, "store_ip": "none"}));
        assert!(
            matches!(refused, Err(Error::Invalid(errors)) if errors[0].pointer == "/retention_days")
        );
        let sent = "some, expected some";
        let refused = Settings::parse(&json!({"a/b": 1, "store_ip": sent}));
        let Err(Error::Invalid(errors)) = refused else {
            panic!("refused")
        };
        assert_eq!(errors[0].pointer, "/a~1b");
        assert_eq!(errors[1].pointer, "/store_ip");
        assert!(!errors[1].message.contains("some"), "{}", errors[1].message);
    }
}
