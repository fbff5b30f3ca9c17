//! What a request for the feed may not say.

use crate::support::{Answer, App};

#[tokio::test]
async fn what_is_no_cursor_of_the_feed_is_refused() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let of_log = app.get(&format!("/v1/orders/{}/events?limit=1", order.id)).await.json();
    app.create_order().await;
    let of_orders = app.get("/v1/orders?limit=1").await.json()["next_cursor"].clone();
    assert!(of_log["next_cursor"].is_null() && of_orders.is_string());
    let good = app.feed_page("").await.cursor;
    let (cut, longer) = (&good[..good.len() - 1], format!("{good}AA"));
    let of_orders = of_orders.as_str().unwrap();
    let long = "A".repeat(4000);
    for after in [
        "",
        "NOW",
        "0",
        "1",
        "bA",
        "%00",
        "%F0%9F%8D%B5",
        "b%3D%3D",
        of_orders,
        cut,
        &longer,
        &long,
    ] {
        let detail = app.feed(&format!("after={after}")).await.invalid("after");
        assert!(detail.contains("next_cursor"), "{detail}");
    }
}

#[tokio::test]
async fn an_unknown_type_is_refused_with_a_list_of_those_there_are() {
    let app = App::spawn().await;
    for types in [
        "",
        "order.paid",
        "succeeded",
        "order.succeeded,",
        ",order.closed",
        "ORDER.CLOSED",
        "order.*",
    ] {
        let detail = app.feed(&format!("types={types}")).await.invalid("types");
        for known in [
            "order.created",
            "order.paid_late",
            "order.updated",
            "order.rejected",
            "order.refunded",
            "webhook_endpoint.disabled",
        ] {
            assert!(detail.contains(known), "{detail}");
        }
    }
    let long = app.feed(&format!("types={}", "x".repeat(5000))).await.invalid("types");
    assert!(long.len() < 600, "{long}");
}

#[tokio::test]
async fn waits_limits_and_parameters_are_checked() {
    let app = App::spawn().await;
    for wait in ["", "-1", "1.5", "x", "+1"] {
        app.feed(&format!("wait={wait}")).await.invalid("wait");
    }
    for limit in ["", "0", "201", "-1", "1.5", "x"] {
        app.feed(&format!("limit={limit}")).await.invalid("limit");
    }
    for name in ["after", "wait", "types", "limit"] {
        let value = if name == "types" { "order.closed" } else { "1" };
        app.feed(&format!("{name}={value}&{name}={value}")).await.invalid(name);
    }
    for name in ["type", "cursor", "client_secret", "since_version"] {
        let detail = app.feed(&format!("{name}=1")).await.invalid(name);
        assert!(detail.contains("after, wait, types, limit"), "{detail}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_406_and_says_what_can() {
    let app = App::spawn().await;
    for accept in ["text/event-stream", "application/xml", "text/*", "application/json;q=0"] {
        let request = app.merchant(reqwest::Method::GET, "/v1/events");
        let refused = Answer::to(request.header("accept", accept)).await;
        let detail = refused.problem(406, "not_acceptable")["detail"].clone();
        assert!(detail.as_str().unwrap().contains("application/x-ndjson"), "{detail}");
    }
}

#[tokio::test]
async fn the_feed_opens_with_an_api_key_only() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    Answer::to(app.http.get(app.url("/v1/events")))
        .await
        .problem(401, "unauthorized");
    for token in [order.secret.as_str(), "pqk_x", ""] {
        let request = app.http.get(app.url("/v1/events")).bearer_auth(token);
        Answer::to(request).await.problem(401, "unauthorized");
    }
    app.post("/v1/events", &serde_json::json!({}))
        .await
        .problem(405, "method_not_allowed");
}
