//! What was measured: rows of pairs, and what each is judged by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One row of the table: what ours and theirs came to, pair by pair, measured in turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    pub peer: String,
    pub unit: String,
    pub ours: Vec<f64>,
    /// Empty where the row stands by itself.
    pub theirs: Vec<f64>,
    pub judged_by: JudgedBy,
    pub reach: Option<Reach>,
    /// What a reader must know beside it.
    pub note: String,
}

/// What is compared with the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JudgedBy {
    /// Ours / theirs.
    Ratio,
    /// Ours − theirs.
    Difference,
    /// Ours.
    Itself,
}

/// The bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Reach {
    AtMost(f64),
    AtLeast(f64),
}

/// The values of a row, pair by pair, in order of size.
#[derive(Debug, Clone)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value below which that share of the values lies.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = (share * self.0.len() as f64).ceil() as usize;
        self.0
            .get(at.clamp(1, self.0.len().max(1)) - 1)
            .copied()
            .unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) && middle > 0 {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        } else {
            self.quantile(0.5)
        }
    }

    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }
}

impl Row {
    /// What is compared with the bound, pair by pair.
    pub fn values(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.theirs);
        match self.judged_by {
            JudgedBy::Ratio => pairs.map(|(ours, theirs)| ours / theirs).collect(),
            JudgedBy::Difference => pairs.map(|(ours, theirs)| ours - theirs).collect(),
            JudgedBy::Itself => self.ours.clone(),
        }
    }

    /// Whether the median is within the bound; None when there is no bound.
    pub fn reached(&self) -> Option<bool> {
        let median = Spread::of(&self.values()).median();
        self.reach.map(|reach| match reach {
            Reach::AtMost(bound) => median <= bound,
            Reach::AtLeast(bound) => median >= bound,
        })
    }

    /// A row that is judged by its ratio.
    pub fn ratio(what: &str, peer: &str, unit: &str, reach: impl Into<Option<Reach>>) -> Self {
        Self {
            what: what.to_owned(),
            peer: peer.to_owned(),
            unit: unit.to_owned(),
            ours: Vec::new(),
            theirs: Vec::new(),
            judged_by: JudgedBy::Ratio,
            reach: reach.into(),
            note: String::new(),
        }
    }

    /// A row that stands by itself.
    pub fn alone(what: &str, unit: &str, reach: impl Into<Option<Reach>>) -> Self {
        Self {
            judged_by: JudgedBy::Itself,
            ..Self::ratio(what, "—", unit, reach)
        }
    }

    pub fn add(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }
}

/// How long things took, as a curve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Curve {
    pub plot: String,
    pub name: String,
    /// Milliseconds below which 1 %, 2 %, … 99 %, and all lie.
    pub percentiles: Vec<f64>,
}

impl Curve {
    pub fn of(plot: &str, name: &str, times: &[Duration]) -> Self {
        let spread = Spread::of(&milliseconds(times));
        Self {
            plot: plot.to_owned(),
            name: name.to_owned(),
            percentiles: (1..=100)
                .map(|percent| spread.quantile(f64::from(percent) / 100.0))
                .collect(),
        }
    }
}

pub fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

/// What a family of rows came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measured {
    pub family: String,
    pub rows: Vec<Row>,
    pub curves: Vec<Curve>,
    /// Why it could not be measured.
    pub failure: Option<String>,
    pub seconds: f64,
}
