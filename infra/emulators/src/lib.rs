//! The three AWS services that Lethe stands on, as servers on loopback: DynamoDB,
//! S3 and KMS. The real SDKs talk to them over HTTP; only the endpoint differs.
//!
//! Owns what the engines share: where data is kept, how a server is started and
//! stopped, what can go wrong at start. Knows nothing of tenants, records or
//! anything else of Lethe's.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

mod clock;
pub mod dynamodb;
pub mod kms;
pub mod s3;

pub use clock::Clock;

/// The account that owns everything here, as it stands in ARNs.
pub const ACCOUNT: &str = "000000000000";
/// The region of events and ARNs, wherever the caller names none.
pub const REGION: &str = "us-east-1";

/// Where an engine keeps what it is given.
#[derive(Clone, Debug)]
pub enum Place {
    /// Gone when the engine is dropped.
    Memory,
    /// Kept in this folder, which is created when it is missing. Each engine
    /// has its own corner in it, and no two processes share one.
    Folder(PathBuf),
}

/// Why an engine did not start. Each reads as one line.
#[derive(Debug)]
pub enum EngineError {
    /// Another process uses this folder.
    Busy(PathBuf),
    /// This file or folder cannot be read, written or understood.
    Unreadable { path: PathBuf, cause: String },
    /// No port on loopback could be had.
    Listen(io::Error),
    /// The engine refused what it was asked to set up.
    Refused(String),
}

impl EngineError {
    fn unreadable(path: impl Into<PathBuf>, cause: impl fmt::Display) -> EngineError {
        let cause = cause.to_string().replace('\n', " ");
        EngineError::Unreadable {
            path: path.into(),
            cause,
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Busy(path) => write!(f, "{} is in use by another run", path.display()),
            EngineError::Unreadable { path, cause } => {
                write!(f, "cannot use {}: {cause}", path.display())
            }
            EngineError::Listen(cause) => write!(f, "cannot listen on 127.0.0.1: {cause}"),
            EngineError::Refused(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for EngineError {}

/// A folder that no other process may use for the same, until this is dropped.
struct Claim(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Place {
    /// Creates the folder, and takes the lock `name.lock` in it.
    fn claim(&self, name: &str) -> Result<Option<Claim>, EngineError> {
        let Place::Folder(folder) = self else {
            return Ok(None);
        };
        create_private_folder(folder)?;
        let path = folder.join(format!("{name}.lock"));
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let file = options
            .open(&path)
            .map_err(|e| EngineError::unreadable(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim(file))),
            Err(TryLockError::WouldBlock) => Err(EngineError::Busy(folder.clone())),
            Err(TryLockError::Error(e)) => Err(EngineError::unreadable(&path, e)),
        }
    }
}

fn create_private_folder(folder: &Path) -> Result<(), EngineError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|e| EngineError::unreadable(folder, e))
}

/// Writes a file that is either the old one or the new one, never half of each,
/// and that only this user may read.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let half = path.with_added_extension("half");
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(&half)?, content)?;
    fs::rename(half, path)
}

async fn listen() -> Result<(TcpListener, String), EngineError> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any_port)
        .await
        .map_err(EngineError::Listen)?;
    let address = listener.local_addr().map_err(EngineError::Listen)?;
    Ok((listener, format!("http://{address}")))
}

/// The body of an answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An HTTP/1.1 server on a random loopback port, gone when it is dropped.
pub struct Server {
    endpoint: String,
    accepting: AbortHandle,
}

impl Server {
    /// Serves until it is dropped. An error of the handler ends the connection without an answer.
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
            // A client that hangs up midway is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(handler))
                .await;
        });
    }
}
