//! Presigned URLs: AWS Signature Version 4 in the query ("Authenticating Requests: Using Query
//! Parameters" in the S3 API reference). Expiry follows the given clock.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use http::request::Parts;
use http::{HeaderMap, Uri};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use s3s::{S3Result, s3_error};

use super::Credentials;
use super::body::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The longest validity of a URL: seven days, in seconds.
const MAX_EXPIRES: i64 = 7 * 24 * 60 * 60;

/// Whether the query carries a signature, of any algorithm.
pub(super) fn claimed(uri: &Uri) -> bool {
    let names = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "AWSAccessKeyId",
        "Signature",
    ];
    pairs(uri)
        .iter()
        .any(|(name, _)| names.contains(&name.as_str()))
}

/// Checks the URL and returns it without its signature.
pub(super) fn verify(request: &Parts, credentials: &Credentials, now: Timestamp) -> S3Result<Uri> {
    let pairs = pairs(&request.uri);
    let claim = Claim::read(&pairs)?;
    let (access_key, scope) = claim
        .credential
        .split_once('/')
        .unwrap_or((claim.credential, ""));
    if access_key != credentials.access_key {
        return Err(s3_error!(InvalidAccessKeyId));
    }
    claim.check_time(now)?;
    check_headers(request, &claim)?;
    let canonical = canonical_request(request, &pairs, &claim)?;
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        claim.date,
        sha256_hex(canonical.as_bytes())
    );
    let key = signing_key(&credentials.secret_key, &claim, scope)?;
    let signature = unhex(claim.signature).unwrap_or_default();
    hmac::verify(&key, to_sign.as_bytes(), &signature).map_err(|_| mismatch())?;
    unsigned(&request.uri)
}

fn mismatch() -> s3s::S3Error {
    s3_error!(
        SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    )
}

/// The `X-Amz-*` parameters. A session token is signed like any other parameter and is not
/// checked further.
struct Claim<'a> {
    credential: &'a str,
    date: &'a str,
    expires: i64,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn read(pairs: &'a [(String, String)]) -> S3Result<Claim<'a>> {
        let malformed = |what: &str| {
            s3_error!(
                AuthorizationQueryParametersError,
                "Error parsing the {what} parameter"
            )
        };
        let one = |name: &str| {
            let mut values = pairs
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.as_str());
            values
                .next()
                .filter(|_| values.next().is_none())
                .ok_or_else(|| malformed(name))
        };
        if one("X-Amz-Algorithm")? != ALGORITHM {
            return Err(malformed("X-Amz-Algorithm"));
        }
        let expires = one("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=MAX_EXPIRES).contains(seconds));
        Ok(Claim {
            credential: one("X-Amz-Credential")?,
            date: one("X-Amz-Date")?,
            expires: expires.ok_or_else(|| malformed("X-Amz-Expires"))?,
            signed_headers: one("X-Amz-SignedHeaders")?.split(';').collect(),
            signature: one("X-Amz-Signature")?,
        })
    }

    fn check_time(&self, now: Timestamp) -> S3Result<()> {
        let signed_at = DateTime::strptime("%Y%m%dT%H%M%SZ", self.date)
            .and_then(|at| at.to_zoned(TimeZone::UTC));
        let signed_at = signed_at
            .map_err(|_| s3_error!(AuthorizationQueryParametersError, "X-Amz-Date is malformed"))?;
        let age = now.duration_since(signed_at.timestamp());
        if age.is_negative() {
            return Err(s3_error!(AccessDenied, "Request is not valid yet"));
        }
        if age > SignedDuration::from_secs(self.expires) {
            return Err(s3_error!(AccessDenied, "Request has expired"));
        }
        Ok(())
    }
}

/// The host, `content-md5` and every `x-amz-` header must be signed.
fn check_headers(request: &Parts, claim: &Claim<'_>) -> S3Result<()> {
    if request.headers.contains_key(http::header::AUTHORIZATION) {
        return Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed"
        ));
    }
    let signed = |name: &str| claim.signed_headers.contains(&name);
    let matters =
        |name: &str| name.starts_with("x-amz-") || name == "content-md5" || name == "host";
    match request
        .headers
        .keys()
        .any(|name| matters(name.as_str()) && !signed(name.as_str()))
        || !signed("host")
    {
        true => Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed"
        )),
        false => Ok(()),
    }
}

fn canonical_request(
    request: &Parts,
    pairs: &[(String, String)],
    claim: &Claim<'_>,
) -> S3Result<String> {
    let mut query: Vec<_> = pairs
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    query.sort_by_key(|(name, value)| (encode(name, false), encode(value, false)));
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
        .collect();
    let mut headers = String::new();
    for name in &claim.signed_headers {
        headers += &format!(
            "{name}:{}\n",
            header(&request.headers, name).ok_or_else(mismatch)?
        );
    }
    Ok(format!(
        "{}\n{}\n{}\n{headers}\n{}\nUNSIGNED-PAYLOAD",
        request.method,
        encode(&decode(request.uri.path()), true),
        query.join("&"),
        claim.signed_headers.join(";"),
    ))
}

/// The header's values, trimmed, with single spaces, joined by commas.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    });
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// The key for a scope `<day>/<region>/s3/aws4_request`, where the day is the claim's.
fn signing_key(secret: &str, claim: &Claim<'_>, scope: &str) -> S3Result<hmac::Key> {
    let steps: Vec<_> = scope.split('/').collect();
    let sound = matches!(steps[..], [day, _, "s3", "aws4_request"] if claim.date.split('T').next() == Some(day));
    if !sound {
        return Err(s3_error!(
            AuthorizationQueryParametersError,
            "Error parsing the X-Amz-Credential parameter"
        ));
    }
    let start = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    Ok(steps.iter().fold(start, |key, step| {
        hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&key, step.as_bytes()).as_ref(),
        )
    }))
}

/// The same URI without its signature.
fn unsigned(uri: &Uri) -> S3Result<Uri> {
    let kept = uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("X-Amz-"));
    let kept = kept.collect::<Vec<_>>().join("&");
    let stripped = if kept.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{kept}", uri.path())
    };
    stripped.parse().map_err(|_| s3_error!(InvalidURI))
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let pairs = uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            u8::from_str_radix(
                std::str::from_utf8(pair)
                    .ok()
                    .filter(|pair| pair.len() == 2)?,
                16,
            )
            .ok()
        })
        .collect()
}

/// AWS's URI encoding: encodes all but RFC 3986's unreserved characters.
fn encode(text: &str, path: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(byte.into())
            }
            b'/' if path => encoded.push('/'),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| unhex(std::str::from_utf8(tail.get(..2)?).ok()?))
            .flatten();
        bytes.push(escaped.as_ref().map_or(*first, |byte| byte[0]));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
