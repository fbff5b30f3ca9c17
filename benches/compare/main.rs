//! The benchmark: payquery beside what one would use instead, on the same processors, in turn. `make bench` runs it.
//!
//! Every figure is a ratio to a peer that was measured in the same run, or a count. docs/benchmarks.md says how to read them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it prints what it does and what came of it"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "counts, percentages and positions in a picture"
)]

mod bare;
mod chores;
mod client;
mod cluster;
mod holds;
mod instructions;
mod lab;
mod machine;
mod ours;
mod peers;
mod plots;
mod report;
mod result;
mod rows;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::LocalBoxFuture;
use payquery::startup::file_limit::raise_limit;
use tokio::signal::unix::{SignalKind, signal};

use lab::{FULL, Lab, QUICK};
use machine::Cores;
use report::Report;
use result::Measured;

type Family = for<'a> fn(&'a Lab) -> LocalBoxFuture<'a, anyhow::Result<Measured>>;

/// The rows, family by family, in the order of the table.
const FAMILIES: [(&str, Family); 11] = [
    ("polls", |lab| Box::pin(rows::polls::run(lab))),
    ("held", |lab| Box::pin(rows::held::run(lab))),
    ("fan-out", |lab| Box::pin(rows::fan_out::run(lab))),
    ("writes", |lab| Box::pin(rows::writes::run(lab))),
    ("reads", |lab| Box::pin(rows::reads::run(lab))),
    ("feed", |lab| Box::pin(rows::feed::run(lab))),
    ("replicas", |lab| Box::pin(rows::replicas::run(lab))),
    ("messages", |lab| Box::pin(rows::messages::run(lab))),
    ("growth", |lab| Box::pin(rows::growth::run(lab))),
    ("webhooks", |lab| Box::pin(rows::webhooks::run(lab))),
    ("idle", |lab| Box::pin(rows::idle::run(lab))),
];

/// No family takes longer; one that does is given up, and the others go on.
const LIMIT: Duration = Duration::from_mins(5);

/// What was asked for.
struct Wanted {
    quick: bool,
    /// Put the table and the plots into the documents.
    publish: bool,
    families: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["bare", address, file] => bare::serve(address, file),
        ["instructions", ref rest @ ..] => in_runtime(instructions::check(rest)),
        ref rest => Wanted::of(rest).and_then(|wanted| in_runtime(compare(&wanted))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: the load shares nothing with the servers but what they are asked to share.
fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    raise_file_limit();
    runtime.block_on(async {
        tokio::select! {
            outcome = work => outcome,
            () = interrupted() => anyhow::bail!("interrupted; what was started is stopped"),
        }
    })
}

/// Ctrl-C and SIGTERM end the run; everything that was started goes with it.
async fn interrupted() {
    let mut terminated = signal(SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

fn raise_file_limit() {
    if raise_limit() < 12_000 {
        eprintln!("the limit of open files is too low for ten thousand held requests (ulimit -Hn)");
    }
}

impl Wanted {
    fn of(words: &[&str]) -> anyhow::Result<Self> {
        let families: Vec<String> = words
            .iter()
            .filter(|word| !word.starts_with("--"))
            .map(ToString::to_string)
            .collect();
        let known = |family: &String| FAMILIES.iter().any(|(name, _)| name == family);
        let names = FAMILIES.map(|(name, _)| name).join(" ");
        ensure!(families.iter().all(known), "there are these rows: {names}");
        let unknown = words
            .iter()
            .find(|word| word.starts_with("--") && !["--quick", "--publish"].contains(word));
        ensure!(
            unknown.is_none(),
            "usage: scripts/bench.sh [--quick] [--publish] [{names}]"
        );
        let wanted = Self {
            quick: words.contains(&"--quick"),
            publish: words.contains(&"--publish"),
            families,
        };
        ensure!(
            !(wanted.quick && wanted.publish),
            "a quick run is too noisy for the documents"
        );
        Ok(wanted)
    }

    fn wants(&self, family: &str) -> bool {
        self.families.is_empty() || self.families.iter().any(|name| name == family)
    }
}

async fn compare(wanted: &Wanted) -> anyhow::Result<()> {
    let results = PathBuf::from(std::env::var("BENCH_RESULTS").context("scripts/bench.sh runs this")?);
    let plan = if wanted.quick { QUICK } else { FULL };
    let lab = Lab::open(plan).await?;
    Cores::move_self(&lab.cores.load)?;
    let mut report = head(&lab, wanted.quick).await?;
    let file = results.join("results.json");
    if !wanted.families.is_empty()
        && let Some(earlier) = Report::read(&file).filter(|earlier| earlier.quick == wanted.quick)
    {
        report.families = earlier.families;
    }
    for (name, family) in FAMILIES.iter().filter(|(name, _)| wanted.wants(name)) {
        lab.say(&format!("-- {name}"));
        let start = Instant::now();
        let measured = tokio::time::timeout(LIMIT, family(&lab)).await;
        let measured = measured.unwrap_or_else(|_| Err(anyhow::anyhow!("not done within {LIMIT:?}")));
        let mut measured = measured.unwrap_or_else(|error| {
            lab.say(&format!("{name} cannot be measured: {error:#}"));
            Measured {
                failure: format!("{error:#}").lines().next().map(str::to_owned),
                ..Measured::default()
            }
        });
        (*name).clone_into(&mut measured.family);
        measured.seconds = start.elapsed().as_secs_f64();
        lab.say(&format!("   {:.0} s", measured.seconds));
        report.replace(measured);
        report.write(&file)?; // what was measured stays, whatever happens later
    }
    publish(&report, wanted, &results)
}

fn publish(report: &Report, wanted: &Wanted, results: &Path) -> anyhow::Result<()> {
    let table = report.markdown();
    std::fs::write(results.join("table.md"), &table)?;
    let plots = plots::write_all(report, results)?;
    println!("\n{table}");
    println!(
        "results.json, table.md and {} are in {}",
        plots.join(", "),
        results.display()
    );
    if wanted.publish {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        plots::write_all(report, &docs.join("benchmarks"))?;
        report::put_between(&docs.join("benchmarks.md"), "table", &table)?;
        println!("docs/benchmarks.md has them now");
    }
    let failed: Vec<_> = report
        .families
        .iter()
        .filter(|family| family.failure.is_some())
        .collect();
    ensure!(
        failed.is_empty(),
        "{} of the families could not be measured",
        failed.len()
    );
    Ok(())
}

async fn head(lab: &Lab, quick: bool) -> anyhow::Result<Report> {
    let mut commit = Command::new("git");
    commit
        .args(["rev-parse", "--short=12", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let commit = commit_text(&mut commit);
    let nchan = if peers::nchan_module().is_some() {
        "with nchan"
    } else {
        "without nchan"
    };
    Ok(Report {
        machine: machine::description(),
        programs: vec![
            format!("PostgreSQL {}", lab.cluster.version().await?),
            format!("nginx {} {nchan}", peers::version_of("nginx")),
            format!("actix-web {}", actix_version()),
        ],
        commit,
        date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        quick,
        rounds: lab.plan.rounds,
        families: Vec::new(),
    })
}

fn commit_text(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or("unknown".into(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// The version in the lock file.
fn actix_version() -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock
        .split_once("name = \"actix-web\"\nversion = \"")
        .unwrap_or(("", "?\""));
    rest.split('"').next().unwrap_or("?")
}
