//! STOMP at `/ws`: what a conversation says, frame by frame.

use serde_json::json;

use crate::support::stomp::frame;
use crate::support::{App, Stomp};

#[tokio::test]
async fn a_subscription_is_told_of_the_order_as_it_stands_and_of_each_change() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_of(&order).await;
    stomp.subscribe("sub-0", &order, &[]).await;
    let first = stomp.frame().await;
    assert_eq!(
        first.body,
        app.ask(&order).send().await.text,
        "the bytes that a poll gets"
    );
    assert_eq!(first.header("destination"), format!("/topic/orders.{}", order.id));
    assert_eq!(first.header("subscription"), "sub-0");
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("content-length"), first.body.len().to_string());
    assert_eq!(first.header("version"), "1");
    assert_eq!(first.header("ack"), "", "only who acknowledges gets something to name");
    for (version, status) in [(2, "processing"), (3, "succeeded"), (4, "refunded")] {
        app.report(&order, status).await;
        let next = stomp.frame().await;
        assert_eq!(next.document()["status"], status);
        assert_eq!(next.header("version"), version.to_string());
        assert_ne!(next.header("message-id"), first.header("message-id"));
    }
}

#[tokio::test]
async fn the_highest_version_that_both_speak_is_agreed_and_its_rules_hold() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let secret = format!("client-secret:{}", order.secret);
    for (accepted, agreed) in [
        ("accept-version:1.0,1.1,1.2", "1.2"),
        ("accept-version:1.2", "1.2"),
        ("accept-version:1.1,1.0", "1.1"),
        ("accept-version:1.0,2.7", "1.0"),
        ("x:y", "1.0"),
    ] {
        for command in ["CONNECT", "STOMP"] {
            let mut stomp = app.stomp().await;
            stomp.send_frame(&[command, accepted, &secret]).await;
            let connected = stomp.frame().await;
            assert_eq!(
                (&*connected.command, connected.header("version")),
                ("CONNECTED", agreed)
            );
            assert_eq!(connected.header("heart-beat"), "10000,10000");
            assert_ne!(connected.header("session"), "");
            // Escaped in 1.1 and 1.2, as it stands in 1.0.
            stomp.subscribe("a\\cb", &order, &["receipt:r\\c1"]).await;
            let (receipt, message) = (stomp.text().await, stomp.text().await);
            assert!(
                receipt.starts_with("RECEIPT\nreceipt-id:r\\c1\n\n"),
                "{agreed}: {receipt}"
            );
            assert!(message.contains("\nsubscription:a\\cb\n"), "{agreed}: {message}");
        }
    }
    let mut stomp = app.stomp().await;
    stomp.send_frame(&["CONNECT", "accept-version:0.9,3.0", &secret]).await;
    let error = stomp.frame().await;
    assert_eq!(error.problem("invalid_field")["field"], "accept-version");
    assert_eq!(error.header("version"), "1.0,1.1,1.2");
    assert_eq!(stomp.close_code().await, 1002);
}

/// 1.0 has no need of subscription ids: a subscription goes by its destination.
#[tokio::test]
async fn an_old_client_subscribes_without_an_id() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp().await;
    let (login, passcode) = ("login: acme", format!("passcode: {}", app.api_key));
    stomp.send_frame(&["CONNECT", login, &passcode]).await;
    assert_eq!(stomp.frame().await.header("version"), "1.0");
    let destination = format!("destination: /topic/orders.{}", order.id);
    stomp.send_frame(&["SUBSCRIBE", &destination]).await;
    let message = stomp.frame().await;
    assert_eq!(message.document()["version"], 1);
    assert!(!message.headers.contains_key("subscription"));
    stomp.send_frame(&["UNSUBSCRIBE", &destination, "receipt:1"]).await;
    assert_eq!(stomp.frame().await.command, "RECEIPT");
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn every_header_that_clients_put_credentials_in_opens() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for token in [&order.secret, &app.api_key] {
        for header in [
            "client-secret:",
            "api-key:",
            "authorization:Bearer ",
            "Authorization:bearer ",
            "passcode:",
        ] {
            let credentials = format!("{header}{token}");
            let mut stomp = app.stomp().await;
            assert_eq!(stomp.connect(&[&credentials]).await.command, "CONNECTED", "{header}");
            stomp.subscribe("1", &order, &[]).await;
            assert_eq!(stomp.frame().await.document()["order_id"], order.id, "{header}");
            // With the subscription instead.
            let mut stomp = app.stomp().await;
            assert_eq!(stomp.connect(&[]).await.command, "CONNECTED", "{header}");
            stomp.subscribe("1", &order, &[&credentials]).await;
            assert_eq!(stomp.frame().await.document()["order_id"], order.id, "{header}");
        }
    }
}

#[tokio::test]
async fn several_orders_are_followed_on_one_connection_each_with_its_secret() {
    let app = App::spawn().await;
    let orders = app.create_orders(3, json!({})).await;
    let mut stomp = app.stomp().await;
    stomp.connect(&[]).await;
    for order in &orders {
        let secret = format!("client-secret:{}", order.secret);
        stomp.subscribe(&order.id, order, &[&secret]).await;
        assert_eq!(stomp.frame().await.header("subscription"), order.id);
    }
    for order in orders.iter().rev() {
        app.report(order, "succeeded").await;
        let message = stomp.frame().await;
        assert_eq!(message.header("subscription"), order.id);
        assert_eq!(message.document()["status"], "succeeded");
    }
    app.wait_for_held(3).await;
    drop(stomp);
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn send_it_to_me_now_tells_each_subscription_of_the_order_at_once() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_following(&order).await;
    let app_destination = format!("destination:/app/orders.{}", order.id);
    stomp.send_frame(&["SUBSCRIBE", "id:once", &app_destination]).await;
    let once = stomp.frame().await;
    assert_eq!((once.header("subscription"), once.header("version")), ("once", "1"));
    app.report(&order, "processing").await;
    assert_eq!(
        stomp.frame().await.header("subscription"),
        "1",
        "the other one is told when it asks"
    );
    stomp.send_frame(&["SEND", &app_destination, "receipt:now"]).await;
    for expected in ["1", "once"] {
        let message = stomp.frame().await;
        assert_eq!(
            (message.header("subscription"), message.header("version")),
            (expected, "2")
        );
    }
    assert_eq!(stomp.frame().await.header("receipt-id"), "now");
}

#[tokio::test]
async fn what_is_asked_for_in_a_transaction_is_told_when_it_is_committed() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_following(&order).await;
    let ask = frame(&[
        "SEND",
        &format!("destination:/app/orders.{}", order.id),
        "transaction:t",
        "receipt:asked",
    ]);
    let begin = frame(&["BEGIN", "transaction:t", "receipt:begun"]);
    for end in ["ABORT", "COMMIT"] {
        stomp.send(&begin).await;
        assert_eq!(stomp.frame().await.header("receipt-id"), "begun");
        stomp.send(&ask).await;
        assert_eq!(stomp.frame().await.header("receipt-id"), "asked");
        stomp.send_frame(&["ACK", "id:x", "transaction:t"]).await;
        stomp.send_frame(&[end, "transaction:t", "receipt:ended"]).await;
        if end == "COMMIT" {
            assert_eq!(stomp.frame().await.document()["version"], 1);
        }
        assert_eq!(stomp.frame().await.header("receipt-id"), "ended");
    }
}

#[tokio::test]
async fn every_frame_is_receipted_and_acknowledgements_are_taken_in_every_mode() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_of(&order).await;
    for mode in ["auto", "client", "client-individual"] {
        let ack = format!("ack:{mode}");
        stomp.subscribe(mode, &order, &[&ack, "receipt:subscribed"]).await;
        assert_eq!(stomp.frame().await.header("receipt-id"), "subscribed");
        let message = stomp.frame().await;
        assert_eq!(message.headers.contains_key("ack"), mode != "auto", "{mode}");
        for command in ["ACK", "NACK"] {
            let id = format!("id:{}", message.header("ack"));
            stomp.send_frame(&[command, &id, "receipt:taken"]).await;
            assert_eq!(stomp.frame().await.header("receipt-id"), "taken");
        }
        let id = format!("id:{mode}");
        stomp.send_frame(&["UNSUBSCRIBE", &id, "receipt:gone"]).await;
        assert_eq!(stomp.frame().await.header("receipt-id"), "gone");
    }
    app.report(&order, "succeeded").await;
    stomp.send_frame(&["DISCONNECT", "receipt:bye"]).await;
    let bye = stomp.frame().await;
    assert_eq!(
        (&*bye.command, bye.header("receipt-id")),
        ("RECEIPT", "bye"),
        "nothing else is told any more"
    );
    assert_eq!(stomp.close_code().await, 1000);
}

/// ACK and NACK change nothing here, and yet a client whose frames are not as its version has them is told so.
#[tokio::test]
async fn an_acknowledgement_must_be_as_its_version_has_it() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let secret = format!("client-secret:{}", order.secret);
    let connect = async |version: &str| {
        let mut stomp = app.stomp().await;
        let accepted = format!("accept-version:{version}");
        stomp.send_frame(&["CONNECT", &accepted, &secret]).await;
        assert_eq!(stomp.frame().await.header("version"), version);
        stomp
    };
    for (version, frame) in [
        ("1.0", &["ACK", "message-id:1", "receipt:r"][..]),
        ("1.1", &["ACK", "message-id:1", "subscription:1", "receipt:r"]),
        ("1.1", &["NACK", "message-id:1", "subscription:1", "receipt:r"]),
        ("1.2", &["ACK", "id:1", "receipt:r"]),
        ("1.2", &["NACK", "id:1", "receipt:r"]),
    ] {
        let mut stomp = connect(version).await;
        stomp.send_frame(frame).await;
        assert_eq!(stomp.frame().await.header("receipt-id"), "r", "{version}: {frame:?}");
    }
    for (version, frame, field) in [
        ("1.0", &["NACK", "message-id:1", "receipt:r"][..], "command"),
        ("1.0", &["ACK", "id:1", "receipt:r"], "message-id"),
        ("1.1", &["ACK", "message-id:1", "receipt:r"], "subscription"),
        ("1.1", &["NACK", "subscription:1", "receipt:r"], "message-id"),
        ("1.2", &["ACK", "message-id:1", "subscription:1", "receipt:r"], "id"),
        ("1.2", &["NACK", "receipt:r"], "id"),
    ] {
        let mut stomp = connect(version).await;
        stomp.send_frame(frame).await;
        let error = stomp.frame().await;
        assert_eq!(error.problem("invalid_field")["field"], field, "{version}: {frame:?}");
        assert_eq!(error.header("receipt-id"), "r");
        assert_eq!(stomp.close_code().await, 1002);
    }
}

#[tokio::test]
async fn an_error_names_the_receipt_of_its_own_frame_and_of_no_other() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp().await;
    let secret = format!("client-secret:{}", order.secret);
    let connected = stomp.connect(&[&secret, "receipt:of-connect"]).await;
    assert_eq!(connected.command, "CONNECTED");
    stomp.send("SEND\0").await; // cannot be read, its receipt neither
    let error = stomp.frame().await;
    error.problem("invalid_field");
    assert!(!error.headers.contains_key("receipt-id"), "{error:?}");
}

#[tokio::test]
async fn who_shows_a_version_is_not_told_it_again() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    let mut stomp = app.stomp_of(&order).await;
    stomp.subscribe("behind", &order, &["version:1"]).await;
    assert_eq!(stomp.frame().await.header("version"), "2");
    stomp.subscribe("current", &order, &["version:2", "receipt:done"]).await;
    assert_eq!(stomp.frame().await.header("receipt-id"), "done");
    app.report(&order, "succeeded").await;
    let mut told = [stomp.frame().await, stomp.frame().await];
    told.sort_by_key(|message| message.header("subscription").to_owned());
    let told: Vec<_> = told
        .iter()
        .map(|message| (message.header("subscription"), message.header("version")))
        .collect();
    assert_eq!(told, [("behind", "3"), ("current", "3")]);
}

#[tokio::test]
async fn a_name_that_is_given_anew_is_the_new_subscriptions_alone() {
    let app = App::spawn().await;
    let orders = app.create_orders(2, json!({})).await;
    let mut stomp = app.stomp().await;
    stomp.connect(&[&format!("api-key:{}", app.api_key)]).await;
    for order in &orders {
        stomp.subscribe("1", order, &[]).await;
        assert_eq!(stomp.frame().await.document()["order_id"], order.id);
    }
    app.report(&orders[0], "succeeded").await;
    app.report(&orders[1], "succeeded").await;
    assert_eq!(stomp.frame().await.document()["order_id"], orders[1].id);
    app.wait_for_held(1).await;
}

/// Frames as networks and clients cut them: several in one message, one in several, as text or as bytes.
#[tokio::test]
async fn frames_may_come_in_any_pieces() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let secret = format!("client-secret:{}", order.secret);
    let destination = format!("destination:/topic/orders.{}", order.id);
    let conversation = [
        "\n\r\n".to_owned(),
        frame(&["CONNECT", "accept-version:1.2", &secret]),
        "\n".to_owned(),
        frame(&["SUBSCRIBE", "id:é支", &destination]),
    ]
    .concat();
    for size in [1, 7, conversation.len()] {
        for as_text in [true, false] {
            let mut stomp: Stomp = app.stomp().await;
            let mut rest = conversation.as_str();
            while !rest.is_empty() {
                let end = (size..=rest.len())
                    .find(|end| rest.is_char_boundary(*end))
                    .unwrap_or(rest.len());
                let (piece, after) = rest.split_at(end);
                stomp.send_piece(piece, as_text).await;
                rest = after;
            }
            assert_eq!(stomp.frame().await.command, "CONNECTED");
            assert_eq!(stomp.frame().await.header("subscription"), "é支");
        }
    }
}
