//! S3: two versioned buckets, one of them with a policy.

use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ServerSideEncryption, Tag, Tagging};
use base64::Engine as _;
use emulators::s3::{BucketSpec, Credentials, RequiredTag, S3};
use emulators::{EngineError, Storage};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{ACCESS_KEY, SECRET_KEY, Time, sdk};

mod lifecycle;
mod listings;
mod multipart;
mod notifications;
mod objects;
mod presigned;
mod storage;
mod versions;

const KEY_ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/0b5c7a8e-8a43-4e6b-9c62-9d7d3d1b1c01";

struct Setup {
    engine: S3,
    events: UnboundedReceiver<Value>,
    client: Client,
    time: Time,
}

fn buckets() -> Vec<BucketSpec> {
    let plain = BucketSpec {
        name: "plain".into(),
        ..BucketSpec::default()
    };
    let guarded = BucketSpec {
        name: "guarded".into(),
        encryption_key: Some(KEY_ARN.into()),
        own_key_only: true,
        presigned_read_tag: Some(RequiredTag {
            prefix: "incoming/".into(),
            key: "scan".into(),
            value: "clean".into(),
        }),
        allowed_origins: vec!["https://shop.example".into()],
        notify_prefix: Some("incoming/".into()),
        lifecycle: Vec::new(),
    };
    vec![plain, guarded]
}

async fn open(storage: &Storage) -> Result<Setup, EngineError> {
    // Nothing here may depend on this clock standing near the machine's.
    let time = Time::starting_at("2031-05-01T10:00:00Z");
    let credentials = Credentials {
        access_key: ACCESS_KEY.into(),
        secret_key: SECRET_KEY.into(),
    };
    let (engine, events) = S3::start(storage, &time.clock(), &credentials, buckets()).await?;
    let client = Client::new(&sdk(engine.endpoint()));
    Ok(Setup {
        engine,
        events,
        client,
        time,
    })
}

async fn start() -> Setup {
    open(&Storage::Memory).await.unwrap()
}

impl Setup {
    async fn put(&self, key: &str, body: &'static [u8]) -> String {
        let request = self
            .client
            .put_object()
            .bucket("plain")
            .key(key)
            .body(ByteStream::from_static(body));
        request.send().await.unwrap().version_id.unwrap()
    }

    async fn put_guarded(&self, key: &str, body: &'static [u8]) -> String {
        let request = self
            .client
            .put_object()
            .bucket("guarded")
            .key(key)
            .body(ByteStream::from_static(body));
        let request = request
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(KEY_ARN);
        request.send().await.unwrap().version_id.unwrap()
    }

    async fn get(&self, key: &str, version: Option<&str>) -> Vec<u8> {
        let request = self
            .client
            .get_object()
            .bucket("plain")
            .key(key)
            .set_version_id(version.map(str::to_owned));
        request
            .send()
            .await
            .unwrap()
            .body
            .collect()
            .await
            .unwrap()
            .to_vec()
    }

    async fn tag_clean(&self, key: &str, version: &str, verdict: &str) {
        let tag = Tag::builder().key("scan").value(verdict).build().unwrap();
        let tagging = Tagging::builder().tag_set(tag).build().unwrap();
        let request = self
            .client
            .put_object_tagging()
            .bucket("guarded")
            .key(key)
            .version_id(version);
        request.tagging(tagging).send().await.unwrap();
    }
}

fn sha256(body: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(digest(&SHA256, body))
}
