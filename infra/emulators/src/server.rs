//! An HTTP server on loopback.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::EngineError;

/// Binds a random port. Returns its URL too.
pub(crate) async fn listen() -> Result<(TcpListener, String), EngineError> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any_port)
        .await
        .map_err(EngineError::Listen)?;
    let address = listener.local_addr().map_err(EngineError::Listen)?;
    Ok((listener, format!("http://{address}")))
}

/// The body of a response.
pub type ResponseBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An HTTP/1.1 server on a random loopback port. Dropping it closes every connection.
pub struct Server {
    endpoint: String,
    accepting: AbortHandle,
}

impl Server {
    /// Starts serving. When the handler fails, the connection closes without a response.
    pub async fn start<H, F, E>(handler: H) -> Result<Server, EngineError>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<ResponseBody>, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (listener, endpoint) = listen().await?;
        let accepting = tokio::spawn(accept(listener, handler)).abort_handle();
        Ok(Server {
            endpoint,
            accepting,
        })
    }

    /// `http://127.0.0.1:…`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Aborting this ends the open connections too: they belong to its `JoinSet`.
async fn accept<H, F, E>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<ResponseBody>, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: wait for a connection to end.
            connections.join_next().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let handler = handler.clone();
        connections.spawn(async move {
            // A client that disconnects is no error of the server.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(handler))
                .await;
        });
    }
}
