//! Signed statements in JOSE: compact JWS (RFC 7515) under ES256 (RFC 7518, 3.4), and the
//! verification key as a JWK (RFC 7517). Pure: `aws::kms` holds the private key and signs.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

/// Bytes of one P-256 coordinate, and of one half of a signature.
const HALF: usize = 32;
/// The prefix of a P-256 key's SubjectPublicKeyInfo (RFC 5480): algorithm, curve, and the mark
/// of an uncompressed point.
const P256_INFO: [u8; 27] = [
    0x30,
    0x59,
    0x30,
    0x13,
    0x06,
    0x07,
    0x2a,
    0x86,
    0x48,
    0xce,
    0x3d,
    0x02,
    0x01,
    0x06,
    0x08,
    0x2a,
    0x86,
    0x48,
    0xce,
    0x3d,
    0x03,
    0x01,
    0x07,
    0x03,
    0x42,
    0x00,
    UNCOMPRESSED,
];
const UNCOMPRESSED: u8 = 0x04;

/// The public half of a P-256 key: both coordinates of its point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 2 * HALF]);

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER, as KMS returns it. `None` for any other key.
    pub fn from_der(der: &[u8]) -> Option<PublicKey> {
        let point = der.strip_prefix(&P256_INFO)?;
        point.try_into().ok().map(PublicKey)
    }

    fn from_jwk(jwk: &Value) -> Option<PublicKey> {
        if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return None;
        }
        let coordinate = |name: &str| BASE64URL.decode(jwk[name].as_str()?).ok();
        let point = [coordinate("x")?, coordinate("y")?].concat();
        point.try_into().ok().map(PublicKey)
    }

    /// The members that the thumbprint covers, in the order of RFC 7638.
    fn required(&self) -> String {
        let (x, y) = self.0.split_at(HALF);
        let (x, y) = (BASE64URL.encode(x), BASE64URL.encode(y));
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
    }

    /// The key id: its thumbprint (RFC 7638).
    pub fn kid(&self) -> String {
        BASE64URL.encode(digest(&SHA256, self.required().as_bytes()))
    }

    /// The key in its published form.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.0.split_at(HALF);
        json!({
            "kty": "EC",
            "crv": "P-256",
            "x": BASE64URL.encode(x),
            "y": BASE64URL.encode(y),
            "alg": "ES256",
            "use": "sig",
            "kid": self.kid(),
        })
    }
}

/// A statement before it is signed: header and claims, as the signature covers them.
pub struct Unsigned(String);

impl Unsigned {
    /// `typ` names the kind of statement, so that one kind cannot pass for another.
    pub fn new(key: &PublicKey, typ: &str, claims: &Value) -> Unsigned {
        let header = json!({"alg": "ES256", "kid": key.kid(), "typ": typ});
        let part = |part: &Value| BASE64URL.encode(part.to_string());
        Unsigned(format!("{}.{}", part(&header), part(claims)))
    }

    /// The digest to sign: SHA-256 of header and claims.
    pub fn digest(&self) -> Vec<u8> {
        digest(&SHA256, self.0.as_bytes()).as_ref().to_vec()
    }

    /// The signed statement. `None` when `signature`, in DER as KMS returns it, is not a P-256
    /// signature.
    pub fn signed(self, signature: &[u8]) -> Option<String> {
        let signature = fixed(signature)?;
        Some(format!("{}.{}", self.0, BASE64URL.encode(signature)))
    }
}

/// Converts an ECDSA signature from a DER sequence of two integers to JOSE's two 32-byte
/// numbers.
fn fixed(der: &[u8]) -> Option<[u8; 2 * HALF]> {
    let (rest, tail) = element(der, 0x30)?;
    let (r, rest) = element(rest, 0x02)?;
    let (s, end) = element(rest, 0x02)?;
    if !tail.is_empty() || !end.is_empty() {
        return None;
    }
    let mut signature = [0; 2 * HALF];
    for (number, half) in [r, s].into_iter().zip(signature.chunks_mut(HALF)) {
        // DER allows a leading zero only to keep a number positive; JOSE has a fixed width.
        let first = number.iter().position(|byte| *byte != 0)?;
        let number = &number[first..];
        half[HALF.checked_sub(number.len())?..].copy_from_slice(number);
    }
    Some(signature)
}

/// A DER element with this tag, shorter than 128 bytes, and the bytes after it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_first_chunk::<2>()?;
    let [found, length] = *head;
    (found == tag && length < 0x80)
        .then(|| rest.split_at_checked(length.into()))
        .flatten()
}

/// Why verification failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Not a compact JWS of this kind, or not under ES256.
    #[error("this is not a signed statement of the expected type")]
    Form,
    /// None of the given keys has the statement's key id.
    #[error("the signing key is not published")]
    UnknownKey,
    /// The named key did not sign this statement.
    #[error("the signature is invalid")]
    Signature,
}

/// Verifies a statement of a kind against a JWK set and returns its claims.
///
/// # Errors
/// The reason why verification failed.
pub fn verify(statement: &str, typ: &str, jwks: &Value) -> Result<Value, Doubt> {
    let (signed, signature) = statement.rsplit_once('.').ok_or(Doubt::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(Doubt::Form)?;
    let decoded = |part: &str| BASE64URL.decode(part).map_err(|_| Doubt::Form);
    let parsed =
        |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).map_err(|_| Doubt::Form);
    let header = parsed(header)?;
    if header["alg"] != "ES256" || header["typ"] != typ {
        return Err(Doubt::Form);
    }
    let keys = jwks["keys"].as_array().into_iter().flatten();
    let key = keys
        .filter(|jwk| jwk["kid"] == header["kid"])
        .find_map(PublicKey::from_jwk)
        .ok_or(Doubt::UnknownKey)?;
    let point = [&[UNCOMPRESSED][..], &key.0].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decoded(signature)?)
        .map_err(|_| Doubt::Signature)?;
    parsed(claims)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn pair() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der = pair.public_key().as_der().unwrap();
        let public = PublicKey::from_der(der.as_ref()).unwrap();
        (pair, public)
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 7515, A.3; its thumbprint by the definition of RFC 7638.
        let jwk = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.kid(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
        assert_eq!(PublicKey::from_jwk(&key.jwk()), Some(key));
        assert_eq!(PublicKey::from_der(&[0; 91]), None);
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else_is() {
        let (pair, public) = pair();
        let jwks = json!({"keys": [public.jwk()]});
        let claims = json!({"day": "2026-03-01"});
        // Many times, since only some DER signatures contain a shorter number.
        for _ in 0..300 {
            let unsigned = Unsigned::new(&public, "seal", &claims);
            let message = unsigned.0.clone();
            let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            let statement = unsigned.signed(signature.as_ref()).unwrap();
            assert_eq!(verify(&statement, "seal", &jwks), Ok(claims.clone()));
            assert_eq!(verify(&statement, "receipt", &jwks), Err(Doubt::Form));
            let none = json!({"keys": []});
            assert_eq!(verify(&statement, "seal", &none), Err(Doubt::UnknownKey));
            let (signed, _) = statement.rsplit_once('.').unwrap();
            let (header, _) = signed.split_once('.').unwrap();
            let other = BASE64URL.encode(r#"{"day":"2026-03-02"}"#);
            let forged = statement.replace(&statement[header.len() + 1..signed.len()], &other);
            assert_eq!(verify(&forged, "seal", &jwks), Err(Doubt::Signature));
        }
    }

    #[test]
    fn der_becomes_the_fixed_form_or_is_refused() {
        let mut expected = [0; 64];
        (expected[31], expected[32], expected[63]) = (5, 0x80, 1);
        let mut s = vec![0x00, 0x80];
        s.resize(33, 0);
        s[32] = 1;
        let der = |r: &[u8], s: &[u8]| {
            let length = |part: &[u8]| u8::try_from(part.len()).unwrap();
            let body = [&[2, length(r)], r, &[2, length(s)], s].concat();
            [&[0x30, length(&body)], body.as_slice()].concat()
        };
        assert_eq!(fixed(&der(&[5], &s)), Some(expected));
        assert_eq!(fixed(&der(&[0], &s)), None);
        assert_eq!(fixed(&der(&[1; 33], &s)), None);
        assert_eq!(fixed(&[der(&[5], &s), vec![0]].concat()), None);
        assert_eq!(fixed(&der(&[5], &s)[..20]), None);
    }
}
