//! What a connection has subscribed to.

use std::collections::HashMap;
use std::sync::Arc;

use super::{End, Session};
use crate::domain::order::{OrderId, Version};
use crate::hub::{HotOrder, Snapshot};
use crate::push::gate::{Fault, Opening};
use crate::push::stomp::request::{Ack, Complaint, Kind, Name, Subscribe, Token};
use crate::push::wire::Wire;

/// The most subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 100;

/// See the module's head. A subscription has a key of its own besides its client's name for it: the name may be given anew.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_name: HashMap<Name, u64>,
    by_key: HashMap<u64, Subscription>,
    last_key: u64,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) name: Name,
    pub(super) destination: String,
    pub(super) ack: Ack,
    order_id: OrderId,
    token: Token,
    /// The version told last.
    told: Option<Version>,
}

impl Subscriptions {
    fn insert(&mut self, subscription: Subscription) -> u64 {
        self.last_key += 1;
        self.by_name.insert(subscription.name.clone(), self.last_key);
        self.by_key.insert(self.last_key, subscription);
        self.last_key
    }

    fn remove(&mut self, name: &Name) -> Option<u64> {
        let key = self.by_name.remove(name)?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// The keys of those that are told of that order, the oldest first.
    fn keys_of(&self, order_id: OrderId) -> Vec<u64> {
        let told = self
            .by_key
            .iter()
            .filter(|(_, subscription)| subscription.order_id == order_id);
        let mut keys: Vec<u64> = told.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }
}

impl Session {
    pub(super) async fn subscribe(&mut self, wire: &mut impl Wire, subscribe: Subscribe) -> Result<(), End> {
        // A name that is given anew is the new subscription's alone.
        self.unsubscribe(&subscribe.name);
        if self.subscriptions.by_key.len() == MAX_SUBSCRIPTIONS {
            let fault = Fault::TooManySubscriptions {
                most: MAX_SUBSCRIPTIONS,
            };
            return Err(self.streams.gate.refuse(&self.asker, fault).into());
        }
        let token = subscribe.credentials.or_else(|| self.credentials.clone());
        let Some(token) = token else {
            let reason = "send the order's secret in a client-secret header, with CONNECT or with SUBSCRIBE";
            let fault = Fault::Unauthenticated { reason };
            return Err(self.streams.gate.refuse(&self.asker, fault).into());
        };
        let hot = self.open_order(&subscribe.order_id, &token, subscribe.shown).await?;
        self.prove(&token);
        let key = self.subscriptions.insert(Subscription {
            name: subscribe.name,
            destination: subscribe.destination,
            ack: subscribe.ack,
            order_id: hot.id,
            token,
            told: subscribe.shown,
        });
        let following = match subscribe.kind {
            Kind::Follow => self.streams.holds.follow(&hot, subscribe.shown),
            Kind::Once => None,
        };
        match following {
            Some(following) => {
                self.followings.insert(key, following);
                self.send_receipt(wire).await
            }
            None if subscribe.kind == Kind::Once => {
                self.send_receipt(wire).await?;
                self.tell(wire, key, &hot.snapshot()).await
            }
            // No place to wait in: what there is now is told, and the client is to come again for more.
            None => {
                self.tell_change(wire, key, &hot.snapshot()).await?;
                Err(self.streams.gate.refuse(&self.asker, Fault::NoPlace).into())
            }
        }
    }

    /// A name that nothing was subscribed under is passed over, as simple brokers do.
    pub(super) fn unsubscribe(&mut self, name: &Name) {
        if let Some(key) = self.subscriptions.remove(name) {
            self.followings.remove(&key);
        }
    }

    /// A change came: tells it, unless the client was told just that when it asked.
    pub(super) async fn tell_change(
        &mut self,
        wire: &mut impl Wire,
        key: u64,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(), End> {
        let subscription = self.subscriptions.by_key.get(&key);
        if subscription.is_none_or(|subscription| subscription.told == Some(snapshot.version)) {
            return Ok(());
        }
        self.tell(wire, key, snapshot).await
    }

    /// "Send it to me now": to each subscription of that order.
    pub(super) async fn tell_now(&mut self, wire: &mut impl Wire, order_id: &str) -> Result<(), End> {
        let id = OrderId::parse(order_id).map_err(|error| Complaint::new("destination", error.to_string()))?;
        let keys = self.subscriptions.keys_of(id);
        let of_order = || keys.iter().filter_map(|key| self.subscriptions.by_key.get(key));
        let Some(first) = of_order().next() else {
            let reason = "must be of an order that this connection has subscribed to: there it is told";
            return Err(Complaint::new("destination", reason).into());
        };
        let newest = of_order().filter_map(|subscription| subscription.told).max();
        let hot = self.open_order(order_id, &first.token, newest).await?;
        let snapshot = hot.snapshot();
        for key in keys {
            self.tell(wire, key, &snapshot).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, wire: &mut impl Wire, key: u64, snapshot: &Arc<Snapshot>) -> Result<(), End> {
        let Some(subscription) = self.subscriptions.by_key.get_mut(&key) else {
            return Ok(());
        };
        subscription.told = Some(snapshot.version);
        self.messages += 1;
        let message = super::answers::message(subscription, snapshot, format!("{}-{}", self.id, self.messages));
        self.send(wire, message).await?;
        self.open.count_told(snapshot);
        Ok(())
    }

    pub(super) async fn open_order(
        &self,
        order_id: &str,
        token: &Token,
        shown: Option<Version>,
    ) -> Result<Arc<HotOrder>, End> {
        let opening = Opening {
            order_id,
            token: &token.0,
            shown,
        };
        Ok(self.streams.gate.open_order(&self.asker, opening).await?)
    }
}
