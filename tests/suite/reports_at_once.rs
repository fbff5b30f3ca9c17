//! Reports at the same time: one wins, every one is answered truly, and the log has each version once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, App, Order};

const ROUNDS: usize = 40;

/// Sends all of these reports, each with this `If-Match` if any, before any answer is awaited.
async fn at_once(app: &App, order: &Order, bodies: &[Value], if_match: Option<&str>) -> Vec<Answer> {
    let path = format!("/v1/orders/{}/status", order.id);
    let sent: Vec<_> = bodies
        .iter()
        .map(|body| {
            let request = app.merchant(Method::PUT, &path).json(body);
            tokio::spawn(Answer::to(match if_match {
                Some(tag) => request.header("if-match", tag),
                None => request,
            }))
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

fn statuses(of: &[&str]) -> Vec<Value> {
    of.iter().map(|status| json!({ "status": status })).collect()
}

/// The log's accepted events have the versions 1, 2, 3 … up to the order's own, each from where the one before went to.
async fn log_is_gapless(app: &App, order: &Order) {
    let now = app.read(order).await;
    let events = app.events(order).await;
    let accepted: Vec<_> = events.iter().filter(|event| event["accepted"] == true).collect();
    let versions: Vec<_> = accepted
        .iter()
        .map(|event| event["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, (1..=now["version"].as_i64().unwrap()).collect::<Vec<_>>());
    for two in accepted.windows(2) {
        assert_eq!(two[0]["to"], two[1]["from"], "{two:?}");
    }
    assert_eq!(accepted.last().unwrap()["to"], now["status"]);
}

#[tokio::test]
async fn of_two_reports_that_exclude_each_other_one_wins_and_the_other_is_told() {
    let app = App::spawn().await;
    for _ in 0..ROUNDS {
        let order = app.create_order().await;
        let answers = at_once(&app, &order, &statuses(&["failed", "closed"]), None).await;
        let won = usize::from(answers[1].status == 200);
        assert_eq!((answers[won].status, answers[won].version()), (200, 2));
        answers[1 - won].problem(409, "illegal_transition");
        assert_eq!(app.read(&order).await, answers[won].json());
        let log = app.events(&order).await;
        assert_eq!((log.len(), &log[2]["reason"]), (3, &json!("illegal_transition")));
        log_is_gapless(&app, &order).await;
    }
}

#[tokio::test]
async fn of_two_reports_on_one_version_one_is_applied_and_the_other_is_a_412() {
    let app = App::spawn().await;
    for _ in 0..ROUNDS {
        let order = app.create_order().await;
        let answers = at_once(&app, &order, &statuses(&["processing", "succeeded"]), Some("\"1\"")).await;
        let won = usize::from(answers[1].status == 200);
        assert_eq!((answers[won].status, answers[won].version()), (200, 2));
        answers[1 - won].problem(412, "precondition_failed");
        log_is_gapless(&app, &order).await;
    }
}

#[tokio::test]
async fn the_same_report_many_times_at_once_is_one_change() {
    let app = App::spawn().await;
    for _ in 0..ROUNDS / 4 {
        let order = app.create_order().await;
        let body = json!({ "status": "succeeded", "transaction_id": "t-1" });
        let answers = at_once(&app, &order, &vec![body; 10], None).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
        }
        assert_eq!(app.events(&order).await.len(), 2);
        log_is_gapless(&app, &order).await;
    }
}

#[tokio::test]
async fn a_payment_is_never_lost_to_a_closing_at_the_same_time() {
    let app = App::spawn().await;
    let (mut late, mut in_time) = (0, 0);
    for _ in 0..ROUNDS {
        let order = app.create_order().await;
        let answers = at_once(&app, &order, &statuses(&["closed", "succeeded"]), None).await;
        assert_eq!(
            (answers[1].status, &answers[1].json()["status"]),
            (200, &json!("succeeded"))
        );
        let now = app.read(&order).await;
        assert_eq!(now["status"], "succeeded");
        if now["late"] == true {
            late += 1;
            assert_eq!((answers[0].status, now["version"].as_i64()), (200, Some(3)));
        } else {
            in_time += 1;
            answers[0].problem(409, "illegal_transition");
            assert_eq!(now["version"], 2);
        }
        log_is_gapless(&app, &order).await;
    }
    assert_eq!(late + in_time, ROUNDS);
}

#[tokio::test]
async fn partial_refunds_at_once_end_at_the_highest_sum() {
    let app = App::spawn().await;
    for _ in 0..ROUNDS / 4 {
        let order = app.order_at("succeeded").await;
        let sums = [100, 900, 300, 700, 500, 200, 800];
        let bodies: Vec<Value> = sums
            .iter()
            .map(|sum| json!({ "status": "succeeded", "refunded_amount": sum }))
            .collect();
        let answers = at_once(&app, &order, &bodies, None).await;
        for (answer, sum) in answers.iter().zip(sums) {
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(
                answer.json()["refunded_amount"].as_i64().unwrap() >= sum,
                "{}",
                answer.text
            );
        }
        assert_eq!(app.read(&order).await["refunded_amount"], 900);
        log_is_gapless(&app, &order).await;
    }
}

#[tokio::test]
async fn every_one_of_many_reports_at_once_is_answered_with_what_the_log_says() {
    let app = App::spawn().await;
    for _ in 0..ROUNDS / 4 {
        let order = app.create_order().await;
        let words = [
            "processing",
            "pending",
            "processing",
            "pending",
            "failed",
            "closed",
            "succeeded",
            "refunded",
        ];
        let answers = at_once(&app, &order, &statuses(&words), None).await;
        log_is_gapless(&app, &order).await;
        let events = app.events(&order).await;
        let rejected = events.iter().filter(|event| event["accepted"] == false).count();
        assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), rejected);
        for (answer, word) in answers.iter().zip(words) {
            if answer.status == 200 {
                let told = answer.json();
                assert_eq!(told["status"], word);
                let is_it = |event: &&Value| event["accepted"] == true && event["version"] == told["version"];
                assert_eq!(events.iter().find(is_it).unwrap()["to"], word);
            } else {
                answer.problem(409, "illegal_transition");
                assert!(
                    events
                        .iter()
                        .any(|event| event["accepted"] == false && event["to"] == word),
                    "{word}"
                );
            }
        }
    }
}

#[tokio::test]
async fn two_replicas_decide_as_one() {
    let app = App::spawn().await;
    let other = app.another().await;
    for _ in 0..ROUNDS / 2 {
        let order = app.create_order().await;
        let (here, there) = tokio::join!(
            app.try_report(&order, json!({ "status": "failed" })),
            other.try_report(&order, json!({ "status": "closed" })),
        );
        let (won, lost) = if here.status == 200 {
            (here, there)
        } else {
            (there, here)
        };
        assert_eq!((won.status, won.version()), (200, 2));
        lost.problem(409, "illegal_transition");
        log_is_gapless(&app, &order).await;
    }
}
