//! Transactions: what was asked for in one is done when it is committed, all of it and in order.

use std::collections::HashMap;

use super::request::Complaint;

/// The most transactions that one connection may have open.
const MAX_OPEN: usize = 16;
/// The most that may be asked for in one.
const MAX_ASKED: usize = 100;

/// A connection's open transactions, each with the ids of the orders that are to be told.
#[derive(Debug, Default)]
pub struct Transactions(HashMap<String, Vec<String>>);

impl Transactions {
    pub fn begin(&mut self, name: String) -> Result<(), Complaint> {
        if self.0.contains_key(&name) {
            return Err(Complaint::new(
                PART,
                "must be a new one: a transaction of this name is open",
            ));
        }
        if self.0.len() == MAX_OPEN {
            let reason = format!("must wait: {MAX_OPEN} transactions may be open at once");
            return Err(Complaint::new(PART, reason));
        }
        self.0.insert(name, Vec::new());
        Ok(())
    }

    /// Adds an order to be told.
    pub fn add(&mut self, name: &str, order_id: String) -> Result<(), Complaint> {
        let asked = self.0.get_mut(name).ok_or(UNKNOWN)?;
        if asked.len() == MAX_ASKED {
            let reason = format!("must be committed: {MAX_ASKED} frames may be in one transaction");
            return Err(Complaint::new(PART, reason));
        }
        asked.push(order_id);
        Ok(())
    }

    /// What was asked for in it.
    pub fn commit(&mut self, name: &str) -> Result<Vec<String>, Complaint> {
        self.0.remove(name).ok_or(UNKNOWN)
    }

    pub fn abort(&mut self, name: &str) -> Result<(), Complaint> {
        self.commit(name).map(drop)
    }

    /// Whether the transaction is open; no transaction at all is fine, too.
    pub fn check(&self, name: Option<&str>) -> Result<(), Complaint> {
        match name {
            Some(name) if !self.0.contains_key(name) => Err(UNKNOWN),
            _ => Ok(()),
        }
    }
}

const PART: &str = "transaction";
const UNKNOWN: Complaint = Complaint {
    part: PART,
    reason: std::borrow::Cow::Borrowed("must be one that was begun, and is neither committed nor aborted"),
};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says by it that something is there")]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_a_transaction_is_done_when_it_is_committed_and_only_then() {
        let mut transactions = Transactions::default();
        transactions.begin("a".into()).unwrap();
        transactions.begin("b".into()).unwrap();
        for order in ["1", "2"] {
            transactions.add("a", order.into()).unwrap();
        }
        transactions.add("b", "3".into()).unwrap();
        transactions.abort("b").unwrap();
        assert_eq!(transactions.commit("a").unwrap(), ["1", "2"]);
        for name in ["a", "b", "c"] {
            assert_eq!(transactions.commit(name), Err(UNKNOWN));
            assert_eq!(transactions.abort(name), Err(UNKNOWN));
            assert_eq!(transactions.add(name, "1".into()), Err(UNKNOWN));
            assert_eq!(transactions.check(Some(name)), Err(UNKNOWN));
        }
        assert_eq!(transactions.check(None), Ok(()));
    }

    #[test]
    fn transactions_are_bounded_in_number_and_in_length() {
        let mut transactions = Transactions::default();
        for name in 0..MAX_OPEN {
            transactions.begin(name.to_string()).unwrap();
        }
        assert!(transactions.begin("one more".into()).is_err());
        for _ in 0..MAX_ASKED {
            transactions.add("0", "1".into()).unwrap();
        }
        assert!(transactions.add("0", "1".into()).is_err());
        assert!(transactions.begin("0".into()).is_err(), "it is open");
    }
}
