//! S3: versioned buckets on loopback. The `s3s` crate parses requests and writes responses.
//!
//! Adds bucket policies, presigned URLs that use the given clock, CORS, notifications and
//! lifecycle rules. Bodies are stored unencrypted: encryption headers are checked, stored and
//! returned.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::storage::FolderLock;
use crate::{Clock, EngineError, Server, Storage};

mod backend;
mod body;
mod conditions;
mod event;
mod front;
mod lifecycle;
mod list;
mod multipart;
mod operations;
mod presigned;
mod service;
mod store;

use front::Front;
pub use lifecycle::LifecycleRule;
use service::Service;
use store::Store;

/// The only access key that the engine accepts.
#[derive(Clone)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials")
            .field(&self.access_key)
            .finish()
    }
}

/// A bucket. Versioning is always enabled.
#[derive(Clone, Debug, Default)]
pub struct BucketSpec {
    pub name: String,
    /// The default KMS key, which makes SSE-KMS the default encryption.
    pub encryption_key: Option<String>,
    /// Refuses writes that request an encryption other than SSE-KMS with `encryption_key`.
    pub own_key_only: bool,
    /// The tag that presigned reads require.
    pub presigned_read_tag: Option<RequiredTag>,
    /// The origins that CORS allows; `*` is any.
    pub allowed_origins: Vec<String>,
    /// The key prefix whose new objects cause a notification; `None` sends none.
    pub notify_prefix: Option<String>,
    /// Its lifecycle rules.
    pub lifecycle: Vec<LifecycleRule>,
}

/// A presigned URL reads an object under `prefix` only if it has this tag.
#[derive(Clone, Debug)]
pub struct RequiredTag {
    pub prefix: String,
    pub key: String,
    pub value: String,
}

/// A running S3.
pub struct S3 {
    server: Server,
    store: Arc<Store>,
    clock: Clock,
    _lock: Option<FolderLock>,
}

impl S3 {
    /// Starts the engine with these buckets and their stored objects. The receiver gets one
    /// `Records[]` entry of a Lambda S3 event for each object created under a `notify_prefix`.
    pub async fn start(
        storage: &Storage,
        clock: &Clock,
        credentials: &Credentials,
        buckets: Vec<BucketSpec>,
    ) -> Result<(S3, UnboundedReceiver<Value>), EngineError> {
        let lock = storage.lock("objects")?;
        let store = Arc::new(Store::open(storage, clock, buckets)?);
        let (events, receiver) = unbounded_channel();
        let front = Arc::new(Front::new(
            Service::new(store.clone(), events),
            store.clone(),
            clock,
            credentials,
        ));
        let server = Server::start(move |request| {
            let front = front.clone();
            async move { Ok::<_, Infallible>(front.answer(request).await) }
        })
        .await?;
        Ok((
            S3 {
                server,
                store,
                clock: clock.clone(),
                _lock: lock,
            },
            receiver,
        ))
    }

    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Everything in every bucket, for tests that verify what remains.
    pub fn everything(&self) -> Vec<Held> {
        self.store.everything()
    }
}

/// A version, a delete marker or an unfinished upload.
#[derive(Clone, Debug)]
pub struct Held {
    pub bucket: String,
    pub key: String,
    pub kind: HeldKind,
    /// The version id or upload id.
    pub id: String,
    /// The headers that were sent with it, user metadata included.
    pub headers: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// Empty for a delete marker; the parts, in order, for an unfinished upload.
    pub body: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldKind {
    Version,
    DeleteMarker,
    UnfinishedUpload,
}
