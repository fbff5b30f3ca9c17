//! How many instructions a poll, a wake-up and a report take: the real program over real connections, counted by callgrind.
//! Counts are steady where times are not, so a machine that is busy with other things can check them.
//!
//! What the process does by itself meanwhile is measured first, and taken off by the time that passed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use rustix::process::Signal;

use super::holds::{Holder, Holds};
use super::lab::{Lab, QUICK};
use super::ours::{Launch, Order, Payquery, Shop};
use super::report::number;

const DATABASE: &str = "instructions";
/// Above the committed number by more than this is a failure. What stays open between two runs is some hundredths.
const TOLERANCE: f64 = 0.10;
const POLLS: usize = 3000;
const REPORTS: usize = 64;
const BATCHES: usize = 6;
/// Two numbers of holds on one order: the difference is what the holds cost, without the report that wakes them.
const FEW: usize = 50;
const MANY: usize = 450;
const IDLE: Duration = Duration::from_secs(6);

/// A payquery under callgrind.
struct Counted {
    directory: PathBuf,
    payquery: Holder,
    /// What it does by itself, in instructions a second.
    idle: f64,
    dumps: usize,
    since: Instant,
}

/// `instructions`: compares with the committed numbers; `--renew` writes them.
pub async fn check(words: &[&str]) -> anyhow::Result<()> {
    ensure!(
        matches!(words, [] | ["--renew"]),
        "usage: scripts/check-speed.sh [--renew]"
    );
    let lab = Lab::open(QUICK).await?;
    lab.say("payquery starts under callgrind");
    let mut counted = Counted::start(&lab).await?;
    lab.say("counting what it does by itself");
    counted.measure_idle().await?;
    let mut found = BTreeMap::new();
    lab.say("polls");
    found.insert("poll-304", counted.poll().await?);
    lab.say("wake-ups");
    found.insert("wake-up", counted.wake_up().await?);
    lab.say("reports");
    found.insert("report", counted.report().await?);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    if words == ["--renew"] {
        return renew(&file, &found);
    }
    judge(&file, &found)
}

impl Counted {
    async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let shop = Shop::open(lab, DATABASE).await?;
        let out = format!("--callgrind-out-file={}/callgrind.out", lab.directory.display());
        let launch = Launch {
            under: &["valgrind", "--quiet", "--tool=callgrind", "--trace-children=no", &out],
            ..Launch::beside_the_load(lab, DATABASE)
        };
        let payquery = Payquery::start(lab, &launch)?;
        let orders = shop.stock(lab, REPORTS).await?;
        payquery.warm(&orders).await?;
        let counted = Self {
            directory: lab.directory.clone(),
            payquery: Holder::Ours {
                payquery: Arc::new(payquery),
                orders,
                api_key: shop.api_key,
            },
            idle: 0.0,
            dumps: 0,
            since: Instant::now(),
        };
        // The first of everything makes what the others find: statements, pools, places in memory.
        counted.poll_times(200).await?;
        counted.report_all().await?;
        Ok(counted)
    }

    fn ours(&self) -> (&Arc<Payquery>, &[Order], &str) {
        match &self.payquery {
            Holder::Ours {
                payquery,
                orders,
                api_key,
            } => (payquery, orders, api_key),
            _ => unreachable!("it was made so"),
        }
    }

    /// Instructions since the last call, and the time since then: from dump to dump, since a busy machine may take long to ask for one.
    fn count(&mut self) -> anyhow::Result<(f64, Duration)> {
        let (payquery, ..) = self.ours();
        let pid = payquery.server.pid().to_string();
        let asked = Command::new("callgrind_control").args(["--dump", &pid]).output();
        let asked = asked.context("callgrind_control (of valgrind) is needed")?;
        ensure!(
            asked.status.success(),
            "callgrind_control: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
        self.dumps += 1;
        let dump = self.directory.join(format!("callgrind.out.{}", self.dumps));
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // The totals are the file's last line: with them it is whole.
            let text = fs::read_to_string(&dump).unwrap_or_default();
            if let Some(total) = text.lines().rev().find_map(|line| line.strip_prefix("totals: ")) {
                let time = std::mem::replace(&mut self.since, Instant::now()).elapsed();
                return Ok((total.trim().parse()?, time));
            }
            if Instant::now() > deadline {
                bail!("callgrind writes no dump: {}", String::from_utf8_lossy(&asked.stdout));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    async fn measure_idle(&mut self) -> anyhow::Result<()> {
        self.count()?;
        tokio::time::sleep(IDLE).await;
        let (instructions, time) = self.count()?;
        self.idle = instructions / time.as_secs_f64();
        Ok(())
    }

    /// Instructions since the last count, less what the process does by itself in that time.
    fn count_work(&mut self) -> anyhow::Result<f64> {
        let (instructions, time) = self.count()?;
        Ok(instructions - self.idle * time.as_secs_f64())
    }

    async fn poll(&mut self) -> anyhow::Result<f64> {
        self.count()?;
        self.poll_times(POLLS).await?;
        Ok(self.count_work()? / POLLS as f64)
    }

    async fn poll_times(&self, times: usize) -> anyhow::Result<()> {
        let (payquery, orders, _) = self.ours();
        let mut connection = payquery.connect().await?;
        let version = connection
            .ask(&orders[0].poll(0))
            .await?
            .expect(200)?
            .version()
            .unwrap_or(1);
        let request = orders[0].poll(version);
        for _ in 0..times {
            connection.ask(&request).await?.expect(304)?;
        }
        Ok(())
    }

    async fn wake_up(&mut self) -> anyhow::Result<f64> {
        self.wake(FEW).await?; // the first time is dearer
        // The one in the middle: a chore of the process's own may fall into either count, and would be taken for many holds' work.
        let mut differences = [0.0; 3];
        for difference in &mut differences {
            let few = self.wake(FEW).await?;
            *difference = self.wake(MANY).await? - few;
        }
        differences.sort_unstable_by(f64::total_cmp);
        Ok(differences[1] / (MANY - FEW) as f64)
    }

    /// Instructions of one report of the first order, and of the answers to all who are held on it.
    async fn wake(&mut self, holds: usize) -> anyhow::Result<f64> {
        let (payquery, orders, api_key) = self.ours();
        let only = Holder::Ours {
            payquery: Arc::clone(payquery),
            orders: vec![orders[0].clone()],
            api_key: api_key.to_owned(),
        };
        let mut held = Holds::open(&only, holds).await?;
        held.hold(&only).await?;
        let mut reporter = payquery.connect().await?;
        let report = only.change(0, held.seen[0].version);
        self.count()?;
        let waiting = held.wait();
        reporter.ask(&report).await?.expect(200)?;
        held.gather(waiting).await?;
        self.count_work()
    }

    async fn report(&mut self) -> anyhow::Result<f64> {
        self.count()?;
        for _ in 0..BATCHES {
            self.report_all().await?;
        }
        Ok(self.count_work()? / (BATCHES * REPORTS) as f64)
    }

    /// One report for each order, all at the same moment.
    async fn report_all(&self) -> anyhow::Result<()> {
        let (payquery, orders, api_key) = self.ours();
        let mut reporters = try_join_all((0..REPORTS).map(|_| payquery.connect())).await?;
        let mut reports = Vec::new();
        for (order, reporter) in orders.iter().zip(&mut reporters) {
            let version = reporter.ask(&order.poll(0)).await?.expect(200)?.version().unwrap_or(1);
            reports.push(order.report(api_key, version));
        }
        payquery.server.signal(Signal::STOP);
        for (report, reporter) in reports.iter().zip(&mut reporters) {
            reporter.send(report).await?;
        }
        payquery.server.signal(Signal::CONT);
        for answer in try_join_all(reporters.iter_mut().map(|reporter| reporter.receive())).await? {
            answer.expect(200)?;
        }
        Ok(())
    }
}

const HEAD: &str = "# Instructions of the release build, counted by scripts/check-speed.sh, which fails when they grow by more than a tenth.
# `make check-speed` compares; `scripts/check-speed.sh --renew` writes them anew, to be committed with the reason.
# They belong to one version of the compiler and of the C library.
";

fn renew(file: &Path, found: &BTreeMap<&str, f64>) -> anyhow::Result<()> {
    let mut text = HEAD.to_owned();
    for (name, count) in found {
        let _ = writeln!(text, "{name} {count:.0}");
        println!("{name:10} {:>10}", number(*count));
    }
    fs::write(file, text)?;
    println!("benches/instructions.txt has them now");
    Ok(())
}

fn judge(file: &Path, found: &BTreeMap<&str, f64>) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).context("benches/instructions.txt cannot be read; --renew writes it")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let wanted: BTreeMap<&str, f64> = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    let mut grown = Vec::new();
    println!("{:10} {:>12} {:>12} {:>8}", "what", "committed", "now", "");
    for (name, now) in found {
        let before = wanted
            .get(name)
            .with_context(|| format!("benches/instructions.txt has no {name}; --renew writes it"))?;
        let change = now / before - 1.0;
        println!(
            "{name:10} {:>12} {:>12} {:>+7.1} %",
            number(*before),
            number(*now),
            change * 100.0
        );
        if change > TOLERANCE {
            grown.push(*name);
        } else if change < -TOLERANCE {
            println!("  fewer than before: scripts/check-speed.sh --renew keeps it so");
        }
    }
    ensure!(
        grown.is_empty(),
        "more instructions than before: {}. If that is meant, scripts/check-speed.sh --renew writes the numbers anew",
        grown.join(", ")
    );
    Ok(())
}
