//! Visitor tokens: a tenant's server vouches for a short time that a page speaks for a
//! visitor. A token is a JWT (RFC 7519), HS256, signed with the text of an `ingest` key whose
//! id is the header's `kid`; `sub` is the visitor id, `exp` is required. It vouches for the
//! visitor id, and for those of the page's values that its claims repeat under the catalog's
//! names.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::base::error::Result;
use shared::base::id::{KeyId, TenantId};
use shared::crypto::{Aad, Purpose};
use shared::domain::app::App;
use shared::http::routes::Scope;
use shared::schema::catalog::{self, Record};
use shared::schema::normalize;

/// The longest validity of a token.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Who vouches for the content of an event.
pub enum Vouched {
    /// The tenant's server sent it.
    Server,
    /// A page sent it; a token vouches for the visitor id and the claimed values.
    Token(Map<String, Value>),
    /// A page sent it, and nobody vouches for it.
    Nobody,
}

impl Vouched {
    /// Whether a page sent it.
    pub fn page(&self) -> bool {
        !matches!(self, Vouched::Server)
    }

    /// Whether the visitor acts.
    pub fn visitor(&self) -> bool {
        !matches!(self, Vouched::Nobody)
    }

    /// Whether this value of an identity or contact field is vouched for.
    pub fn value(&self, name: &str, value: &Value) -> bool {
        match self {
            Vouched::Server => true,
            Vouched::Token(claims) => {
                let claim = claims.get(name).and_then(|claim| as_stored(name, claim));
                claim.is_some_and(|claim| same(name, &claim, value))
            }
            Vouched::Nobody => false,
        }
    }
}

/// A claim in the stored form of the person's field.
fn as_stored(name: &str, claim: &Value) -> Option<Value> {
    let row = catalog::field(Record::Person, name)?;
    row.kind.accept(claim).ok()
}

/// Whether two values are equal in their stored or searchable form.
fn same(name: &str, one: &Value, other: &Value) -> bool {
    let found_by = |value: &Value| normalize::found_by(name, value.as_str()?);
    one == other || found_by(one).is_some_and(|form| found_by(other) == Some(form))
}

/// The claims of a `token`, if it vouches for this visitor.
///
/// # Errors
/// [`shared::base::error::Error::Unavailable`] when the key cannot be read.
pub async fn claims(
    app: &App,
    tenant: TenantId,
    token: &str,
    visitor_id: &str,
    now: Timestamp,
) -> Result<Option<Map<String, Value>>> {
    let key = decode_header(token)
        .ok()
        .and_then(|header| KeyId::parse(&header.kid?));
    let Some(id) = key else { return Ok(None) };
    let Some(key) = app.store.api_key(tenant, id).await? else {
        return Ok(None);
    };
    let ingest = key.scopes.iter().any(|scope| scope == Scope::Ingest.name());
    let Some(sealed) = key.secret.filter(|_| ingest) else {
        return Ok(None);
    };
    let partition = shared::domain::keys::api_keys(tenant);
    let row = shared::domain::keys::api_key(id);
    let place = Aad {
        partition: &partition,
        row: &row,
        part: "secret",
    };
    let secret = app
        .keyring
        .tenant(tenant)
        .await?
        .open(Purpose::ApiKey, place, &sealed)?;

    let mut rules = Validation::new(Algorithm::HS256);
    // Validated below, by the service's own clock.
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.set_required_spec_claims(&["exp", "sub"]);
    let Ok(read) = decode::<Claims>(token, &DecodingKey::from_secret(&secret), &rules) else {
        return Ok(None);
    };
    let expires = Timestamp::from_second(read.claims.exp).unwrap_or(Timestamp::MIN);
    let in_time = expires > now && expires <= now + LONGEST;
    let claims = Some(read.claims).filter(|it| in_time && it.sub == visitor_id);
    Ok(claims.map(|claims| claims.others))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_vouches_for_the_values_that_it_claims_in_any_of_their_forms() {
        let claims = json!({"email": "Ada@Example.com", "phone": "+49 151 2345678", "name": "Ada", "user_id": 7});
        let Value::Object(claims) = claims else {
            panic!("an object")
        };
        let token = Vouched::Token(claims);
        for (name, value, vouched) in [
            ("email", json!("ada@example.com"), true),
            ("email", json!("eve@example.com"), false),
            ("phone", json!("0049 (151) 2345678"), true),
            ("phone", json!("0151 2345678"), false),
            ("name", json!("Ada"), true),
            ("name", json!("ada"), false),
            ("user_id", json!("7"), false),
            ("username", json!("ada"), false),
            ("email", Value::Null, false),
        ] {
            assert_eq!(token.value(name, &value), vouched, "{name}: {value}");
        }
    }
}
