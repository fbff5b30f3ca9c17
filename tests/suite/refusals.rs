//! A wrong secret, another order's secret, and an order that isn't there: from outside they are one and the same.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::support::{Answer, App, Order};

/// The answer without what names the request: its id, and the date.
fn without_request_id(answer: &Answer) -> (u16, Vec<(String, String)>, serde_json::Value) {
    let mut problem = answer.problem(404, "order_not_found");
    problem["request_id"].take();
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !["x-request-id", "date"].contains(&&**name));
    (answer.status, headers.collect(), problem)
}

fn unknown_order(like: &Order) -> Order {
    Order {
        id: Uuid::now_v7().to_string(),
        ..like.clone()
    }
}

/// A secret of the right form that was never issued.
fn forged(secret: &str) -> String {
    let last = if secret.ends_with('A') { 'E' } else { 'A' };
    format!("{}{last}", &secret[..secret.len() - 1])
}

#[tokio::test]
async fn wrong_secrets_foreign_secrets_and_unknown_orders_get_the_same_answer() {
    let app = App::spawn().await;
    let (hot, cold, other) = (
        app.create_order().await,
        app.create_order().await,
        app.create_order().await,
    );
    assert_eq!(app.ask(&hot).send().await.status, 200);
    let unknown = unknown_order(&hot);
    let forged = forged(&hot.secret);
    let expected = without_request_id(&app.ask_with(&unknown, &forged).send().await);
    for order in [&hot, &cold, &unknown] {
        for token in [&*forged, &other.secret, "pqs_short", "nonsense"] {
            let in_header = app.ask_with(order, token).send().await;
            assert_eq!(without_request_id(&in_header), expected, "{token}");
            let in_query = app
                .ask_without_credentials(order)
                .query("client_secret", token)
                .send()
                .await;
            assert_eq!(without_request_id(&in_query), expected, "{token}");
        }
    }
}

#[tokio::test]
async fn another_merchants_key_and_an_unknown_order_get_the_same_answer_too() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let stranger = app.key_of("stranger").await;
    let expected = without_request_id(&app.ask_with(&unknown_order(&order), &stranger).send().await);
    for _ in 0..2 {
        assert_eq!(
            without_request_id(&app.ask_with(&order, &stranger).send().await),
            expected
        );
    }
    let last = if stranger.ends_with('x') { 'y' } else { 'x' };
    app.ask_with(&order, &format!("{}{last}", &stranger[..stranger.len() - 1]))
        .send()
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn secrets_that_were_never_issued_cost_the_database_nothing() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let forged = forged(&order.secret);
    let before = app.database.count_order_reads().await;
    for order in [&order, &unknown_order(&order)] {
        for secret in [&forged, &app.create_order().await.secret] {
            for _ in 0..20 {
                app.ask_with(order, secret)
                    .query("wait", 5)
                    .query("until", "final")
                    .send()
                    .await
                    .problem(404, "order_not_found");
            }
        }
    }
    assert_eq!(app.database.count_order_reads().await, before);
    // The order itself is found when it is asked for rightly: the count does count.
    assert_eq!(app.ask(&order).send().await.status, 200);
    assert!(app.database.count_order_reads().await > before);
}

#[tokio::test]
async fn a_secret_opens_its_order_and_no_merchants_call() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for path in [
        "/v1/orders".to_owned(),
        format!("/v1/orders/{}", order.id),
        format!("/v1/orders/{}/events", order.id),
    ] {
        let answer = Answer::to(app.http.get(app.url(&path)).bearer_auth(&order.secret)).await;
        answer.problem(401, "unauthorized");
    }
    let report = app.http.put(app.url(&order.status_path())).bearer_auth(&order.secret);
    Answer::to(
        report
            .body("{\"status\":\"succeeded\"}")
            .header("content-type", "application/json"),
    )
    .await
    .problem(401, "unauthorized");
    assert_eq!(app.ask(&order).send().await.version(), 1);
}

#[tokio::test]
async fn an_id_that_is_none_is_a_400_that_names_it() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for id in [
        "1",
        "not-a-uuid",
        "%00",
        "..%2f..",
        &order.id[1..],
        "０197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    ] {
        let bad = Order {
            id: id.to_owned(),
            ..order.clone()
        };
        app.ask(&bad).send().await.invalid("id");
    }
}

/// The time of the slowest among the quickest tenth.
fn quickest_tenth(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 10]
}

/// Interleaved, so that whatever else the machine does hits all three alike; the quickest tenth, so that interruptions don't
/// count, also where they hit every second one. A look into the database takes several times as long as the whole rest of such
/// an answer, so half as long again tells it surely. Shorter differences, down to the comparison of single bytes, are `subtle`'s
/// to hide: no clock across a network sees them.
#[tokio::test]
async fn the_time_of_a_refusal_does_not_tell_whether_the_order_exists() {
    let app = App::spawn().await;
    let (hot, cold) = (app.create_order().await, app.create_order().await);
    assert_eq!(app.ask(&hot).send().await.status, 200);
    let orders = [&hot, &cold, &unknown_order(&hot)];
    let forged = forged(&hot.secret);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..400 {
        for (order, times) in orders.iter().zip(&mut times) {
            let start = Instant::now();
            let answer = app.ask_with(order, &forged).send().await;
            times.push(start.elapsed());
            assert_eq!(answer.status, 404);
        }
    }
    let times = times.map(quickest_tenth);
    let (fastest, slowest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*slowest < *fastest * 3 / 2, "hot, cold, unknown: {times:?}");
}
