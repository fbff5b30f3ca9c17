//! RabbitMQ, if there is one: events out, updates in.

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::amqp::Broker;
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
        // (Compose passes what is not set as an empty text.)
        let Some(url) = args.amqp_url.as_ref().filter(|url| !url.is_empty()) else {
            return Ok(Self::default());
        };
        let authorities = args.amqp_ca_file.as_ref().map(std::fs::read_to_string).transpose();
        let authorities = authorities.context("cannot read PAYQUERY_AMQP_CA_FILE")?;
        // Checked here and not where flags are read: that would repeat the URL, and the password in it.
        let broker = Broker::new(url, authorities).context("PAYQUERY_AMQP_URL is no address of a broker")?;
        let (pool, news) = (database.chores.clone(), Arc::clone(&service.hub.news));
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
