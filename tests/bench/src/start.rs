//! How a function starts: its own program, as it is deployed, until it asks for its first
//! event; beside a Python and a Node handler that only make a DynamoDB client.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;
use std::time::Duration;

use zip::write::SimpleFileOptions;

use crate::process::{Process, Usage};
use crate::stage::bootstrap;
use crate::table::{Line, median, show};

/// Those that answer requests: somebody waits for them.
const FUNCTIONS: [&str; 7] = [
    "access", "admin", "console", "delete", "export", "ingest", "redact",
];
const MIB: f64 = 1024.0 * 1024.0;

const PYTHON: &str = r#"
import os, urllib.request, boto3
client = boto3.client("dynamodb")
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{api}/next") as answer:
        answer.read()
"#;
const NODE: &str = r#"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
const client = new DynamoDBClient({});
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
for (;;) await (await fetch(`${api}/next`)).text();
"#;

pub async fn lines(bootstraps: &Path, tools: &Path, quick: bool) -> Result<Vec<Line>, String> {
    let runs = if quick { 3 } else { 20 };
    let mut built = Vec::new();
    for name in FUNCTIONS {
        built.push((name, bootstrap(bootstraps, name)?));
    }
    let (python, node) = references(tools)?;
    let environment = environment();
    let python = cpu(&python, &environment, runs).await?;
    let node = cpu(&node, &environment, runs).await?;
    let mut lines = Vec::new();
    for (name, bootstrap) in built {
        let ours = cpu(slice::from_ref(&bootstrap), &environment, runs).await?;
        let zipped = zipped(&bootstrap)?;
        let peak = ours.peak as f64 / MIB;
        let times = |other: Usage| other.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
        lines.push(
            Line::new(format!("start of `{name}`: CPU time"))
                .ours(format!(
                    "{}, {peak:.1} MiB, {zipped:.2} MB zipped",
                    show(ours.cpu)
                ))
                .reference(format!(
                    "{} Python, {} Node",
                    show(python.cpu),
                    show(node.cpu)
                ))
                .at_least(times(python), 30.0, "× less than Python")
                .and(times(node) >= 15.0, "15× less than Node")
                .and(peak <= 14.0, "≤ 14 MiB")
                .and(zipped <= 4.0, "≤ 4 MB zipped"),
        );
    }
    Ok(lines)
}

/// The median of several starts; the first, which warms the page cache, does not count.
async fn cpu(
    command: &[PathBuf],
    environment: &BTreeMap<String, String>,
    runs: usize,
) -> Result<Usage, String> {
    let command: Vec<_> = command.iter().map(PathBuf::as_path).collect();
    let (mut cpu, mut peak) = (Vec::<Duration>::new(), 0);
    for run in 0..=runs {
        let (process, _) = Process::start(&command, environment).await?;
        let used = process.end()?;
        if run > 0 {
            cpu.push(used.cpu);
            peak = peak.max(used.peak);
        }
    }
    Ok(Usage {
        cpu: median(&mut cpu),
        peak,
    })
}

/// What each is told; nobody is asked anything.
fn environment() -> BTreeMap<String, String> {
    let mut environment: BTreeMap<_, _> = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("LETHE_RECORDS_TABLE", "records"),
        ("LETHE_KEYRING_TABLE", "keyring"),
        ("LETHE_BUCKET", "bucket"),
        ("LETHE_KEY", "key"),
        ("LETHE_SIGNING_KEY", "signing-key"),
        ("LETHE_RECORDS_RECOVERY_DAYS", "30"),
        ("LETHE_KEYRING_RECOVERY_DAYS", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    environment.insert("PATH".to_owned(), std::env::var("PATH").unwrap_or_default());
    environment
}

/// The size of what would be uploaded, in MB.
fn zipped(bootstrap: &Path) -> Result<f64, String> {
    let content = fs::read(bootstrap).map_err(|e| format!("{}: {e}", bootstrap.display()))?;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_level(Some(9));
    zip.start_file("bootstrap", options)
        .map_err(|e| e.to_string())?;
    zip.write_all(&content).map_err(|e| e.to_string())?;
    let zip = zip.finish().map_err(|e| e.to_string())?;
    Ok(zip.into_inner().len() as f64 / 1e6)
}

/// The commands of both references; what they need is installed once, in the tools folder.
fn references(tools: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", tools.display());
    fs::create_dir_all(tools).map_err(failed)?;
    // Commands run in the folder and elsewhere.
    let tools = tools.canonicalize().map_err(failed)?;
    let (python, node) = (tools.join("python"), tools.join("node"));
    if !python.join("bin/python").exists() {
        eprintln!("  installing boto3");
        run(Command::new("python3").arg("-m").arg("venv").arg(&python))?;
        run(Command::new(python.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "boto3"]))?;
    }
    if !node.join("node_modules/@aws-sdk/client-dynamodb").exists() {
        eprintln!("  installing @aws-sdk/client-dynamodb");
        fs::create_dir_all(&node).map_err(failed)?;
        fs::write(node.join("package.json"), "{}").map_err(failed)?;
        let arguments = ["install", "--silent", "@aws-sdk/client-dynamodb@3"];
        run(Command::new("npm").args(arguments).current_dir(&node))?;
    }
    let (handler, module) = (python.join("handler.py"), node.join("handler.mjs"));
    fs::write(&handler, PYTHON).map_err(failed)?;
    fs::write(&module, NODE).map_err(failed)?;
    Ok((
        vec![python.join("bin/python"), handler],
        vec!["node".into(), module],
    ))
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed")),
    }
}
