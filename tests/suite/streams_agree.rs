//! The same order followed in every way at once shows the same versions in the same order.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::sockjs::subscribe;
use crate::support::stomp::Frame;
use crate::support::{App, Order, eventually};

/// The documents that one observer was shown, by version.
type Shown = BTreeMap<i64, Value>;

/// Takes a document in; true when it is the last one.
fn take(shown: &mut Shown, document: Value) -> bool {
    let version = document["version"].as_i64().unwrap();
    let newest = shown.keys().next_back().copied().unwrap_or(0);
    assert!(newest < version, "{newest} before {document}");
    let last = document["status"] == "refunded";
    shown.insert(version, document);
    last
}

fn over_sse(app: &App, order: &Order) -> JoinHandle<Shown> {
    let mut ask = app.ask(order);
    let (again, order) = (app.http.clone(), order.clone());
    let url = app.url(&order.status_path());
    tokio::spawn(async move {
        let mut shown = Shown::new();
        // A stream ends with each final status; whoever wants to know of refunds, too, comes back.
        loop {
            let mut events = ask.events().await;
            while let Some(document) = events.try_document().await {
                if take(&mut shown, document) {
                    return shown;
                }
            }
            let request = again.get(&url).bearer_auth(&order.secret);
            let newest = shown.keys().next_back().copied().unwrap_or(0);
            ask = crate::support::Asking(request).header("last-event-id", &newest.to_string());
        }
    })
}

async fn over_socket(app: &App, order: &Order) -> JoinHandle<Shown> {
    let mut socket = app.follow(order).await;
    tokio::spawn(async move {
        let mut shown = Shown::new();
        while !take(&mut shown, socket.document().await) {}
        shown
    })
}

async fn over_stomp(app: &App, order: &Order) -> JoinHandle<Shown> {
    let mut stomp = app.stomp_of(order).await;
    stomp.subscribe("1", order, &[]).await;
    tokio::spawn(async move {
        let mut shown = Shown::new();
        while !take(&mut shown, stomp.frame().await.document()) {}
        shown
    })
}

async fn over_sockjs_polls(app: &App, order: &Order) -> JoinHandle<Shown> {
    let session = app.sockjs();
    subscribe(&session, order).await;
    tokio::spawn(async move {
        let mut shown = Shown::new();
        loop {
            for message in session.messages().await {
                if take(&mut shown, Frame::read(&message).document()) {
                    return shown;
                }
            }
        }
    })
}

async fn over_sockjs_stream(app: &App, order: &Order) -> JoinHandle<Shown> {
    let session = app.sockjs();
    subscribe(&session, order).await;
    let mut stream = session.stream("GET", "eventsource").await;
    tokio::spawn(async move {
        let mut shown = Shown::new();
        loop {
            let event = stream.until("\r\n\r\n").await;
            let Some(list) = event.trim().strip_prefix("data: a") else {
                continue;
            };
            let messages: Vec<String> = serde_json::from_str(list).unwrap();
            for message in messages {
                if take(&mut shown, Frame::read(&message).document()) {
                    return shown;
                }
            }
        }
    })
}

async fn over_merchants_socket(app: &App, order: &Order) -> JoinHandle<Shown> {
    let mut socket = app.follow_merchant(&app.api_key).await;
    let id = order.id.clone();
    tokio::spawn(async move {
        let mut shown = Shown::new();
        loop {
            let document = socket.document().await;
            if document["order_id"] == id && take(&mut shown, document) {
                return shown;
            }
        }
    })
}

fn over_polls(app: &App, order: &Order, wait: u32) -> JoinHandle<Shown> {
    let (http, url, secret) = (app.http.clone(), app.url(&order.status_path()), order.secret.clone());
    tokio::spawn(async move {
        let (mut shown, mut newest) = (Shown::new(), 0);
        loop {
            let request = http.get(&url).bearer_auth(&secret).query(&[("since_version", newest)]);
            let document = request.query(&[("wait", wait)]).send().await.unwrap();
            let document: Value = document.json().await.unwrap();
            if document["version"] != newest && take(&mut shown, document) {
                return shown;
            }
            newest = shown.keys().next_back().copied().unwrap();
        }
    })
}

#[tokio::test]
async fn over_all_transports_and_replicas_the_same_versions_are_shown_in_the_same_order() {
    let one = App::spawn().await;
    let other = one.another().await;
    let order = one.create_order().await;
    let mut observers = Vec::new();
    for app in [&one, &other] {
        for _ in 0..3 {
            observers.push(over_sse(app, &order));
            observers.push(over_socket(app, &order).await);
            observers.push(over_stomp(app, &order).await);
            observers.push(over_sockjs_polls(app, &order).await);
            observers.push(over_sockjs_stream(app, &order).await);
            observers.push(over_polls(app, &order, 25));
        }
        observers.push(over_merchants_socket(app, &order).await);
        observers.push(over_polls(app, &order, 0));
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut told = Shown::new();
    for round in 0..60 {
        let status = match round {
            57 => "closed",
            58 => "succeeded", // late
            59 => "refunded",
            _ if random.bool() => "processing",
            _ => "pending",
        };
        let app = if random.bool() { &one } else { &other };
        app.report(&order, status).await;
        let document = app.ask(&order).send().await.json();
        told.insert(document["version"].as_i64().unwrap(), document);
    }
    let last = *told.keys().next_back().unwrap();
    for observer in observers {
        let shown = observer.await.unwrap();
        assert_eq!(shown.keys().next_back(), Some(&last), "everybody is shown the last one");
        for (version, document) in shown {
            assert_eq!(
                told.get(&version).unwrap_or(&document),
                &document,
                "the same document for the same version"
            );
        }
    }
}

#[tokio::test]
async fn whichever_way_a_payer_is_told_the_time_from_payment_to_payer_is_measured_once() {
    let app = App::spawn().await;
    let seen = async || app.metric("payquery_pay_to_seen_seconds_count", "").await;
    let mut told = 0.0;
    // (The merchant's own socket is no payer's.)
    for way in 0..6 {
        let order = app.create_order().await;
        let observer = match way {
            0 => over_sse(&app, &order),
            1 => over_socket(&app, &order).await,
            2 => over_stomp(&app, &order).await,
            3 => over_sockjs_polls(&app, &order).await,
            4 => over_sockjs_stream(&app, &order).await,
            _ => over_polls(&app, &order, 25),
        };
        eventually(
            async || app.metric("payquery_held_requests", "").await,
            |held| *held > 0.0,
        )
        .await;
        app.report(&order, "succeeded").await;
        told += 1.0;
        eventually(seen, |seen| *seen >= told).await;
        app.report(&order, "refunded").await;
        observer.await.unwrap();
        eventually(
            async || app.metric("payquery_held_requests", "").await,
            |held| *held == 0.0,
        )
        .await;
        // (A refund is final, too.)
        told = seen().await;
    }
}
