//! Verdicts, and the table of all of them.

use std::fmt::Write as _;
use std::time::Duration;

use super::Times;

/// What a fault came to.
#[derive(Debug)]
pub struct Verdict {
    /// What was done, with its counts.
    pub done: String,
    pub lost: Vec<String>,
    pub wrong: Vec<String>,
    pub late: Times,
    /// The longest that `late` may be.
    pub bound: Duration,
}

impl Verdict {
    pub fn failed(reason: String) -> Self {
        Self {
            done: String::new(),
            lost: Vec::new(),
            wrong: vec![reason],
            late: Times::default(),
            bound: Duration::ZERO,
        }
    }

    pub fn passed(&self) -> bool {
        self.lost.is_empty() && self.wrong.is_empty() && self.late.max() <= self.bound && !self.late.0.is_empty()
    }

    fn lateness(&self) -> String {
        let (p99, max) = (self.late.percentile(99), self.late.max());
        format!("{} / {} (≤ {})", in_words(p99), in_words(max), in_words(self.bound))
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(&'static str, Verdict)>,
}

/// How many examples of what went wrong are printed.
const EXAMPLES: usize = 8;

impl Report {
    pub fn add(&mut self, fault: &'static str, verdict: Verdict) {
        let word = if verdict.passed() { "passed" } else { "FAILED" };
        println!("   {word}: {}; late {}", verdict.done, verdict.lateness());
        for (kind, texts) in [("lost", &verdict.lost), ("wrong", &verdict.wrong)] {
            texts
                .iter()
                .take(EXAMPLES)
                .for_each(|text| println!("   {kind}: {text}"));
        }
        self.rows.push((fault, verdict));
    }

    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|(_, verdict)| !verdict.passed()).count()
    }

    pub fn passed(&self) -> usize {
        self.rows.len() - self.failed()
    }

    pub fn markdown(&self) -> String {
        let mut text =
            "| fault | what was done | lost | wrong | late: p99 / max (bound) | verdict |\n|---|---|---|---|---|---|\n"
                .to_owned();
        for (fault, verdict) in &self.rows {
            let word = if verdict.passed() { "passed" } else { "**failed**" };
            let (lost, wrong) = (verdict.lost.len(), verdict.wrong.len());
            let _ = writeln!(
                text,
                "| {fault} | {} | {lost} | {wrong} | {} | {word} |",
                verdict.done,
                verdict.lateness()
            );
        }
        text
    }
}

fn in_words(time: Duration) -> String {
    match time.as_millis() {
        0..10_000 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
