//! Which statements a process sends by itself, and which because somebody asked.

use std::collections::HashSet;
use std::time::Duration;

use super::cluster::Counted;
use super::lab::Lab;

/// The statements of a process that nobody has asked anything yet, by the database's own numbers for them.
#[derive(Debug)]
pub struct Chores {
    database: &'static str,
    statements: HashSet<i64>,
}

/// Within it each chore has its turn: those with long ticks have it at the start, and the line that listens for notifications
/// is checked after ten seconds of silence.
const TURN: Duration = Duration::from_secs(12);

impl Chores {
    /// To be called after the process has started and before anybody asks it for an order.
    pub async fn learn(lab: &Lab, database: &'static str) -> anyhow::Result<Self> {
        tokio::time::sleep(TURN).await;
        let statements = lab.cluster.statements(database).await?;
        let statements = statements.into_iter().map(|statement| statement.id).collect();
        Ok(Self { database, statements })
    }

    /// Calls since `before` of statements that no chore sends, and of those that chores send.
    pub async fn calls_since(&self, lab: &Lab, before: &[Counted]) -> anyhow::Result<(i64, i64)> {
        let (mut asked_for, mut of_chores) = (0, 0);
        for statement in lab.cluster.statements(self.database).await? {
            let earlier = before.iter().find(|before| before.id == statement.id);
            let calls = statement.calls - earlier.map_or(0, |before| before.calls);
            if self.statements.contains(&statement.id) {
                of_chores += calls;
            } else if calls > 0 {
                asked_for += calls;
                self.tell(lab, calls, &statement.text);
            }
        }
        Ok((asked_for, of_chores))
    }

    fn tell(&self, lab: &Lab, calls: i64, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        lab.say(&format!("{}: {calls} × {}", self.database, words.join(" ")));
    }
}
