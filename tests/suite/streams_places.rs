//! Places on one connection: what is not followed any more leaves its place to what is followed next, at once.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::App;
use crate::support::socket::{frame as socket_frame, subscribe};
use crate::support::stomp::frame;

const WHOLE_TEXT: u8 = 0x81;

fn unsubscribe(order: &str) -> Value {
    json!({ "type": "unsubscribe", "order_id": order })
}

#[tokio::test]
async fn with_all_places_taken_a_socket_exchanges_one_order_for_another_in_one_write() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let orders = [app.create_order().await, app.create_order().await];
    let mut socket = app.follow(&orders[0]).await;
    assert_eq!(socket.document().await["order_id"], orders[0].id);
    for round in 0..20 {
        let (before, next) = (&orders[round % 2], &orders[(round + 1) % 2]);
        let both = [unsubscribe(&before.id), subscribe(next)];
        let both = both.map(|message| socket_frame(WHOLE_TEXT, message.to_string().as_bytes()));
        socket.connection().write_all(&both.concat()).await.unwrap();
        assert_eq!(socket.next().await["msgType"], "unsubscribe_ack");
        assert_eq!(socket.next().await["msgType"], "subscribe_ack");
        assert_eq!(socket.document().await["order_id"], next.id, "round {round}");
    }
    app.wait_for_held(1).await;
    app.report(&orders[1], "processing").await; // not followed now
    app.report(&orders[0], "succeeded").await;
    assert_eq!(socket.document().await["order_id"], orders[0].id);
}

#[tokio::test]
async fn with_all_places_taken_an_order_that_is_subscribed_to_again_keeps_its_place() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let order = app.create_order().await;
    let mut socket = app.follow(&order).await;
    socket.document().await;
    socket.send(&subscribe(&order)).await;
    assert_eq!(socket.next().await["msgType"], "subscribe_ack");
    assert_eq!(socket.document().await["version"], 1);
    app.report(&order, "succeeded").await;
    assert_eq!(socket.document().await["version"], 2);
}

#[tokio::test]
async fn with_all_places_taken_a_stomp_client_exchanges_one_order_for_another_in_one_message() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let (before, next) = (app.create_order().await, app.create_order().await);
    let mut stomp = app.stomp_following(&before).await;
    let destination = format!("destination:/topic/orders.{}", next.id);
    let secret = format!("client-secret:{}", next.secret);
    let both = [
        frame(&["UNSUBSCRIBE", "id:1"]),
        frame(&["SUBSCRIBE", "id:2", &destination, &secret]),
    ];
    stomp.send(&both.concat()).await;
    assert_eq!(stomp.frame().await.document()["order_id"], next.id);
    app.report(&next, "succeeded").await;
    assert_eq!(stomp.frame().await.document()["version"], 2);
    app.wait_for_held(1).await;
}
