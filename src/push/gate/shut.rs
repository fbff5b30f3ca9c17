//! Streams behind a door that opens nothing: for tests of what a conversation does by itself.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::*;
use crate::domain::order::Order;
use crate::hub::Hub;
use crate::push::echo::Echoes;
use crate::push::stream_metrics::StreamMetrics;
use crate::push::{Settings, Streams, sockjs};
use crate::service::wait::{self, Holds};

#[derive(Debug)]
struct Shut;

impl Gate for Shut {
    fn admit(&self, _: &HttpRequest) -> Result<Asker, Error> {
        Ok(asker())
    }

    fn reject(&self, _: Fault) -> Error {
        unreachable!("nobody asks")
    }

    fn bearer<'a>(&self, _: &'a HttpRequest) -> Option<&'a str> {
        None
    }

    fn open_order<'a>(&'a self, _: &'a Asker, _: Opening<'a>) -> LocalBoxFuture<'a, Result<Arc<HotOrder>, Refusal>> {
        unreachable!("nobody asks")
    }

    fn open_merchant<'a>(&'a self, _: &'a Asker, _: &'a str) -> LocalBoxFuture<'a, Result<MerchantId, Refusal>> {
        unreachable!("nobody asks")
    }

    fn still_opens<'a>(&'a self, _: &'a str) -> LocalBoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }

    fn refuse(&self, _: &Asker, fault: Fault) -> Refusal {
        unreachable!("nothing is refused here: {fault:?}")
    }
}

pub fn asker() -> Asker {
    Asker {
        client: Ipv4Addr::LOCALHOST.into(),
        request_id: "0".into(),
    }
}

pub fn streams() -> Arc<Streams> {
    let settings = Settings {
        heartbeat: Duration::from_secs(25),
        lifetime: Duration::from_mins(10),
        max_sessions: 1,
        sockjs_client: String::new(),
    };
    let places = wait::Settings {
        max_held: 1,
        max_held_per_order: 1,
        drain_spread: Duration::ZERO,
    };
    Arc::new(Streams {
        gate: Arc::new(Shut),
        holds: Holds::new(&places),
        hub: Hub::new(1),
        sockjs: sockjs::Sessions::new(settings.max_sessions),
        settings,
        metrics: StreamMetrics::new(),
        opened: TaskTracker::new(),
        echoes: Echoes::default(),
    })
}

/// An order that can be followed.
pub async fn hot_order(streams: &Streams) -> Arc<HotOrder> {
    let order = Order::sample();
    let read = std::future::ready(Ok(Some(order.clone())));
    let hot = streams.hub.get_or_load(order.id, || read).await;
    hot.expect("is read").expect("is there")
}
