//! Turns at the database for those who read the log: few in all, and of those half at most for one merchant.
//!
//! Whoever waits stands in his merchant's row first, and only as many of each merchant as may have a turn stand in the common
//! one. So a merchant's reader has at most that many of each other merchant before it, however many of theirs wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{AcquireError, Semaphore};
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

/// One who stands in his merchant's row.
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

    /// Does `work` when it is that merchant's turn.
    pub async fn take<T>(&self, merchant: MerchantId, work: impl Future<Output = T>) -> Result<T, DbError> {
        let in_row = self.join_row(merchant);
        let both = async { Ok::<_, AcquireError>((in_row.row.acquire().await?, self.turns.acquire().await?)) };
        let turn = timeout(PATIENCE, both).await;
        let _turn = turn
            .ok()
            .and_then(Result::ok)
            .ok_or(DbError::Unavailable(sqlx::Error::PoolTimedOut))?;
        Ok(work.await)
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
    use std::future::{pending, ready};
    use std::pin::pin;

    use futures_util::{FutureExt as _, poll};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_merchant_with_hundreds_of_readers_leaves_half_of_the_turns_to_others() {
        let turns = LogTurns::new(4);
        let (one, other) = (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)));
        let mut reading: Vec<_> = (0..200).map(|_| Box::pin(turns.take(one, pending::<()>()))).collect();
        for reader in &mut reading {
            assert!(poll!(reader).is_pending());
        }
        assert_eq!(turns.turns.available_permits(), 2);
        assert!(matches!(turns.take(other, ready(7)).now_or_never(), Some(Ok(7))));
        drop(reading);
        assert!(turns.by_merchant.lock().is_empty() && turns.turns.available_permits() == 4);
    }

    #[tokio::test]
    async fn where_there_is_one_turn_the_next_one_is_another_merchants() {
        let turns = LogTurns::new(1);
        let (one, other) = (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut first = pin!(turns.take(one, ended));
        let mut waiting: Vec<_> = (0..200).map(|_| Box::pin(turns.take(one, pending::<()>()))).collect();
        assert!(poll!(&mut first).is_pending());
        for reader in &mut waiting {
            assert!(poll!(reader).is_pending());
        }
        let mut others = pin!(turns.take(other, ready(7)));
        assert!(poll!(&mut others).is_pending());
        drop(end);
        assert!(poll!(&mut first).is_ready());
        for reader in &mut waiting {
            assert!(poll!(reader).is_pending());
        }
        assert!(
            poll!(&mut others).is_ready(),
            "before all that one merchant has waiting"
        );
    }
}
