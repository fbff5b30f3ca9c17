//! Several replicas deliver together; one that is killed loses nothing.

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{App, Receiver, Reply, eventually};

const ORDERS: usize = 40;

#[tokio::test]
async fn replicas_that_deliver_together_have_no_two_deliveries_of_one_order_at_once() {
    let app = App::builder().webhooks(&["20ms"; 40].join(",")).spawn().await;
    let others = [app.another().await, app.another().await];
    let receiver = Receiver::start(|request| {
        let status = if request.number % 5 == 0 { 500 } else { 200 };
        Reply::Late(Duration::from_millis(10), Box::new(Reply::status(status)))
    })
    .await;
    let endpoint = app.create_endpoint(&receiver).await;
    for number in 0..ORDERS {
        let replica = [&app, &others[0], &others[1]][number % 3];
        let order = replica.create_order().await;
        replica.report(&order, "processing").await;
        others[number % 2].report(&order, "succeeded").await;
    }
    let deliveries = app.wait_for_deliveries(&endpoint, ORDERS * 3).await;
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(deliveries.len(), ORDERS * 3);
    let mut orders: HashMap<String, Vec<i64>> = HashMap::new();
    for request in receiver.received().iter().filter(|request| request.number % 5 != 0) {
        orders
            .entry(request.order())
            .or_default()
            .push(request.json()["version"].as_i64().unwrap());
    }
    assert_eq!(orders.len(), ORDERS);
    for (order, versions) in orders {
        assert_eq!(versions, [1, 2, 3], "{order}: each taken once, in order");
    }
    assert_eq!(receiver.most_at_once().0, 1);
    // (They are counted once they are marked.)
    let attempts = async || {
        let mut attempts = 0.0;
        for replica in [&app, &others[0], &others[1]] {
            attempts += replica.metric("payquery_webhook_attempts_total", "").await;
        }
        attempts
    };
    let made = receiver.received().len() as f64;
    assert_eq!(eventually(attempts, |attempts| *attempts >= made).await, made);
}

/// Deliveries to one endpoint that a replica has in hand at once.
const IN_HAND: usize = 8;

#[tokio::test]
async fn what_a_replica_has_no_hands_for_is_delivered_by_the_other_at_the_same_time() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-timeout", "60")
        .spawn()
        .await;
    let other = app.another().await;
    let receiver = Receiver::start(|_| Reply::Held(Box::new(Reply::ok()))).await;
    let endpoint = app.create_endpoint(&receiver).await;
    for _ in 0..IN_HAND * 2 {
        app.create_order().await;
    }
    // Nothing is answered until all have come, which is more than one replica sends without an answer.
    receiver.wait_for(IN_HAND * 2).await;
    receiver.let_go(IN_HAND * 2);
    let deliveries = app.wait_for_deliveries(&endpoint, IN_HAND * 2).await;
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    for replica in [&app, &other] {
        let delivered = async || replica.metric("payquery_webhook_attempts_total", "\"delivered\"").await;
        eventually(delivered, |count| *count == IN_HAND as f64).await;
    }
    assert_eq!(receiver.received().len(), IN_HAND * 2, "each of them once");
}

/// Seconds that an attempt may take at the replica that is killed: it is not over before that, however slow the machine is.
const TIMEOUT: f64 = 60.0;

/// A replica that is killed at a point that the receiver sees, and another one that goes on after it.
async fn kill_one(receiver: &Receiver, when: impl AsyncFnOnce(&Receiver)) -> (App, crate::support::webhooks::Endpoint) {
    let (mut process, app) = App::builder()
        .webhooks("100ms,100ms")
        .flag("--webhook-timeout", &TIMEOUT.to_string())
        .spawn_process()
        .await;
    let endpoint = app.create_endpoint(receiver).await;
    let order = app.create_order().await;
    app.report(&order, "succeeded").await;
    when(receiver).await;
    process.signal(Signal::KILL);
    process.wait();
    (app.replaced().await, endpoint)
}

/// Ends the lease of the one that was killed, which is twice as long as an attempt may take: nobody waits for that here.
async fn end_lease(app: &App) {
    let left = "select extract(epoch from due_at - now())::float8 from webhook_deliveries where claim is not null";
    let left: Vec<f64> = sqlx::query_scalar(left).fetch_all(&app.pool).await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!((TIMEOUT..=2.0 * TIMEOUT).contains(&left[0]), "{left:?}");
    sqlx::query("update webhook_deliveries set due_at = now() where claim is not null")
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_replica_killed_between_claiming_and_delivering_loses_nothing() {
    let receiver = Receiver::start_willing().await;
    // Claimed, connected, and not a byte read.
    receiver.set_reading(false);
    let connected = async |receiver: &Receiver| receiver.wait_for_connections(1).await;
    let (app, endpoint) = kill_one(&receiver, connected).await;
    assert!(receiver.received().is_empty());
    receiver.drop_connections().await;
    receiver.set_reading(true);
    end_lease(&app).await;
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    assert!(
        deliveries.iter().all(|delivery| delivery["state"] == "delivered"),
        "{deliveries:?}"
    );
    let versions: Vec<_> = receiver
        .received()
        .iter()
        .map(|request| request.json()["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [1, 2]);
    // The first one's attempt was begun by the one that was killed; nobody knows what came of it.
    assert_eq!(deliveries[1]["attempts"][0]["number"], 2);
}

#[tokio::test]
async fn a_replica_killed_between_delivering_and_marking_delivers_again() {
    let receiver = Receiver::start(|_| Reply::Held(Box::new(Reply::ok()))).await;
    let (app, endpoint) = kill_one(&receiver, async |receiver| {
        receiver.wait_for(1).await;
    })
    .await;
    receiver.answer_with(|_| Reply::ok());
    receiver.let_go(1);
    end_lease(&app).await;
    app.wait_for_deliveries(&endpoint, 2).await;
    let requests = receiver.received();
    let versions: Vec<_> = requests
        .iter()
        .map(|request| request.json()["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [1, 1, 2], "at least once, and still in order");
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
}
