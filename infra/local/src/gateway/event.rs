//! Converts HTTP requests to Lambda events, and results to HTTP responses.
//!
//! Owns API Gateway's payload format 2.0 in both directions. Knows no routes besides the
//! matched one, and no functions.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use emulators::ACCOUNT;
use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::routes::{Route, decode};

/// The largest result that Lambda returns, in bytes.
const MAX_RESULT: usize = 6 * 1024 * 1024;

/// One request, fully read.
pub struct Incoming<'r> {
    pub method: &'r Method,
    pub path: &'r str,
    pub query: &'r str,
    pub headers: &'r HeaderMap,
    pub body: Bytes,
    /// The address of the connection, regardless of the request's headers.
    pub peer: IpAddr,
    pub id: &'r str,
    pub at: Timestamp,
}

/// The event for a request with a matched route.
pub fn event(
    request: &Incoming<'_>,
    route: &Route,
    parameters: &BTreeMap<String, String>,
) -> Value {
    let header = |name: HeaderName| {
        request
            .headers
            .get(name)
            .map(|value| lossy(value.as_bytes()))
    };
    let host = header(HOST).unwrap_or_default();
    let mut context = json!({
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": host,
        "domainPrefix": host.split('.').next(),
        "http": {
            "method": request.method.as_str(),
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.peer,
            "userAgent": header(USER_AGENT).unwrap_or_default(),
        },
        "requestId": request.id,
        "routeKey": route.key(),
        "stage": "$default",
        "time": request.at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": request.at.as_millisecond(),
    });
    if route.operator {
        context["authorizer"] = json!({"iam": {
            "accessKey": "local",
            "accountId": ACCOUNT,
            "callerId": "local",
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{ACCOUNT}:user/operator"),
            "userId": "operator",
        }});
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key(),
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers(request),
        "requestContext": context,
        "isBase64Encoded": false,
    });
    let cookies: Vec<_> = request
        .headers
        .get_all(COOKIE)
        .iter()
        .map(|value| lossy(value.as_bytes()))
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = cookies.iter().flat_map(|line| line.split("; ")).collect();
    }
    if !request.query.is_empty() {
        event["queryStringParameters"] = query(request.query);
    }
    if !parameters.is_empty() {
        event["pathParameters"] = json!(parameters);
    }
    match std::str::from_utf8(&request.body) {
        Ok("") => {}
        Ok(text) => event["body"] = json!(text),
        Err(_) => {
            event["body"] = json!(BASE64.encode(&request.body));
            event["isBase64Encoded"] = json!(true);
        }
    }
    event
}

/// Lower-cased names; repeated ones are joined by commas. Cookies are a separate field.
fn headers(request: &Incoming<'_>) -> Map<String, Value> {
    let mut map = Map::new();
    for name in request.headers.keys().filter(|name| *name != COOKIE) {
        let values = request
            .headers
            .get_all(name)
            .iter()
            .map(|value| lossy(value.as_bytes()));
        map.insert(
            name.as_str().to_owned(),
            values.collect::<Vec<_>>().join(",").into(),
        );
    }
    // As in AWS, the client's values come first, and the connection's address last.
    let claimed = map
        .get("x-forwarded-for")
        .and_then(Value::as_str)
        .map(|claimed| format!("{claimed}, "));
    map.insert(
        "x-forwarded-for".to_owned(),
        format!("{}{}", claimed.unwrap_or_default(), request.peer).into(),
    );
    map.insert("x-forwarded-proto".to_owned(), json!("http"));
    map
}

/// Decoded; repeated names are joined by commas.
fn query(text: &str) -> Value {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| decode(&text.replace('+', " ")).unwrap_or_else(|| text.to_owned());
        map.entry(plain(name))
            .and_modify(|values| *values = format!("{values},{}", plain(value)))
            .or_insert_with(|| plain(value));
    }
    json!(map)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The response for a function's result, or why there is none.
///
/// A result without a status is a JSON body, as in API Gateway.
pub fn response(result: &Value) -> Result<Response<Full<Bytes>>, String> {
    let Some(status) = result.get("statusCode") else {
        let mut response = Response::new(Full::new(Bytes::from(result.to_string())));
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/json"));
        return Ok(response);
    };
    let status = status
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let status = status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or("statusCode is not a status")?;
    // The body is a string in the result, so its quotes count twice.
    let size = result.to_string().len();
    if size > MAX_RESULT {
        return Err(format!(
            "a result of {size} bytes is more than Lambda hands on"
        ));
    }
    let body = result["body"].as_str().unwrap_or_default();
    let body = match result["isBase64Encoded"].as_bool() {
        Some(true) => BASE64
            .decode(body)
            .map_err(|_| "body is not base64")?
            .into(),
        _ => Bytes::copy_from_slice(body.as_bytes()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    for (name, value) in result["headers"].as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name} is not a header"))?;
        let value = HeaderValue::from_str(&text)
            .map_err(|_| format!("header {name} has a value that cannot be sent"))?;
        response.headers_mut().insert(name, value);
    }
    for cookie in result["cookies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let cookie = HeaderValue::from_str(cookie).map_err(|_| "a cookie cannot be sent")?;
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if !response.headers().contains_key("content-type") {
        let text = HeaderValue::from_static("text/plain;charset=UTF-8");
        response.headers_mut().insert("content-type", text);
    }
    Ok(response)
}
