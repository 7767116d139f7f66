//! Measures what Lethe promises of itself, each figure beside a reference of the same run,
//! and prints one Markdown table.
//!
//! ```text
//! main                     the command line
//! start  warm  calls  grow  crowd  export  load      rows of the table
//! stage  bare  process     somebody with many records · the bare SDK · a function's own program
//! table                    rows, ratios and slopes
//! ```
#![expect(clippy::print_stdout, reason = "the table is what it is run for")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

mod bare;
mod calls;
mod crowd;
mod export;
mod grow;
mod load;
mod process;
mod stage;
mod start;
mod table;
mod warm;

use table::{Line, Table};
use tracing_subscriber::util::SubscriberInitExt;

/// Measures Lethe on this machine, and prints one Markdown table.
///
/// Each figure stands beside a reference of the same run; the ratio is what counts, since
/// machines differ and are noisy. Progress goes to stderr.
#[derive(Parser)]
#[command(
    name = "bench",
    after_help = "\
Build the functions first, as they are deployed:

  cargo lambda build --profile lambda --x86-64 --workspace --exclude 'lethe-*'

(or --arm64, whichever this machine is), and run this with --release. The rows `start` and
`export` run what was built; `start` installs boto3 and the AWS SDK for JavaScript once, in
the tools folder, and needs Python 3.11 and Node 20.

Exit status: 0 every goal is met, 1 one is missed, 2 something could not be measured."
)]
struct Arguments {
    /// Which rows; all, if none is named
    rows: Vec<Row>,
    /// Where the functions were built to
    #[arg(long, value_name = "DIR", default_value = "target/lambda")]
    bootstraps: PathBuf,
    /// Where the references of `start` are installed
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    tools: PathBuf,
    /// A tenth of everything: says whether it works, and little of how well
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// How functions start: CPU time, memory, size
    Start,
    /// Warm requests against the same calls of the bare SDK
    Warm,
    /// AWS calls and capacity units of each operation
    Calls,
    /// Erasing 10,000 records against bare deletes
    Erase,
    /// Cleanup among more and more people who are not due
    Sweep,
    /// One person with more and more records
    Grow,
    /// Many writes of one person at once
    Crowd,
    /// A gibibyte of attachments
    Export,
    /// A minute of load
    Load,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Logging costs what it costs in Lambda, but nobody keeps it.
    shared::lambda::logs(std::io::sink).init();
    let rows = match arguments.rows.is_empty() {
        true => Row::value_variants().to_vec(),
        false => arguments.rows.clone(),
    };
    let mut lines = Vec::new();
    let mut failed = false;
    for row in rows {
        eprintln!(
            "{}",
            row.to_possible_value().expect("none is hidden").get_name()
        );
        match measure(row, &arguments).await {
            Ok(measured) => lines.extend(measured),
            Err(problem) => {
                eprintln!("bench: {problem}");
                failed = true;
            }
        }
    }
    println!("{}", Table(&lines));
    match (failed, lines.iter().all(|line| line.met)) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(1),
    }
}

async fn measure(row: Row, arguments: &Arguments) -> Result<Vec<Line>, String> {
    let Arguments {
        bootstraps,
        tools,
        quick,
        ..
    } = arguments;
    Ok(match row {
        Row::Start => start::lines(bootstraps, tools, *quick).await?,
        Row::Warm => warm::lines(*quick).await,
        Row::Calls => calls::lines().await,
        Row::Erase => grow::erasing(*quick).await,
        Row::Sweep => grow::sweeping(*quick).await,
        Row::Grow => grow::one_person(*quick).await,
        Row::Crowd => crowd::lines(*quick).await,
        Row::Export => export::lines(bootstraps, *quick).await?,
        Row::Load => load::lines(*quick).await,
    })
}
