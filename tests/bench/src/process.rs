//! A function's own program, started as Lambda starts it. Owns a stand-in for the Runtime
//! API (AWS Lambda Developer Guide, "Using the Lambda runtime API"), and what a process
//! has used when it ends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use emulators::{ResponseBody, Server};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::Value;
use shared::base::clock::Clock;
use tokio::sync::{Mutex, mpsc};
use wait4::Wait4;

/// How long to wait for anything.
const PATIENCE: Duration = Duration::from_secs(600);

/// A running bootstrap that waits for its next event.
pub struct Process {
    child: Child,
    events: mpsc::Sender<Value>,
    said: mpsc::Receiver<Said>,
    _api: Server,
}

/// What a bootstrap tells the Runtime API.
enum Said {
    /// It asks for the next event.
    Next,
    Response(Bytes),
    Error(Bytes),
}

/// What a process used from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// The most memory that it had, in bytes.
    pub peak: u64,
}

struct Api {
    events: Mutex<mpsc::Receiver<Value>>,
    said: mpsc::Sender<Said>,
}

impl Process {
    /// Starts it and waits until it asks for its first event; how long that took.
    pub async fn start(
        command: &[&Path],
        environment: &BTreeMap<String, String>,
    ) -> Result<(Process, Duration), String> {
        let (events, taken) = mpsc::channel(1);
        let (say, mut said) = mpsc::channel(4);
        let api = Arc::new(Api {
            events: Mutex::new(taken),
            said: say,
        });
        let api = Server::start(move |request| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        })
        .await
        .map_err(|e| e.to_string())?;
        let address = api.endpoint().trim_start_matches("http://").to_owned();
        let began = Instant::now();
        let child = Command::new(command[0])
            .args(&command[1..])
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", command[0].display()))?;
        let first = tokio::time::timeout(PATIENCE, said.recv()).await;
        let took = began.elapsed();
        let process = Process {
            child,
            events,
            said,
            _api: api,
        };
        match first {
            Ok(Some(Said::Next)) => Ok((process, took)),
            _ => Err(format!("{} does not start", command[0].display())),
        }
    }

    /// Hands it an event: its answer, and how long that took.
    pub async fn invoke(&mut self, event: Value) -> Result<(Value, Duration), String> {
        let began = Instant::now();
        let gone = |_| "the process is gone".to_owned();
        self.events.send(event).await.map_err(gone)?;
        loop {
            let said = tokio::time::timeout(PATIENCE, self.said.recv()).await;
            match said {
                Ok(Some(Said::Next)) => {}
                Ok(Some(Said::Response(body))) => {
                    let took = began.elapsed();
                    return Ok((serde_json::from_slice(&body).unwrap_or_default(), took));
                }
                Ok(Some(Said::Error(body))) => {
                    return Err(String::from_utf8_lossy(&body).into_owned());
                }
                Ok(None) | Err(_) => return Err("it does not answer".to_owned()),
            }
        }
    }

    /// Ends it, and says what it used.
    pub fn end(mut self) -> Result<Usage, String> {
        let peak = peak(self.child.id())?;
        self.child.kill().map_err(|e| e.to_string())?;
        let used = self.child.wait4().map_err(|e| e.to_string())?;
        let cpu = used.rusage.utime + used.rusage.stime;
        Ok(Usage { cpu, peak })
    }
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = request.into_body().collect().await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        if method == Method::GET {
            let _ = self.said.send(Said::Next).await;
            return match self.events.lock().await.recv().await {
                Some(event) => next(&event),
                None => reply(StatusCode::GONE, Bytes::new()),
            };
        }
        let said = match path.ends_with("/response") {
            true => Said::Response(body),
            false => Said::Error(body),
        };
        let _ = self.said.send(said).await;
        reply(StatusCode::ACCEPTED, Bytes::new())
    }
}

fn next(event: &Value) -> Response<ResponseBody> {
    let mut answer = reply(StatusCode::OK, Bytes::from(event.to_string()));
    let deadline = Clock::system().now().as_millisecond() + 900_000;
    let headers = [
        (
            "lambda-runtime-aws-request-id",
            uuid::Uuid::new_v4().to_string(),
        ),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned(),
        ),
    ];
    for (name, value) in headers {
        answer
            .headers_mut()
            .insert(name, value.parse().expect("a header"));
    }
    answer
}

fn reply(status: StatusCode, body: Bytes) -> Response<ResponseBody> {
    let body = Full::new(body).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// The most memory that a process had since it began, in bytes (proc(5), `VmHWM`).
pub fn peak(process: u32) -> Result<u64, String> {
    memory(process, "VmHWM:")
}

/// What it has now (proc(5), `VmRSS`).
pub fn resident(process: u32) -> Result<u64, String> {
    memory(process, "VmRSS:")
}

fn memory(process: u32, name: &str) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.map_err(|e| format!("/proc/{process}/status: {e}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.ok_or("no such figure in /proc")? * 1024)
}
