//! The pace that the server sets: by an order's age and by its load. A process of its own: the load is the process's.

use crate::support::{App, Order, Process, eventually};

async fn interval(app: &App, order: &Order) -> u32 {
    let answer = app.ask(order).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-poll-interval").parse().unwrap()
}

/// A process that has nothing to do, and says so.
async fn idle_process(flags: &[(&str, &str)]) -> (Process, App) {
    let builder = flags
        .iter()
        .fold(App::builder(), |builder, (name, value)| builder.flag(name, value));
    let (process, app) = builder.spawn_process().await;
    let order = app.create_order().await;
    eventually(async || interval(&app, &order).await, |seconds| *seconds == 2).await;
    (process, app)
}

#[tokio::test]
async fn the_interval_grows_with_the_orders_age() {
    let (_process, app) = idle_process(&[]).await;
    for (age, expected) in [
        // (Well below a minute: it grows older until it is asked for.)
        ("40 seconds", 2),
        ("61 seconds", 5),
        ("6 minutes", 10),
        ("31 minutes", 30),
        ("30 days", 30),
    ] {
        let order = app.create_order().await;
        // Nobody has asked for it yet, so this is what the first poll reads.
        sqlx::query("update orders set created_at = created_at - $2::text::interval where id = $1::uuid")
            .bind(&order.id)
            .bind(age)
            .execute(&app.pool)
            .await
            .unwrap();
        eventually(async || interval(&app, &order).await, |seconds| *seconds == expected).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_makes_an_order_young() {
    let (_process, app) = idle_process(&[]).await;
    let order = app.create_order().await;
    sqlx::query("update orders set created_at = created_at + interval '1 hour' where id = $1::uuid")
        .bind(&order.id)
        .execute(&app.pool)
        .await
        .unwrap();
    eventually(async || interval(&app, &order).await, |seconds| *seconds == 2).await;
}

#[tokio::test]
async fn a_long_poll_without_a_place_is_asked_to_wait_longer_than_others() {
    let (_process, app) = idle_process(&[("--max-held-per-order", "1")]).await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    let pair = async || {
        let normal = interval(&app, &order).await;
        let degraded = app.ask(&order).if_none_match("\"1\"").query("wait", 50).send().await;
        assert_eq!(degraded.status, 304);
        (normal, degraded.header("x-poll-interval").parse::<u32>().unwrap())
    };
    eventually(pair, |pair| *pair == (2, 4)).await;
    app.report(&order, "succeeded").await;
    assert_eq!(held.await.unwrap().version(), 2);
}

#[tokio::test]
async fn everybody_is_asked_to_come_less_often_while_most_places_are_taken() {
    let (_process, app) = idle_process(&[("--max-held", "20")]).await;
    let order = app.create_order().await;
    let mut holds = Vec::new();
    for (held, expected) in [(16, 4), (20, 8)] {
        while holds.len() < held {
            holds.push(app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn());
        }
        app.wait_for_held(held).await;
        eventually(async || interval(&app, &order).await, |seconds| *seconds == expected).await;
    }
    let other = app.create_order().await;
    app.report(&order, "succeeded").await;
    for hold in holds {
        assert_eq!(hold.await.unwrap().version(), 2);
    }
    eventually(async || interval(&app, &other).await, |seconds| *seconds == 2).await;
}
