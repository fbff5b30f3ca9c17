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
    /// For so long the machine itself stood still meanwhile: by so much more it may be late.
    pub standstill: Duration,
    /// Why it cannot be tried here. Then it counts neither way.
    pub impossible: Option<&'static str>,
}

impl Verdict {
    pub fn new(done: String, bound: Duration) -> Self {
        Self {
            done,
            bound,
            standstill: Duration::ZERO,
            lost: Vec::new(),
            wrong: Vec::new(),
            late: Times::default(),
            impossible: None,
        }
    }

    pub fn failed(reason: String) -> Self {
        Self {
            wrong: vec![reason],
            ..Self::new(String::new(), Duration::ZERO)
        }
    }

    pub fn impossible(reason: &'static str) -> Self {
        Self {
            impossible: Some(reason),
            ..Self::new(String::new(), Duration::ZERO)
        }
    }

    fn is_good(&self) -> bool {
        let allowed = self.bound + self.standstill;
        self.lost.is_empty() && self.wrong.is_empty() && self.late.max() <= allowed && !self.late.0.is_empty()
    }

    fn word(&self) -> &'static str {
        match (self.impossible, self.is_good()) {
            (Some(_), _) => "not tried",
            (None, true) => "passed",
            (None, false) => "FAILED",
        }
    }

    fn what(&self) -> &str {
        self.impossible.unwrap_or(&self.done)
    }

    fn lateness(&self) -> String {
        let (p99, max) = (self.late.percentile(99), self.late.max());
        let excuse = if self.standstill.is_zero() {
            String::new()
        } else {
            format!(", and {} for which the machine stood still", in_words(self.standstill))
        };
        format!(
            "{} / {} (≤ {}{excuse})",
            in_words(p99),
            in_words(max),
            in_words(self.bound)
        )
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
        println!("   {}: {}; late {}", verdict.word(), verdict.what(), verdict.lateness());
        for (kind, texts) in [("lost", &verdict.lost), ("wrong", &verdict.wrong)] {
            for text in texts.iter().take(EXAMPLES) {
                println!("   {kind}: {text}");
            }
        }
        self.rows.push((fault, verdict));
    }

    /// How many have that word for a verdict.
    pub fn count(&self, word: &str) -> usize {
        self.rows.iter().filter(|(_, verdict)| verdict.word() == word).count()
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| fault | what was done | lost | wrong | late: p99 / max (bound) | verdict |\n|---|---|---|---|---|---|\n",
        );
        for (fault, verdict) in &self.rows {
            let (what, lost, wrong) = (verdict.what(), verdict.lost.len(), verdict.wrong.len());
            let (lateness, word) = (verdict.lateness(), verdict.word());
            let _ = writeln!(text, "| {fault} | {what} | {lost} | {wrong} | {lateness} | {word} |");
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
