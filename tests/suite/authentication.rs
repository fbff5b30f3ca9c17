//! API keys: what opens, what does not, and how soon a revoked one is refused.

use std::time::{Duration, Instant};

use payquery::service::authenticate::{list_keys, revoke_key};
use reqwest::header::HeaderValue;
use serde_json::json;
use uuid::Uuid;

use crate::support::merchant::{new_order, now_ms};
use crate::support::{Answer, App, eventually};

/// Lists orders with this `Authorization`.
async fn list_with(app: &App, authorization: impl Into<Vec<u8>>) -> Answer {
    let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(authorization.into())).unwrap();
    Answer::to(app.http.get(app.url("/v1/orders")).header("authorization", value)).await
}

async fn list_with_key(app: &App, key: &str) -> Answer {
    list_with(app, format!("Bearer {key}")).await
}

/// The id of the merchant's only key.
async fn key_id_of(app: &App, merchant: &str) -> Uuid {
    let keys = list_keys(&app.pool, Some(merchant)).await.unwrap();
    assert_eq!(keys.len(), 1);
    keys[0].key_id
}

#[tokio::test]
async fn a_request_without_a_key_that_opens_is_a_401() {
    let app = App::spawn().await;
    let key = app.api_key.clone();
    let mut mistyped = key.clone().into_bytes();
    mistyped[20] = if mistyped[20] == b'A' { b'B' } else { b'A' };
    let mistyped = String::from_utf8(mistyped).unwrap();
    let foreign = App::spawn().await.api_key.clone();
    let odd = [
        "",
        "Bearer",
        "Bearer ",
        "bearer",
        "Basic cXVlcnk6cGF5",
        "Token abc",
        "Bearer pqk_",
        "Bearer pqs_abc",
        "Bearer null",
        "Bearer pqk_%00",
        "Digest username=\"x\"",
    ];
    let made = [
        key.clone(),
        format!("Bearer{key}"),
        format!("Basic {key}"),
        format!("Bearer \"{key}\""),
        format!("Bearer {}", key.to_uppercase()),
        format!("Bearer {key}x"),
        format!("Bearer {}", &key[..key.len() - 1]),
        format!("Bearer {key},{key}"),
        format!("Bearer {key} {key}"),
        format!("Bearer {mistyped}"),
        format!("Bearer {foreign}"),
        format!("Bearer pqk_{}", "0".repeat(100_000)),
    ];
    for authorization in odd.into_iter().map(str::to_owned).chain(made) {
        let answer = list_with(&app, authorization.clone()).await;
        answer.problem(401, "unauthorized");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"payquery\"",
            "{authorization}"
        );
        assert!(!answer.text.contains(&key), "{}", answer.text);
    }
    Answer::to(app.http.get(app.url("/v1/orders")))
        .await
        .problem(401, "unauthorized");
    list_with(&app, b"Bearer \xff\xfe".to_vec())
        .await
        .problem(401, "unauthorized");
    assert_eq!(list_with_key(&app, &key).await.status, 200);
}

#[tokio::test]
async fn the_word_bearer_is_read_in_any_case() {
    let app = App::spawn().await;
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        assert_eq!(
            list_with(&app, format!("{scheme} {}", app.api_key)).await.status,
            200,
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn every_merchant_route_asks_for_the_key_before_it_looks_at_anything_else() {
    let app = App::spawn().await;
    let id = Uuid::now_v7();
    for (method, path) in [
        ("GET", "/v1/orders?limit=junk".to_owned()),
        ("POST", "/v1/orders".into()),
        ("POST", "/v1/orders/statuses".into()),
        ("GET", format!("/v1/orders/{id}")),
        ("GET", "/v1/orders/junk".into()),
        ("GET", "/v1/orders/out-trade-no/A-1".into()),
        ("PUT", format!("/v1/orders/{id}/status")),
        ("PUT", "/v1/orders/junk/status".into()),
        ("PUT", "/v1/orders/out-trade-no/A-1/status".into()),
        ("GET", format!("/v1/orders/{id}/events")),
    ] {
        let method = method.parse().unwrap();
        let request = app
            .http
            .request(method, app.url(&path))
            .header("content-type", "application/json");
        Answer::to(request.body("{")).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn several_keys_of_a_merchant_open_the_same_orders() {
    let app = App::spawn().await;
    let second = app.key_of("acme").await;
    assert_ne!(second, app.api_key);
    let order = app.create_order().await;
    let list = list_with_key(&app, &second).await;
    assert_eq!(list.json()["data"][0]["id"], order.id.as_str());
    let again = app
        .http
        .post(app.url("/v1/orders"))
        .bearer_auth(&second)
        .json(&new_order(&order.out_trade_no));
    assert_eq!(Answer::to(again).await.status, 200);
}

#[tokio::test]
async fn a_key_that_is_revoked_while_the_service_runs_is_refused_within_seconds() {
    let app = App::spawn().await;
    let (revoked, kept) = (app.key_of("other").await, app.key_of("third").await);
    for key in [&revoked, &kept] {
        assert_eq!(list_with_key(&app, key).await.status, 200);
    }
    assert!(revoke_key(&app.pool, key_id_of(&app, "other").await).await.unwrap());
    let start = Instant::now();
    let refused = eventually(
        async || list_with_key(&app, &revoked).await,
        |answer| answer.status != 200,
    )
    .await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    refused.problem(401, "unauthorized");
    list_with_key(&app, &revoked).await.problem(401, "unauthorized");
    for key in [&kept, &app.api_key] {
        assert_eq!(list_with_key(&app, key).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_before_it_was_ever_used_is_refused_at_once() {
    let app = App::spawn().await;
    let key = app.key_of("other").await;
    assert!(revoke_key(&app.pool, key_id_of(&app, "other").await).await.unwrap());
    list_with_key(&app, &key).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_revoked_key_closes_the_status_of_its_merchants_orders_too() {
    let app = App::spawn().await;
    let key = app.key_of("other").await;
    let created = app
        .http
        .post(app.url("/v1/orders"))
        .bearer_auth(&key)
        .json(&new_order("A-1"));
    let id = Answer::to(created).await.json()["id"].as_str().unwrap().to_owned();
    let poll = async || {
        Answer::to(
            app.http
                .get(app.url(&format!("/v1/orders/{id}/status")))
                .bearer_auth(&key),
        )
        .await
    };
    assert_eq!(poll().await.status, 200);
    assert!(revoke_key(&app.pool, key_id_of(&app, "other").await).await.unwrap());
    eventually(poll, |answer| answer.status != 200)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn the_last_use_of_a_key_is_shown() {
    let app = App::spawn().await;
    let key = app.key_of("other").await;
    let last_use = async || list_keys(&app.pool, Some("other")).await.unwrap()[0].last_used_at;
    assert_eq!(last_use().await, None);
    let before = now_ms();
    list_with_key(&app, &key).await;
    let first = eventually(last_use, Option::is_some).await.unwrap();
    assert!((before..=now_ms()).contains(&first.unix_ms()), "{first}");
    list_with_key(&app, &key).await;
    eventually(last_use, |at| at.unwrap() > first).await;
}

#[tokio::test]
async fn a_client_secret_opens_no_merchant_route_and_reports_nothing() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (id, number) = (&order.id, &order.out_trade_no);
    for (method, path, body) in [
        ("GET", "/v1/orders".to_owned(), json!(null)),
        ("POST", "/v1/orders".into(), new_order("A-1")),
        ("POST", "/v1/orders/statuses".into(), json!({ "ids": [id] })),
        ("GET", format!("/v1/orders/{id}"), json!(null)),
        ("GET", format!("/v1/orders/out-trade-no/{number}"), json!(null)),
        ("GET", format!("/v1/orders/{id}/events"), json!(null)),
        (
            "PUT",
            format!("/v1/orders/{id}/status"),
            json!({ "status": "succeeded" }),
        ),
        (
            "PUT",
            format!("/v1/orders/out-trade-no/{number}/status"),
            json!({ "status": "succeeded" }),
        ),
    ] {
        let request = app.http.request(method.parse().unwrap(), app.url(&path)).json(&body);
        let in_query = request.try_clone().unwrap().query(&[("client_secret", &order.secret)]);
        Answer::to(request.bearer_auth(&order.secret))
            .await
            .problem(401, "unauthorized");
        Answer::to(in_query).await.problem(401, "unauthorized");
    }
    assert_eq!(app.read(&order).await["version"], 1);
    assert_eq!(app.listed("").await.len(), 1);
}
