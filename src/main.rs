//! The binary: reads the command, runs it, and turns an error into a sentence and an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use payquery::cli::{self, Cli, Command};
use payquery::{startup, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = telemetry::start_logs(&cli.logs.log, cli.logs.log_format)
        .map_err(Into::into)
        .and_then(|()| run(cli.command()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// In the log where it shows errors; else plainly, for a log that is switched off, or was never started, says nothing.
fn complain(error: &anyhow::Error) {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{error:#}");
    } else {
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
    }
}

#[tokio::main]
async fn run(command: Command) -> anyhow::Result<()> {
    // The process has one TLS provider, chosen here; reqwest panics without.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Serve(args) => startup::serve(*args, stop_on_signal()?).await,
        other => cli::run(other).await,
    }
}

/// Cancelled by SIGTERM or Ctrl-C; a second one ends the process at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(stop)
}
