//! `/v1/ws`: the messages that mini-program developers already write.

use serde_json::json;

use crate::support::App;
use crate::support::socket::{auth, subscribe};

#[tokio::test]
async fn a_page_authenticates_by_its_first_message_and_is_told_the_document_and_each_change() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut socket = app.socket("/v1/ws").await;
    socket.send(&auth(&order)).await;
    assert_eq!(
        socket.next().await,
        json!({ "code": "200", "success": true, "msgType": "auth_ack", "order_id": order.id })
    );
    let polled = app.ask(&order).send().await.json();
    assert_eq!(
        socket.next().await,
        json!({ "msgType": "order_status", "data": polled })
    );
    for status in ["processing", "succeeded", "refunded"] {
        app.report(&order, status).await;
        assert_eq!(socket.document().await, app.ask(&order).send().await.json());
    }
    socket.assert_alive().await;
}

#[tokio::test]
async fn credentials_in_the_query_or_in_a_header_field_count_as_the_first_message() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let by_query = format!("/v1/ws?order_id={}&client_secret={}", order.id, order.secret);
    let by_header = format!("/v1/ws?order_id={}", order.id);
    let (secret, key) = (format!("Bearer {}", order.secret), format!("Bearer {}", app.api_key));
    let ways: [(&str, &[(&str, &str)]); 3] = [
        (&by_query, &[]),
        (&by_header, &[("authorization", &secret)]),
        (&by_header, &[("authorization", &key)]),
    ];
    for (path, fields) in ways {
        let mut socket = app.try_socket(path, fields).await.unwrap();
        assert_eq!(socket.next().await["msgType"], "auth_ack", "{path}");
        assert_eq!(socket.document().await["version"], 1, "{path}");
    }
    let wrong = format!("/v1/ws?order_id={}&client_secret=pqs_wrong", order.id);
    let mut socket = app.socket(&wrong).await;
    socket.refusal(404, "order_not_found").await;
    assert_eq!(socket.close_code().await, Some(3000));
}

#[tokio::test]
async fn whoever_shows_its_version_is_told_only_what_it_lacks() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let with_version = |version| {
        let mut auth = auth(&order);
        auth["version"] = json!(version);
        auth
    };
    let mut current = app.socket("/v1/ws").await;
    current.send(&with_version(1)).await;
    assert_eq!(current.next().await["msgType"], "auth_ack");
    current.assert_alive().await; // and no document before that
    app.report(&order, "processing").await;
    assert_eq!(current.document().await["version"], 2);
    drop(current);
    app.report(&order, "succeeded").await;
    let by_query = format!("/v1/ws?order_id={}&client_secret={}&version=2", order.id, order.secret);
    let mut back = app.socket(&by_query).await;
    assert_eq!(back.next().await["msgType"], "auth_ack");
    assert_eq!(back.document().await["version"], 3);
    let mut ahead = app.socket("/v1/ws").await;
    ahead.send(&with_version(99)).await; // a version that never was
    assert_eq!(ahead.next().await["msgType"], "auth_ack");
    assert_eq!(ahead.document().await["version"], 3);
}

#[tokio::test]
async fn one_socket_follows_several_orders_and_not_those_that_it_unsubscribed() {
    let app = App::spawn().await;
    let (one, two, three) = (
        app.create_order().await,
        app.create_order().await,
        app.create_order().await,
    );
    let mut socket = app.follow(&one).await;
    assert_eq!(socket.document().await["order_id"], one.id);
    for order in [&two, &three] {
        socket.send(&subscribe(order)).await;
        let ack = json!({ "code": "200", "success": true, "msgType": "subscribe_ack", "order_id": order.id });
        assert_eq!(socket.next().await, ack);
        assert_eq!(socket.document().await["order_id"], order.id);
    }
    app.wait_for_held(3).await;
    socket.send(&json!({ "type": "unsubscribe", "order_id": two.id })).await;
    assert_eq!(socket.next().await["msgType"], "unsubscribe_ack");
    app.wait_for_held(2).await;
    for order in [&two, &three, &one] {
        app.report(order, "succeeded").await;
    }
    let told = [socket.document().await, socket.document().await];
    let mut ids: Vec<_> = told
        .iter()
        .map(|document| document["order_id"].as_str().unwrap())
        .collect();
    let mut expected = [&*three.id, &*one.id];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    // Again, and what happened meanwhile is told.
    socket.send(&subscribe(&two)).await;
    assert_eq!(socket.next().await["msgType"], "subscribe_ack");
    assert_eq!(socket.document().await["version"], 2);
}

#[tokio::test]
async fn with_the_merchants_key_one_socket_follows_chosen_orders_without_their_secrets() {
    let app = App::spawn().await;
    let (one, two) = (app.create_order().await, app.create_order().await);
    let mut socket = app.socket("/v1/ws").await;
    socket
        .send(&json!({ "type": "auth", "order_id": one.id, "api_key": app.api_key }))
        .await;
    assert_eq!(socket.next().await["msgType"], "auth_ack");
    assert_eq!(socket.document().await["order_id"], one.id);
    socket.send(&json!({ "type": "subscribe", "order_id": two.id })).await;
    assert_eq!(socket.next().await["msgType"], "subscribe_ack");
    assert_eq!(socket.document().await["order_id"], two.id);
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_the_socket_is_closed_as_unauthorized() {
    let app = App::spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let beta = app.key_of("beta").await;
    let nobody = uuid::Uuid::now_v7().to_string();
    for (credentials, status, code) in [
        (
            json!({ "order_id": order.id, "client_secret": other.secret }),
            404,
            "order_not_found",
        ),
        (
            json!({ "order_id": nobody, "client_secret": order.secret }),
            404,
            "order_not_found",
        ),
        (
            json!({ "order_id": order.id, "client_secret": "" }),
            404,
            "order_not_found",
        ),
        (json!({ "order_id": order.id, "api_key": beta }), 404, "order_not_found"),
        (
            json!({ "order_id": order.id, "api_key": "pqk_wrong" }),
            401,
            "unauthorized",
        ),
        (json!({ "api_key": "pqk_wrong" }), 401, "unauthorized"),
    ] {
        let mut socket = app.socket("/v1/ws").await;
        let mut message = credentials;
        message["type"] = json!("auth");
        socket.send(&message).await;
        let told = socket.refusal(status, code).await;
        assert_eq!(told.get("order_id"), message.get("order_id"));
        assert_eq!(socket.close_code().await, Some(3000), "{message}");
    }
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn what_is_wrong_in_the_address_is_told_on_the_socket() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let address = |rest: &str| format!("/v1/ws?order_id={}&{rest}", order.id);
    let mut with_key = app.socket(&address(&format!("client_secret={}", app.api_key))).await;
    let told = with_key.refusal(401, "unauthorized").await;
    assert!(
        told["data"]["detail"]
            .as_str()
            .unwrap()
            .contains("must not stand in an address"),
        "{told}"
    );
    assert_eq!(with_key.close_code().await, Some(3000));
    for version in ["x", "-1", "1.5", ""] {
        let rest = format!("client_secret={}&version={version}", order.secret);
        let mut socket = app.socket(&address(&rest)).await;
        let told = socket.refusal(400, "invalid_field").await;
        assert_eq!(told["data"]["field"], "version");
        let auth = json!({ "type": "auth", "order_id": order.id, "client_secret": order.secret, "version": null });
        socket.send(&auth).await;
        assert_eq!(socket.next().await["msgType"], "auth_ack");
    }
}

#[tokio::test]
async fn a_subscription_to_what_the_secret_does_not_open_is_refused_and_the_socket_goes_on() {
    let app = App::spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let foreign = {
        let beta = app.key_of("beta").await;
        let request = app.http.post(app.url("/v1/orders")).bearer_auth(beta);
        let body = crate::support::merchant::new_order("B-1");
        crate::support::Order::of(&crate::support::Answer::to(request.json(&body)).await.json())
    };
    let mut socket = app.follow(&order).await;
    socket.document().await;
    for target in [&other, &foreign] {
        let with_wrong = json!({ "type": "subscribe", "order_id": target.id, "client_secret": order.secret });
        socket.send(&with_wrong).await;
        let told = socket.refusal(404, "order_not_found").await;
        assert_eq!(told["order_id"], target.id);
        socket
            .send(&json!({ "type": "subscribe", "order_id": target.id }))
            .await;
        socket.refusal(401, "unauthorized").await;
    }
    app.report(&order, "succeeded").await;
    assert_eq!(socket.document().await["version"], 2);
}

#[tokio::test]
async fn a_socket_that_does_not_authenticate_is_told_nothing_and_closed_within_seconds() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let start = std::time::Instant::now();
    let mut silent = app.socket("/v1/ws").await;
    let mut eager = app.socket("/v1/ws").await;
    eager.send(&subscribe(&order)).await;
    let told = eager.refusal(401, "unauthorized").await;
    assert_eq!(told["order_id"], order.id);
    assert!(
        told["data"]["detail"].as_str().unwrap().contains("auth first"),
        "{told}"
    );
    eager.assert_alive().await;
    eager
        .send(&json!({ "type": "unsubscribe", "order_id": order.id }))
        .await;
    eager.refusal(401, "unauthorized").await;
    assert_eq!(
        (silent.close_code().await, eager.close_code().await),
        (Some(3008), Some(3008))
    );
    let took = start.elapsed().as_secs();
    assert!((5..20).contains(&took), "{took} s");
}

#[tokio::test]
async fn past_the_quota_an_opening_is_refused_and_may_be_tried_again_on_the_same_socket() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "2")
        .spawn()
        .await;
    let order = app.create_order().await;
    let mut socket = app.follow(&order).await;
    socket.document().await;
    socket.send(&subscribe(&order)).await;
    assert_eq!(socket.next().await["msgType"], "subscribe_ack");
    socket.document().await;
    socket.send(&subscribe(&order)).await;
    let told = socket.refusal(429, "quota_exceeded").await;
    assert_eq!(told["data"]["violated-policies"], json!(["poll"]));
    let retry_after = told["retry_after"].as_u64().unwrap();
    assert!((60..=100).contains(&retry_after), "{told}");
    assert_eq!(
        app.ask(&order).send().await.status,
        429,
        "polls and streams share the quota"
    );
    app.report(&order, "succeeded").await;
    assert_eq!(socket.document().await["version"], 2);
}

#[tokio::test]
async fn without_a_place_the_document_is_told_with_a_refusal_and_its_changes_are_not() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let first = app.follow(&order).await;
    app.wait_for_held(1).await;
    let mut second = app.follow(&other).await;
    let told = second.refusal(503, "no_place").await;
    assert_eq!(
        (&told["order_id"], &told["retry_after"]),
        (&json!(other.id), &json!(10))
    );
    assert_eq!(second.document().await["version"], 1);
    // It has more time to follow something than it had to authenticate.
    let is_open = tokio::time::timeout(std::time::Duration::from_secs(6), second.close_code());
    assert!(is_open.await.is_err());
    drop(first);
    app.wait_for_held(0).await;
    second.send(&subscribe(&other)).await;
    assert_eq!(second.next().await["msgType"], "subscribe_ack");
    second.document().await;
    app.report(&other, "succeeded").await;
    assert_eq!(second.document().await["version"], 2);
}

#[tokio::test]
async fn a_client_that_closes_is_answered_with_its_own_code_and_its_places_are_free() {
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    let app = App::spawn().await;
    let order = app.create_order().await;
    for code in [1000, 1001, 4321] {
        let mut socket = app.follow(&order).await;
        app.wait_for_held(1).await;
        let close = CloseFrame {
            code: code.into(),
            reason: "bye".into(),
        };
        socket.send_frame(Message::Close(Some(close))).await;
        assert_eq!(socket.close_code().await, Some(code));
        app.wait_for_held(0).await;
    }
    let rude = app.follow(&order).await;
    app.wait_for_held(1).await;
    drop(rude);
    app.wait_for_held(0).await;
    assert_eq!(app.metric("payquery_streams", "transport=\"websocket\"").await, 0.0);
}
