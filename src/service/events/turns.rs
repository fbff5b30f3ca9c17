//! Turns at the database for those who read the log: few in all, and of those half at most for one merchant.
//!
//! Whoever waits stands in his merchant's row first, and only as many of each merchant as may have a turn stand in the common
//! one. So a merchant's reader has at most that many of each other merchant before it, however many of theirs wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::db::DbError;
use crate::domain::order::MerchantId;

/// How long a reader waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// See the module's head.
#[derive(Debug)]
pub struct LogTurns {
    turns: Semaphore,
    of_one_merchant: usize,
    /// Only of merchants whose readers have a turn or wait for one.
    by_merchant: Mutex<HashMap<MerchantId, Arc<Semaphore>>>,
}

/// A merchant's turn, until it is dropped.
#[derive(Debug)]
pub struct LogTurn<'a> {
    // In this order: out of the row last.
    _of_merchant: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
    _in_row: InRow<'a>,
}

/// One who stands in his merchant's row.
#[derive(Debug)]
struct InRow<'a> {
    turns: &'a LogTurns,
    merchant: MerchantId,
    row: Arc<Semaphore>,
}

impl LogTurns {
    pub fn new(turns: usize) -> Self {
        Self {
            turns: Semaphore::new(turns),
            of_one_merchant: (turns / 2).max(1),
            by_merchant: Mutex::default(),
        }
    }

    /// Waits for that merchant's turn.
    pub async fn take(&self, merchant: MerchantId) -> Result<LogTurn<'_>, DbError> {
        let in_row = self.join_row(merchant);
        let both = async {
            let of_merchant = Arc::clone(&in_row.row).acquire_owned().await?;
            Ok::<_, AcquireError>((of_merchant, self.turns.acquire().await?))
        };
        let turn = timeout(PATIENCE, both).await;
        let (of_merchant, of_all) = turn
            .ok()
            .and_then(Result::ok)
            .ok_or(DbError::Unavailable(sqlx::Error::PoolTimedOut))?;
        Ok(LogTurn {
            _of_merchant: of_merchant,
            _of_all: of_all,
            _in_row: in_row,
        })
    }

    fn join_row(&self, merchant: MerchantId) -> InRow<'_> {
        let mut by_merchant = self.by_merchant.lock();
        let row = by_merchant
            .entry(merchant)
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_one_merchant)));
        InRow {
            turns: self,
            merchant,
            row: Arc::clone(row),
        }
    }
}

impl Drop for InRow<'_> {
    fn drop(&mut self) {
        let mut by_merchant = self.turns.by_merchant.lock();
        // Ours and the map's: nobody else is in it, and nobody can join meanwhile.
        if Arc::strong_count(&self.row) <= 2 {
            by_merchant.remove(&self.merchant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{FutureExt as _, poll};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_merchant_with_hundreds_of_readers_leaves_half_of_the_turns_to_others() {
        let turns = LogTurns::new(4);
        let (one, other) = (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)));
        let mut waiting: Vec<_> = (0..200).map(|_| Box::pin(turns.take(one))).collect();
        let mut taken = Vec::new();
        for reader in &mut waiting {
            if let Poll::Ready(turn) = poll!(reader) {
                taken.push(turn.expect("is one"));
            }
        }
        assert_eq!(taken.len(), 2);
        assert!(matches!(turns.take(other).now_or_never(), Some(Ok(_))));
        drop((taken, waiting));
        assert!(turns.by_merchant.lock().is_empty() && turns.turns.available_permits() == 4);
    }

    #[tokio::test]
    async fn where_there_is_one_turn_the_next_one_is_another_merchants() {
        let turns = LogTurns::new(1);
        let (one, other) = (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)));
        let first = turns.take(one).await.expect("is free");
        let mut waiting: Vec<_> = (0..200).map(|_| Box::pin(turns.take(one))).collect();
        for reader in &mut waiting {
            assert!(poll!(reader).is_pending());
        }
        let mut others = Box::pin(turns.take(other));
        assert!(poll!(&mut others).is_pending());
        drop(first);
        for reader in &mut waiting {
            assert!(poll!(reader).is_pending());
        }
        assert!(
            poll!(&mut others).is_ready(),
            "before all that one merchant has waiting"
        );
        drop((waiting, others));
        assert!(turns.by_merchant.lock().is_empty());
    }
}
