//! The command line: runs the service locally, seeds the demo on the first start, prints the
//! address, and stops on Ctrl-C; verifies a day of an activity log; or replays after a
//! restore.
#![expect(
    clippy::print_stdout,
    reason = "a command line talks to whoever typed it"
)]

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use emulators::Storage;
use jiff::civil::Date;
use lethe_local::replay::Site;
use lethe_local::verify::{self, Source};
use lethe_local::{Cloud, Options, StartError, seed, state};
use serde_json::{Value, json};
use shared::base::clock::Clock;
use tracing_subscriber::EnvFilter;

/// Run the whole Lethe service on this machine, on loopback, with demo data.
///
/// Reads infra/template.yaml and runs what it declares: tables, bucket, keys, routes,
/// triggers and schedules. The first start seeds two demo tenants and writes their keys and
/// the address to DIR/demo.json. To advance the clock, use POST /local/clock.
#[derive(Parser)]
#[command(
    name = "lethe",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Logs go to stderr. Set RUST_LOG=info for more detail."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    Verify(Verify),
    Replay(Replay),
}

#[derive(Args)]
struct Run {
    /// Port on 127.0.0.1 (0: any free port)
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Folder for the data and for demo.json
    #[arg(long, value_name = "DIR", default_value = ".local")]
    data: PathBuf,
    /// Keep the data in memory and write only demo.json
    #[arg(long)]
    memory: bool,
    /// Template to run instead of infra/template.yaml
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
}

/// Verify one day of a tenant's activity log against its signed log root.
///
/// Verifies the signature with the published keys, the signed root against the leaves of
/// the day, every entry against its leaf, and the chain to the previous day. An entry that
/// was changed, added or deleted makes the day invalid. A log is deleted only when its
/// tenant leaves: with --left, missing entries are noted and do not make the day invalid.
#[derive(Args)]
#[command(after_help = "\
To verify offline, save the responses and pass their folder with --from:

  curl -s $URL/.well-known/jwks.json                           > DIR/jwks.json
  curl -s \"$URL/v1/activity/seals?day=DAY\" -H \"$KEY\"         > DIR/seals-1.json
  curl -s \"$URL/v1/activity/seals?day=DAY_BEFORE\" -H \"$KEY\"  > DIR/seals-2.json
  curl -s \"$URL/v1/activity?day=DAY&limit=100\" -H \"$KEY\"     > DIR/activity-1.json

Save further pages (&cursor=NEXT_CURSOR) as activity-2.json and so on.

Exit status: 0 if the day is valid, 1 if it is not valid, 2 if it could not be verified.")]
struct Verify {
    /// Day to verify, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    day: Date,
    /// URL of the service (HTTP only)
    #[arg(long, default_value = "http://127.0.0.1:8787", conflicts_with = "from")]
    url: String,
    /// API key with the admin scope
    #[arg(long, required_unless_present = "from", conflicts_with = "from")]
    key: Option<String>,
    /// Folder of saved responses to use instead of the service
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The tenant has left and its log was deleted
    #[arg(long, requires = "from")]
    left: bool,
}

/// Make the two tables consistent after a restore, and repeat the erasures that it undid.
///
/// Pause the service first. Without --apply, the command only reports what it would change.
/// Running it again changes nothing more. See infra/RESTORE.md.
#[derive(Args)]
#[command(after_help = "\
To rehearse: stop the local run, copy its data folder, start it again, erase a person, and
stop it. Then run

  cargo run -- replay --restored records --from COPY --apply

to restore that table from the copy and to replay.

Exit status: 0 on success, 1 if more lives would end than --max-share allows, 2 on failure.")]
struct Replay {
    /// Tables that were restored to an earlier point in time
    #[arg(long, value_parser = ["records", "keyring", "both"], default_value = "both")]
    restored: String,
    /// Point in time of the records table: of its restore, or when the service was paused
    #[arg(long, value_name = "TIME", requires = "keyring_at")]
    records_at: Option<String>,
    /// Point in time of the keyring table
    #[arg(long, value_name = "TIME", requires = "records_at")]
    keyring_at: Option<String>,
    /// Apply the changes instead of only counting them
    #[arg(long)]
    apply: bool,
    /// Stop before any change if a larger share of all lives would end
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    max_share: f64,
    /// Data folder of a stopped local run
    #[arg(long, value_name = "DIR", default_value = ".local")]
    data: PathBuf,
    /// First restore the tables from this copy of the data folder
    #[arg(long, value_name = "DIR", conflicts_with = "aws")]
    from: Option<PathBuf>,
    /// Run on the deployment that the LETHE_* variables name, with your AWS credentials
    #[arg(long, conflicts_with = "data")]
    aws: bool,
}

fn day(text: &str) -> Result<Date, String> {
    let day = text.parse::<Date>().ok();
    day.filter(|day| day.to_string() == text)
        .ok_or_else(|| "must be a date such as 2026-01-31".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,dynoxide=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .init();
    let Arguments { command, run } = Arguments::parse();
    let outcome = match command {
        None => start(run).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Verify(verify)) => check(verify).await,
        Some(Command::Replay(replay)) => make_agree(replay).await,
    };
    match outcome {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("lethe: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Verifies a day and prints the result.
async fn check(verify: Verify) -> Result<ExitCode, String> {
    let Verify {
        day,
        url,
        key,
        from,
        left,
    } = verify;
    let source = match (from, key) {
        (Some(folder), _) => Source::Folder { folder, left },
        (None, key) => Source::Service {
            url,
            key: key.unwrap_or_default(),
        },
    };
    let report = verify::check(&source.evidence(day).await?);
    println!("{report}");
    Ok(match report.valid() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// Runs the replay and prints what was found and done.
async fn make_agree(replay: Replay) -> Result<ExitCode, String> {
    let site = match replay.aws {
        true => Site::deployment().await?,
        false => Site::folder(&replay.data, &Options::default().template).await?,
    };
    if let Some(copy) = replay.from {
        site.restore(&replay.restored, copy).await?;
        println!("Restored from the copy: {}.", replay.restored);
    }
    let order = json!({
        "restored": replay.restored,
        "records_at": replay.records_at,
        "keyring_at": replay.keyring_at,
        "dry_run": !replay.apply,
        "max_share": replay.max_share,
    });
    let answer = site.replay(order, tell).await?;
    println!("\n{:<22}{:>10}{:>10}", "", "found", "done");
    for (name, found) in answer["found"].as_object().into_iter().flatten() {
        let (name_shown, done) = (name.replace('_', " "), &answer[name]);
        // These are only counted, never changed.
        let done = match name.as_str() {
            "lives" | "seen" | "tenants_unknown" => String::new(),
            _ => done.to_string(),
        };
        println!("{name_shown:<22}{found:>10}{done:>10}");
    }
    if answer["stopped"] == true {
        println!("\nStopped: more lives would end than --max-share allows. No changes made.");
        return Ok(ExitCode::from(1));
    }
    if !replay.apply {
        println!("\nNo changes made. Run with --apply to make them.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints one line of progress.
fn tell(answer: &Value) {
    let text = |name: &str| answer[name].as_str().unwrap_or("done").to_owned();
    let tally = match answer["phase"] == "looking" {
        true => &answer["found"],
        false => answer,
    };
    println!(
        "{:<8} {:<8} {} examined, {} of {} lives end",
        text("phase"),
        text("at"),
        tally["seen"],
        tally["erased"],
        answer["lives"]
    );
}

async fn start(run: Run) -> Result<(), String> {
    let Run {
        port,
        data,
        memory,
        template,
    } = run;
    let defaults = Options::default();
    let options = Options {
        storage: if memory {
            Storage::Memory
        } else {
            Storage::Folder(data.clone())
        },
        port,
        clock: Clock::system(),
        template: template.unwrap_or(defaults.template),
        ..defaults
    };
    let cloud = Cloud::start(options).await.map_err(|e| e.to_string())?;
    let stopped = wait_for_stop().map_err(|e| format!("cannot wait for Ctrl-C: {e}"))?;
    tokio::pin!(stopped);
    let filled = tokio::select! {
        filled = fill(&cloud, &data) => filled,
        () = &mut stopped => {
            cloud.stop().await;
            return Err("stopped before the demo was seeded".to_owned());
        }
    };
    match filled {
        Ok(demo) => {
            greet(&cloud, &data, memory, &demo);
            stopped.await;
            println!("\nStopping.");
            cloud.stop().await;
            Ok(())
        }
        Err(problem) => {
            cloud.stop().await;
            Err(problem)
        }
    }
}

/// Seeds the demo unless it exists, and writes `demo.json`.
async fn fill(cloud: &Cloud, data: &Path) -> Result<Value, String> {
    let path = data.join("demo.json");
    let unusable = |e| StartError::Data(path.clone(), e).to_string();
    // A script that waits for the file must not find one of an earlier run.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(unusable(e)),
        _ => {}
    }
    let kept = cloud.kept();
    let demo = match kept.demo() {
        Some(demo) => demo,
        None if kept.is_half_seeded() => {
            return Err(format!(
                "{} is only partly seeded: remove it and start again",
                data.display()
            ));
        }
        None => {
            kept.begin_seeding();
            let demo = seed::seed(cloud, progress)
                .await
                .map_err(|e| format!("cannot seed the demo: {e}"))?;
            cloud.settle().await;
            kept.end_seeding(demo.clone());
            demo
        }
    };
    let mut demo = serde_json::to_value(demo).map_err(|e| e.to_string())?;
    demo["url"] = json!(cloud.url());
    demo["console"] = json!(format!("{}/console", cloud.url()));
    demo["operator"] = json!(cloud.operator_key());
    state::write(&path, &demo).map_err(unusable)?;
    Ok(demo)
}

/// One updating line on a terminal, otherwise a few lines.
fn progress(done: usize, total: usize) {
    let whole = done >= total;
    if io::stderr().is_terminal() {
        eprint!(
            "\rSeeding the demo: {done} of {total}{}",
            if whole { "\n" } else { "" }
        );
    } else if whole || (total >= 4 && done > 0 && done.is_multiple_of(total / 4)) {
        eprintln!("Seeding the demo: {done} of {total}");
    }
}

fn greet(cloud: &Cloud, data: &Path, memory: bool, demo: &Value) {
    let (url, file) = (cloud.url(), data.join("demo.json"));
    let days = cloud.clock().ahead().as_hours() / 24;
    println!("\nLethe is running on {url}\n");
    println!("  Console   {url}/console");
    println!(
        "  Sign in   {}",
        demo["keys"]["owner"].as_str().unwrap_or_default()
    );
    println!(
        "  Keys      {} (all keys of both demo tenants and of the operator)",
        file.display()
    );
    match memory {
        true => println!("  Data      in memory; lost on exit"),
        false => println!("  Data      {} (remove it to start over)", data.display()),
    }
    if days > 0 {
        println!("  Clock     {days} days ahead of this machine");
    }
    println!("\n  Advance the clock by 31 days:");
    println!("  curl -X POST {url}/local/clock -d '{{\"advance\": \"31d\"}}'\n");
    println!("Press Ctrl-C to stop.");
}

/// Ctrl-C, or a termination signal.
#[cfg(unix)]
fn wait_for_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn wait_for_stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
