//! What every family of rows is given: the database, the processors, the programs, and how much of everything.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;

use super::cluster::Cluster;
use super::machine::Cores;

/// See the module's head.
#[derive(Debug)]
pub struct Lab {
    pub cluster: Cluster,
    pub cores: Cores,
    pub plan: Plan,
    /// Everything that a run writes, but for its results; goes with it.
    pub directory: PathBuf,
    /// The program, as `cargo build --release` made it.
    pub payquery: PathBuf,
    started: Instant,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Ours and theirs in turn, so often.
    pub rounds: usize,
    pub poll_seconds: u32,
    pub write_seconds: u32,
    pub held: usize,
    /// Reports a second while all those are held.
    pub report_rate: f64,
    /// Orders in memory and in the table.
    pub sizes: &'static [usize],
    pub idle_seconds: u32,
}

pub const FULL: Plan = Plan {
    rounds: 5,
    poll_seconds: 2,
    write_seconds: 2,
    held: 10_000,
    report_rate: 2_000.0,
    sizes: &[1_000, 10_000, 100_000, 1_000_000],
    idle_seconds: 10,
};

/// For trying it out: the same rows, noisy.
pub const QUICK: Plan = Plan {
    rounds: 2,
    poll_seconds: 1,
    write_seconds: 1,
    held: 2_000,
    report_rate: 1_000.0,
    sizes: &[1_000, 10_000, 50_000],
    idle_seconds: 3,
};

impl Lab {
    /// Does the work with this process on both processors, as everything else is that it is measured with.
    pub async fn on_both_processors<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        Cores::move_self(&self.cores.both)?;
        let done = work.await;
        Cores::move_self(&self.cores.load)?;
        done
    }

    pub async fn open(plan: Plan) -> anyhow::Result<Self> {
        let payquery =
            std::env::var_os("PAYQUERY_BIN").map_or_else(|| env!("CARGO_BIN_EXE_payquery").into(), PathBuf::from);
        let cores = Cores::choose()?;
        let directory = std::env::var_os("BENCH_DIRECTORY").context("scripts/bench.sh runs this")?;
        let directory = PathBuf::from(directory);
        let cluster = Cluster::start(&directory.join("postgres")).await?;
        Ok(Self {
            cluster,
            cores,
            plan,
            directory,
            payquery,
            started: Instant::now(),
        })
    }

    /// A line of progress.
    pub fn say(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs();
        eprintln!("[{:02}:{:02}] {text}", seconds / 60, seconds % 60);
    }
}
