//! Creating orders: what is answered, and that the same request makes one order however often it is sent.

use serde_json::{Value, json};

use crate::support::merchant::{new_order, now_ms, rfc3339, unix_ms};
use crate::support::{Answer, App, Order, eventually};

#[tokio::test]
async fn a_created_order_is_answered_with_201_its_place_its_etag_and_every_field() {
    let app = App::spawn().await;
    let before = now_ms();
    let answer = app.post("/v1/orders", &new_order("A-1")).await;
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let order = answer.json();
    let id = order["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/orders/{id}"));
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
    let created = unix_ms(&order["created_at"]);
    assert!((before..=now_ms()).contains(&created), "{order}");
    let secret = order["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("pqs_") && secret.len() == 47, "{secret}");
    let expected = json!({
        "id": id, "out_trade_no": "A-1", "amount": 1000, "currency": "CNY", "description": null, "metadata": null,
        "status": "pending", "reason": null, "final": false, "late": false, "version": 1, "refunded_amount": 0,
        "transaction_id": null, "client_secret": secret, "created_at": order["created_at"],
        "updated_at": order["created_at"], "expires_at": rfc3339(created + 1_800_000), "paid_at": null,
    });
    assert_eq!(order, expected);
}

#[tokio::test]
async fn what_a_creation_names_is_in_the_order() {
    let app = App::spawn().await;
    let body = json!({
        "out_trade_no": "A-1", "amount": 9_007_199_254_740_991_i64, "currency": "JPY", "description": "咖啡 ☕",
        "expires_in": 60, "metadata": { "table": 7 },
    });
    let order = app.post("/v1/orders", &body).await.json();
    for name in ["out_trade_no", "amount", "currency", "description", "metadata"] {
        assert_eq!(order[name], body[name], "{name}");
    }
    assert_eq!(unix_ms(&order["expires_at"]) - unix_ms(&order["created_at"]), 60_000);
}

#[tokio::test]
async fn a_given_time_of_expiry_is_kept_to_the_millisecond_in_utc() {
    let app = App::spawn().await;
    let at = now_ms() + 3_600_000;
    let in_china = rfc3339(at + 8 * 3_600_000).replace('Z', "+08:00");
    let order = app.create_order_with(json!({ "expires_at": in_china })).await;
    assert_eq!(app.read(&order).await["expires_at"], rfc3339(at));
}

#[tokio::test]
async fn the_same_content_in_another_order_of_fields_is_answered_with_the_first_order() {
    let app = App::spawn().await;
    let first = r#"{"out_trade_no":"A-1","amount":1000,"currency":"CNY","metadata":{"a":1,"b":{"c":2,"d":3}}}"#;
    let again = "{ \"metadata\": {\"b\": {\"d\":3, \"c\":2}, \"a\":1},\n\t\"currency\": \"CN\\u0059\", \"description\": null,\
                 \"amount\": 1000, \"out_trade_no\": \"A-1\" }";
    let created = app.create_raw(&[], first).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let repeated = app.create_raw(&[], again).await;
    assert_eq!((repeated.status, repeated.header("etag")), (200, "\"1\""));
    assert_eq!(repeated.json(), created.json());
    assert!(!repeated.has_header("location"));
    assert_eq!(app.listed("").await.len(), 1);
}

#[tokio::test]
async fn a_repeated_creation_shows_the_order_as_it_stands_now() {
    let app = App::spawn().await;
    let created = app.post("/v1/orders", &new_order("A-1")).await;
    app.report(&Order::of(&created.json()), "succeeded").await;
    let repeated = app.post("/v1/orders", &new_order("A-1")).await;
    assert_eq!((repeated.status, repeated.header("etag")), (200, "\"2\""));
    assert_eq!(repeated.json()["status"], "succeeded");
    assert_eq!(repeated.json()["id"], created.json()["id"]);
}

#[tokio::test]
async fn the_same_number_with_other_content_is_a_conflict_and_leaves_the_first_order_alone() {
    let app = App::spawn().await;
    let first = json!({
        "out_trade_no": "A-1", "amount": 1000, "currency": "CNY", "description": "Tea", "expires_in": 600,
        "metadata": { "a": 1 },
    });
    let created = app.post("/v1/orders", &first).await;
    let others = [
        ("amount", json!(1001)),
        ("currency", json!("USD")),
        ("description", json!("Tee")),
        ("description", Value::Null),
        ("expires_in", json!(601)),
        ("metadata", json!({ "a": 2 })),
        ("metadata", json!({})),
        ("metadata", Value::Null),
    ];
    for (name, value) in others {
        let mut other = first.clone();
        other[name] = value;
        let problem = app.post("/v1/orders", &other).await.problem(409, "out_trade_no_taken");
        assert_eq!(problem["field"], "out_trade_no", "{other}");
    }
    let order = Order::of(&created.json());
    assert_eq!(app.read(&order).await, created.json());
    assert_eq!(app.events(&order).await.len(), 1);
    assert_eq!(app.listed("").await.len(), 1);
}

#[tokio::test]
async fn a_repeated_creation_is_recognised_also_when_its_time_of_expiry_has_passed() {
    let app = App::spawn().await;
    let mut body = new_order("A-1");
    // Not over before the creation arrives, on any machine.
    body["expires_at"] = json!(rfc3339(now_ms() + 4000));
    let created = app.create_raw(&[("idempotency-key", "k")], &body.to_string()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let order = Order::of(&created.json());
    eventually(async || app.read(&order).await, |now| now["status"] == "closed").await;
    let repeated = app.post("/v1/orders", &body).await;
    assert_eq!(
        (repeated.status, repeated.header("etag")),
        (200, "\"2\""),
        "{}",
        repeated.text
    );
    assert_eq!(repeated.json()["id"], created.json()["id"]);
    let replayed = app.create_raw(&[("idempotency-key", "k")], &body.to_string()).await;
    assert_eq!((replayed.status, replayed.text), (201, created.text));
}

#[tokio::test]
async fn identical_creations_at_once_make_one_order() {
    let app = App::spawn().await;
    for round in 0..5 {
        let body = new_order(&format!("A-{round}"));
        let answers = at_once(&app, &vec![body; 12]).await;
        let created: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(created.len(), 1);
        for answer in &answers {
            assert!([200, 201].contains(&answer.status), "{}", answer.text);
            assert_eq!(answer.text, created[0].text);
        }
        assert_eq!(app.events(&Order::of(&created[0].json())).await.len(), 1);
    }
    assert_eq!(app.listed("").await.len(), 5);
}

#[tokio::test]
async fn of_different_creations_with_one_number_at_once_one_makes_the_order_and_the_others_conflict() {
    let app = App::spawn().await;
    let bodies: Vec<Value> = (1..=8)
        .map(|amount| json!({ "out_trade_no": "A-1", "amount": amount, "currency": "CNY" }))
        .collect();
    let answers = at_once(&app, &bodies).await;
    let created: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(created.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem(409, "out_trade_no_taken");
    }
    assert_eq!(app.listed("").await, [created[0].json()["id"].as_str().unwrap()]);
}

/// Sends all of these creations before any answer is awaited.
async fn at_once(app: &App, bodies: &[Value]) -> Vec<Answer> {
    let sent: Vec<_> = bodies
        .iter()
        .map(|body| tokio::spawn(Answer::to(app.merchant(reqwest::Method::POST, "/v1/orders").json(body))))
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}
