//! Somebody who waits, at whichever replica there is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Doors;
use super::model::ModelOrder;
use crate::lab::{Answer, Payer};

/// See the module's head.
#[derive(Debug)]
pub struct Waiting {
    pub payer: Payer,
    pub since: i64,
    pub until_final: bool,
    pub model: Arc<Mutex<ModelOrder>>,
    pub doors: Doors,
}

impl Waiting {
    /// Asks again, at any replica, when a hold ended with nothing: its replica stopped, or was killed.
    pub async fn run(mut self) {
        loop {
            let door = self.doors.lock().unwrap()[fastrand::usize(..super::REPLICAS)];
            let answer = if self.until_final {
                self.payer.hold_until_final(door, 55).await
            } else {
                self.payer.hold(door, 55).await
            };
            match answer {
                Ok(answer) if self.is_told(&answer) => break,
                Ok(answer) if !matches!(answer.status, 200 | 304 | 503) => {
                    self.payer.judge.wrong(format!("a wait: {answer:?}"));
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Of a version that is not the latest any more nobody knows when it came.
        let (version, moved_at) = {
            let model = self.model.lock().unwrap();
            (model.version, model.moved_at)
        };
        if version == self.payer.seen {
            self.payer.judge.late(moved_at.elapsed());
        }
    }

    fn is_told(&self, answer: &Answer) -> bool {
        let is_final = answer.body.contains("\"final\":true");
        answer.status == 200
            && if self.until_final {
                is_final
            } else {
                answer.version > Some(self.since)
            }
    }
}
