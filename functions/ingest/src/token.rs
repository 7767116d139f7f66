//! Visitor tokens: a tenant's server vouches, for a short time, that a page speaks for a
//! visitor. A JWT (RFC 7519), HS256, signed with the text of an `ingest` key, whose id the
//! header names as `kid`; `sub` is the visitor id, `exp` is required.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use shared::app::App;
use shared::error::Result;
use shared::id::{KeyId, Tenant};
use shared::routes::Scope;
use shared::vault::{Place, Purpose};

/// How long a token may be good for.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
}

/// Whether `token` vouches for this visitor.
///
/// # Errors
/// [`shared::error::Error::Unavailable`] when the key cannot be read.
pub async fn vouches(
    app: &App,
    tenant: Tenant,
    token: &str,
    visitor_id: &str,
    now: Timestamp,
) -> Result<bool> {
    let key = decode_header(token)
        .ok()
        .and_then(|header| KeyId::parse(&header.kid?));
    let Some(id) = key else { return Ok(false) };
    let Some(key) = app.store.api_key(tenant, id).await? else {
        return Ok(false);
    };
    let ingest = key.scopes.iter().any(|scope| scope == Scope::Ingest.name());
    let Some(sealed) = key.secret.filter(|_| ingest) else {
        return Ok(false);
    };
    let partition = shared::store::keys::api_keys(tenant);
    let row = shared::store::keys::api_key(id);
    let place = Place {
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
    // Judged below, by the service's own clock.
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.set_required_spec_claims(&["exp", "sub"]);
    let Ok(read) = decode::<Claims>(token, &DecodingKey::from_secret(&secret), &rules) else {
        return Ok(false);
    };
    let expires = Timestamp::from_second(read.claims.exp).unwrap_or(Timestamp::MIN);
    let in_time = expires > now && expires <= now + LONGEST;
    Ok(in_time && read.claims.sub == visitor_id)
}
