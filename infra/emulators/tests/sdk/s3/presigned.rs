//! Presigned URLs, CORS, and requests that are refused.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::ServerSideEncryption;
use http::request::Builder;
use http::{HeaderMap, Request};
use jiff::SignedDuration;

use super::{KEY_ARN, Setup, sha256, start};
use crate::{ACCESS_KEY, SECRET_KEY, code, sdk_as};

impl Setup {
    fn for_seconds(&self, seconds: u64) -> PresigningConfig {
        let presigning = PresigningConfig::builder().start_time(SystemTime::from(self.time.now()));
        presigning
            .expires_in(Duration::from_secs(seconds))
            .build()
            .unwrap()
    }

    async fn presigned_get(&self, bucket: &str, key: &str) -> PresignedRequest {
        self.client
            .get_object()
            .bucket(bucket)
            .key(key)
            .presigned(self.for_seconds(60))
            .await
            .unwrap()
    }
}

/// What a browser or `curl` would send, given the presigned request. The length
/// of the body is the client's to say.
fn request(presigned: &PresignedRequest, url: &str) -> Builder {
    let request = Request::builder().method(presigned.method()).uri(url);
    let headers = presigned
        .headers()
        .filter(|(name, _)| *name != "content-length");
    headers.fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

async fn send(request: Builder, body: &'static str) -> (u16, HeaderMap, String) {
    let answer = crate::send(request.body(body).unwrap()).await;
    let (head, body) = answer.into_parts();
    let text = String::from_utf8(body.into()).unwrap();
    (head.status.as_u16(), head.headers, text)
}

async fn outcome(request: Builder) -> (u16, String) {
    let (status, _, text) = send(request, "").await;
    (status, text)
}

#[tokio::test]
async fn a_presigned_put_is_held_to_what_was_signed() {
    let s3 = start().await;
    let signed = s3
        .client
        .put_object()
        .bucket("guarded")
        .key("incoming/a file.txt")
        .content_length(5)
        .content_type("text/plain")
        .checksum_sha256(sha256(b"hello"))
        .if_none_match("*")
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id(KEY_ARN)
        .presigned(s3.for_seconds(600))
        .await
        .unwrap();
    let put = |body: &'static str| send(request(&signed, signed.uri()), body);
    let (status, _, text) = put("other").await;
    assert!(
        status == 400 && text.contains("BadDigest"),
        "{status} {text}"
    );
    let (status, _, text) = put("longer than it was").await;
    assert!(
        status == 403 && text.contains("SignatureDoesNotMatch"),
        "{status} {text}"
    );
    let more = request(&signed, signed.uri()).header("x-amz-meta-more", "1");
    let (status, _, text) = send(more, "hello").await;
    assert!(
        status == 403 && text.contains("AccessDenied"),
        "{status} {text}"
    );
    assert_eq!(send(Request::put(signed.uri()), "hello").await.0, 403);
    assert!(s3.engine.everything().is_empty());

    let (status, _, text) = put("hello").await;
    assert_eq!(status, 200, "{text}");
    let held = &s3.engine.everything()[0];
    assert_eq!(
        (&*held.key, &*held.body),
        ("incoming/a file.txt", &b"hello"[..])
    );
    assert_eq!(put("hello").await.0, 412);
    s3.time.advance(SignedDuration::from_secs(601));
    let (status, _, text) = put("hello").await;
    assert!(
        status == 403 && text.contains("Request has expired"),
        "{status} {text}"
    );
}

#[tokio::test]
async fn a_presigned_get_works_for_its_time_only_and_only_as_signed() {
    let s3 = start().await;
    s3.put("k", b"body").await;
    s3.put("l", b"other").await;
    let signed = s3.presigned_get("plain", "k").await;
    let url = signed.uri();
    assert_eq!(
        outcome(request(&signed, url)).await,
        (200, "body".to_owned())
    );
    let tampered = [
        url.replace("/plain/k?", "/plain/l?"),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        format!("{url}&response-content-type=text%2Fhtml"),
        url.replace("X-Amz-Signature=", "X-Amz-Signature=0"),
    ];
    for url in tampered {
        let (status, text) = outcome(request(&signed, &url)).await;
        assert!(
            status == 403 && text.contains("SignatureDoesNotMatch"),
            "{url}: {status} {text}"
        );
    }
    assert_eq!(send(Request::put(url), "new").await.0, 403);
    s3.time.advance(SignedDuration::from_secs(60));
    assert_eq!(outcome(request(&signed, url)).await.0, 200);
    s3.time.advance(SignedDuration::from_secs(1));
    let (status, text) = outcome(request(&signed, url)).await;
    assert!(
        status == 403 && text.contains("Request has expired"),
        "{status} {text}"
    );

    let tomorrow = SystemTime::from(s3.time.now() + SignedDuration::from_hours(1));
    let early = PresigningConfig::builder()
        .start_time(tomorrow)
        .expires_in(Duration::from_secs(60))
        .build()
        .unwrap();
    let early = s3
        .client
        .get_object()
        .bucket("plain")
        .key("k")
        .presigned(early)
        .await
        .unwrap();
    assert_eq!(outcome(request(&early, early.uri())).await.0, 403);
}

#[tokio::test]
async fn nobody_comes_in_without_the_keys() {
    let s3 = start().await;
    s3.put("k", b"body").await;
    let url = format!("{}/plain/k", s3.engine.endpoint());
    let (status, text) = outcome(Request::get(&url)).await;
    assert!(
        status == 403 && text.contains("AccessDenied"),
        "{status} {text}"
    );
    let old = format!("{url}?AWSAccessKeyId={ACCESS_KEY}&Signature=c2ln&Expires=4102444800");
    assert_eq!(outcome(Request::get(old)).await.0, 400);
    for (access_key, secret_key, wanted) in [
        (ACCESS_KEY, "wrong", "SignatureDoesNotMatch"),
        ("AKIDOTHER", SECRET_KEY, "InvalidAccessKeyId"),
    ] {
        let stranger = Client::new(&sdk_as(s3.engine.endpoint(), access_key, secret_key));
        let got = stranger.get_object().bucket("plain").key("k");
        assert_eq!(code(got.clone().send().await), wanted);
        let url = got.presigned(s3.for_seconds(60)).await.unwrap();
        let (status, text) = outcome(request(&url, url.uri())).await;
        assert!(status == 403 && text.contains(wanted), "{status} {text}");
    }
}

#[tokio::test]
async fn a_presigned_url_reads_only_what_is_tagged_clean() {
    let s3 = start().await;
    let version = s3.put_guarded("incoming/x", b"x").await;
    let signed = s3.presigned_get("guarded", "incoming/x").await;
    let read = || outcome(request(&signed, signed.uri()));
    assert_eq!(read().await.0, 403);
    s3.tag_clean("incoming/x", &version, "infected").await;
    assert_eq!(read().await.0, 403);
    s3.client
        .get_object()
        .bucket("guarded")
        .key("incoming/x")
        .send()
        .await
        .unwrap();
    s3.tag_clean("incoming/x", &version, "clean").await;
    assert_eq!(read().await, (200, "x".to_owned()));
    s3.put_guarded("incoming/x", b"another").await;
    assert_eq!(read().await.0, 403);
    s3.put_guarded("exports/x", b"zip").await;
    let export = s3.presigned_get("guarded", "exports/x").await;
    assert_eq!(outcome(request(&export, export.uri())).await.0, 200);
}

#[tokio::test]
async fn a_browser_is_let_in_from_the_allowed_origin() {
    let s3 = start().await;
    s3.put_guarded("exports/x", b"zip").await;
    let signed = s3.presigned_get("guarded", "exports/x").await;
    let ask = |origin: &'static str| {
        let request = Request::options(signed.uri())
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "x-amz-checksum-sha256");
        send(request, "")
    };
    let (status, headers, _) = ask("https://shop.example").await;
    assert_eq!(status, 200);
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://shop.example"
    );
    assert_eq!(
        headers["access-control-allow-headers"],
        "x-amz-checksum-sha256"
    );
    assert_eq!(ask("https://elsewhere.example").await.0, 403);
    let get = |origin| send(request(&signed, signed.uri()).header("origin", origin), "");
    let (status, headers, _) = get("https://shop.example").await;
    assert_eq!(status, 200);
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://shop.example"
    );
    let (_, headers, _) = get("https://elsewhere.example").await;
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_presigned_get_names_the_file_it_is_saved_as() {
    let s3 = start().await;
    s3.put("k", b"body").await;
    let get = s3.client.get_object().bucket("plain").key("k");
    let get = get
        .response_content_disposition("attachment; filename=\"a b.txt\"")
        .response_content_type("text/plain");
    let signed = get.presigned(s3.for_seconds(60)).await.unwrap();
    let (_, headers, _) = send(request(&signed, signed.uri()), "").await;
    assert_eq!(
        headers["content-disposition"],
        "attachment; filename=\"a b.txt\""
    );
    assert_eq!(headers["content-type"], "text/plain");
}
