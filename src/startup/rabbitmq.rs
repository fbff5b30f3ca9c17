//! RabbitMQ, if there is one: events out, updates in.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::RabbitmqArgs;
use crate::database::Database;
use crate::delivery::rabbitmq::{Backlog, Publisher};
use crate::intake::Consumer;
use crate::intake::desk::Desk;
use crate::service::{self, Service};

/// What is done with the broker; nothing without one.
#[derive(Debug, Default)]
pub(super) struct Rabbitmq {
    publisher: Option<(Publisher, Backlog)>,
    consumer: Option<Consumer>,
}

impl Rabbitmq {
    /// Connects to nothing yet.
    pub(super) fn new(
        args: &RabbitmqArgs,
        database: &Database,
        service: &Service,
        desk: Arc<dyn Desk>,
    ) -> anyhow::Result<Self> {
        let Some(broker) = args.broker()? else {
            return Ok(Self::default());
        };
        let (pool, news) = (database.deliveries.clone(), Arc::clone(&service.hub.news));
        tracing::info!(%broker, updates = args.amqp_updates, "rabbitmq is used");
        Ok(Self {
            publisher: Some((
                Publisher::new(broker.clone(), pool.clone(), news),
                Backlog::new(pool, service::now),
            )),
            consumer: args.amqp_updates.then(|| Consumer::new(broker, desk)),
        })
    }

    /// Before the door opens: all that is reported from the first request on goes out, also if the broker is away.
    pub(super) async fn take_place(&self) {
        if let Some((publisher, _)) = &self.publisher
            && let Err(error) = publisher.take_place().await
        {
            tracing::warn!(%error, "cannot take the place in the log for rabbitmq yet");
        }
    }

    pub(super) fn start(self, chores: &TaskTracker, stop: &CancellationToken) {
        if let Some((publisher, backlog)) = self.publisher {
            chores.spawn(publisher.run(stop.clone()));
            chores.spawn(backlog.run(stop.clone()));
        }
        if let Some(consumer) = self.consumer {
            chores.spawn(consumer.run(stop.clone()));
        }
    }
}
