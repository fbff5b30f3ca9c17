//! The judge: notes what was acknowledged and what was seen, and holds it against the database afterwards.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::{Answer, Door, Order, Verdict};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Judge(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    acknowledged: Vec<(Uuid, i64, String)>,
    /// What a replica has acknowledged itself: it must never tell less.
    floors: HashMap<(usize, Uuid), i64>,
    documents: HashMap<(Uuid, i64), String>,
    lost: Vec<String>,
    wrong: Vec<String>,
    late: Times,
}

impl Judge {
    /// A merchant was told that the order stands so.
    pub fn acknowledge(&self, door: Door, order: &Order, version: i64, status: &str) {
        let mut notes = self.0.lock().unwrap();
        notes.acknowledged.push((order.id, version, status.to_owned()));
        if door.leads_to_one_replica() {
            let floor = notes.floors.entry((door.number, order.id)).or_default();
            *floor = version.max(*floor);
        }
    }

    /// What this replica must at least tell of the order, to whomever it may be.
    pub fn floor(&self, door: Door, order: &Order) -> i64 {
        self.0
            .lock()
            .unwrap()
            .floors
            .get(&(door.number, order.id))
            .copied()
            .unwrap_or(0)
    }

    /// A client was told a version, and had a right to at least `floor`.
    pub fn see(&self, door: Door, order: &Order, floor: i64, answer: &Answer) {
        let mut notes = self.0.lock().unwrap();
        let Some(version) = answer.version else {
            return notes.wrong.push(format!("an answer without ETag: {}", answer.body));
        };
        if version < floor {
            notes.wrong.push(format!(
                "{} at replica {}: {version} after {floor}",
                order.id, door.number
            ));
        }
        if answer.status == 200 {
            let first = notes
                .documents
                .entry((order.id, version))
                .or_insert_with(|| answer.body.clone())
                .clone();
            if first != answer.body {
                notes
                    .wrong
                    .push(format!("two documents of one version: {first} and {}", answer.body));
            }
        }
    }

    pub fn lost(&self, text: String) {
        self.0.lock().unwrap().lost.push(text);
    }

    pub fn wrong(&self, text: String) {
        self.0.lock().unwrap().wrong.push(text);
    }

    /// Something that had to be quick took so long.
    pub fn late(&self, time: Duration) {
        self.0.lock().unwrap().late.0.push(time);
    }

    pub fn acknowledged(&self) -> usize {
        self.0.lock().unwrap().acknowledged.len()
    }

    /// Holds the notes against the database: everything acknowledged is there with its event, every document was true, and
    /// every order has each of its versions exactly once in the log.
    pub async fn audit(&self, pool: &PgPool) {
        let orders: Vec<(Uuid, i64, String)> = sqlx::query_as("select id, version, status from orders")
            .fetch_all(pool)
            .await
            .expect("orders are read");
        let events: Vec<(Uuid, i64, String)> = sqlx::query_as(
            "select order_id, version, to_status from order_events where accepted order by order_id, version, seq",
        )
        .fetch_all(pool)
        .await
        .expect("events are read");
        let mut log: HashMap<Uuid, Vec<(i64, String)>> = HashMap::new();
        for (id, version, status) in events {
            log.entry(id).or_default().push((version, status));
        }
        let mut notes = self.0.lock().unwrap();
        for (id, version, status) in &orders {
            let events = log.get(id).map_or(&[][..], |events| events);
            let versions = events.iter().map(|(version, _)| *version);
            if !versions.eq(1..=*version) || events.last().is_none_or(|(_, last)| last != status) {
                notes
                    .wrong
                    .push(format!("{id} stands at {version} {status}, its log says {events:?}"));
            }
        }
        notes.compare(&log);
    }

    pub fn verdict(&self, done: String, bound: Duration) -> Verdict {
        let notes = self.0.lock().unwrap();
        Verdict {
            lost: notes.lost.clone(),
            wrong: notes.wrong.clone(),
            late: notes.late.clone(),
            ..Verdict::new(done, bound)
        }
    }
}

impl Notes {
    fn compare(&mut self, log: &HashMap<Uuid, Vec<(i64, String)>>) {
        let status_at = |id: &Uuid, version: i64| {
            let events = log.get(id)?;
            events
                .iter()
                .find(|(of, _)| *of == version)
                .map(|(_, status)| status.as_str())
        };
        for (id, version, status) in &self.acknowledged {
            if status_at(id, *version) != Some(status) {
                self.lost.push(format!(
                    "{id}: {version} {status} was acknowledged, the log has {:?}",
                    status_at(id, *version)
                ));
            }
        }
        for ((id, version), document) in &self.documents {
            let told: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
            if status_at(id, *version) != told["status"].as_str() {
                self.wrong.push(format!(
                    "{document} was told, the log has {:?}",
                    status_at(id, *version)
                ));
            }
        }
    }
}

/// How long things took.
#[derive(Debug, Clone, Default)]
pub struct Times(pub Vec<Duration>);

impl Times {
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(index).copied().unwrap_or_default()
    }

    pub fn max(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }
}
