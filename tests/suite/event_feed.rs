//! The merchant's event feed, by pages.

use reqwest::Method;
use serde_json::json;

use crate::support::feed::{FeedPage, check_each_order, ids_of};
use crate::support::{Answer, App, eventually};

#[tokio::test]
async fn the_feed_shows_the_events_of_all_orders_as_their_logs_do() {
    let app = App::spawn().await;
    let (tea, cup) = (app.create_order().await, app.create_order().await);
    app.report(&tea, "processing").await;
    app.report(&cup, "closed").await;
    app.report(&tea, "succeeded").await;
    app.report(&cup, "succeeded").await; // late
    assert_eq!(app.try_report(&tea, json!({ "status": "failed" })).await.status, 409);
    let part = json!({ "status": "succeeded", "refunded_amount": 300 });
    assert_eq!(app.try_report(&tea, part).await.status, 200);
    app.report(&tea, "refunded").await;
    let page = app.feed_page("").await;
    assert_eq!(
        page.types(),
        [
            "order.created",
            "order.created",
            "order.processing",
            "order.closed",
            "order.succeeded",
            "order.paid_late",
            "order.rejected",
            "order.updated",
            "order.refunded"
        ]
    );
    for order in [&tea, &cup] {
        let of_order = page.events.iter().filter(|event| event["order_id"] == json!(order.id));
        let of_order: Vec<_> = of_order.cloned().collect();
        assert_eq!(of_order, app.events(order).await);
    }
}

#[tokio::test]
async fn pages_of_any_size_show_each_event_once_and_in_the_same_order() {
    let app = App::spawn().await;
    for _ in 0..40 {
        app.order_at("refunded").await;
    }
    let whole = app.whole_feed("", &[200]).await;
    assert_eq!((whole.len(), check_each_order(&whole)), (120, 40));
    for sizes in [&[1][..], &[7], &[3, 1, 50, 2], &[120], &[119]] {
        assert_eq!(ids_of(&app.whole_feed("", sizes).await), ids_of(&whole), "{sizes:?}");
    }
    assert_eq!(app.feed_page("").await.events.len(), 50, "when no limit is given");
}

/// Orders that are created together are one transaction: a page may end in the middle of it.
#[tokio::test]
async fn a_page_may_end_in_the_middle_of_a_transaction() {
    let app = App::spawn().await;
    app.create_orders(30, json!({})).await;
    sqlx::query(
        "with source as (select * from order_events limit 20)
         insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at, data)
         select gen_random_uuid(), 'order.rejected', order_id, merchant_id, out_trade_no, version, to_status, source, false, at,
                data from source",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let whole = app.whole_feed("", &[200]).await;
    assert_eq!(whole.len(), 50);
    for sizes in [&[1][..], &[7], &[33, 2]] {
        assert_eq!(ids_of(&app.whole_feed("", sizes).await), ids_of(&whole), "{sizes:?}");
    }
    let some = app.whole_feed("&types=order.rejected", &[7]).await;
    assert_eq!(ids_of(&some), ids_of(&whole[30..]));
}

#[tokio::test]
async fn the_cursor_is_always_there_and_shows_only_what_came_since() {
    let app = App::spawn().await;
    let empty = app.feed_page("").await;
    assert_eq!((empty.events.len(), empty.has_more), (0, false));
    let order = app.create_order().await;
    let created = app.feed_page(&format!("after={}", empty.cursor)).await;
    assert_eq!(created.types(), ["order.created"]);
    let nothing = app.feed_page(&format!("after={}", created.cursor)).await;
    assert!(nothing.events.is_empty() && !nothing.cursor.is_empty());
    app.report(&order, "succeeded").await;
    for cursor in [&created.cursor, &nothing.cursor] {
        assert_eq!(
            app.feed_page(&format!("after={cursor}")).await.types(),
            ["order.succeeded"]
        );
    }
}

#[tokio::test]
async fn after_now_shows_only_what_comes() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let now = app.feed_page("after=now").await;
    assert!(now.events.is_empty());
    app.report(&order, "succeeded").await;
    let page = app.feed_page(&format!("after={}", now.cursor)).await;
    assert_eq!(page.types(), ["order.succeeded"]);
}

#[tokio::test]
async fn only_events_of_the_types_asked_for_are_shown_and_the_others_are_passed() {
    let app = App::spawn().await;
    for _ in 0..20 {
        app.order_at("refunded").await;
    }
    let wanted = "&types=order.succeeded,%20order.refunded,order.succeeded";
    for sizes in [&[200][..], &[1], &[3, 7]] {
        let events = app.whole_feed(wanted, sizes).await;
        assert_eq!(events.len(), 40);
        assert!(events.iter().all(|event| event["type"] != "order.created"));
    }
    let none = app.feed_page("types=order.paid_late").await;
    assert!(none.events.is_empty() && !none.has_more);
    assert!(app.feed_page(&format!("after={}", none.cursor)).await.events.is_empty());
}

#[tokio::test]
async fn whoever_asks_for_payments_is_shown_each_once_and_refunds_in_parts_by_their_own_type() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    for addition in [
        json!({ "status": "succeeded", "transaction_id": "t-1" }),
        json!({ "status": "succeeded", "refunded_amount": 300 }),
        json!({ "status": "succeeded", "refunded_amount": 500 }),
    ] {
        assert_eq!(app.try_report(&order, addition).await.status, 200);
    }
    let payments = app.feed_page("types=order.succeeded,order.paid_late").await;
    assert_eq!(payments.types(), ["order.succeeded"]);
    let updates = app.feed_page("types=order.updated").await;
    assert_eq!(updates.types(), ["order.updated"; 3]);
    assert_eq!(updates.events, app.events(&order).await[2..]);
    let (lines, _) = app.feed_lines("types=order.updated").await.rest().await;
    assert_eq!(lines.len(), 3);
}

/// More than are looked at for one page, all of another type: the client is not sent around for each lot of them.
#[tokio::test]
async fn what_is_wanted_is_found_behind_thousands_of_others_with_one_request() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    sqlx::query(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at, data)
         select gen_random_uuid(), 'order.rejected', order_id, merchant_id, out_trade_no, version, to_status, source, false, at,
                data from order_events, generate_series(1, 12000)",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.report(&order, "succeeded").await;
    let page = app.feed_page("types=order.succeeded&limit=1").await;
    assert_eq!(page.types(), ["order.succeeded"]);
    let page = app.feed_page("types=order.paid_late").await;
    assert!(page.events.is_empty() && !page.has_more);
    let (lines, _) = app.feed_lines("types=order.succeeded").await.rest().await;
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn one_merchant_never_sees_another_ones_events() {
    let app = App::spawn().await;
    let theirs = app.order_at("succeeded").await;
    let now = app.feed_page("after=now").await;
    app.report(&theirs, "refunded").await;
    let other = app.key_of("rival").await;
    let ask = async |query: &str, accept: &str| {
        let request = app
            .http
            .get(app.url(&format!("/v1/events?{query}")))
            .bearer_auth(&other);
        Answer::to(request.header("accept", accept)).await
    };
    for query in [
        "",
        "after=now",
        &format!("after={}", now.cursor),
        "types=order.succeeded",
        "wait=1",
    ] {
        let page = FeedPage::of(&ask(query, "*/*").await);
        assert!(page.events.is_empty() && !page.has_more, "{query}: {page:?}");
    }
    let lines = ask("", "application/x-ndjson").await;
    assert_eq!(lines.text.lines().count(), 1, "{}", lines.text);
}

#[tokio::test]
async fn answers_are_for_their_reader_alone_and_say_how_often_to_ask() {
    let app = App::spawn().await;
    // (While the process is busy it asks for longer pauses.)
    let pace = |answer: &Answer| answer.header("x-poll-interval") == "2";
    let empty = eventually(async || app.feed("").await, pace).await;
    assert_eq!(empty.header("cache-control"), "private, no-cache");
    assert_eq!(empty.header("vary"), "Authorization, Accept, Prefer");
    app.create_order().await;
    let full = app.feed("").await;
    assert!(
        !full.has_header("x-poll-interval"),
        "whoever was told something may ask at once"
    );
    let head = Answer::to(app.merchant(Method::HEAD, "/v1/events")).await;
    assert_eq!(
        (head.status, head.header("content-type"), head.text.as_str()),
        (200, "application/json", "")
    );
    let request = app
        .merchant(Method::HEAD, "/v1/events")
        .header("accept", "application/x-ndjson");
    let head = Answer::to(request).await;
    assert_eq!(
        (head.status, head.header("content-type"), head.text.as_str()),
        (200, "application/x-ndjson", "")
    );
}

#[tokio::test]
async fn the_merchants_quota_counts_for_the_feed_too() {
    let app = App::builder()
        .flag("--merchant-rate", "0.01")
        .flag("--merchant-burst", "3")
        .spawn()
        .await;
    for left in ["2", "1", "0"] {
        let told = app.feed("").await.header("ratelimit").to_owned();
        assert!(told.starts_with(&format!("\"merchant\";r={left};")), "{told}");
    }
    let refused = app.feed("wait=50").await;
    refused.problem(429, "quota_exceeded");
    assert!(refused.has_header("retry-after"));
}
