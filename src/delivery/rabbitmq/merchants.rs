//! The names of the merchants whose events go out: an event knows its merchant by id only, and names do not change.

use std::collections::{HashMap, HashSet};

use crate::db::order_events::LoggedEvent;
use crate::db::{Connection, DbError, merchants};
use crate::domain::order::MerchantId;

/// The names that were needed so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<MerchantId, String>,
}

/// With more merchants than that, all are asked for anew now and then.
const MOST: usize = 10_000;

impl Names {
    /// Asks for those that are not known yet.
    pub(super) async fn learn(&mut self, connection: &mut Connection, events: &[LoggedEvent]) -> Result<(), DbError> {
        if self.known.len() > MOST {
            self.known.clear();
        }
        let merchants = events.iter().map(|logged| logged.event.merchant_id());
        let missing: HashSet<_> = merchants.filter(|id| !self.known.contains_key(id)).collect();
        if !missing.is_empty() {
            let missing: Vec<_> = missing.into_iter().collect();
            self.known.extend(merchants::names(connection, &missing).await?);
        }
        Ok(())
    }

    pub(super) fn of(&self, merchant: MerchantId) -> &str {
        self.known.get(&merchant).map_or("", |name| name)
    }
}
