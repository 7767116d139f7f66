//! A deployment that stands already, named by `LETHE_SITE`: the same tests run against it, in
//! as far as they neither move time nor look into the engines of a local run.
//!
//! `LETHE_SITE` is the path of a JSON file ([`Names`]). Credentials, region, endpoint and
//! trust are the AWS SDK's own variables; they are an operator's, who may call the operator's
//! routes and look into the tables and the bucket.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Request;
use serde::Deserialize;
use shared::base::clock::Clock;

/// How long work that is under way may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(150);

/// What a deployment is called.
#[derive(Clone, Debug, Deserialize)]
pub struct Names {
    /// Where it answers.
    pub url: String,
    /// The `Host` that it answers to, where that is not the one of its URL.
    pub host: Option<String>,
    pub records: String,
    pub keyring: String,
    pub bucket: String,
}

/// A deployment, and its operator.
pub struct Site {
    pub names: Names,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    credentials: Credentials,
    region: String,
}

impl Site {
    /// Whether the environment names one.
    pub fn is_named() -> bool {
        std::env::var_os("LETHE_SITE").is_some()
    }

    /// The deployment that the environment names, if it does.
    pub async fn named() -> Option<Site> {
        let path = PathBuf::from(std::env::var_os("LETHE_SITE")?);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("LETHE_SITE: {}: {e}", path.display()));
        let names: Names = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("LETHE_SITE: {}: {e}", path.display()));
        let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
        Some(Site {
            credentials: credentials(&sdk).await,
            region: sdk.region().expect("AWS_REGION is set").to_string(),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            // By path: a bucket has no host of its own where no domain is.
            s3: aws_sdk_s3::Client::from_conf(
                aws_sdk_s3::config::Builder::from(&sdk)
                    .force_path_style(true)
                    .build(),
            ),
            names,
        })
    }

    /// Signs a request as the operator, as API Gateway asks of whoever calls their routes.
    pub(crate) fn sign(&self, request: &mut Request<Vec<u8>>) {
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("execute-api")
            .time(Clock::system().now().into())
            .settings(SigningSettings::default())
            .build()
            .expect("everything is given")
            .into();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(request.body()),
        );
        let signed = sign(signable.expect("it can be signed"), &params).expect("it is signed");
        let (instructions, _) = signed.into_parts();
        instructions.apply_to_request_http1x(request);
    }

    /// Returns once every upload of these tenants has been looked at: what scan lets pass is
    /// tagged, and what it refuses is removed.
    pub(crate) async fn scanned(&self, tenants: [&str; 2]) {
        let mut patience = Patience::new();
        for tenant in tenants {
            while let Some(key) = self.unscanned(tenant).await {
                patience.wait(&format!("{key} waits for scan")).await;
            }
        }
    }

    /// Everything in the bucket: keys of versions, delete markers and unfinished uploads.
    pub async fn objects(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let versions = self
            .s3
            .list_object_versions()
            .bucket(&self.names.bucket)
            .send();
        let versions = versions.await.expect("the bucket answers");
        assert_ne!(
            versions.is_truncated(),
            Some(true),
            "there is more than a page"
        );
        let (objects, markers) = (versions.versions(), versions.delete_markers());
        keys.extend(objects.iter().filter_map(|it| it.key()).map(str::to_owned));
        keys.extend(markers.iter().filter_map(|it| it.key()).map(str::to_owned));
        let uploads = self.s3.list_multipart_uploads().bucket(&self.names.bucket);
        let uploads = uploads.send().await.expect("the bucket answers");
        let uploads = uploads.uploads().iter().filter_map(|it| it.key());
        keys.extend(uploads.map(str::to_owned));
        keys
    }

    async fn unscanned(&self, tenant: &str) -> Option<String> {
        let listing = self.s3.list_objects_v2().bucket(&self.names.bucket);
        let listed = listing.prefix(format!("attachments/{tenant}/")).send();
        for object in listed.await.expect("the bucket answers").contents() {
            let key = object.key().expect("an object has a key");
            let tags = self.s3.get_object_tagging().bucket(&self.names.bucket);
            match tags.key(key).send().await {
                Ok(tags) if tags.tag_set().is_empty() => return Some(key.to_owned()),
                Ok(_) => {}
                // Refused, and removed since it was listed.
                Err(e) if e.as_service_error().is_some() => {}
                Err(e) => panic!("the bucket does not answer: {e}"),
            }
        }
        None
    }
}

async fn credentials(sdk: &SdkConfig) -> Credentials {
    let provider = sdk.credentials_provider().expect("there are credentials");
    let found = provider.provide_credentials().await;
    found.expect("there are credentials")
}

/// Waits a little, as often as it takes, but not for ever.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience(Instant::now() + PATIENCE)
    }

    pub(crate) async fn wait(&mut self, what: &str) {
        assert!(
            Instant::now() < self.0,
            "after {} s still: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(PAUSE).await;
    }
}
