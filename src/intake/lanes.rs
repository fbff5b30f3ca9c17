//! Who may go at the same time: one message of an order after the other, those of different orders together.
//!
//! An order has two names. Whether a message that names one by its id and another that names one by its number mean the same
//! order is not known here; so of one merchant only messages that name their orders in one way are under way at a time, and
//! the others wait until those are done.

use std::collections::{HashMap, VecDeque};
use std::mem::{Discriminant, discriminant};

use crate::domain::order::MerchantId;
use crate::service::read::OrderName;

/// Which order a message is about.
pub(super) type Lane = (MerchantId, OrderName);

/// Those that are under way or wait for it.
#[derive(Debug)]
pub(super) struct Lanes<J> {
    /// The first of each is under way.
    lanes: HashMap<Lane, VecDeque<J>>,
    merchants: HashMap<MerchantId, Merchant<J>>,
}

#[derive(Debug)]
struct Merchant<J> {
    /// How those in the lanes name their orders.
    naming: Discriminant<OrderName>,
    in_lanes: usize,
    /// They came after one that names its order in the other way.
    waiting: VecDeque<(Lane, J)>,
}

impl<J> Default for Lanes<J> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            merchants: HashMap::new(),
        }
    }
}

impl<J: Clone> Lanes<J> {
    /// Takes a message in; gives it back if it may go at once.
    pub(super) fn add(&mut self, lane: Lane, job: J) -> Option<J> {
        let naming = discriminant(&lane.1);
        let merchant = self.merchants.entry(lane.0).or_insert_with(|| Merchant {
            naming,
            in_lanes: 0,
            waiting: VecDeque::new(),
        });
        if !merchant.waiting.is_empty() || merchant.naming != naming {
            merchant.waiting.push_back((lane, job));
            return None;
        }
        merchant.in_lanes += 1;
        self.enter(lane, job)
    }

    /// The message under way in that lane is done; gives back those that may go now.
    pub(super) fn done(&mut self, lane: &Lane) -> Vec<(Lane, J)> {
        let mut next = Vec::new();
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.pop_front();
            match queue.front() {
                Some(job) => next.push((lane.clone(), job.clone())),
                None => drop(self.lanes.remove(lane)),
            }
        }
        let Some(merchant) = self.merchants.get_mut(&lane.0) else {
            return next;
        };
        merchant.in_lanes -= 1;
        if merchant.in_lanes > 0 {
            return next;
        }
        let Some((first, _)) = merchant.waiting.front() else {
            self.merchants.remove(&lane.0);
            return next;
        };
        merchant.naming = discriminant(&first.1);
        let naming = merchant.naming;
        let of_same_naming = merchant
            .waiting
            .iter()
            .position(|(lane, _)| discriminant(&lane.1) != naming);
        let count = of_same_naming.unwrap_or(merchant.waiting.len());
        let entering: Vec<_> = merchant.waiting.drain(..count).collect();
        merchant.in_lanes = count;
        for (lane, job) in entering {
            next.extend(self.enter(lane.clone(), job).map(|job| (lane, job)));
        }
        next
    }

    fn enter(&mut self, lane: Lane, job: J) -> Option<J> {
        let queue = self.lanes.entry(lane).or_default();
        queue.push_back(job.clone());
        (queue.len() == 1).then_some(job)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::order::OrderId;
    use crate::domain::text::OutTradeNo;

    /// Of a merchant and an order, by its id or its number.
    fn lane(merchant: u8, order: u8, by_id: bool) -> Lane {
        let name = if by_id {
            OrderName::Id(OrderId(Uuid::from_u128(order.into())))
        } else {
            OrderName::OutTradeNo(OutTradeNo::parse(order.to_string()).expect("digits"))
        };
        (MerchantId(Uuid::from_u128(merchant.into())), name)
    }

    #[test]
    fn orders_go_together_and_messages_of_one_order_do_not() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.add(lane(1, 1, true), "a"), Some("a"));
        assert_eq!(lanes.add(lane(1, 1, true), "b"), None);
        assert_eq!(lanes.add(lane(1, 2, true), "c"), Some("c"));
        assert_eq!(lanes.add(lane(1, 1, false), "d"), None, "it may be the same order");
        assert_eq!(lanes.add(lane(1, 3, true), "e"), None, "d is not overtaken");
        assert_eq!(lanes.add(lane(2, 1, false), "f"), Some("f"), "another merchant's");
        assert_eq!(lanes.done(&lane(1, 1, true)), [(lane(1, 1, true), "b")]);
        assert_eq!(lanes.done(&lane(1, 2, true)), []);
        assert_eq!(lanes.done(&lane(1, 1, true)), [(lane(1, 1, false), "d")]);
        assert_eq!(lanes.done(&lane(1, 1, false)), [(lane(1, 3, true), "e")]);
        assert_eq!(lanes.done(&lane(1, 3, true)), []);
        assert_eq!(lanes.done(&lane(2, 1, false)), []);
        assert!(
            lanes.lanes.is_empty() && lanes.merchants.is_empty(),
            "nothing is left behind"
        );
    }

    proptest! {
        #[test]
        fn all_go_and_those_of_one_order_in_their_order(
            messages in prop::collection::vec((0_u8..3, 0_u8..4, any::<bool>()), 1..60),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let (mut lanes, mut under_way, mut gone) = (Lanes::default(), Vec::new(), Vec::new());
            for (at, (merchant, order, by_id)) in messages.iter().enumerate() {
                let lane = lane(*merchant, *order, *by_id);
                under_way.extend(lanes.add(lane.clone(), at).map(|job| (lane, job)));
            }
            for pick in picks {
                // Whatever the names, no order has two messages under way.
                let orders = under_way.iter().map(|(_, at): &(Lane, usize)| (messages[*at].0, messages[*at].1));
                let distinct: std::collections::HashSet<_> = orders.collect();
                prop_assert_eq!(distinct.len(), under_way.len());
                if under_way.is_empty() {
                    break;
                }
                let (lane, at) = under_way.swap_remove(pick.index(under_way.len()));
                gone.push(at);
                under_way.extend(lanes.done(&lane));
            }
            prop_assert_eq!(gone.len(), messages.len());
            let mut last = HashMap::new();
            for at in gone {
                let before = last.insert((messages[at].0, messages[at].1), at);
                prop_assert!(before.is_none_or(|before| before < at));
            }
            prop_assert!(lanes.lanes.is_empty() && lanes.merchants.is_empty());
        }
    }
}
