//! S3: versioned buckets on loopback, spoken to through the `s3s` crate's protocol.
//!
//! Owns the bucket policies that a [`BucketSpec`] declares, presigned URLs by our
//! clock, CORS and notifications. Must not know what the objects are. Bodies are
//! kept as they come: encryption at rest is S3's affair, and here only the
//! headers that ask for it are kept, checked and returned.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{Claim, Clock, EngineError, Place, Server};

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
mod shelf;
mod store;

use front::Front;
pub use lifecycle::LifecycleRule;
use service::Service;
use store::Store;

/// The one pair of keys that may use the engine.
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

/// A bucket, as far as the template declares it. Versioning is always on.
#[derive(Clone, Debug, Default)]
pub struct BucketSpec {
    pub name: String,
    /// The KMS key that what is put is encrypted under, unless it says otherwise.
    pub encryption_key: Option<String>,
    /// Refuses every put that asks for another encryption than SSE-KMS under
    /// `encryption_key`.
    pub encryption_own: bool,
    /// What presigned URLs may not read.
    pub clean_tag_gated: Option<CleanTag>,
    /// Web origins that a browser may send presigned requests from; `*` is any.
    pub allowed_origins: Vec<String>,
    /// S3 created under this prefix are notified; `None` is none.
    pub notify_prefix: Option<String>,
    /// How its objects age.
    pub lifecycle: Vec<LifecycleRule>,
}

/// Under `prefix`, a presigned URL reads only what carries this tag.
#[derive(Clone, Debug)]
pub struct CleanTag {
    pub prefix: String,
    pub key: String,
    pub value: String,
}

/// A running S3.
pub struct S3 {
    server: Server,
    store: Arc<Store>,
    clock: Clock,
    _claim: Option<Claim>,
}

impl S3 {
    /// Starts the engine with these buckets, and what they hold from before.
    /// The receiver gets one `Records[]` entry of a Lambda S3 event for each
    /// object created under a notified prefix.
    pub async fn start(
        place: &Place,
        clock: &Clock,
        credentials: &Credentials,
        buckets: Vec<BucketSpec>,
    ) -> Result<(S3, UnboundedReceiver<Value>), EngineError> {
        let claim = place.claim("objects")?;
        let store = Arc::new(Store::open(place, clock, buckets)?);
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
                _claim: claim,
            },
            receiver,
        ))
    }

    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Everything the engine holds, in every bucket: so that a test can say that
    /// nothing is left of something.
    pub fn everything(&self) -> Vec<Held> {
        self.store.everything()
    }
}

/// Something the engine holds.
#[derive(Clone, Debug)]
pub struct Held {
    pub bucket: String,
    pub key: String,
    pub kind: HeldKind,
    /// The version's or the upload's id.
    pub id: String,
    /// Every header that was given with it, user metadata included.
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
