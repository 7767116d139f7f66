//! Who calls: an API key becomes a tenant and its scopes. Nothing else in a request says
//! which tenant it is for.

use aws_lc_rs::{constant_time, digest};

use crate::base::error::{Error, Lacks, Result};
use crate::base::id::{KeyId, TenantId};
use crate::domain::app::App;
use crate::http::routes::Scope;

/// A caller whose key has been checked.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub key: KeyId,
    scopes: Vec<Scope>,
    origins: Vec<String>,
}

impl Caller {
    /// The caller behind an `Authorization` header, from a page of this origin if any.
    pub(super) async fn check(
        app: &App,
        authorization: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Caller> {
        let token = authorization
            .and_then(bearer)
            .and_then(Token::parse)
            .ok_or(Error::Unauthorized)?;
        let key = app
            .tenants
            .api_key(token.tenant, token.id)
            .await?
            .ok_or(Error::Unauthorized)?;
        constant_time::verify_slices_are_equal(&key.digest, &secret_digest(&token.secret))
            .map_err(|_| Error::Unauthorized)?;
        let scopes = key
            .scopes
            .iter()
            .filter_map(|name| Scope::parse(name))
            .collect();
        let caller = Caller {
            tenant: key.tenant,
            key: key.id,
            scopes,
            origins: key.origins,
        };
        if !caller.allows_origin(origin) {
            return Err(Error::Forbidden(Lacks::Origin));
        }
        Ok(caller)
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether all that this caller may do is add from a web page: it learns nothing.
    pub fn write_only(&self) -> bool {
        !self.may(Scope::Ingest)
    }

    /// Whether a page of this origin may use the key.
    fn allows_origin(&self, origin: Option<&str>) -> bool {
        self.origins.is_empty()
            || origin.is_none_or(|origin| self.origins.iter().any(|it| it == origin))
    }
}

/// What follows the scheme `Bearer`, in any case, and one or more blanks (RFC 9110, 11.4).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A key as its holder has it: `lethe_` and three runs of hexadecimal for the tenant, the
/// key's id and the secret.
pub struct Token {
    pub tenant: TenantId,
    pub id: KeyId,
    secret: String,
}

impl Token {
    fn parse(text: &str) -> Option<Token> {
        let mut parts = text.strip_prefix("lethe_")?.split('_');
        let token = Token {
            tenant: TenantId::parse(&format!("ten_{}", parts.next()?))?,
            id: KeyId::parse(&format!("key_{}", parts.next()?))?,
            secret: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(token)
    }
}

/// SHA-256 of a secret.
pub fn secret_digest(secret: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret.as_bytes())
        .as_ref()
        .to_vec()
}

/// A new key's text and its secret part: 256 random bits.
pub fn new_token(tenant: TenantId, id: KeyId) -> (String, String) {
    let mut bytes = [0; 32];
    crate::crypto::fill_random(&mut bytes);
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (tenant, id) = (tenant.to_string(), id.to_string());
    (
        format!(
            "lethe_{}_{}_{secret}",
            &tenant["ten_".len()..],
            &id["key_".len()..]
        ),
        secret,
    )
}
