//! The demo's pages: there with `--demo` only, for their own pages only, and for the merchant "demo" only.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, App, Order};

const FAKE_ID: &str = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

async fn demo() -> App {
    App::builder().demo().spawn().await
}

async fn get(app: &App, path: &str) -> Answer {
    Answer::to(app.http.get(app.url(path))).await
}

/// A request as the demo's own page sends it.
fn press(app: &App, path: &str, body: &Value) -> RequestBuilder {
    app.http.post(app.url(path)).header("origin", app.url("")).json(body)
}

async fn create(app: &App) -> (Order, Value) {
    let answer = Answer::to(press(
        app,
        "/demo/orders",
        &json!({ "amount": 1000, "expires_in": 600 }),
    ))
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    let order = Order {
        id: text("order_id"),
        secret: text("client_secret"),
        out_trade_no: text("out_trade_no"),
    };
    (order, body)
}

fn action_path(id: &str) -> String {
    format!("/demo/orders/{id}/actions")
}

async fn act(app: &App, order: &Order, action: &str) -> Answer {
    let request = press(app, &action_path(&order.id), &json!({ "action": action }));
    Answer::to(request.bearer_auth(&order.secret)).await
}

#[tokio::test]
async fn without_demo_there_is_nothing_at_its_paths() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for path in [
        "/demo",
        "/demo/",
        "/demo/pay/x",
        "/demo/assets/demo.css",
        "/demo/orders",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let request = app.http.request(method, app.url(path)).header("origin", app.url(""));
            Answer::to(request).await.problem(404, "route_not_found");
        }
    }
    act(&app, &order, "pay").await.problem(404, "route_not_found");
    assert_eq!(app.ask(&order).send().await.version(), 1);
}

/// What a page or script of the demo asks for besides itself.
fn assets_of(text: &str) -> BTreeSet<String> {
    let quoted = text.split(['"', '\'']).filter(|part| part.starts_with("/demo/assets/"));
    quoted.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_pages_are_whole_and_run_nothing_but_their_own_files() {
    let app = demo().await;
    let mut asked = BTreeSet::from(["/demo".to_owned(), format!("/demo/pay/{FAKE_ID}")]);
    let mut seen = BTreeSet::new();
    while let Some(path) = asked.pop_first() {
        let answer = get(&app, &path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!answer.has_header("access-control-allow-origin"), "{path}");
        for other in ["http://", "https://", "<style", " style=", " onclick=", "pqk_"] {
            assert!(!answer.text.contains(other), "{path} has {other}");
        }
        let inline = answer.text.replace("<script type=\"module\" src=", "");
        assert!(!inline.contains("<script"), "{path}");
        let new = assets_of(&answer.text).into_iter();
        asked.extend(new.filter(|asset| !seen.contains(asset)));
        seen.insert(path);
    }
    assert_eq!(seen.len(), 8, "two pages, a style sheet, five scripts: {seen:?}");
    get(&app, "/demo/assets/demo.rs").await.problem(404, "route_not_found");
    Answer::to(app.http.delete(app.url("/demo")))
        .await
        .problem(405, "method_not_allowed");
}

#[tokio::test]
async fn an_order_is_created_with_a_link_to_pay_and_paid_by_a_press() {
    let app = demo().await;
    let (order, body) = create(&app).await;
    let link = format!("{}/demo/pay/{}#{}", app.url(""), order.id, order.secret);
    assert_eq!(body["pay_url"], link);
    assert!(body["qr"].as_str().unwrap().starts_with("<svg "), "{body}");
    assert_eq!(app.ask(&order).send().await.json()["status"], "pending");
    let held = app.ask(&order).query("until", "final").query("wait", 25).spawn();
    for _ in 0..2 {
        let paid = act(&app, &order, "pay").await;
        assert_eq!((paid.status, paid.version()), (200, 2), "{}", paid.text);
    }
    assert_eq!(held.await.unwrap().json()["status"], "succeeded");
    let refunded = act(&app, &order, "refund").await;
    assert_eq!(
        (refunded.version(), &refunded.json()["status"]),
        (3, &json!("refunded"))
    );
}

#[tokio::test]
async fn a_payment_after_the_close_is_late() {
    let app = demo().await;
    let (order, _) = create(&app).await;
    assert_eq!(act(&app, &order, "close").await.json()["status"], "closed");
    let late = act(&app, &order, "pay").await.json();
    assert_eq!((&late["status"], &late["late"]), (&json!("succeeded"), &json!(true)));
}

#[tokio::test]
async fn bad_input_is_named() {
    let app = demo().await;
    for (body, field) in [
        (json!({ "amount": 0, "expires_in": 600 }), "amount"),
        (json!({ "amount": -1, "expires_in": 600 }), "amount"),
        (json!({ "amount": "10", "expires_in": 600 }), "amount"),
        (json!({ "expires_in": 600 }), "amount"),
        (json!({ "amount": 1 }), "expires_in"),
        (json!({ "amount": 1, "expires_in": 4 }), "expires_in"),
        (json!({ "amount": 1, "expires_in": 3601 }), "expires_in"),
        (json!({ "amount": 1, "expires_in": 600, "metadata": {} }), "metadata"),
        (json!([]), "body"),
    ] {
        Answer::to(press(&app, "/demo/orders", &body)).await.invalid(field);
    }
    let (order, _) = create(&app).await;
    act(&app, &order, "steal").await.invalid("action");
    act(&app, &order, "refund").await.problem(409, "illegal_transition");
    let nowhere = press(&app, &action_path("x"), &json!({ "action": "pay" }));
    Answer::to(nowhere.bearer_auth(&order.secret)).await.invalid("id");
    let as_form = app.http.post(app.url("/demo/orders")).header("origin", app.url(""));
    let answer = Answer::to(
        as_form
            .header("content-type", "text/plain")
            .body("{\"amount\":1,\"expires_in\":60}"),
    )
    .await;
    answer.problem(415, "unsupported_media_type");
    let long = press(&app, "/demo/orders", &json!({ "amount": 1, "x": "x".repeat(70_000) }));
    Answer::to(long).await.problem(413, "body_too_large");
    assert_eq!(app.ask(&order).send().await.version(), 1);
}

#[tokio::test]
async fn an_order_is_reported_on_only_with_its_own_secret_and_only_if_it_is_the_demos() {
    let app = demo().await;
    let ((order, _), foreign) = (create(&app).await, app.create_order().await);
    let path = action_path(&order.id);
    let pay = json!({ "action": "pay" });
    Answer::to(press(&app, &path, &pay)).await.problem(401, "unauthorized");
    for token in [&foreign.secret, &app.api_key, "pqs_wrong"] {
        let answer = Answer::to(press(&app, &path, &pay).bearer_auth(token)).await;
        answer.problem(404, "order_not_found");
    }
    // Its own secret opens the other merchant's order, and so does the key; the demo still has no say in it.
    act(&app, &foreign, "pay").await.problem(404, "order_not_found");
    let with_key = press(&app, &action_path(&foreign.id), &pay).bearer_auth(&app.api_key);
    Answer::to(with_key).await.problem(404, "order_not_found");
    for order in [&order, &foreign] {
        assert_eq!(app.ask(order).send().await.version(), 1);
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let app = demo().await;
    let (order, _) = create(&app).await;
    let own = app.url("");
    for (origin, site) in [
        (None, None),
        (None, Some("same-origin")),
        (Some("null"), None),
        (Some("http://evil.example"), None),
        (Some(&*own), Some("cross-site")),
        (Some(&*own), Some("same-site")),
    ] {
        let paths = [
            ("/demo/orders".to_owned(), json!({ "amount": 1, "expires_in": 60 })),
            (action_path(&order.id), json!({ "action": "pay" })),
        ];
        for (path, body) in paths {
            let mut request = app.http.post(app.url(&path)).json(&body).bearer_auth(&order.secret);
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                request = value
                    .into_iter()
                    .fold(request, |request, value| request.header(name, value));
            }
            let answer = Answer::to(request).await;
            answer.problem(403, "origin_refused");
            assert!(!answer.has_header("access-control-allow-origin"));
        }
    }
    let preflight = app.http.request(Method::OPTIONS, app.url("/demo/orders"));
    let preflight = preflight
        .header("origin", "http://evil.example")
        .header("access-control-request-method", "POST");
    let answer = Answer::to(preflight).await;
    answer.problem(405, "method_not_allowed");
    assert!(!answer.has_header("access-control-allow-origin"));
    assert_eq!(app.ask(&order).send().await.version(), 1);
}

#[tokio::test]
async fn whoever_presses_too_often_has_to_wait() {
    let app = demo().await;
    let body = json!({ "amount": 0, "expires_in": 60 });
    let mut answers = Vec::new();
    while answers.len() < 200 {
        answers.push(Answer::to(press(&app, "/demo/orders", &body)).await);
        if answers.last().is_some_and(|answer| answer.status == 429) {
            break;
        }
    }
    let last = answers.last().unwrap();
    last.problem(429, "quota_exceeded");
    assert!(last.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert!(answers.len() > 20, "{}", answers.len());
}
