//! What is sealed inside each record, and how a record reads in answers and exports. Pure.
//!
//! Names follow the catalog; what stands here is the form, not a second list of what may
//! be stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::named::named;

/// Shows that there is something, and nothing of it: no log and no panic may hold what a
/// person is or says.
macro_rules! hide {
    ($($personal:ident $(<$of:ident>)?),*) => {
        $(impl$(<$of>)? std::fmt::Debug for $personal$(<$of>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($personal), "(…)"))
            }
        })*
    };
}

hide!(
    Known<T>,
    ConversationContent,
    MessageContent,
    AttachmentContent,
    InteractionContent
);

/// Something that is said of a person, and whether the tenant's own server vouches for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known<T = Value> {
    pub value: T,
    pub verified: bool,
}

/// Fields of one category of a person, by the catalog's names (or the tenant's own, of
/// custom values).
pub type Fields = BTreeMap<String, Known>;

/// The values alone, as the API shows them.
pub fn values(fields: &Fields) -> Observed {
    let values = fields.iter();
    values
        .map(|(name, known)| (name.clone(), known.value.clone()))
        .collect()
}

/// What the last visit told, by the catalog's names.
pub type Observed = Map<String, Value>;

/// On what basis a person's data is held (GDPR Art. 6(1)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConsentGiven")]
pub struct Consent {
    pub basis: Basis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_by: Option<GivenBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Known<Consent> {
    /// Whether it covers what is said: a vouched one everything, one that only a page tells
    /// of nothing but what pages say.
    pub fn covers(&self, page: bool) -> bool {
        self.verified || page
    }

    pub fn view(&self) -> ConsentView {
        ConsentView {
            consent: self.value.clone(),
            verified: self.verified,
        }
    }
}

/// A consent as the API shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Consent")]
pub struct ConsentView {
    #[serde(flatten)]
    consent: Consent,
    /// Whether the tenant's own server vouches for it.
    verified: bool,
}

/// A consent that no longer holds (GDPR Art. 7(3)), kept to show what held until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub consent: Known<Consent>,
    pub withdrawn_at: Timestamp,
}

impl Withdrawal {
    pub fn view(&self) -> WithdrawalView {
        WithdrawalView {
            consent: self.consent.view(),
            withdrawn_at: self.withdrawn_at,
        }
    }
}

/// A withdrawn consent as the API shows it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WithdrawnConsent")]
pub struct WithdrawalView {
    #[serde(flatten)]
    consent: ConsentView,
    withdrawn_at: Timestamp,
}

named! {
    pub enum Basis {
        Consent = "consent",
        Contract = "contract",
        LegalObligation = "legal_obligation",
        VitalInterests = "vital_interests",
        PublicTask = "public_task",
        LegitimateInterests = "legitimate_interests",
    }
}

named! {
    pub enum GivenBy {
        Person = "self",
        Guardian = "guardian",
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationContent {
    pub conversation_id: String,
    pub title: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageContent {
    pub conversation_id: String,
    /// Gone once the message is redacted as a whole.
    pub body: Option<String>,
    pub attachments: Vec<String>,
    /// The agent who wrote it.
    pub member: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentContent {
    pub conversation_id: Option<String>,
    pub filename: String,
    pub content_type: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractionContent {
    pub item_id: String,
    pub scope: Option<String>,
}

named! {
    /// Who wrote a message.
    pub enum Author {
        EndUser = "end_user",
        Agent = "agent",
    }
}

named! {
    /// Where an attachment stands.
    pub enum FileState {
        AwaitingUpload = "awaiting_upload",
        Clean = "clean",
        Rejected = "rejected",
        Redacted = "redacted",
    }
}

/// The result of a file's scan. Nothing personal: codes and formats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The media type of the content.
    pub media_type: String,
    /// Why the file was rejected, as codes: `type_mismatch`, `malware`, `size_mismatch`, …
    pub reasons: Vec<String>,
    /// Names of the rules that matched.
    pub rules: Vec<String>,
    pub scanned_at: Option<Timestamp>,
}

/// An address as the tenant chose to keep it.
pub fn shorten_address(
    address: std::net::IpAddr,
    how: crate::domain::tenant::settings::StoreIp,
) -> Option<String> {
    use std::net::IpAddr::{V4, V6};

    use crate::domain::tenant::settings::StoreIp;
    match (how, address.to_canonical()) {
        (StoreIp::None, _) => None,
        (StoreIp::Full, address) => Some(address.to_string()),
        (StoreIp::Truncated, V4(v4)) => {
            let [a, b, c, _] = v4.octets();
            Some(std::net::Ipv4Addr::new(a, b, c, 0).to_string())
        }
        (StoreIp::Truncated, V6(v6)) => {
            let [a, b, c, ..] = v6.segments();
            Some(std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string())
        }
    }
}

/// A page's URL as the tenant chose to keep it. Credentials in it are never kept.
pub fn shorten_url(text: &str, how: crate::domain::tenant::settings::StoreUrl) -> Option<String> {
    use crate::domain::tenant::settings::StoreUrl;
    let mut url = url::Url::parse(text).ok()?;
    // Both fail only for URLs that can have no host, which the catalog refuses.
    let _no_host = url.set_username("").and_then(|()| url.set_password(None));
    match how {
        StoreUrl::None => return None,
        StoreUrl::Full => {}
        StoreUrl::Path => {
            url.set_query(None);
            url.set_fragment(None);
        }
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::settings::{StoreIp, StoreUrl};

    #[test]
    fn addresses_and_pages_are_kept_as_chosen() {
        let v4 = "203.0.113.77".parse().unwrap();
        assert_eq!(
            shorten_address(v4, StoreIp::Truncated),
            Some("203.0.113.0".into())
        );
        let v6 = "2001:db8:1:2::3".parse().unwrap();
        assert_eq!(
            shorten_address(v6, StoreIp::Truncated),
            Some("2001:db8:1::".into())
        );
        assert_eq!(shorten_address(v4, StoreIp::None), None);
        let page = "https://u:p@x.example/a?q=1#f";
        assert_eq!(
            shorten_url(page, StoreUrl::Path),
            Some("https://x.example/a".into())
        );
        assert_eq!(
            shorten_url(page, StoreUrl::Full),
            Some("https://x.example/a?q=1#f".into())
        );
        assert_eq!(shorten_url(page, StoreUrl::None), None);
    }
}
