//! A minimal HTTP client for tests and tools: sends a request and reads the whole response.
//! Supports no proxies, redirects or cookies, and knows nothing of the API. Over TLS it trusts
//! the machine's roots, or the file that `SSL_CERT_FILE` names.

use std::sync::LazyLock;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lambda_runtime::Error;
use rustls::{ClientConfig, RootCertStore};

/// Read once per process. Plain HTTP works even without any trusted roots.
static TRUST: LazyLock<ClientConfig> = LazyLock::new(|| {
    let trust = ClientConfig::builder().with_native_roots();
    let nobody = |_| ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    trust.unwrap_or_else(nobody).with_no_client_auth()
});

/// Clones share their connections, which are kept alive between requests.
#[derive(Clone, Debug)]
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Default for Client {
    fn default() -> Client {
        let mut connector = HttpConnector::new();
        // Otherwise the end of a long body waits for the acknowledgement of its beginning.
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(TRUST.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Client(legacy::Client::builder(TokioExecutor::new()).build(connector))
    }
}

impl Client {
    /// Sends a request to an absolute URL. The body's length is added automatically.
    ///
    /// # Errors
    /// When the server cannot be reached, or stops in the middle of a response. No status is
    /// an error.
    pub async fn send(&self, request: Request<impl Into<Bytes>>) -> Result<Response<Bytes>, Error> {
        let request = request.map(|body| Full::new(body.into()));
        let (head, body) = self.0.request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}
