//! Webhooks: three tasks, with connections of their own.

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::WebhookArgs;
use crate::database::Database;
use crate::delivery::webhooks::{Bells, Chores, Spreader, Worker};
use crate::service::Service;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Webhooks {
    spreader: Spreader,
    worker: Worker,
    chores: Chores,
}

impl Webhooks {
    pub(super) fn new(args: &WebhookArgs, database: &Database, service: &Service) -> anyhow::Result<Self> {
        let (pool, liaison, settings) = (&database.deliveries, &service.webhooks, args.settings());
        let news = &service.hub.news;
        let bells = Bells {
            news: Arc::clone(news),
            doorbell: Arc::clone(&service.doorbell),
        };
        Ok(Self {
            spreader: Spreader::new(pool.clone(), Arc::clone(news), Arc::clone(liaison)),
            chores: Chores::new(pool.clone(), settings.retention_days),
            worker: Worker::new(pool.clone(), settings, Arc::clone(liaison), bells)
                .context("cannot set webhooks up")?,
        })
    }

    pub(super) fn start(self, chores: &TaskTracker, stop: &CancellationToken) {
        chores.spawn(self.spreader.run(stop.clone()));
        chores.spawn(self.worker.run(stop.clone()));
        chores.spawn(self.chores.run(stop.clone()));
    }
}
