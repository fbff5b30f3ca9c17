//! The one composition root: opens the database, builds the service and the door, runs them, and stops them in order.

mod demo;
pub mod file_limit;
mod rabbitmq;
mod socket;
mod webhooks;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_server::{GracefulShutdownSignal, Server, ServerHandle};
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use anyhow::Context as _;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ServeArgs;
use crate::database::Database;
use crate::feed;
use crate::http::{Door, HEAD_LIMIT, IDLE_LIMIT, Lane, MessageDesk, Replay, RequestScope, routes};
use crate::intake::desk::Desk;
use crate::push::{Gate, Streams};
use crate::service::{Service, housekeeping};
use crate::telemetry::Metrics;
use file_limit::FileBudget;
use rabbitmq::Rabbitmq;
use webhooks::Webhooks;

/// How long answers that are being written get once all held requests were let go.
const SHUTDOWN_SECONDS: u64 = 5;
/// Metrics that are kept as samples are put into their buckets this often.
const UPKEEP_TICK: Duration = Duration::from_secs(5);
/// A chore that waits for the database is not waited for.
const CHORES_LIMIT: Duration = Duration::from_secs(3);
const DOOR_TICK: Duration = Duration::from_secs(1);

/// The running service. The caller brings the listener and says when to stop; so tests can, too.
#[expect(missing_debug_implementations, reason = "actix's Server has none")]
pub struct Application {
    pub address: SocketAddr,
    server: Server,
    service: Arc<Service>,
    streams: Arc<Streams>,
    chores: TaskTracker,
    stop_chores: CancellationToken,
    drain_delay: Duration,
    drain_limit: Duration,
}

impl Application {
    /// Builds everything; the door opens when the server is [run](Application::run_until).
    pub async fn build(args: &ServeArgs, database: &Database, listener: TcpListener) -> anyhow::Result<Self> {
        let (pool, chore_pool) = (&database.pool, &database.chores);
        let budget = FileBudget::take(args.max_held, args.database.db_connections);
        socket::harden(&listener).context("cannot set the listening socket's options")?;
        let issuing_key = Service::issuing_key(pool)
            .await
            .context("cannot read the issuing key; run `payquery migrate`")?;
        let demo_merchant = demo::merchant(args, pool)
            .await
            .context("cannot make the merchant \"demo\"")?;
        let metrics = Metrics::new();
        let (service, mut feed, door, streams, (rabbitmq, webhooks)) = metrics.record(|| {
            let service = Arc::new(Service::new(
                pool.clone(),
                chore_pool.clone(),
                issuing_key,
                &args.service_settings(budget.held),
            ));
            let settings = args.http_settings(demo_merchant);
            let door = Arc::new(Door::new(Arc::clone(&service), settings, metrics.handle()));
            let feed = service.feed();
            let gate = Arc::clone(&door) as Arc<dyn Gate>;
            let streams = Streams::new(gate, &service, args.stream_settings());
            let desk: Arc<dyn Desk> = Arc::new(MessageDesk::new(Arc::clone(&door)));
            let rabbitmq = Rabbitmq::new(&args.rabbitmq, database, &service, desk);
            let webhooks = Webhooks::new(&args.webhooks, database, &service);
            (service, feed, door, Arc::new(streams), (rabbitmq, webhooks))
        });
        let (rabbitmq, webhooks) = (rabbitmq?, webhooks?);
        // From before the door opens, so that whoever follows from the first moment on misses nothing.
        if let Err(error) = feed.step().await {
            tracing::warn!(%error, "the feed cannot read yet");
        }
        rabbitmq.take_place().await;
        let stop_chores = CancellationToken::new();
        let chores = housekeeping::start(&service, &stop_chores);
        chores.reopen();
        let doorbell = &service.doorbell;
        chores.spawn(feed.run(Arc::clone(doorbell), stop_chores.clone()));
        chores.spawn(feed::ring_out(
            Arc::clone(doorbell),
            chore_pool.clone(),
            stop_chores.clone(),
        ));
        let line = feed::Line {
            url: database.listen_url.clone(),
            has_own_sessions: args.database.listen_url.is_none(),
            hub: Arc::clone(&service.hub),
        };
        chores.spawn(feed::listen(Arc::clone(doorbell), line, stop_chores.clone()));
        chores.spawn(keep_door(Arc::clone(&door), metrics, stop_chores.clone()));
        rabbitmq.start(&chores, &stop_chores);
        webhooks.start(&chores, &stop_chores);
        chores.close();
        let address = listener.local_addr()?;
        let server = build_server(args, (door, Arc::clone(&streams)), listener, budget.connections)?;
        let drain_limit = args.drain_spread() + Duration::from_secs(1);
        Ok(Self {
            address,
            server,
            service,
            streams,
            chores,
            stop_chores,
            drain_delay: args.drain_delay(),
            drain_limit,
        })
    }

    /// Serves until `stop` is cancelled; then answers every held request, lets the answers out, and ends.
    pub async fn run_until(self, stop: CancellationToken) -> anyhow::Result<()> {
        let handle = self.server.handle();
        let mut server = tokio::spawn(self.server);
        tokio::select! {
            ended = &mut server => ended??,
            () = stop.cancelled() => {
                retire(&self.service, self.drain_delay).await;
                drain((&self.service, &self.streams), &handle, self.drain_limit).await;
                server.await??;
            }
        }
        self.stop_chores.cancel();
        if timeout(CHORES_LIMIT, self.chores.wait()).await.is_err() {
            tracing::warn!("a chore did not end in time; the process ends without it");
        }
        Ok(())
    }
}

/// Lets balancers notice, by `/readyz`, that this process is about to stop. All who come meanwhile are served.
async fn retire(service: &Service, delay: Duration) {
    service.holds.retire();
    if !delay.is_zero() {
        tracing::info!(?delay, "stopping: not ready any more, still serving");
        tokio::time::sleep(delay).await;
    }
}

/// Held requests and streams first, while the listener still takes those who come back: actix would cut them off with nothing.
async fn drain((service, streams): (&Service, &Streams), handle: &ServerHandle, limit: Duration) {
    let held = service.holds.held();
    tracing::info!(held.requests = held, "stopping: answering held requests");
    service.holds.drain();
    let let_go = async { tokio::join!(service.holds.emptied(), streams.ended()) };
    if timeout(limit, let_go).await.is_err() {
        tracing::warn!(
            held.requests = service.holds.held(),
            "stopping with requests or streams still held"
        );
    }
    handle.stop(true).await;
}

fn build_server(
    args: &ServeArgs,
    (door, streams): (Arc<Door>, Arc<Streams>),
    listener: TcpListener,
    connections: usize,
) -> anyhow::Result<Server> {
    let server = Server::build()
        .workers(args.http_workers())
        .max_concurrent_connections(connections.div_ceil(args.http_workers()))
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    let closing = server.graceful_shutdown_signal();
    let server = server.listen("payquery", listener, move || Lane {
        door: Arc::clone(&door),
        closing: closing.clone(),
        web: web_service(&door, &streams, &closing),
    })?;
    Ok(server.run())
}

/// actix-web, for all that is no plain poll.
fn web_service(
    door: &Arc<Door>,
    streams: &Arc<Streams>,
    closing: &GracefulShutdownSignal,
) -> impl ServiceFactory<(Replay, Protocol, Option<SocketAddr>), Config = (), Response = (), InitError = ()> + use<> {
    let app = App::new()
        .app_data(web::Data::from(Arc::clone(door)))
        .app_data(web::Data::from(Arc::clone(streams)))
        .wrap(RequestScope(Arc::clone(door)))
        .configure(routes::configure);
    let app = app
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    let closing = closing.clone();
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let closing = closing.clone();
            async move { closing.notified().await }
        })
        .keep_alive(IDLE_LIMIT)
        .client_request_timeout(HEAD_LIMIT)
        .on_connect_ext(|connection: &Replay, data| {
            data.insert(connection.clock());
        })
        // A client that closes its side is gone: its held request gives its place back at once.
        .h1_allow_half_closed(false)
        .finish(map_config(app, |()| AppConfig::default()))
}

async fn keep_door(door: Arc<Door>, metrics: Metrics, stop: CancellationToken) {
    let (mut seconds, mut upkeep) = (interval(DOOR_TICK), interval(UPKEEP_TICK));
    loop {
        tokio::select! {
            _ = seconds.tick() => door.keep_house(),
            _ = upkeep.tick() => metrics.handle().run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}

/// `payquery serve`: the whole process, from configuration to the last answer.
pub async fn serve(args: ServeArgs, stop: CancellationToken) -> anyhow::Result<()> {
    // A wrong address is told before a database is started for nothing.
    args.rabbitmq.broker()?;
    let database = Database::open(&args.database).await?;
    let outcome = serve_from(&args, &database, stop).await;
    outcome.and(database.close().await)
}

async fn serve_from(args: &ServeArgs, database: &Database, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.addr).with_context(|| {
        format!(
            "cannot listen on {}; is it in use? PAYQUERY_ADDR names another",
            args.addr
        )
    })?;
    let application = Application::build(args, database, listener).await?;
    tracing::info!(address = %application.address, "listening on http://{}", application.address);
    if args.demo {
        demo::welcome(&database.pool, application.address).await?;
    }
    application.run_until(stop).await?;
    tracing::info!("stopped");
    Ok(())
}
