//! One tenant never sees another's order: to it, the order looks like one that isn't there.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::merchant::new_order;
use crate::support::{Answer, App};

/// Every merchant call about one order, by its id and its number.
fn calls(id: &str, number: &str) -> Vec<(Method, String, Value)> {
    let paid = json!({ "status": "succeeded" });
    vec![
        (Method::GET, format!("/v1/orders/{id}"), Value::Null),
        (Method::HEAD, format!("/v1/orders/{id}"), Value::Null),
        (Method::GET, format!("/v1/orders/out-trade-no/{number}"), Value::Null),
        (Method::GET, format!("/v1/orders/{id}/events"), Value::Null),
        (
            Method::GET,
            format!("/v1/orders/{id}/events?limit=1&cursor=ZQAAAAAAAAAA"),
            Value::Null,
        ),
        (Method::GET, format!("/v1/orders/{id}/status"), Value::Null),
        (Method::PUT, format!("/v1/orders/{id}/status"), paid.clone()),
        (
            Method::PUT,
            format!("/v1/orders/out-trade-no/{number}/status"),
            paid.clone(),
        ),
        (
            Method::PUT,
            format!("/v1/orders/{id}/status"),
            json!({ "status": "succeeded", "amount": 1 }),
        ),
        (
            Method::PUT,
            format!("/v1/orders/{id}/status"),
            json!({ "status": "pending" }),
        ),
    ]
}

/// The answer without what every answer has of its own.
fn face(answer: &Answer) -> (u16, Vec<String>, Value) {
    let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    let mut body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    (answer.status, names, body)
}

#[tokio::test]
async fn another_tenants_order_answers_every_call_as_one_that_is_not_there() {
    let app = App::spawn().await;
    let other = app.key_of("other").await;
    let order = app.order_at("processing").await;
    // Hot, so that it is in memory for whoever comes by.
    app.ask(&order).send().await;
    let nobody = Uuid::now_v7().to_string();
    for (theirs, none) in calls(&order.id, &order.out_trade_no)
        .into_iter()
        .zip(calls(&nobody, "nobody"))
    {
        let mut faces = Vec::new();
        for (method, path, body) in [theirs.clone(), none] {
            let mut request = app.http.request(method, app.url(&path)).bearer_auth(&other);
            if !body.is_null() {
                request = request.json(&body);
            }
            faces.push(face(&Answer::to(request).await));
        }
        assert_eq!(faces[0].0, 404, "{theirs:?}");
        assert_eq!(faces[0], faces[1], "{theirs:?}");
    }
    assert_eq!(app.read(&order).await["version"], 2);
    assert_eq!(app.events(&order).await.len(), 2);
}

#[tokio::test]
async fn a_precondition_tells_nothing_of_another_tenants_order() {
    let app = App::spawn().await;
    let other = app.key_of("other").await;
    let order = app.create_order().await;
    let url = app.url(&format!("/v1/orders/{}/status", order.id));
    for (name, tag) in [("if-match", "\"1\""), ("if-match", "\"9\""), ("if-none-match", "\"1\"")] {
        let put = app.http.put(&url).bearer_auth(&other).header(name, tag);
        Answer::to(put.json(&json!({ "status": "succeeded" })))
            .await
            .problem(404, "order_not_found");
    }
    for path in [
        format!("/v1/orders/{}", order.id),
        format!("/v1/orders/{}/status", order.id),
    ] {
        let get = app
            .http
            .get(app.url(&path))
            .bearer_auth(&other)
            .header("if-none-match", "\"1\"");
        Answer::to(get).await.problem(404, "order_not_found");
    }
}

#[tokio::test]
async fn two_tenants_may_use_the_same_number_and_each_reaches_its_own_order() {
    let app = App::spawn().await;
    let other = app.key_of("other").await;
    app.post("/v1/orders", &new_order("A-1")).await;
    let theirs = app.http.post(app.url("/v1/orders")).bearer_auth(&other);
    let theirs = Answer::to(theirs.json(&json!({ "out_trade_no": "A-1", "amount": 5, "currency": "EUR" }))).await;
    assert_eq!(theirs.status, 201, "{}", theirs.text);
    let url = app.url("/v1/orders/out-trade-no/A-1/status");
    let paid = Answer::to(
        app.http
            .put(url)
            .bearer_auth(&other)
            .json(&json!({ "status": "succeeded" })),
    )
    .await;
    assert_eq!(
        (&paid.json()["id"], &paid.json()["amount"]),
        (&theirs.json()["id"], &json!(5))
    );
    let ours = app.get("/v1/orders/out-trade-no/A-1").await.json();
    assert_eq!((&ours["amount"], &ours["version"]), (&json!(1000), &json!(1)));
}
