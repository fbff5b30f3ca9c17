//! `POST /v1/orders/statuses`: one answer for each name, in the order asked, all from one snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::merchant::new_order;
use crate::support::{Answer, App};

const PATH: &str = "/v1/orders/statuses";

async fn ask(app: &App, body: Value) -> Vec<Value> {
    let answer = app.post(PATH, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_answer_is_the_status_document_with_the_merchants_number() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    let mut document = app.ask(&order).send().await.json();
    document["out_trade_no"] = json!(order.out_trade_no);
    for body in [
        json!({ "ids": [order.id] }),
        json!({ "out_trade_nos": [order.out_trade_no], "ids": [] }),
    ] {
        assert_eq!(ask(&app, body).await, [document.clone()]);
    }
}

#[tokio::test]
async fn answers_come_in_the_order_asked_ids_first_and_one_for_each_repeat() {
    let app = App::spawn().await;
    let (a, b, c) = (
        app.create_order().await,
        app.create_order().await,
        app.create_order().await,
    );
    let body = json!({
        "out_trade_nos": [c.out_trade_no, a.out_trade_no, c.out_trade_no],
        "ids": [b.id, a.id, b.id],
    });
    let answers = ask(&app, body).await;
    let ids: Vec<_> = answers
        .iter()
        .map(|answer| answer["order_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [&*b.id, &a.id, &b.id, &c.id, &a.id, &c.id]);
}

#[tokio::test]
async fn a_name_without_an_order_is_a_problem_in_its_place() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let nobody = Uuid::now_v7().to_string();
    let answers = ask(&app, json!({ "ids": [nobody, order.id], "out_trade_nos": ["nobody"] })).await;
    assert_eq!(
        (&answers[0]["order_id"], &answers[2]["out_trade_no"]),
        (&json!(nobody), &json!("nobody"))
    );
    assert_eq!(answers[1]["version"], 1);
    for problem in [&answers[0], &answers[2]] {
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&json!("order_not_found"), &json!(404))
        );
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{problem}");
        }
        assert!(problem.get("version").is_none(), "{problem}");
    }
}

#[tokio::test]
async fn another_tenants_order_looks_like_none() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let request = app.http.post(app.url(PATH)).bearer_auth(app.key_of("other").await);
    let nobody = Uuid::now_v7().to_string();
    let body = json!({ "ids": [nobody, order.id], "out_trade_nos": ["nobody", order.out_trade_no] });
    let mut answers = Answer::to(request.json(&body)).await.json()["data"]
        .as_array()
        .unwrap()
        .clone();
    for (at, name) in [
        (0, "order_id"),
        (1, "order_id"),
        (2, "out_trade_no"),
        (3, "out_trade_no"),
    ] {
        answers[at].as_object_mut().unwrap().remove(name).unwrap();
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0]["code"], "order_not_found");
}

#[tokio::test]
async fn a_hundred_names_are_answered_and_one_more_or_none_is_refused() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let names = |ids: usize, numbers: usize| json!({ "ids": vec![&order.id; ids], "out_trade_nos": vec![&order.out_trade_no; numbers] });
    for (ids, numbers) in [(100, 0), (0, 100), (50, 50)] {
        assert_eq!(ask(&app, names(ids, numbers)).await.len(), 100);
    }
    for (ids, numbers) in [(101, 0), (0, 101), (50, 51), (0, 0)] {
        app.post(PATH, &names(ids, numbers)).await.invalid("ids");
    }
    app.post(PATH, &json!({})).await.invalid("ids");
}

#[tokio::test]
async fn a_hundred_orders_are_answered_each_with_its_own() {
    let app = App::spawn().await;
    let numbers: Vec<String> = (0..100).map(|number| format!("A-{number}")).collect();
    for number in &numbers {
        app.post("/v1/orders", &new_order(number)).await;
    }
    let answers = ask(&app, json!({ "out_trade_nos": numbers })).await;
    let answered: Vec<_> = answers
        .iter()
        .map(|answer| answer["out_trade_no"].as_str().unwrap())
        .collect();
    assert_eq!(answered, numbers);
}

#[tokio::test]
async fn a_name_that_can_be_no_name_is_refused_with_its_place() {
    let app = App::spawn().await;
    let good = Uuid::now_v7().to_string();
    for (body, field) in [
        (json!({ "ids": [good, "x"] }), "ids[1]"),
        (json!({ "ids": [good.replace('-', "")] }), "ids[0]"),
        (
            json!({ "ids": [good], "out_trade_nos": ["a", "b", ""] }),
            "out_trade_nos[2]",
        ),
        (json!({ "out_trade_nos": ["a b"] }), "out_trade_nos[0]"),
        (json!({ "out_trade_nos": ["x".repeat(65)] }), "out_trade_nos[0]"),
        (json!({ "ids": [1] }), "ids[0]"),
        (json!({ "ids": [null] }), "ids[0]"),
        (json!({ "ids": good }), "ids"),
        (json!({ "ids": null }), "ids"),
        (json!({ "orders": [] }), "orders"),
    ] {
        app.post(PATH, &body).await.invalid(field);
    }
}

#[tokio::test]
async fn all_answers_are_from_one_snapshot() {
    let app = App::spawn().await;
    let (a, b) = (app.create_order().await, app.create_order().await);
    let (pool, numbers) = (app.pool.clone(), vec![a.out_trade_no.clone(), b.out_trade_no.clone()]);
    // One statement moves both, so whoever sees one moved and the other not has looked twice.
    let done = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&done);
    let moving = tokio::spawn(async move {
        while !until.load(Ordering::Relaxed) {
            sqlx::query("update orders set version = version + 1 where out_trade_no = any($1)")
                .bind(&numbers)
                .execute(&pool)
                .await
                .unwrap();
        }
    });
    let mut seen = BTreeSet::new();
    // As long as it takes to meet them at many versions.
    while seen.len() < 100 && !moving.is_finished() {
        let answers = ask(&app, json!({ "ids": [a.id], "out_trade_nos": [b.out_trade_no] })).await;
        assert_eq!(answers[0]["version"], answers[1]["version"]);
        seen.insert(answers[0]["version"].as_i64().unwrap());
    }
    done.store(true, Ordering::Relaxed);
    moving.await.unwrap();
    assert_eq!(seen.len(), 100, "the orders moved between the questions");
}
