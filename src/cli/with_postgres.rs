//! `payquery with-postgres`: a look into the private PostgreSQL with any tool that takes a URL.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::private_postgres::{PrivatePostgres, Settings};

#[derive(Debug, Args)]
pub struct WithPostgresArgs {
    /// Directory of the private PostgreSQL [default: /var/lib/payquery as root, else ~/.local/share/payquery]
    #[arg(long, env = "PAYQUERY_DATA_DIR", value_name = "PATH")]
    data_dir: Option<PathBuf>,

    /// The command and its arguments; it finds DATABASE_URL, and PGHOST and the like
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

impl WithPostgresArgs {
    /// Starts the server unless it runs, runs the command, and stops the server unless others use it.
    pub async fn run(self) -> anyhow::Result<()> {
        let settings = Settings::new(self.data_dir);
        let private = tokio::task::spawn_blocking(move || PrivatePostgres::start(&settings)).await??;
        let (program, arguments) = self.command.split_first().context("there is no command to run")?;
        let mut child = Command::new(program);
        // Both ways in which programs look for their database: a URL, and libpq's variables.
        child
            .args(arguments)
            .env("DATABASE_URL", private.url())
            .envs(private.variables());
        let outcome = run_through_signals(child)
            .await
            .with_context(|| format!("cannot run {}", program.display()));
        tokio::task::spawn_blocking(move || private.stop()).await??;
        match outcome?.code() {
            Some(0) => Ok(()),
            code => bail!(
                "the command ended with {}",
                code.map_or("a signal".into(), |code| format!("exit code {code}"))
            ),
        }
    }
}

/// Runs the command to its end, whatever signals come: the server must not be left running, nor be stopped under its user.
/// Ctrl-C reaches the command by itself, since both are in the terminal's foreground; SIGTERM is passed on.
async fn run_through_signals(mut command: Command) -> anyhow::Result<ExitStatus> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut child = command.spawn()?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
                // Where there is none it has ended in this moment, and nobody needs to be told.
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
        }
    }
}
