//! What a tenant has chosen. Pure: the shape, the defaults, what is allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::error::Result;
use crate::base::named::named;
use crate::schema::violations::{Object, Violations};

named! {
    /// How much of an address is kept.
    pub enum StoreIp {
        Full = "full",
        /// The network only: /24 of IPv4, /48 of IPv6.
        Truncated = "truncated",
        None = "none",
    }
}

named! {
    /// How much of a page's URL is kept.
    pub enum StoreUrl {
        Full = "full",
        /// Without query, fragment and credentials.
        Path = "path",
        None = "none",
    }
}

named! {
    /// For what a consent must be on record.
    pub enum ConsentRequired {
        None = "none",
        /// For identity and contact.
        Identity = "identity",
        /// For anything at all.
        All = "all",
    }
}

/// A switch of an integration that the tenant's pages may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Integration {
    pub enabled: bool,
}

/// The integrations that the tenant's pages may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Integrations {
    pub clarity: Integration,
}

/// A tenant's settings. A field that is not sent has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The number of days after which a person who is not seen expires.
    #[schemars(range(min = 1, max = 30))]
    pub retention_days: u8,
    /// Drops custom values and device IDs.
    pub full_privacy: bool,
    /// How much of an IP address is stored. The default, `truncated`, stores the network (/24
    /// for IPv4, /48 for IPv6).
    pub store_ip: StoreIp,
    /// How much of a page's URL is stored. The default, `path`, stores it without query,
    /// fragment and credentials.
    pub store_url: StoreUrl,
    /// Whether a visitor's country is stored.
    pub location: bool,
    /// CSS selectors that the tenant's client hides.
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub hide_selectors: Vec<String>,
    /// For which data a consent must be on record.
    pub consent_required: ConsentRequired,
    pub integrations: Integrations,
}

impl Default for Settings {
    /// Data protection by default (GDPR Art. 25(2)), within the service's purpose: everything
    /// is erased after 30 days; addresses and URLs are shortened.
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
    /// Parses the settings in a body and validates each field by name.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::base::error::Error::Invalid) with every invalid field.
    pub fn parse(body: &Value) -> Result<Settings> {
        let mut violations = Violations::default();
        let settings = read(body, &mut violations);
        violations.unless_any(settings)
    }
}

fn read(body: &Value, violations: &mut Violations) -> Option<Settings> {
    let default = Settings::default();
    let known = serde_json::to_value(&default).expect("settings are plain data");
    let known: Vec<_> = known.as_object()?.keys().map(String::as_str).collect();
    let body = violations.object(body, "", &known)?;
    let days = body.number("retention_days", 1..=30, violations);
    let ip = body.one_of("store_ip", &StoreIp::NAMES, violations);
    let url = body.one_of("store_url", &StoreUrl::NAMES, violations);
    let consent = body.one_of("consent_required", &ConsentRequired::NAMES, violations);
    Some(Settings {
        retention_days: days.unwrap_or(default.retention_days),
        full_privacy: body.flag("full_privacy", violations),
        store_ip: ip.unwrap_or(default.store_ip),
        store_url: url.unwrap_or(default.store_url),
        location: body.flag("location", violations),
        hide_selectors: selectors(&body, violations),
        consent_required: consent.unwrap_or(default.consent_required),
        integrations: integrations(&body, violations).unwrap_or_default(),
    })
}

fn selectors(body: &Object<'_>, violations: &mut Violations) -> Vec<String> {
    let place = body.pointer("hide_selectors");
    let list = match body.get("hide_selectors") {
        None => return Vec::new(),
        Some(Value::Array(list)) if list.len() <= 100 => list,
        Some(_) => {
            violations.add(place, "length", "must be an array of at most 100 items");
            return Vec::new();
        }
    };
    let mut selectors = Vec::new();
    for (at, selector) in list.iter().enumerate() {
        match selector.as_str() {
            Some(text) if (1..=256).contains(&text.chars().count()) => selectors.push(text.into()),
            Some(_) => {
                let expected = "must have 1 to 256 characters";
                violations.add(format!("{place}/{at}"), "length", expected);
            }
            None => violations.add(format!("{place}/{at}"), "type", "must be a string"),
        }
    }
    selectors
}

fn integrations(body: &Object<'_>, violations: &mut Violations) -> Option<Integrations> {
    let place = body.pointer("integrations");
    let integrations = violations.object(body.get("integrations")?, place, &["clarity"])?;
    let place = integrations.pointer("clarity");
    let clarity = violations.object(integrations.get("clarity")?, place, &["enabled"])?;
    if !clarity.has("enabled") {
        violations.add(clarity.pointer("enabled"), "required", "is required");
    }
    Some(Integrations {
        clarity: Integration {
            enabled: clarity.flag("enabled", violations),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::error::Error;

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
