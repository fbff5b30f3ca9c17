//! The fault suite: breaks things around real processes, one after the other, and shows each promise kept, or not.
//!
//! `make test-faults` runs all; arguments name some. Every verdict comes from what clients were told and what the database
//! holds afterwards. A fault is a file here; the laboratory (`lab`) is what they have in common.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test, and its table")]

mod lab;

mod balancer_drain;
mod clock_skew;
mod disk_full;
mod expiry_twice;
mod listener_black_holed;
mod listener_terminated;
mod open_transaction;
mod outage;
mod postgres_killed;
mod postgres_restarted;
mod postgres_stopped;
mod random_operations;
mod read_only;
mod replica_killed;
mod rolling_restart;
mod slow_clients;
mod webhooks_postgres_killed;
mod writers_out_of_order;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use payquery::startup::file_limit::raise_limit;
use tokio::signal::unix::{SignalKind, signal};

use lab::{OwnPostgres, Pulse, Report, Verdict};

/// What breaks, in the order of running.
const FAULTS: [(&str, Fault); 17] = [
    ("replica_killed", |postgres| Box::pin(replica_killed::run(postgres))),
    ("postgres_killed", |postgres| Box::pin(postgres_killed::run(postgres))),
    ("postgres_stopped", |postgres| Box::pin(postgres_stopped::run(postgres))),
    ("postgres_restarted", |postgres| {
        Box::pin(postgres_restarted::run(postgres))
    }),
    ("listener_terminated", |postgres| {
        Box::pin(listener_terminated::run(postgres))
    }),
    ("listener_black_holed", |postgres| {
        Box::pin(listener_black_holed::run(postgres))
    }),
    ("open_transaction", |postgres| Box::pin(open_transaction::run(postgres))),
    ("writers_out_of_order", |postgres| {
        Box::pin(writers_out_of_order::run(postgres))
    }),
    ("balancer_drain", |postgres| Box::pin(balancer_drain::run(postgres))),
    ("rolling_restart", |postgres| Box::pin(rolling_restart::run(postgres))),
    ("expiry_twice", |postgres| Box::pin(expiry_twice::run(postgres))),
    ("clock_skew", |postgres| Box::pin(clock_skew::run(postgres))),
    ("read_only", |postgres| Box::pin(read_only::run(postgres))),
    ("disk_full", |_| Box::pin(disk_full::run())),
    ("webhooks_postgres_killed", |postgres| {
        Box::pin(webhooks_postgres_killed::run(postgres))
    }),
    ("slow_clients", |postgres| Box::pin(slow_clients::run(postgres))),
    ("random_operations", |postgres| {
        Box::pin(random_operations::run(postgres))
    }),
];

type Fault = for<'a> fn(&'a OwnPostgres) -> LocalBoxFuture<'a, Verdict>;

/// No fault takes longer; one that does has failed.
const LIMIT: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let Some(unknown) = wanted.iter().find(|name| FAULTS.iter().all(|(fault, _)| fault != name)) {
        println!(
            "no fault is called {unknown}; there are: {}",
            FAULTS.map(|(fault, _)| fault).join(" ")
        );
        return ExitCode::FAILURE;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Thousands of clients are all in this process, and shells often allow a thousand files.
    raise_limit();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(async {
        tokio::select! {
            report = run_all(&wanted) => Some(report),
            () = interrupted() => None,
        }
    });
    let Some(report) = report else {
        println!("interrupted");
        return ExitCode::FAILURE;
    };
    let table = report.markdown();
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/../faults.md");
    std::fs::write(file, &table).expect("the table can be written");
    let (passed, failed) = (report.count("passed"), report.count("FAILED"));
    println!("\n{table}\n{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run_all(wanted: &[String]) -> Report {
    let postgres = tokio::task::block_in_place(OwnPostgres::start);
    let mut report = Report::default();
    for (name, fault) in FAULTS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("-- {name}");
        let start = Instant::now();
        let pulse = Pulse::start();
        let verdict = AssertUnwindSafe(tokio::time::timeout(LIMIT, fault(&postgres)))
            .catch_unwind()
            .await;
        let standstill = pulse.end();
        let verdict = match verdict {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::failed(format!("not done within {LIMIT:?}")),
            Err(panic) => Verdict::failed(panic.downcast_ref::<String>().cloned().unwrap_or("a panic".into())),
        };
        report.add(name, Verdict { standstill, ..verdict });
        println!("   {:.1} s", start.elapsed().as_secs_f64());
    }
    tokio::task::block_in_place(|| drop(postgres));
    report
}

/// Ctrl-C and SIGTERM end the run; everything that was started goes with it.
async fn interrupted() {
    let mut terminated = signal(SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
