//! A bare HTTP client for this machine, for tests and tools: it sends what it is given
//! and reads the answer to its end. It knows no TLS, no proxy, no redirect and no cookie,
//! and nothing of the API.

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lambda_runtime::Error;

/// Clones share their connections, which are kept open between requests.
#[derive(Clone, Debug)]
pub struct Client(legacy::Client<HttpConnector, Full<Bytes>>);

impl Default for Client {
    fn default() -> Client {
        let mut connector = HttpConnector::new();
        // Or the end of a long body waits for the acknowledgement of its beginning.
        connector.set_nodelay(true);
        Client(legacy::Client::builder(TokioExecutor::new()).build(connector))
    }
}

impl Client {
    /// Sends a request to an absolute `http` URL; the length of the body is told by itself.
    ///
    /// # Errors
    /// Whoever should answer cannot be reached, or stops in the middle. Every status is
    /// an answer.
    pub async fn send(&self, request: Request<impl Into<Bytes>>) -> Result<Response<Bytes>, Error> {
        let request = request.map(|body| Full::new(body.into()));
        let (head, body) = self.0.request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}
