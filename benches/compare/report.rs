//! The table: for the terminal and for the documents; and the results as JSON.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::result::{JudgedBy, Measured, Reach, Row, Spread};

/// Everything that a run came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub machine: String,
    /// Names and versions of what was compared.
    pub programs: Vec<String>,
    pub commit: String,
    pub date: String,
    pub quick: bool,
    pub rounds: usize,
    pub families: Vec<Measured>,
}

impl Report {
    /// What an earlier run of the same kind left behind, if there is any.
    pub fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Puts a family's rows in the place of those that were there before.
    pub fn replace(&mut self, measured: Measured) {
        match self.families.iter_mut().find(|family| family.family == measured.family) {
            Some(family) => *family = measured,
            None => self.families.push(measured),
        }
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let (programs, commit, date) = (self.programs.join(", "), &self.commit, &self.date);
        let _ = writeln!(
            text,
            "{}. {programs}. Commit {commit}, {date}, medians of {} pairs.",
            self.machine, self.rounds
        );
        if self.quick {
            text += "\n**A quick run: noisy, and no measure of anything.**\n";
        }
        text += "\n| what | payquery | peer | peer's | compared: median (lowest – highest) | to reach | |\n|---|---|---|---|---|---|---|\n";
        for row in self.families.iter().flat_map(|family| &family.rows) {
            let _ = writeln!(text, "{}", line_of(row));
        }
        text.push('\n');
        let mut told = HashSet::new();
        for row in self.families.iter().flat_map(|family| &family.rows) {
            if !row.note.is_empty() && told.insert(&row.note) {
                let _ = writeln!(text, "- *{}*: {}.", row.what, row.note);
            }
        }
        for family in &self.families {
            if let Some(failure) = &family.failure {
                let _ = writeln!(text, "- **{} was not measured**: {failure}", family.family);
            }
        }
        text
    }
}

fn line_of(row: &Row) -> String {
    let values = Spread::of(&row.values());
    let sign = match row.judged_by {
        JudgedBy::Ratio => " ×".to_owned(),
        JudgedBy::Difference | JudgedBy::Itself => unit_of(row),
    };
    let ours = format!("{}{}", number(Spread::of(&row.ours).median()), unit_of(row));
    let theirs = if row.theirs.is_empty() {
        "—".to_owned()
    } else {
        format!("{}{}", number(Spread::of(&row.theirs).median()), unit_of(row))
    };
    let prefix = if row.judged_by == JudgedBy::Difference { "+" } else { "" };
    let compared = format!(
        "{prefix}{}{sign} ({} – {})",
        number(values.median()),
        number(values.min()),
        number(values.max())
    );
    let reach = match row.reach {
        Some(Reach::AtMost(bound)) => format!("≤ {prefix}{}{sign}", number(bound)),
        Some(Reach::AtLeast(bound)) => format!("≥ {}{sign}", number(bound)),
        None => "—".to_owned(),
    };
    let verdict = match row.reached() {
        Some(true) => "reached",
        Some(false) => "**not reached**",
        None => "",
    };
    format!(
        "| {} | {ours} | {} | {theirs} | {compared} | {reach} | {verdict} |",
        row.what, row.peer
    )
}

fn unit_of(row: &Row) -> String {
    match row.unit.as_str() {
        "" => String::new(),
        unit @ "/s" => unit.to_owned(),
        unit => format!(" {unit}"),
    }
}

/// Three digits that matter; thousands with commas.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        let digits = format!("{size:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        return if value < 0.0 { format!("-{text}") } else { text };
    }
    let decimals = match size {
        100.0.. => 0,
        10.0.. => 1,
        0.0 => 0,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// What stands between the two marks in a document is replaced.
pub fn put_between(document: &Path, mark: &str, text: &str) -> anyhow::Result<()> {
    let before = fs::read_to_string(document).with_context(|| format!("cannot read {}", document.display()))?;
    let (start, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let (head, rest) = before.split_once(&start).with_context(|| format!("no {start}"))?;
    let (_, tail) = rest.split_once(&end).with_context(|| format!("no {end}"))?;
    fs::write(document, format!("{head}{start}\n{}\n\n{end}{tail}", text.trim()))?;
    Ok(())
}
