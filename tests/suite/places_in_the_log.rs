//! Where the service's own readers of the log stand (the table `event_readers`), when an operator took a place away or the database was put
//! back: what happens afterwards goes out, and the figures say when it does not.

use crate::support::feed::cursor_at;
use crate::support::rabbit::Rabbit;
use crate::support::{App, Receiver, VirtualHost, eventually};

async fn run(app: &App, statement: &'static str) {
    sqlx::query(statement).execute(&app.pool).await.unwrap();
}

/// Waits until each of so many readers has a place that is committed.
async fn wait_for_places(app: &App, count: i64) {
    let places = async || {
        let places = sqlx::query_scalar::<_, i64>("select count(*) from event_readers");
        places.fetch_one(&app.pool).await.unwrap()
    };
    eventually(places, |places| *places == count).await;
}

/// Gives a reader a place that no transaction of this server has reached yet, and says which.
async fn put_ahead(app: &App, reader: &str) -> String {
    let next = sqlx::query_scalar::<_, i64>("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint");
    let next = next.fetch_one(&app.pool).await.unwrap();
    let ahead = cursor_at(u64::try_from(next).unwrap() + 50_000_000);
    sqlx::query("update event_readers set cursor = $1 where name = $2")
        .bind(&ahead)
        .bind(reader)
        .execute(&app.pool)
        .await
        .unwrap();
    ahead
}

#[tokio::test]
async fn a_reader_whose_place_was_deleted_has_another_one_soon_and_loses_nothing_that_comes_then() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let app = App::builder()
        .webhooks("50ms,50ms")
        .flag("--amqp-url", &host.url)
        .spawn()
        .await;
    let receiver = Receiver::start_willing().await;
    app.create_endpoint(&receiver).await;
    let before = app.create_order().await;
    let mut inbox = rabbit.read("ledger").await;
    assert_eq!(inbox.next().await.json()["order_id"], before.id);
    receiver.wait_for(1).await;
    for number in 2..4 {
        run(&app, "delete from event_readers").await;
        wait_for_places(&app, 2).await;
        let order = app.create_order().await;
        assert_eq!(inbox.next().await.json()["order_id"], order.id);
        assert_eq!(receiver.wait_for(number).await[number - 1].order(), order.id);
    }
}

#[tokio::test]
async fn a_reader_whose_place_was_deleted_while_nothing_ran_has_one_from_the_start_on() {
    let mut app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start_willing().await;
    app.create_endpoint(&receiver).await;
    let database = std::sync::Arc::clone(&app.database);
    app.stop_and_wait().await;
    sqlx::query("delete from event_readers")
        .execute(&mut database.connect().await)
        .await
        .unwrap();
    let next = App::builder().webhooks("50ms,50ms").spawn_over(database).await;
    wait_for_places(&next, 1).await;
    let order = next.create_order().await;
    assert_eq!(receiver.wait_for(1).await[0].order(), order.id);
}

#[tokio::test]
async fn rabbitmq_waits_for_an_operator_when_its_place_is_of_a_later_database_and_the_metrics_say_so() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    let lag = async || app.metric("payquery_delivery_lag_seconds", "rabbitmq").await;
    put_ahead(&app, "rabbitmq").await;
    app.create_order().await;
    eventually(lag, |lag| lag.is_infinite()).await;
    // What operations.md says to do.
    run(&app, "delete from event_readers where name = 'rabbitmq'").await;
    wait_for_places(&app, 1).await;
    let order = app.create_order().await;
    let mut inbox = rabbit.read("ledger").await;
    assert_eq!(inbox.next().await.json()["order_id"], order.id);
    eventually(lag, |lag| *lag == 0.0).await;
    // A place that cannot be read is as good as that.
    run(&app, "update event_readers set cursor = 'no place'").await;
    eventually(lag, |lag| lag.is_infinite()).await;
}

/// The sender waits for its broker then, and looks at no place.
#[tokio::test]
async fn rabbitmqs_place_that_was_deleted_is_there_again_soon_also_while_the_broker_is_away() {
    // Nobody listens there, and nobody else can.
    let away = tokio::net::TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("amqp://{}/%2f", away.local_addr().unwrap());
    let app = App::builder().flag("--amqp-url", &url).spawn().await;
    wait_for_places(&app, 1).await;
    run(&app, "delete from event_readers").await;
    wait_for_places(&app, 1).await;
}

#[tokio::test]
async fn webhooks_whose_place_is_of_a_later_database_go_on_with_what_comes() {
    let app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start_willing().await;
    app.create_endpoint(&receiver).await;
    let ahead = put_ahead(&app, "webhooks").await;
    let place = async || {
        let place = sqlx::query_scalar::<_, String>("select cursor from event_readers where name = 'webhooks'");
        place.fetch_one(&app.pool).await.unwrap()
    };
    eventually(place, |place| *place != ahead).await;
    let order = app.create_order().await;
    assert_eq!(receiver.wait_for(1).await[0].order(), order.id);
}
