//! A tenant's API keys: made, listed, revoked.

use jiff::Timestamp;
use serde_json::Value;
use shared::aws::dynamo::{Pages, Refusal, Write};
use shared::base::error::{Error, Result};
use shared::base::id::{KeyId, TenantId};
use shared::base::retry::Tries;
use shared::crypto::{Aad, Purpose, TenantKeys};
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent};
use shared::domain::erasure::offboarding;
use shared::domain::keys;
use shared::domain::tenant::rows::ApiKey;
use shared::http::answers::{KeyView, NewKey};
use shared::http::caller::{new_token, secret_digest};
use shared::http::routes::Scope;
use shared::http::{Answer, Call};
use shared::schema::violations::{self, Violations};

const ORIGINS: usize = 20;

/// What a new key is to be.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    scopes: Vec<Scope>,
    origins: Vec<String>,
    reference: Option<String>,
}

/// `POST /v1/keys`
pub async fn create(app: &App, call: &Call) -> Result<Answer> {
    let asked = asked(call.body())?;
    let keys = app.keyring.tenant(call.tenant()).await?;
    let (mut key, token) = new_key(call.tenant(), &keys, &asked.scopes, app.clock.now());
    key.origins = asked.origins;
    key.reference = asked.reference;
    let entry = entry(call, AuditEvent::KeyCreated, key.id, app.clock.now());
    add(app, call, &key, token, entry).await
}

/// Keeps a new key and answers with it, unless its tenant is being erased: no key outlives
/// that. Its text is shown once.
///
/// # Errors
/// [`Error::Conflict`] when it is.
pub async fn add(
    app: &App,
    call: &Call,
    key: &ApiKey,
    token: String,
    entry: Vec<Write>,
) -> Result<Answer> {
    let shown = |secret| NewKey {
        key: key.into(),
        secret,
    };
    let answer = Answer::json(201, &shown(Some(token))).keeping(&shown(None));
    let mut writes = vec![offboarding::stays_check(key.tenant), key.write()];
    writes.extend(entry);
    let answer = call.kept_with(answer, &mut writes);
    match app.store.transact(writes).await? {
        Ok(()) => Ok(answer),
        Err(Refusal::Condition { place: 0, .. }) => Err(offboarding::gone()),
        Err(_) => Err(Error::Unavailable("a new key's id is taken".into())),
    }
}

/// A new key, and its text: the only time that it is in the clear.
///
/// A key that may verify visitor tokens is kept sealed as well: the text, as its holder
/// has it, is the tokens' HS256 key.
pub fn new_key(
    tenant: TenantId,
    keys: &TenantKeys,
    scopes: &[Scope],
    now: Timestamp,
) -> (ApiKey, String) {
    let id = KeyId::random();
    let (token, secret) = new_token(tenant, id);
    let (partition, row) = (keys::api_keys(tenant), keys::api_key(id));
    let place = Aad {
        partition: &partition,
        row: &row,
        part: "secret",
    };
    let verifies = scopes.contains(&Scope::Ingest);
    let key = ApiKey {
        tenant,
        id,
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        origins: Vec::new(),
        reference: None,
        created_at: now,
        digest: secret_digest(&secret),
        secret: verifies.then(|| keys.seal(Purpose::ApiKey, place, token.as_bytes())),
    };
    (key, token)
}

/// `GET /v1/keys`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let (limit, after) = (call.limit()?, call.cursor(app).await?);
    let (keys, next) = app.store.api_keys(call.tenant(), limit, after).await?;
    let views: Vec<KeyView> = keys.iter().map(KeyView::from).collect();
    call.page(app, views, next).await
}

/// `DELETE /v1/keys/{id}`
pub async fn revoke(app: &App, call: &Call) -> Result<Answer> {
    let tenant = call.tenant();
    let id = call
        .path("id")
        .and_then(KeyId::parse)
        .ok_or(Error::NotFound)?;
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let key = app
            .store
            .api_key(tenant, id)
            .await?
            .ok_or(Error::NotFound)?;
        let mut writes = vec![ApiKey::delete_write(tenant, id)];
        writes.extend(entry(call, AuditEvent::KeyRevoked, id, app.clock.now()));
        if administers(&key) {
            let other = other_admin(app, tenant, id).await?.ok_or(Error::Conflict {
                code: "last_admin",
                detail: "This is the last key that can administer the tenant.",
            })?;
            // Two keys that revoke one another at the same time: one of them stays.
            writes.push(ApiKey::stays_check(tenant, other));
        }
        match app.store.transact(writes).await? {
            Ok(()) => {
                app.tenants.forget(tenant);
                return Ok(Answer::nothing());
            }
            Err(Refusal::Condition { place: 0, .. }) => return Err(Error::NotFound),
            Err(Refusal::Condition { .. }) => {}
        }
    }
}

fn administers(key: &ApiKey) -> bool {
    key.scopes.iter().any(|scope| scope == Scope::Admin.name())
}

/// Another key that may administer the tenant.
async fn other_admin(app: &App, tenant: TenantId, id: KeyId) -> Result<Option<KeyId>> {
    let mut pages = Pages::new(|after| app.store.api_keys(tenant, 100, after));
    while let Some(keys) = pages.next().await? {
        let other = keys.iter().find(|key| key.id != id && administers(key));
        if let Some(other) = other {
            return Ok(Some(other.id));
        }
    }
    Ok(None)
}

fn entry(call: &Call, event: AuditEvent, id: KeyId, now: Timestamp) -> Vec<Write> {
    entry::writes(&[entry::Entry {
        tenant: call.tenant(),
        event,
        by: &call.by(),
        about: &[id.to_string()],
        at: now,
        happened_at: None,
    }])
}

fn asked(body: &Value) -> Result<Asked> {
    let mut violations = Violations::default();
    let Some(fields) = violations.object(body, "", &["scopes", "allowed_origins", "reference"])
    else {
        return Err(violations.into());
    };
    if !fields.has("scopes") {
        violations.add("/scopes", "required", "is required");
    }
    let names = fields.list("scopes", Scope::ALL.len(), &mut violations);
    let mut scopes = Vec::new();
    for (at, name) in names.unwrap_or_default().iter().enumerate() {
        match name.as_str().and_then(Scope::parse) {
            Some(scope) if !scopes.contains(&scope) => scopes.push(scope),
            Some(_) => {}
            None => violations.add(format!("/scopes/{at}"), "choice", "must be a known scope"),
        }
    }
    let collects = scopes.contains(&Scope::Collect);
    if collects && scopes.len() > 1 {
        let expected = "collect cannot be combined with other scopes, because its key is public";
        violations.add("/scopes", "not_allowed", expected);
    }
    if fields.has("allowed_origins") && !collects {
        let expected = "is allowed only for a key with the collect scope";
        violations.add("/allowed_origins", "not_allowed", expected);
    }
    let listed = fields.list("allowed_origins", ORIGINS, &mut violations);
    let mut origins = Vec::new();
    for (at, value) in listed.unwrap_or_default().iter().enumerate() {
        match value.as_str().filter(|text| is_origin(text)) {
            Some(origin) if !origins.iter().any(|it| it == origin) => {
                origins.push(origin.to_owned());
            }
            Some(_) => {}
            None => {
                let expected = "must be an origin as browsers send it, such as https://example.com";
                violations.add(format!("/allowed_origins/{at}"), "format", expected);
            }
        }
    }
    let expected = "must match [A-Za-z0-9._-]{1,64}";
    let reference = fields.parsed("reference", expected, &mut violations, violations::code);
    violations.end()?;
    Ok(Asked {
        scopes,
        origins,
        reference: reference.map(str::to_owned),
    })
}

/// Whether a text is an origin in the form that browsers send (RFC 6454, 6.2).
fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.origin().ascii_serialization() == text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violations(body: Value) -> Vec<(String, &'static str)> {
        let Err(Error::Invalid(errors)) = asked(&body) else {
            panic!("{body} is refused")
        };
        errors.into_iter().map(|it| (it.pointer, it.code)).collect()
    }

    #[test]
    fn a_key_is_asked_for_by_scopes() {
        let body = json!({"scopes": ["read", "erase", "read"], "reference": "crm"});
        let expected = Asked {
            scopes: vec![Scope::Read, Scope::Erase],
            origins: Vec::new(),
            reference: Some("crm".into()),
        };
        assert_eq!(asked(&body).unwrap(), expected);
        let body = json!({"scopes": ["collect"], "allowed_origins": ["https://shop.example"]});
        assert_eq!(asked(&body).unwrap().origins, ["https://shop.example"]);
    }

    #[test]
    fn what_a_page_holds_may_only_collect() {
        let body = json!({"scopes": ["collect", "read"]});
        assert_eq!(violations(body), [("/scopes".into(), "not_allowed")]);
        let body = json!({"scopes": ["read"], "allowed_origins": ["https://shop.example"]});
        assert_eq!(
            violations(body),
            [("/allowed_origins".into(), "not_allowed")]
        );
        assert_eq!(violations(json!({})), [("/scopes".into(), "required")]);
        assert_eq!(
            violations(json!({"scopes": []})),
            [("/scopes".into(), "length")]
        );
        assert_eq!(
            violations(json!({"scopes": ["root"]})),
            [("/scopes/0".into(), "choice")]
        );
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for origin in ["https://shop.example", "http://localhost:3000"] {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "https://shop.example/",
            "https://shop.example/a",
            "https://Shop.example",
            "https://shop.example:443",
            "shop.example",
            "ftp://shop.example",
            "null",
            "*",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
