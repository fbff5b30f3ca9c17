//! Making up for what was not delivered.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::merchant::{now_ms, rfc3339};
use crate::support::webhooks::Endpoint;
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
    assert_eq!(
        outcome.json(),
        json!({ "queued": 4, "has_more": false, "next_cursor": null })
    );
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
    assert_eq!(
        outcome.json(),
        json!({ "queued": 5, "has_more": false, "next_cursor": null })
    );
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

/// That many orders of a merchant's that nobody was ever told of, each a millisecond after the other.
async fn log_orders(app: &App, merchant: &str, count: i32) {
    sqlx::query(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at, data)
         select gen_random_uuid(), 'order.created', gen_random_uuid(), m.id, 'N' || n, 1, 'pending', 'merchant', true,
                now() - interval '10 minutes' + n * interval '1 millisecond', '{}'
         from merchants m, generate_series(1, $2) as n where m.name = $1",
    )
    .bind(merchant)
    .bind(count)
    .execute(&app.pool)
    .await
    .unwrap();
}

/// Recovers whatever there is, answer by answer, and says how much each has queued.
async fn recover_all(app: &App, endpoint: &Endpoint) -> Vec<u64> {
    let mut body = json!({ "since": rfc3339(now_ms() - 3_600_000) });
    let mut queued = Vec::new();
    loop {
        let answer = app.post(&endpoint.path("/recover"), &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let answer = answer.json();
        queued.push(answer["queued"].as_u64().unwrap());
        assert_eq!(answer["has_more"], answer["next_cursor"].is_string());
        if answer["has_more"] == false {
            return queued;
        }
        body["cursor"] = answer["next_cursor"].clone();
    }
}

#[tokio::test]
async fn a_long_time_is_made_up_for_in_parts() {
    let app = App::spawn_with_webhooks().await;
    log_orders(&app, "acme", 5300).await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let queued = recover_all(&app, &endpoint).await;
    assert_eq!(queued.iter().sum::<u64>(), 5300);
    assert!(
        queued.len() > 1 && queued.iter().all(|queued| *queued <= 5000),
        "{queued:?}"
    );
    assert_eq!(recover_all(&app, &endpoint).await.iter().sum::<u64>(), 0);
    let (rows, events): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct event_id) from webhook_deliveries")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!((rows, events), (5300, 5300));
    // (All of them arrive: that takes longer than it tells.)
    receiver.wait_for(300).await;
}

/// What `endpoint` was sent of the log: every so many-th event, all of them taken but for one of ten, which was given up.
async fn log_deliveries(app: &App, endpoint: &Endpoint, every: i64) {
    sqlx::query(
        "insert into webhook_deliveries (id, endpoint_id, event_id, event_type, event_at, order_id, payload, state, done_at)
         select gen_random_uuid(), $1::uuid, id, kind, at, order_id, '{}',
                case when seq % (10 * $2) = 0 then 'failed' else 'delivered' end, now()
         from order_events where seq % $2 = 0",
    )
    .bind(&endpoint.id)
    .bind(every)
    .execute(&app.pool)
    .await
    .unwrap();
}

/// Its statistics know nothing of such an endpoint, and the planner expects that it has nothing, and that nothing is pending at all.
#[tokio::test]
async fn for_an_endpoint_that_the_planner_has_never_heard_of_no_statement_reads_all_that_it_has() {
    const LOGGED: i32 = 15_000;
    // What each begins with, and how many pages it may look at on average: a look passes along the log, two look up each of 200
    // orders, the others deal with a few deliveries.
    const STATEMENTS: [(&str, f64); 6] = [
        ("with log as", 50_000.0),
        ("select d.id from (select distinct endpoint_id, order_id", 3000.0),
        ("update webhook_deliveries d set due_at = now()", 3000.0),
        ("with recursive busy as", 800.0),
        ("with ours as", 800.0),
        ("update webhook_deliveries set state", 800.0),
    ];
    let app = App::builder().webhooks("1h").spawn().await;
    log_orders(&app, "acme", LOGGED).await;
    let refusing = Receiver::start(|_| Reply::status(500)).await;
    for every in [4, 5, 6] {
        let endpoint = app.create_endpoint(&refusing).await;
        log_deliveries(&app, &endpoint, every).await;
    }
    sqlx::query("analyze").execute(&app.pool).await.unwrap();
    let endpoint = app.create_endpoint(&refusing).await;
    let queued = recover_all(&app, &endpoint).await;
    assert_eq!(queued.iter().sum::<u64>(), u64::from(LOGGED.unsigned_abs()));
    let (rows, events): (i64, i64) = sqlx::query_as(
        "select count(*), count(distinct event_id) from webhook_deliveries where endpoint_id = $1::uuid",
    )
    .bind(&endpoint.id)
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!((rows, events), (LOGGED.into(), LOGGED.into()));
    // With all of them pending it is also attempts that are made, and marked.
    let attempts = refusing.received().len();
    refusing.wait_for(attempts + 100).await;
    let looked_at = app.database.pages_per_call().await;
    for (beginning, bound) in STATEMENTS {
        let found = looked_at
            .iter()
            .map(|(text, pages)| (text.split_whitespace().collect::<Vec<_>>().join(" "), *pages))
            .find(|(text, _)| text.starts_with(beginning));
        let (_, pages) = found.unwrap_or_else(|| panic!("{beginning} did not run"));
        assert!(pages < bound, "{pages} pages per call of {beginning}");
        println!("{pages:8.1} pages per call of {beginning}");
    }
}

#[tokio::test]
async fn where_others_have_much_in_the_log_an_answer_comes_all_the_same_and_says_where_to_go_on() {
    let app = App::spawn_with_webhooks().await;
    app.key_of("globex").await;
    log_orders(&app, "globex", 210_000).await;
    sqlx::query("update order_events set at = at - interval '20 minutes'")
        .execute(&app.pool)
        .await
        .unwrap();
    log_orders(&app, "acme", 7).await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let queued = recover_all(&app, &endpoint).await;
    assert_eq!((queued[0], queued.iter().sum::<u64>()), (0, 7), "{queued:?}");
    receiver.wait_for(7).await;
}

#[tokio::test]
async fn what_was_given_up_and_what_was_missed_of_an_order_come_in_the_orders_own_order() {
    let app = App::builder().webhooks("10ms").spawn().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let since = now_ms() - 1000;
    // Missed, given up, missed.
    app.patch(&endpoint.path(""), &json!({ "enabled": false })).await;
    let order = app.create_order().await;
    app.patch(&endpoint.path(""), &json!({ "enabled": true })).await;
    receiver.answer_with(|_| Reply::status(500));
    app.report(&order, "processing").await;
    app.wait_for_deliveries(&endpoint, 1).await;
    app.patch(&endpoint.path(""), &json!({ "enabled": false })).await;
    app.report(&order, "succeeded").await;
    app.patch(&endpoint.path(""), &json!({ "enabled": true })).await;
    let count = receiver.received().len();
    receiver.answer_with(|_| Reply::ok());
    let body = json!({ "since": rfc3339(since) });
    let answer = app.post(&endpoint.path("/recover"), &body).await;
    assert_eq!(
        answer.json(),
        json!({ "queued": 3, "has_more": false, "next_cursor": null })
    );
    let requests = receiver.wait_for(count + 3).await;
    let versions: Vec<_> = requests[count..]
        .iter()
        .map(|it| it.json()["version"].clone())
        .collect();
    assert_eq!(versions, [1, 2, 3]);
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
        (json!({ "since": rfc3339(now_ms()), "cursor": "x" }), "cursor"),
        (
            json!({ "since": rfc3339(now_ms()), "cursor": "ZQAAAAAAAAAB" }),
            "cursor",
        ),
    ] {
        recover(body).await.invalid(field);
    }
}
