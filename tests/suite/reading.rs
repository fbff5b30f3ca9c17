//! Reading an order by its id and by the merchant's own number.

use reqwest::Method;
use uuid::Uuid;

use crate::support::merchant::STATUSES;
use crate::support::{Answer, App, Order};

fn paths_of(order: &Order) -> [String; 2] {
    [
        format!("/v1/orders/{}", order.id),
        format!("/v1/orders/out-trade-no/{}", order.out_trade_no),
    ]
}

#[tokio::test]
async fn an_order_reads_the_same_by_id_and_by_number_with_its_version_as_etag() {
    let app = App::spawn().await;
    for (status, version) in STATUSES.into_iter().zip([1, 2, 2, 2, 2, 3]) {
        let order = app.order_at(status).await;
        let [by_id, by_number] = paths_of(&order);
        let (by_id, by_number) = (app.get(&by_id).await, app.get(&by_number).await);
        assert_eq!((by_id.status, by_number.status), (200, 200));
        assert_eq!(by_id.text, by_number.text);
        for answer in [by_id, by_number] {
            assert_eq!((&answer.json()["status"], answer.version()), (&status.into(), version));
            assert_eq!(answer.header("etag"), format!("\"{version}\""));
            assert_eq!(answer.header("cache-control"), "private, no-cache");
        }
    }
}

#[tokio::test]
async fn a_report_answers_the_order_as_it_then_reads() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let reported = app.report(&order, "processing").await;
    assert_eq!(reported, app.read(&order).await);
}

#[tokio::test]
async fn an_order_that_has_not_moved_on_is_answered_with_304() {
    let app = App::spawn().await;
    let order = app.order_at("processing").await;
    let cases = [
        ("\"2\"", 304),
        ("W/\"2\"", 304),
        ("\"1\", W/\"7\" ,\"2\"", 304),
        ("*", 304),
        ("\"1\"", 200),
        ("\"20\"", 200),
        ("2", 200),
    ];
    for path in paths_of(&order) {
        for (tags, status) in cases {
            let answer = Answer::to(app.merchant(Method::GET, &path).header("if-none-match", tags)).await;
            assert_eq!((answer.status, answer.header("etag")), (status, "\"2\""), "{tags}");
            assert_eq!(answer.header("cache-control"), "private, no-cache");
            assert_eq!(answer.text.is_empty(), status == 304, "{tags}");
        }
    }
    app.report(&order, "succeeded").await;
    let moved = Answer::to(
        app.merchant(Method::GET, &paths_of(&order)[0])
            .header("if-none-match", "\"2\""),
    )
    .await;
    assert_eq!((moved.status, moved.version()), (200, 3));
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_a_get_and_no_body() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let events = format!("/v1/orders/{}/events", order.id);
    for path in paths_of(&order).into_iter().chain([events, "/v1/orders".into()]) {
        let (get, head) = (
            app.get(&path).await,
            Answer::to(app.merchant(Method::HEAD, &path)).await,
        );
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
        for name in ["etag", "content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn an_order_that_is_not_there_is_a_404() {
    let app = App::spawn().await;
    for name in [
        Uuid::now_v7().to_string(),
        Uuid::nil().to_string(),
        "out-trade-no/nobody".into(),
    ] {
        app.get(&format!("/v1/orders/{name}"))
            .await
            .problem(404, "order_not_found");
        let path = format!("/v1/orders/{name}/status");
        app.put(&path, &serde_json::json!({ "status": "succeeded" }))
            .await
            .problem(404, "order_not_found");
    }
    app.get(&format!("/v1/orders/{}/events", Uuid::now_v7()))
        .await
        .problem(404, "order_not_found");
}

#[tokio::test]
async fn a_merchants_own_precondition_never_hides_that_there_is_no_order() {
    let app = App::spawn().await;
    let path = format!("/v1/orders/{}", Uuid::now_v7());
    let answer = Answer::to(app.merchant(Method::GET, &path).header("if-none-match", "*")).await;
    answer.problem(404, "order_not_found");
}
