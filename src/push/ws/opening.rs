//! What a connection of `/v1/ws` follows: authentication, subscriptions, and what they are refused.

use std::sync::Arc;

use super::super::gate::{Fault, Opening, Refusal};
use super::super::socket::Closing;
use super::MAX_SUBSCRIPTIONS;
use super::messages::{self, Credentials, Token};
use super::session::Session;
use crate::domain::order::{OrderId, Version};
use crate::hub::Snapshot;
use crate::service::follow::{Following, MerchantFollowing};

/// What was opened, to be followed once the client has heard that it was.
enum Opened {
    Order(Following),
    /// There is no place to wait in: it is told once, if it is another than the version shown.
    OrderWithoutPlace(Arc<Snapshot>, Option<Version>),
    Merchant(MerchantFollowing),
}

impl Session {
    /// Opens the connection: for one order, or with an API key alone for all of its merchant's.
    pub(super) async fn authenticate(&mut self, credentials: Credentials) -> Result<(), Closing> {
        let Credentials {
            token,
            order_id,
            version,
        } = credentials;
        let opened = match &order_id {
            Some(order_id) => self.open_order(order_id, &token, version).await,
            None => self.open_merchant(&token).await,
        };
        match opened {
            Ok(opened) => {
                self.authenticated = true;
                self.keep_key(&token);
                if token.is_api_key() {
                    self.key = Some(token);
                }
                self.send(messages::ack("auth_ack", order_id.as_deref())).await?;
                self.follow(opened, order_id.as_deref()).await
            }
            Err(refusal) => {
                self.send(messages::error(&refusal, order_id.as_deref())).await?;
                // What was not even looked at (429, 503) may be sent again.
                if refusal.is_of_credentials() {
                    return Err(Closing::UNAUTHORIZED);
                }
                Ok(())
            }
        }
    }

    pub(super) async fn subscribe(
        &mut self,
        order_id: &str,
        token: Option<Token>,
        version: Option<Version>,
    ) -> Result<(), Closing> {
        let Some(token) = token.or_else(|| self.key.clone()) else {
            let reason = "send the order's client_secret with subscribe";
            return self.refuse(Fault::Unauthenticated { reason }, Some(order_id)).await;
        };
        match self.open_order(order_id, &token, version).await {
            Ok(opened) => {
                self.keep_key(&token);
                self.send(messages::ack("subscribe_ack", Some(order_id))).await?;
                self.follow(opened, Some(order_id)).await
            }
            Err(refusal) => self.send(messages::error(&refusal, Some(order_id))).await,
        }
    }

    /// Whatever is not followed afterwards was unsubscribed well.
    pub(super) async fn unsubscribe(&mut self, order_id: &str) -> Result<(), Closing> {
        match OrderId::parse(order_id) {
            Ok(id) => {
                self.orders.remove(&id);
                self.send(messages::ack("unsubscribe_ack", Some(order_id))).await
            }
            Err(error) => {
                let reason = error.to_string();
                let field = "order_id";
                self.refuse(Fault::Invalid { field, reason }, None).await
            }
        }
    }

    /// An API key that was revoked opens nothing any more, and what it had opened is closed.
    pub(super) async fn check_key(&mut self) -> Result<(), Closing> {
        for key in &self.keys {
            if !self.streams.gate.still_opens(key.expose()).await {
                self.refuse(Fault::KeyDoesNotOpen, None).await?;
                return Err(Closing::UNAUTHORIZED);
            }
        }
        Ok(())
    }

    /// What this token opened is to be closed when it is revoked, also if another one opens something after it.
    fn keep_key(&mut self, token: &Token) {
        if token.is_api_key() && !self.keys.contains(token) {
            self.keys.push(token.clone());
        }
    }

    async fn open_order(&mut self, order_id: &str, token: &Token, shown: Option<Version>) -> Result<Opened, Refusal> {
        let opening = Opening {
            order_id,
            token: token.expose(),
            shown,
        };
        let hot = self.streams.gate.open_order(&self.asker, opening).await?;
        if self.orders.len() >= MAX_SUBSCRIPTIONS && !self.orders.contains(&hot.id) {
            let most = MAX_SUBSCRIPTIONS;
            return Err(self
                .streams
                .gate
                .refuse(&self.asker, Fault::TooManySubscriptions { most }));
        }
        // What is followed already takes the place that it has.
        self.orders.remove(&hot.id);
        Ok(match self.streams.holds.follow(&hot, shown) {
            Some(following) => Opened::Order(following),
            None => Opened::OrderWithoutPlace(hot.snapshot(), shown),
        })
    }

    async fn open_merchant(&self, token: &Token) -> Result<Opened, Refusal> {
        let gate = &self.streams.gate;
        if !token.is_api_key() {
            let (field, reason) = ("order_id", "is missing: a client secret opens one order".into());
            return Err(gate.refuse(&self.asker, Fault::Invalid { field, reason }));
        }
        let merchant = gate.open_merchant(&self.asker, token.expose()).await?;
        let following = self.streams.holds.follow_merchant(&self.streams.hub, merchant);
        following
            .map(Opened::Merchant)
            .ok_or_else(|| gate.refuse(&self.asker, Fault::NoPlace))
    }

    async fn follow(&mut self, opened: Opened, order: Option<&str>) -> Result<(), Closing> {
        match opened {
            Opened::Order(following) => self.orders.insert(following.order_id(), following),
            Opened::Merchant(following) => self.merchant = Some(following),
            Opened::OrderWithoutPlace(snapshot, shown) => {
                self.refuse(Fault::NoPlace, order).await?;
                if shown != Some(snapshot.version) {
                    self.tell(&snapshot).await?;
                }
            }
        }
        Ok(())
    }
}
