//! A merchant's socket follows all of its merchant's orders.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::support::merchant::new_order;
use crate::support::socket::Socket;
use crate::support::{Answer, App, Order, eventually};

/// A socket that follows the merchant "acme", and an order of which it was told that it was created. (The feed is a moment
/// behind: whoever follows from now on may still be told what was committed just before.)
async fn following(app: &App) -> (Socket, Order) {
    let mut socket = app.follow_merchant(&app.api_key).await;
    let order = app.create_order().await;
    while socket.document().await["order_id"] != order.id {}
    (socket, order)
}

#[tokio::test]
async fn it_is_told_of_every_change_whether_anybody_asked_for_the_order_or_not() {
    let app = App::spawn().await;
    let (mut socket, hot) = following(&app).await;
    let cold = app.create_order().await;
    let told = socket.document().await;
    assert_eq!(
        (told["order_id"].as_str(), &told["version"]),
        (Some(&*cold.id), &json!(1))
    );
    app.ask(&hot).send().await;
    for (order, status) in [(&hot, "processing"), (&cold, "succeeded"), (&hot, "failed")] {
        app.report(order, status).await;
        let told = socket.document().await;
        assert_eq!(
            (told["order_id"].as_str(), &told["status"]),
            (Some(&*order.id), &json!(status))
        );
        assert_eq!(told, app.ask(order).send().await.json());
    }
    let expiring = app.create_order_with(json!({ "expires_in": 1 })).await;
    let mut told = socket.document().await;
    // (A feed that comes by only after that second has nothing else to tell.)
    if told["status"] == "pending" {
        told = socket.document().await;
    }
    assert_eq!(
        (told["order_id"].as_str(), &told["reason"]),
        (Some(&*expiring.id), &json!("expired"))
    );
    socket.assert_alive().await;
}

#[tokio::test]
async fn it_is_told_of_what_other_replicas_commit() {
    let one = App::spawn().await;
    let other = one.another().await;
    let (mut socket, order) = following(&other).await;
    for (status, version) in [("processing", 2), ("succeeded", 3)] {
        one.report(&order, status).await;
        assert_eq!(socket.document().await["version"], version);
    }
}

#[tokio::test]
async fn it_is_told_nothing_of_other_tenants_orders() {
    let app = App::spawn().await;
    let beta = app.key_of("beta").await;
    let create = app
        .http
        .post(app.url("/v1/orders"))
        .bearer_auth(&beta)
        .json(&new_order("B-1"));
    let (mut acme, mut betas) = (
        app.follow_merchant(&app.api_key).await,
        app.follow_merchant(&beta).await,
    );
    let of_beta = Order::of(&Answer::to(create).await.json());
    let of_acme = app.create_order().await;
    for (socket, own) in [(&mut acme, &of_acme), (&mut betas, &of_beta)] {
        assert_eq!(socket.document().await["order_id"], own.id);
        socket.assert_alive().await;
    }
}

#[tokio::test]
async fn of_many_changes_it_is_told_each_orders_last_state_and_never_an_older_one_after_a_newer() {
    let app = App::spawn().await;
    let orders = app.create_orders(20, json!({})).await;
    let mut socket = app.follow_merchant(&app.api_key).await;
    for round in 0..10 {
        for order in &orders {
            app.report(order, ["processing", "pending"][round % 2]).await;
        }
    }
    for order in &orders {
        app.report(order, "succeeded").await;
    }
    let mut told: BTreeMap<String, i64> = BTreeMap::new();
    while told.len() < 20 || told.values().any(|version| *version < 12) {
        let document = socket.document().await;
        let version = document["version"].as_i64().unwrap();
        let before = told.insert(document["order_id"].as_str().unwrap().to_owned(), version);
        assert!(
            before.is_none_or(|before| before < version),
            "{before:?} before {document}"
        );
    }
    socket.assert_alive().await;
}

#[tokio::test]
async fn an_order_that_it_subscribed_to_by_itself_is_told_once() {
    let app = App::spawn().await;
    let (mut socket, order) = following(&app).await;
    socket.send(&json!({ "type": "subscribe", "order_id": order.id })).await;
    assert_eq!(socket.next().await["msgType"], "subscribe_ack");
    assert_eq!(socket.document().await["version"], 1);
    app.report(&order, "succeeded").await;
    assert_eq!(socket.document().await["version"], 2);
    let other = app.create_order().await; // what comes next is another order's
    assert_eq!(socket.document().await["order_id"], other.id);
}

#[tokio::test]
async fn a_revoked_key_closes_the_sockets_that_it_opened() {
    let app = App::builder().flag("--heartbeat", "300").spawn().await;
    let (mut of_merchant, order) = following(&app).await;
    let mut of_payer = app.follow(&order).await;
    sqlx::query("update api_keys set revoked_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    of_merchant.refusal(401, "unauthorized").await;
    assert_eq!(of_merchant.close_code().await, Some(3000));
    of_payer.document().await;
    of_payer.assert_alive().await;
}

/// Whichever way a key opened something, and whatever opened something after it.
#[tokio::test]
async fn a_revoked_key_closes_every_socket_on_which_it_opened_something() {
    let app = App::builder().flag("--heartbeat", "300").spawn().await;
    let (mut overtaken, order) = following(&app).await;
    let beta = app.key_of("beta").await;
    let create = app
        .http
        .post(app.url("/v1/orders"))
        .bearer_auth(&beta)
        .json(&new_order("B-1"));
    let of_beta = Order::of(&Answer::to(create).await.json());
    overtaken
        .send(&json!({ "type": "auth", "api_key": beta, "order_id": of_beta.id }))
        .await;
    while overtaken.next().await["msgType"] != "auth_ack" {}
    let mut of_payer = app.follow(&of_beta).await;
    of_payer
        .send(&json!({ "type": "subscribe", "api_key": app.api_key, "order_id": order.id }))
        .await;
    while of_payer.next().await["msgType"] != "subscribe_ack" {}
    sqlx::query(
        "update api_keys set revoked_at = now() from merchants where merchants.id = merchant_id and name = 'acme'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    for mut socket in [overtaken, of_payer] {
        let closing = tokio::time::timeout(Duration::from_secs(20), socket.close_code());
        assert_eq!(closing.await, Ok(Some(3000)));
    }
}

#[tokio::test]
async fn whoever_lists_orders_makes_no_news_of_them() {
    let app = App::spawn().await;
    let (mut socket, order) = following(&app).await;
    app.listed("").await;
    app.read(&order).await;
    let new = app.create_order().await;
    assert_eq!(socket.document().await["order_id"], new.id);
}

#[tokio::test]
async fn it_waits_through_an_outage_and_is_told_what_happened_after_it() {
    let app = App::spawn().await;
    let mut gate = crate::support::Gate::before(&app.database.url);
    let behind = App::builder().flag("--database-url", &gate.url);
    let behind = behind.spawn_over(std::sync::Arc::clone(&app.database)).await;
    let mut socket = behind.follow_merchant(&app.api_key).await;
    let order = app.create_order().await;
    while socket.document().await["order_id"] != order.id {}
    gate.shut();
    eventually(async || behind.get("/readyz").await.status, |status| *status == 503).await;
    app.report(&order, "succeeded").await;
    gate.open();
    let told = socket.document().await;
    assert_eq!(
        (told["order_id"].as_str(), &told["version"]),
        (Some(&*order.id), &json!(2))
    );
}
