//! Requests that are cheap to send and dear to answer: each is counted before the database is asked.

use crate::support::{Answer, App, Asking};

/// A client that shows versions which never were makes the service look whether it has missed something.
#[tokio::test]
async fn whoever_shows_versions_that_never_were_loads_the_database_no_further_than_the_quota() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "3")
        .spawn()
        .await;
    let order = app.create_order().await;
    assert_eq!(app.ask(&order).send().await.status, 200);
    let before = app.database.count_order_reads().await;
    let mut answers = [0, 0];
    for version in 0..50 {
        let ask = app.ask(&order);
        let ask = if version % 2 == 0 {
            ask.query("since_version", i64::MAX - version)
        } else {
            ask.if_none_match(&format!("\"{}\"", i64::MAX - version))
        };
        match ask.send().await.status {
            200 => answers[0] += 1,
            429 => answers[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(answers, [2, 48], "full answers, refusals");
    assert_eq!(app.database.count_order_reads().await - before, 2);
}

/// A merchant's key opens every path, so it could ask for one order after the other that nobody has.
#[tokio::test]
async fn whoever_asks_with_a_key_for_orders_that_are_not_there_loads_the_database_no_further_than_the_quota() {
    let app = App::builder()
        .flag("--merchant-rate", "0.01")
        .flag("--merchant-burst", "3")
        .spawn()
        .await;
    assert_eq!(
        app.get("/v1/orders").await.status,
        200,
        "the key itself is known from here on"
    );
    let before = app.database.count_order_reads().await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let path = format!("/v1/orders/{}/status", uuid::Uuid::now_v7());
        statuses.push(app.get(&path).await.status);
    }
    assert_eq!((&statuses[..2], &statuses[2..]), (&[404; 2][..], &[429; 18][..]));
    assert_eq!(app.database.count_order_reads().await - before, 2);
}

/// Each costs a look-up, so they come out of the quota of failures, and the database hears of no more.
#[tokio::test]
async fn whoever_guesses_well_formed_keys_loads_the_database_no_further_than_the_quota() {
    let app = App::builder()
        .flag("--auth-failure-rate", "0.01")
        .flag("--auth-failure-burst", "3")
        .spawn()
        .await;
    let before = app
        .database
        .count_statements(&["from api_keys where digest = $1"])
        .await;
    let mut refused = 0;
    for seed in 0..60 {
        let entropy = std::array::from_fn(|at| u8::try_from((at * 7 + seed * 31) % 248).unwrap());
        let key = payquery::domain::api_key::ApiKey::generate(&entropy).unwrap();
        let asking = Asking(app.http.get(app.url("/v1/orders")).bearer_auth(key.expose()));
        let answer: Answer = asking.send().await;
        assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        refused += usize::from(answer.status == 429);
    }
    assert_eq!(refused, 57);
    let looked_up = app
        .database
        .count_statements(&["from api_keys where digest = $1"])
        .await
        - before;
    assert!(
        (30..=35).contains(&looked_up),
        "{looked_up} look-ups, ten times the quota of failures"
    );
}
