//! How many attempts this process has in hand, at which endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::webhook::EndpointId;

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub struct Hands(Arc<Mutex<HashMap<EndpointId, i64>>>);

/// An attempt that counts for as long as this is there, however it ends: marked, cancelled or in a panic.
#[derive(Debug)]
pub struct Hand {
    endpoint: EndpointId,
    hands: Hands,
}

impl Hands {
    pub fn take(&self, endpoint: EndpointId) -> Hand {
        *self.0.lock().entry(endpoint).or_default() += 1;
        Hand {
            endpoint,
            hands: self.clone(),
        }
    }

    pub fn count(&self) -> Vec<(EndpointId, i64)> {
        self.0
            .lock()
            .iter()
            .map(|(endpoint, count)| (*endpoint, *count))
            .collect()
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut counts = self.hands.0.lock();
        if let Some(count) = counts.get_mut(&self.endpoint) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn an_attempt_that_panics_or_is_cancelled_is_in_hand_no_more() {
        let (hands, endpoint) = (Hands::default(), EndpointId(Uuid::nil()));
        let mut attempts = JoinSet::new();
        let (panicking, hanging, done) = (hands.take(endpoint), hands.take(endpoint), hands.take(endpoint));
        assert_eq!(hands.count(), [(endpoint, 3)]);
        attempts.spawn(async move {
            let _hand = panicking;
            panic!("on purpose");
        });
        assert!(attempts.join_next().await.expect("one").is_err());
        assert_eq!(hands.count(), [(endpoint, 2)]);
        attempts.spawn(async move {
            let _hand = hanging;
            std::future::pending().await
        });
        attempts.shutdown().await;
        assert_eq!(hands.count(), [(endpoint, 1)]);
        drop(done);
        assert_eq!(hands.count(), []);
    }
}
