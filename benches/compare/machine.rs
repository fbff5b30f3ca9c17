//! What the kernel tells: which processors there are, what a process has used of them, and its memory.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// The processors of this run: the server has one for itself where processor time is compared, the load has the other.
#[derive(Debug, Clone)]
pub struct Cores {
    pub server: String,
    pub load: String,
    pub both: String,
}

impl Cores {
    /// The first two that this process may use.
    pub fn choose() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").context("this needs Linux: there is no /proc")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .context("no list of processors in /proc/self/status")?;
        let allowed = numbers_of(list.trim());
        ensure!(
            allowed.len() >= 2,
            "two processors are needed: one for the server, one for the load"
        );
        Ok(Self {
            server: allowed[0].to_string(),
            load: allowed[1].to_string(),
            both: format!("{},{}", allowed[0], allowed[1]),
        })
    }

    /// Moves this process, with all its threads, to these processors.
    pub fn move_self(list: &str) -> anyhow::Result<()> {
        Self::move_process(std::process::id(), list)
    }

    /// Moves a process that runs.
    pub fn move_process(pid: u32, list: &str) -> anyhow::Result<()> {
        let moved = Command::new("taskset")
            .args(["-a", "-c", "-p", list, &pid.to_string()])
            .output()
            .context("taskset (of util-linux) is needed")?;
        ensure!(
            moved.status.success(),
            "taskset: {}",
            String::from_utf8_lossy(&moved.stderr)
        );
        Ok(())
    }
}

/// `0-2,5` in full.
fn numbers_of(list: &str) -> Vec<usize> {
    let ranges = list.split(',').filter_map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some(from.parse().ok()?..=to.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// A process and all that descend from it.
pub fn family_of(root: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: Vec<u32> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let parents: Vec<(u32, u32)> = pids
        .into_iter()
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

/// The fourth field of /proc/PID/stat; the second one is a name in brackets that may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The processors' time that these processes have used, user and system, of all their threads, to the nanosecond.
pub fn processor_time(pids: &[u32]) -> Duration {
    let threads = pids.iter().flat_map(|pid| {
        fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
    });
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Bytes of memory: each page counted once, those that processes share split between them (`Pss`).
pub fn memory(pids: &[u32]) -> u64 {
    let kilobytes = pids.iter().filter_map(|pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    kilobytes.sum::<u64>() * 1024
}

/// The processor's name, how many there are, and the kernel: for the head of the report.
pub fn description() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let count = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim().to_owned();
    format!("{count} × {model}, Linux {kernel}")
}
