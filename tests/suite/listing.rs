//! Listing and searching a merchant's orders: filters, and pages that are complete while orders are being added.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::merchant::{STATUSES, ids_in, rfc3339, unix_ms};
use crate::support::{Answer, App, Order};

#[tokio::test]
async fn orders_are_listed_whole_and_newest_first() {
    let app = App::spawn().await;
    assert_eq!(
        app.get("/v1/orders").await.json(),
        json!({ "data": [], "next_cursor": null })
    );
    let mut newest_first = Vec::new();
    for status in STATUSES {
        let order = app.order_at(status).await;
        newest_first.insert(0, app.read(&order).await);
    }
    let list = app.get("/v1/orders").await.json();
    assert_eq!(list, json!({ "data": newest_first, "next_cursor": null }));
}

#[tokio::test]
async fn a_status_filter_takes_one_status_or_several() {
    let app = App::spawn().await;
    let mut ids = Vec::new();
    for status in STATUSES {
        ids.push(app.order_at(status).await.id);
    }
    for (at, status) in STATUSES.into_iter().enumerate() {
        assert_eq!(app.listed(&format!("status={status}")).await, [ids[at].as_str()]);
    }
    assert_eq!(app.listed("status=refunded,pending").await, [ids[5].as_str(), &ids[0]]);
    assert_eq!(app.listed(&format!("status={}", STATUSES.join(","))).await.len(), 6);
}

#[tokio::test]
async fn a_range_has_its_beginning_in_it_and_its_end_not() {
    let app = App::spawn().await;
    let order = app.order_at("processing").await;
    let read = app.read(&order).await;
    for name in ["created", "updated"] {
        let at = unix_ms(&read[format!("{name}_at")]);
        for (query, is_in) in [
            (format!("{name}_from={}", rfc3339(at)), true),
            (format!("{name}_from={}", rfc3339(at + 1)), false),
            (format!("{name}_to={}", rfc3339(at)), false),
            (format!("{name}_to={}", rfc3339(at + 1)), true),
            (
                format!("{name}_from={}&{name}_to={}", rfc3339(at), rfc3339(at + 1)),
                true,
            ),
            (format!("{name}_from={}&{name}_to={}", rfc3339(at), rfc3339(at)), false),
        ] {
            assert_eq!(app.listed(&query).await.len(), usize::from(is_in), "{query}");
            let query = format!("{query}&out_trade_no={}", order.out_trade_no);
            assert_eq!(app.listed(&query).await.len(), usize::from(is_in), "{query}");
        }
    }
}

#[tokio::test]
async fn times_of_creation_and_of_change_are_different_filters() {
    let app = App::spawn().await;
    let first = app.create_order().await;
    let second = app.create_order().await;
    // Moves the first one's change behind the second one's creation, by at least a millisecond.
    let second_created = unix_ms(&app.read(&second).await["created_at"]);
    let mut changed = app.report(&first, "processing").await;
    while unix_ms(&changed["updated_at"]) <= second_created {
        let next = if changed["status"] == "pending" {
            "processing"
        } else {
            "pending"
        };
        changed = app.report(&first, next).await;
    }
    let after = rfc3339(second_created + 1);
    assert_eq!(app.listed(&format!("updated_from={after}")).await, [first.id.as_str()]);
    assert_eq!(app.listed(&format!("updated_to={after}")).await, [second.id.as_str()]);
    assert!(app.listed(&format!("created_from={after}")).await.is_empty());
}

#[tokio::test]
async fn filters_together_must_all_be_met() {
    let app = App::spawn().await;
    let paid = app.order_at("succeeded").await;
    let open = app.create_order().await;
    let (early, late) = ("2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    let wide = format!("created_from={early}&created_to={late}&updated_from={early}&updated_to={late}");
    let number = |order: &Order| format!("out_trade_no={}", order.out_trade_no);
    assert_eq!(app.listed(&wide).await, [open.id.as_str(), &paid.id]);
    assert_eq!(
        app.listed(&format!("{wide}&status=succeeded")).await,
        [paid.id.as_str()]
    );
    assert_eq!(
        app.listed(&format!("{wide}&{}", number(&open))).await,
        [open.id.as_str()]
    );
    for nothing in [
        format!("{wide}&status=failed"),
        format!("{wide}&status=succeeded&{}", number(&open)),
        format!("{}&created_to={early}", number(&open)),
        format!("{}&updated_from={late}", number(&open)),
        format!("created_from={late}&status=pending"),
        "out_trade_no=nobody".into(),
    ] {
        assert!(app.listed(&nothing).await.is_empty(), "{nothing}");
    }
}

#[tokio::test]
async fn pages_are_complete_and_without_repeats_while_orders_are_being_added() {
    let app = App::spawn().await;
    let mut newest_first = Vec::new();
    for _ in 0..25 {
        newest_first.insert(0, app.create_order().await.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    for page in 0.. {
        let after = cursor
            .as_str()
            .map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let answer = app.get(&format!("/v1/orders?limit=4{after}")).await.json();
        seen.extend(ids_in(&answer));
        cursor = answer["next_cursor"].clone();
        app.create_order().await;
        app.create_order().await;
        if cursor.is_null() {
            assert_eq!(page, 6);
            break;
        }
    }
    assert_eq!(seen, newest_first);
}

#[tokio::test]
async fn pages_of_a_filtered_list_keep_to_the_filter() {
    let app = App::spawn().await;
    let mut paid = Vec::new();
    for _ in 0..5 {
        paid.insert(0, app.order_at("succeeded").await.id);
        app.create_order().await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = app
            .get(&format!("/v1/orders?status=succeeded&limit=2{after}"))
            .await
            .json();
        seen.extend(ids_in(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        after = format!("&cursor={cursor}");
    }
    assert_eq!(seen, paid);
}

#[tokio::test]
async fn a_page_has_50_orders_unless_another_limit_up_to_200_is_asked_for() {
    let app = App::spawn().await;
    for _ in 0..201 {
        app.create_order().await;
    }
    for (query, count, more) in [
        ("", 50, true),
        ("?limit=1", 1, true),
        ("?limit=200", 200, true),
        ("?limit=200&created_to=2001-01-01T00:00:00Z", 0, false),
    ] {
        let list = app.get(&format!("/v1/orders{query}")).await.json();
        assert_eq!(
            (ids_in(&list).len(), list["next_cursor"].is_string()),
            (count, more),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_page_that_holds_the_last_order_has_no_next_one() {
    let app = App::spawn().await;
    for _ in 0..4 {
        app.create_order().await;
    }
    let all = app.get("/v1/orders?limit=4").await.json();
    assert_eq!((ids_in(&all).len(), &all["next_cursor"]), (4, &Value::Null));
    let half = app.get("/v1/orders?limit=2").await.json();
    let rest = app
        .get(&format!(
            "/v1/orders?limit=2&cursor={}",
            half["next_cursor"].as_str().unwrap()
        ))
        .await
        .json();
    assert_eq!((ids_in(&rest).len(), &rest["next_cursor"]), (2, &Value::Null));
}

#[tokio::test]
async fn a_query_that_cannot_be_followed_is_refused_by_name() {
    let app = App::spawn().await;
    let order = app.order_at("processing").await;
    let log_cursor = app.get(&format!("/v1/orders/{}/events?limit=1", order.id)).await.json();
    let log_cursor = format!("cursor={}", log_cursor["next_cursor"].as_str().unwrap());
    let cases = [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=", "cursor"),
        ("cursor=junk", "cursor"),
        ("cursor=!!!", "cursor"),
        ("cursor=bwAAAAAAAAAAAAAAAAAAAAA%3D", "cursor"),
        (log_cursor.as_str(), "cursor"),
        ("status=", "status"),
        ("status=paid", "status"),
        ("status=pending,", "status"),
        ("status=pending,PENDING", "status"),
        ("status=%ff", "status"),
        ("status=pending&status=failed", "status"),
        ("out_trade_no=", "out_trade_no"),
        ("out_trade_no=a+b", "out_trade_no"),
        ("out_trade_no=%00", "out_trade_no"),
        ("out_trade_no=%E8%AE%A2", "out_trade_no"),
        ("created_from=yesterday", "created_from"),
        ("created_to=2026-02-30T00:00:00Z", "created_to"),
        ("updated_from=1767225600", "updated_from"),
        ("updated_to=", "updated_to"),
        (
            "created_from=2026-01-02T00:00:00Z&created_to=2026-01-01T00:00:00Z",
            "created_to",
        ),
        (
            "updated_from=2026-01-02T00:00:00Z&updated_to=2026-01-01T00:00:00Z",
            "updated_to",
        ),
        ("limit=1&limit=1", "limit"),
        ("state=pending", "state"),
        ("Status=pending", "Status"),
        ("offset=10", "offset"),
    ];
    for (query, field) in cases {
        let answer = app.get(&format!("/v1/orders?{query}")).await;
        assert!(!answer.invalid(field).is_empty(), "{query}");
    }
}

#[tokio::test]
async fn a_status_list_is_no_shorter_for_a_repeated_word() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    assert_eq!(app.listed("status=pending,pending").await, [order.id]);
}

#[tokio::test]
async fn a_list_shows_no_other_merchants_orders() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let other = app.key_of("other").await;
    for query in [
        String::new(),
        format!("?out_trade_no={}", order.out_trade_no),
        "?status=pending".into(),
    ] {
        let request = app.http.request(Method::GET, app.url(&format!("/v1/orders{query}")));
        let list = Answer::to(request.bearer_auth(&other)).await.json();
        assert_eq!(list, json!({ "data": [], "next_cursor": null }), "{query}");
    }
}
