//! The application on a port of its own, in a thread of its own, stopped when the test lets go of it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use clap::Parser as _;
use payquery::cli::{Cli, Command};
use payquery::config::ServeArgs;
use payquery::database::Database;
use payquery::domain::text::MerchantName;
use payquery::service::authenticate::issue_key;
use payquery::startup::Application;
use payquery::telemetry;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{Process, TestDatabase};

/// A running application and its database.
#[derive(Debug)]
pub struct App {
    pub address: SocketAddr,
    pub database: Arc<TestDatabase>,
    pub pool: PgPool,
    /// An API key of the merchant "acme".
    pub api_key: String,
    pub http: reqwest::Client,
    flags: Vec<String>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Flags for an application, as one would type them.
#[derive(Debug, Default)]
pub struct AppBuilder {
    flags: Vec<String>,
}

impl AppBuilder {
    /// Sets a flag of `payquery serve`, such as `("--max-held", "5")`.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.retain(|flag| flag.split('=').next() != Some(name));
        self.flags.push(format!("{name}={value}"));
        self
    }

    /// With the merchant "demo", and the demo's pages.
    pub fn demo(mut self) -> Self {
        self.flags.push("--demo".into());
        self
    }

    pub async fn spawn(self) -> App {
        self.spawn_over(Arc::new(TestDatabase::create().await)).await
    }

    /// Over a database that is there already; `--database-url` may lead to it by another way.
    pub async fn spawn_over(self, database: Arc<TestDatabase>) -> App {
        App::start(database, self.flags, None).await
    }

    /// The same as a process of its own, for what a whole process has: its load, its logs, its signals. The `App` talks to it
    /// and does not stop it.
    pub async fn spawn_process(self) -> (Process, App) {
        self.spawn_process_with(&[]).await
    }

    /// The same with more in its environment.
    pub async fn spawn_process_with(self, environment: &[(&str, &str)]) -> (Process, App) {
        let database = Arc::new(TestDatabase::create().await);
        let defaults = other_defaults(&self.flags).filter(|default| !default.starts_with("--addr"));
        let flags: Vec<&str> = defaults.chain(self.flags.iter().map(|flag| &**flag)).collect();
        let process = Process::serve_with(&database.url, &flags, environment);
        let address = process.address().parse().unwrap();
        let mut app = App::at(address, database, self.flags);
        app.api_key = app.key_of("acme").await;
        (process, app)
    }
}

impl App {
    /// An application with settings that get in no test's way: no rate limits, one HTTP thread.
    pub async fn spawn() -> Self {
        Self::builder().spawn().await
    }

    pub fn builder() -> AppBuilder {
        AppBuilder::default()
    }

    /// Stops the application and starts another one over the same database.
    pub async fn restart(mut self) -> Self {
        self.stop_and_wait().await;
        let (database, flags, api_key) = (Arc::clone(&self.database), self.flags.clone(), self.api_key.clone());
        drop(self);
        Self::start(database, flags, Some(api_key)).await
    }

    /// Another one over the database of one that is gone.
    pub async fn replaced(self) -> Self {
        self.another().await
    }

    /// The same with an API key, for one over a database that has its merchant already.
    pub async fn with_key_of_acme(mut self) -> Self {
        self.api_key = self.key_of("acme").await;
        self
    }

    /// Another replica over the same database.
    pub async fn another(&self) -> Self {
        Self::start(
            Arc::clone(&self.database),
            self.flags.clone(),
            Some(self.api_key.clone()),
        )
        .await
    }

    /// Begins to stop, as SIGTERM does.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    pub async fn stop_and_wait(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            tokio::task::spawn_blocking(move || thread.join())
                .await
                .unwrap()
                .unwrap();
        }
    }

    /// An API key of another merchant.
    pub async fn key_of(&self, merchant: &str) -> String {
        issue_key(&self.pool, &MerchantName::parse(merchant).unwrap())
            .await
            .unwrap()
            .key
            .expose()
            .to_owned()
    }

    async fn start(database: Arc<TestDatabase>, flags: Vec<String>, api_key: Option<String>) -> Self {
        telemetry::start_logs(
            &std::env::var("PAYQUERY_TEST_LOG").unwrap_or("off".into()),
            telemetry::LogFormat::Text,
        )
        .unwrap();
        install_tls();
        let args = parse_flags(&database, &flags);
        let stop = CancellationToken::new();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || run(&args, &tell, stop)
        });
        let address = tokio::task::spawn_blocking(move || told.recv())
            .await
            .unwrap()
            .expect("the application starts");
        let mut app = Self::at(address, database, flags);
        (app.stop, app.thread) = (stop, Some(thread));
        app.api_key = match api_key {
            Some(key) => key,
            None => app.key_of("acme").await,
        };
        app
    }

    /// What talks to an application at that address; the application itself and the API key are the caller's to add.
    fn at(address: SocketAddr, database: Arc<TestDatabase>, flags: Vec<String>) -> Self {
        install_tls();
        Self {
            address,
            pool: PgPool::connect_lazy(&database.url).unwrap(),
            database,
            api_key: String::new(),
            http: reqwest::Client::builder().pool_max_idle_per_host(64).build().unwrap(),
            flags,
            stop: CancellationToken::new(),
            thread: None,
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const DEFAULTS: [&str; 8] = [
    "--workers=1",
    "--db-connections=4",
    "--poll-rate=0",
    "--merchant-rate=0",
    "--auth-failure-rate=0",
    "--drain-ms=50",
    "--max-hot=10000",
    "--addr=127.0.0.1:0",
];

/// As the binary's `main` does.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The defaults that none of the flags replaces.
fn other_defaults(flags: &[String]) -> impl Iterator<Item = &str> {
    DEFAULTS.into_iter().filter(|default| {
        let name = default.split('=').next().unwrap();
        !flags.iter().any(|flag| flag.split('=').next() == Some(name))
    })
}

fn parse_flags(database: &TestDatabase, flags: &[String]) -> ServeArgs {
    let url = format!("--database-url={}", database.url);
    // A flag may lead to the database by another way.
    let url = Some(url).filter(|_| !flags.iter().any(|flag| flag.starts_with("--database-url=")));
    let defaults = other_defaults(flags).chain(url.as_deref());
    let typed = ["payquery", "serve"]
        .into_iter()
        .chain(defaults)
        .chain(flags.iter().map(|f| &**f));
    match Cli::try_parse_from(typed).unwrap().command() {
        Command::Serve(args) => *args,
        other => panic!("not serve: {other:?}"),
    }
}

fn run(args: &ServeArgs, tell: &mpsc::Sender<SocketAddr>, stop: CancellationToken) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let database = Database::open(&args.database).await.unwrap();
        let listener = TcpListener::bind(args.addr).unwrap();
        let application = Application::build(args, &database, listener).await.unwrap();
        tell.send(application.address).unwrap();
        application.run_until(stop).await.unwrap();
        database.close().await.unwrap();
    });
}
