//! A stop that a balancer can follow: first not ready, then no longer there.

use std::time::{Duration, Instant};

use reqwest::Client;
use rustix::process::Signal;

use crate::support::{Answer, App, Asking, Order, Process, eventually};

/// A replica that says for so long that it is about to stop, and an application over the same database to make orders with.
async fn replica(drain_delay: &str) -> (Process, String, App) {
    let app = App::spawn().await;
    let delay = format!("--drain-delay-ms={drain_delay}");
    let process = Process::serve(
        &app.database.url,
        &["--workers=1", "--db-connections=4", "--drain-ms=50", &delay],
    );
    let address = process.address();
    (process, format!("http://{address}"), app)
}

fn ask(url: &str, order: &Order) -> Asking {
    // A connection for each: the process asks its clients to leave the ones they have.
    Asking(
        Client::new()
            .get(format!("{url}/v1/orders/{}/status", order.id))
            .bearer_auth(&order.secret),
    )
}

async fn held(url: &str) -> usize {
    let metrics = Answer::to(Client::new().get(format!("{url}/metrics"))).await.text;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("payquery_held_requests "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn until_its_balancer_has_noticed_a_stopping_replica_serves_and_holds_as_ever() {
    let (process, url, app) = replica("60000").await;
    let order = app.create_order().await;
    let first = ask(&url, &order).query("since_version", 1).query("wait", 55).spawn();
    eventually(async || held(&url).await, |held| *held == 1).await;
    process.signal(Signal::TERM);
    let readiness = async || Answer::to(Client::new().get(format!("{url}/readyz"))).await;
    let unready = eventually(readiness, |answer| answer.status != 200).await;
    unready.problem(503, "stopping");
    // Clients are asked to make their next connection elsewhere, and are served until they do.
    let poll = ask(&url, &order).send().await;
    assert_eq!((poll.status, poll.header("connection")), (200, "close"));
    let second = ask(&url, &order).query("since_version", 1).query("wait", 55).spawn();
    eventually(async || held(&url).await, |held| *held == 2).await;
    app.report(&order, "succeeded").await;
    for held in [first, second] {
        assert_eq!(held.await.unwrap().version(), 2);
    }
}

#[tokio::test]
async fn once_its_balancer_has_had_its_time_a_stopping_replica_answers_what_it_holds_and_ends() {
    let (mut process, url, app) = replica("700").await;
    let order = app.create_order().await;
    let asking = ask(&url, &order).query("since_version", 1).query("wait", 55).spawn();
    eventually(async || held(&url).await, |held| *held == 1).await;
    let start = Instant::now();
    process.signal(Signal::TERM);
    let (code, _) = tokio::task::spawn_blocking(move || process.wait()).await.unwrap();
    let took = start.elapsed();
    assert_eq!(code, Some(0));
    // (What it holds would else be held for most of a minute.)
    assert!(
        took >= Duration::from_millis(700) && took < Duration::from_secs(20),
        "{took:?}"
    );
    assert_eq!(asking.await.unwrap().version(), 1);
}
