//! Making up for what was not delivered.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::merchant::{now_ms, rfc3339};
use crate::support::{App, Receiver, Reply, eventually};

#[tokio::test]
async fn what_was_given_up_or_missed_in_that_time_is_queued_again_and_nothing_else() {
    let app = App::builder().webhooks("10ms").spawn().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let delivered = app.create_order().await;
    receiver.wait_for(1).await;
    let since = now_ms();
    // Given up.
    receiver.answer_with(|_| Reply::status(500));
    let given_up = app.order_at("succeeded").await;
    app.wait_for_deliveries(&endpoint, 3).await;
    // Missed.
    app.patch(&endpoint.path(""), &json!({ "enabled": false })).await;
    let missed = app.order_at("succeeded").await;
    let until = now_ms() + 1;
    let later = eventually(async || now_ms(), |now| *now > until + 5).await;
    assert!(later > until);
    app.order_at("failed").await;
    app.patch(&endpoint.path(""), &json!({ "enabled": true })).await;
    receiver.answer_with(|_| Reply::ok());
    let count = receiver.received().len();
    let body = json!({ "since": rfc3339(since), "until": rfc3339(until) });
    let outcome = app.post(&endpoint.path("/recover"), &body).await;
    assert_eq!(outcome.status, 202, "{}", outcome.text);
    assert_eq!(outcome.json(), json!({ "queued": 4, "has_more": false }));
    let requests = receiver.wait_for(count + 4).await;
    let versions = |order: &str| {
        let of_order = requests[count..].iter().filter(|request| request.order() == order);
        of_order
            .map(|request| request.json()["version"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((versions(&given_up.id), versions(&missed.id)), (vec![1, 2], vec![1, 2]));
    app.wait_for_deliveries(&endpoint, 5).await;
    // A second time there is nothing to do.
    assert_eq!(app.post(&endpoint.path("/recover"), &body).await.json()["queued"], 0);
    // Without an end the rest comes, too.
    let rest = app
        .post(&endpoint.path("/recover"), &json!({ "since": rfc3339(since) }))
        .await;
    assert_eq!(rest.json()["queued"], 2);
    let requests = receiver.wait_for(count + 6).await;
    let of_first = requests.iter().filter(|request| request.order() == delivered.id);
    assert_eq!(of_first.count(), 1, "what was delivered is not sent again");
}

#[tokio::test]
async fn an_endpoint_made_later_can_have_what_was_before_it_by_its_types() {
    let app = App::spawn_with_webhooks().await;
    let since = now_ms() - 1;
    let mut paid = BTreeSet::new();
    for _ in 0..5 {
        paid.insert(app.order_at("succeeded").await.id);
    }
    let receiver = Receiver::start_willing().await;
    let endpoint = app
        .create_endpoint_with(json!({ "url": receiver.url, "events": ["order.succeeded"] }))
        .await;
    let outcome = app
        .post(&endpoint.path("/recover"), &json!({ "since": rfc3339(since) }))
        .await;
    assert_eq!(outcome.json(), json!({ "queued": 5, "has_more": false }));
    let requests = receiver.wait_for(5).await;
    assert_eq!(
        requests
            .iter()
            .map(crate::support::receiver::Received::order)
            .collect::<BTreeSet<_>>(),
        paid
    );
    assert!(requests.iter().all(|request| request.kind() == "order.succeeded"));
}

#[tokio::test]
async fn a_long_time_is_made_up_for_in_parts() {
    let app = App::spawn_with_webhooks().await;
    sqlx::query(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at, data)
         select gen_random_uuid(), 'order.created', gen_random_uuid(), m.id, 'N' || n, 1, 'pending', 'merchant', true, now(), '{}'
         from merchants m, generate_series(1, 1500) as n where m.name = 'acme'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let body = json!({ "since": rfc3339(now_ms() - 60_000) });
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(app.post(&endpoint.path("/recover"), &body).await.json());
    }
    assert_eq!(
        answers,
        [
            json!({ "queued": 1000, "has_more": true }),
            json!({ "queued": 500, "has_more": false }),
            json!({ "queued": 0, "has_more": false })
        ]
    );
    let requests = receiver.wait_for(1500).await;
    let ids: BTreeSet<_> = requests
        .iter()
        .map(|request| request.header("webhook-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 1500);
}

#[tokio::test]
async fn of_a_time_before_what_is_kept_nothing_is_made_up_for() {
    let app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let recover = async |body| app.post(&endpoint.path("/recover"), &body).await;
    let days = 24 * 3600 * 1000;
    let long_ago = recover(json!({ "since": rfc3339(now_ms() - 31 * days) }))
        .await
        .invalid("since");
    assert!(long_ago.contains("30 days"), "{long_ago}");
    assert_eq!(
        recover(json!({ "since": rfc3339(now_ms() - 29 * days) })).await.status,
        202
    );
    for (body, field) in [
        (json!({}), "since"),
        (json!({ "since": "yesterday" }), "since"),
        (json!({ "since": null }), "since"),
        (json!({ "since": rfc3339(now_ms()), "until": "x" }), "until"),
        (
            json!({ "since": rfc3339(now_ms()), "until": rfc3339(now_ms() - 1000) }),
            "until",
        ),
        (json!({ "since": rfc3339(now_ms()), "from": 1 }), "from"),
    ] {
        recover(body).await.invalid(field);
    }
}
