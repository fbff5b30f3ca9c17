//! The commands that a person types. One file for each; what `serve` does stands in [`startup`](crate::startup).

mod client;
mod events;
mod healthcheck;
mod key;
mod order;
mod watch;
mod with_postgres;

use std::io::Write as _;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::config::{DatabaseArgs, LogArgs, ServeArgs};

/// Has my payment gone through? payquery answers that question for payers' screens, cheaply and truthfully: by polling,
/// and by held requests that are answered the moment the payment comes.
///
/// Without a command it is `payquery serve --demo`: it starts with a private PostgreSQL and a demo merchant, and prints what to try.
#[derive(Debug, Parser)]
#[command(name = "payquery", version, max_term_width = 120, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub logs: LogArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service
    Serve(Box<ServeArgs>),
    /// Bring the database's schema up to date, and end
    Migrate(DatabaseArgs),
    /// Create, list and revoke merchants' API keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Create, show and report orders, through a running service
    #[command(subcommand)]
    Order(order::OrderCommand),
    /// Follow an order with held requests and print each change
    Watch(watch::WatchArgs),
    /// Read the event feed: all that happens to the merchant's orders, in order
    Events(events::EventsArgs),
    /// Ask a running service whether it is ready; for container health checks
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Run a command with DATABASE_URL set to the private PostgreSQL, such as: payquery with-postgres -- psql
    WithPostgres(with_postgres::WithPostgresArgs),
}

impl Cli {
    /// The command typed; without one, `serve --demo` with whatever the environment sets.
    pub fn command(self) -> Command {
        self.command.unwrap_or_else(|| {
            let fallback = Self::parse_from(["payquery", "serve", "--demo"]);
            fallback.command.expect("a command was given")
        })
    }
}

/// How a command prints.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Runs any command but `serve`.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(_) => unreachable!("main serves"),
        Command::Migrate(args) => migrate(args).await,
        Command::Key(command) => command.run().await,
        Command::Order(command) => command.run().await,
        Command::Watch(args) => args.run().await,
        Command::Events(args) => args.run().await,
        Command::Healthcheck(args) => args.run().await,
        Command::WithPostgres(args) => args.run().await,
    }
}

async fn migrate(args: DatabaseArgs) -> anyhow::Result<()> {
    let database = crate::database::Database::open(&DatabaseArgs {
        auto_migrate: true,
        ..args
    })
    .await?;
    database.close().await?;
    print_line("the database's schema is up to date")
}

/// Prints a line; ends quietly when nobody reads any more (`payquery … | head`).
fn print_line(line: &str) -> anyhow::Result<()> {
    if write_line(line)? {
        Ok(())
    } else {
        std::process::exit(0)
    }
}

/// Prints a line; false when nobody reads any more.
fn write_line(line: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        outcome => Ok(outcome.map(|()| true)?),
    }
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(value)?)
}
