//! What the service signs, as anybody reads it: with a JOSE library that the signer does not
//! use, against the published keys.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use lethe_tests::Service;
use serde_json::Value;

/// Type and claims of a statement whose signature must hold.
pub async fn open(service: &Service, jws: &str) -> (String, Value) {
    let (typ, claims) = try_open(service, jws).await;
    (typ, claims.expect("the signature holds"))
}

/// Type and claims of a statement; no claims if its signature does not hold.
pub async fn try_open(service: &Service, jws: &str) -> (String, Option<Value>) {
    let published = service.get("/.well-known/jwks.json", "").await;
    let keys: JwkSet = serde_json::from_value(published.expect(200)).expect("a JWK set");
    let header = jsonwebtoken::decode_header(jws).expect("a header");
    let named = header.kid.expect("it names its key");
    let key = DecodingKey::from_jwk(keys.find(&named).expect("it is there")).expect("a key");
    let mut rules = Validation::new(Algorithm::ES256);
    rules.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Value>(jws, &key, &rules);
    let claims = read.ok().map(|read| read.claims);
    (header.typ.expect("it names its type"), claims)
}
