//! `Idempotency-Key`: the first answer is given again, byte for byte; a failed request keeps nothing.

use reqwest::Method;
use serde_json::json;

use crate::support::merchant::new_order;
use crate::support::{Answer, App, Order};

async fn create(app: &App, key: &str, body: &str) -> Answer {
    app.create_raw(&[("idempotency-key", key)], body).await
}

fn body(out_trade_no: &str) -> String {
    new_order(out_trade_no).to_string()
}

#[tokio::test]
async fn a_replay_is_the_first_answer_byte_for_byte_after_the_order_has_changed_too() {
    let app = App::spawn().await;
    let first = create(&app, "k-1", &body("A-1")).await;
    app.report(&Order::of(&first.json()), "succeeded").await;
    let again = create(&app, "k-1", &body("A-1")).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    for name in ["location", "etag", "content-type"] {
        assert!(
            again.has_header(name) && again.header(name) == first.header(name),
            "{name}"
        );
    }
    assert_eq!(app.listed("").await.len(), 1);
}

#[tokio::test]
async fn a_replay_outlives_a_restart() {
    let app = App::spawn().await;
    let first = create(&app, "k-1", &body("A-1")).await;
    let app = app.restart().await;
    let again = create(&app, "k-1", &body("A-1")).await;
    assert_eq!((again.status, again.text), (201, first.text));
}

#[tokio::test]
async fn the_content_counts_for_a_replay_not_its_bytes() {
    let app = App::spawn().await;
    let first = create(&app, "k-1", &body("A-1")).await;
    let spaced = " {\"currency\" : \"CNY\",\n \"out_trade_no\":\"A-1\", \"amount\":1000 } ";
    let again = create(&app, "k-1", spaced).await;
    assert_eq!((again.status, again.text), (201, first.text));
}

#[tokio::test]
async fn a_key_with_another_request_is_refused_and_nothing_is_created() {
    let app = App::spawn().await;
    create(&app, "k-1", &body("A-1")).await;
    let mut other_amount = new_order("A-1");
    other_amount["amount"] = json!(1);
    for other in [body("A-2"), other_amount.to_string()] {
        let problem = create(&app, "k-1", &other).await.problem(422, "idempotency_key_reused");
        assert_eq!(problem["field"], "Idempotency-Key");
    }
    assert_eq!(app.listed("").await.len(), 1);
}

#[tokio::test]
async fn a_quoted_key_and_a_bare_one_are_the_same_key() {
    let app = App::spawn().await;
    let first = create(&app, "\"k-1\"", &body("A-1")).await;
    let again = create(&app, "k-1", &body("A-1")).await;
    assert_eq!((again.status, again.text), (201, first.text));
    create(&app, "k-1", &body("A-2"))
        .await
        .problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_first_answer_that_found_the_order_there_already_is_replayed_as_such() {
    let app = App::spawn().await;
    let created = app.post("/v1/orders", &new_order("A-1")).await;
    let found = create(&app, "k-1", &body("A-1")).await;
    assert_eq!((found.status, &found.text), (200, &created.text));
    app.report(&Order::of(&created.json()), "closed").await;
    let again = create(&app, "k-1", &body("A-1")).await;
    assert_eq!((again.status, &again.text), (200, &created.text));
    assert!(!again.has_header("location"));
}

#[tokio::test]
async fn requests_at_once_with_one_key_give_one_order_and_one_answer() {
    let app = App::spawn().await;
    for round in 0..5 {
        let answers = at_once(&app, &vec![body(&format!("A-{round}")); 12], &format!("k-{round}")).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
            assert_eq!(answer.header("location"), answers[0].header("location"));
        }
    }
    assert_eq!(app.listed("").await.len(), 5);
}

#[tokio::test]
async fn of_different_requests_at_once_with_one_key_one_is_followed() {
    let app = App::spawn().await;
    let bodies: Vec<String> = (0..8).map(|number| body(&format!("A-{number}"))).collect();
    let answers = at_once(&app, &bodies, "k-1").await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.problem(422, "idempotency_key_reused");
    }
    assert_eq!(app.listed("").await.len(), 1);
}

#[tokio::test]
async fn a_failed_request_keeps_nothing_and_its_key_is_free_for_a_better_one() {
    let app = App::spawn().await;
    app.post("/v1/orders", &new_order("taken")).await;
    create(&app, "k-1", "{").await.problem(400, "malformed_json");
    create(&app, "k-1", r#"{"out_trade_no":"A-1","amount":0,"currency":"CNY"}"#)
        .await
        .invalid("amount");
    create(&app, "k-1", r#"{"out_trade_no":"taken","amount":2,"currency":"CNY"}"#)
        .await
        .problem(409, "out_trade_no_taken");
    assert_eq!(create(&app, "k-1", &body("A-1")).await.status, 201);
}

#[tokio::test]
async fn the_keys_of_two_merchants_do_not_meet() {
    let app = App::spawn().await;
    let first = create(&app, "k-1", &body("A-1")).await;
    // The same request of one other merchant, and another request of a second one.
    for (merchant, number) in [("other", "A-1"), ("third", "A-2")] {
        let request = app
            .http
            .post(app.url("/v1/orders"))
            .bearer_auth(app.key_of(merchant).await);
        let answer = Answer::to(request.header("idempotency-key", "k-1").json(&new_order(number))).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_ne!(answer.json()["id"], first.json()["id"]);
    }
    assert_eq!(create(&app, "k-1", &body("A-1")).await.text, first.text);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_by_name() {
    let app = App::spawn().await;
    for key in ["", " ", "\"\"", "\"open", "a b", "a\tb", &"x".repeat(256)] {
        create(&app, key, &body("A-1")).await.invalid("Idempotency-Key");
    }
    let request = app.merchant(Method::POST, "/v1/orders").json(&new_order("A-1"));
    let latin_1 = reqwest::header::HeaderValue::from_bytes(b"k\xe9y").unwrap();
    Answer::to(request.header("idempotency-key", latin_1))
        .await
        .invalid("Idempotency-Key");
    assert_eq!(app.listed("").await.len(), 0);
    assert_eq!(create(&app, &"x".repeat(255), &body("A-1")).await.status, 201);
}

async fn at_once(app: &App, bodies: &[String], key: &str) -> Vec<Answer> {
    let sent: Vec<_> = bodies
        .iter()
        .map(|body| {
            let request = app.merchant(Method::POST, "/v1/orders").header("idempotency-key", key);
            let request = request.header("content-type", "application/json");
            tokio::spawn(Answer::to(request.body(body.clone())))
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}
