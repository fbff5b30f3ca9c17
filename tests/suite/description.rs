//! `/openapi.json` describes what is served: the routes both ways, and real answers field by field.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::support::merchant::new_order;
use crate::support::schema::fits;
use crate::support::{Answer, App};

async fn description(app: &App) -> Value {
    let answer = Answer::to(app.http.get(app.url("/openapi.json"))).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    answer.json()
}

#[tokio::test]
async fn every_route_is_described_and_every_described_one_is_served() {
    let app = App::spawn().await;
    let description = description(&app).await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let described: BTreeSet<(String, String)> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(methods_of)
        .collect();
    let table = payquery::http::routes::table();
    let served = table
        .iter()
        // What is below /ws/ is SockJS, whose own protocol says it; the demo's pages are for people, and are not always there.
        .filter(|route| !["/openapi.json", "/docs"].contains(&route.path))
        .filter(|route| !route.path.starts_with("/ws/") && !route.path.starts_with("/demo"));
    let served: BTreeSet<(String, String)> = served
        .flat_map(|route| {
            route
                .allow
                .split(", ")
                .map(|method| (route.path.to_owned(), method.to_owned()))
        })
        .filter(|(_, method)| method != "HEAD")
        .collect();
    assert_eq!(described, served);
}

fn methods_of((path, item): (&String, &Value)) -> Vec<(String, String)> {
    let methods = item
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| ["get", "post", "put", "delete", "patch", "head"].contains(&&***key));
    methods.map(|method| (path.clone(), method.to_uppercase())).collect()
}

#[tokio::test]
async fn every_reference_in_the_description_leads_somewhere() {
    let app = App::spawn().await;
    let description = description(&app).await;
    let mut references = Vec::new();
    collect_references(&description, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        assert!(
            description.pointer(reference.strip_prefix('#').unwrap()).is_some(),
            "{reference}"
        );
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}

#[tokio::test]
async fn real_answers_have_the_described_form() {
    let app = App::spawn().await;
    let root = description(&app).await;
    let body = json!({
        "out_trade_no": "A-1", "amount": 1000, "currency": "CNY", "description": "Tea", "metadata": { "a": 1 },
    });
    for (expected, body) in [
        (201, &body),
        (200, &body),
        (409, &json!({ "out_trade_no": "A-1", "amount": 1, "currency": "CNY" })),
        (400, &json!({})),
    ] {
        let answer = app.post("/v1/orders", body).await;
        assert_eq!(answer.status, expected);
        fits(&root, "/v1/orders", "POST", &answer);
    }
    for key_body in ["K-1", "K-2"] {
        let answer = app
            .create_raw(&[("idempotency-key", "k")], &new_order(key_body).to_string())
            .await;
        fits(&root, "/v1/orders", "POST", &answer);
    }
    let order = app.order_at("processing").await;
    let (by_id, by_number) = ("/v1/orders/{id}", "/v1/orders/out-trade-no/{no}");
    for id in [order.id.clone(), Uuid::now_v7().to_string(), "x".into()] {
        for rest in ["", "/status", "/events"] {
            fits(
                &root,
                &format!("{by_id}{rest}"),
                "GET",
                &app.get(&format!("/v1/orders/{id}{rest}")).await,
            );
        }
        for status in ["processing", "succeeded", "closed", "junk"] {
            let path = format!("/v1/orders/{id}/status");
            fits(
                &root,
                &format!("{by_id}/status"),
                "PUT",
                &app.put(&path, &json!({ "status": status })).await,
            );
        }
    }
    for number in [&*order.out_trade_no, "nobody"] {
        fits(
            &root,
            by_number,
            "GET",
            &app.get(&format!("/v1/orders/out-trade-no/{number}")).await,
        );
        for status in ["refunded", "closed"] {
            let path = format!("/v1/orders/out-trade-no/{number}/status");
            fits(
                &root,
                &format!("{by_number}/status"),
                "PUT",
                &app.put(&path, &json!({ "status": status })).await,
            );
        }
    }
    fits(&root, "/v1/orders", "GET", &app.get("/v1/orders").await);
    fits(&root, "/v1/orders", "GET", &app.get("/v1/orders?limit=0").await);
    let names = json!({ "ids": [order.id, Uuid::now_v7()], "out_trade_nos": ["A-1", "nobody"] });
    fits(
        &root,
        "/v1/orders/statuses",
        "POST",
        &app.post("/v1/orders/statuses", &names).await,
    );
    fits(
        &root,
        "/v1/orders/statuses",
        "POST",
        &app.post("/v1/orders/statuses", &json!({})).await,
    );
    for path in ["/healthz", "/readyz"] {
        fits(&root, path, "GET", &app.get(path).await);
    }
}

#[tokio::test]
async fn the_feeds_answers_have_the_described_form() {
    let app = App::spawn().await;
    let root = description(&app).await;
    app.order_at("refunded").await;
    let ahead = "bICAgICAgIBAAA";
    for (query, status) in [
        ("", 200),
        ("after=now", 200),
        ("types=order.closed", 200),
        ("limit=x", 400),
    ] {
        let answer = app.feed(query).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        fits(&root, "/v1/events", "GET", &answer);
    }
    let refused = app.feed(&format!("after={ahead}")).await;
    refused.problem(409, "cursor_ahead");
    fits(&root, "/v1/events", "GET", &refused);
    let cursor = app.feed_page("").await.cursor;
    let forgotten =
        "insert into order_events_forgotten (merchant_id, xid, seq) select id, pg_current_xact_id(), 1 from merchants";
    app.pool.execute(forgotten).await.unwrap();
    let refused = app.feed(&format!("after={cursor}")).await;
    refused.problem(410, "cursor_expired");
    fits(&root, "/v1/events", "GET", &refused);
    for (accept, status) in [("application/x-ndjson", 200), ("text/plain", 406)] {
        let request = app.merchant(reqwest::Method::GET, "/v1/events");
        let answer = Answer::to(request.header("accept", accept)).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        fits(&root, "/v1/events", "GET", &answer);
    }
    let known = root["paths"]["/v1/events"]["get"]["parameters"].as_array().unwrap();
    let names: BTreeSet<_> = known
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["Prefer", "after", "limit", "types", "wait"]));
}

/// What takes handshakes, and credentials only after them.
const SOCKETS: [&str; 2] = ["/v1/ws", "/v1/echo"];

#[tokio::test]
async fn what_is_no_handshake_gets_a_described_answer_where_one_is_due() {
    let app = App::spawn().await;
    let root = description(&app).await;
    for path in SOCKETS {
        let refused = app.get(path).await;
        refused.problem(426, "handshake_due");
        fits(&root, path, "GET", &refused);
    }
}

#[tokio::test]
async fn refusals_before_the_route_is_reached_are_described_for_each_route() {
    let app = App::builder()
        // Nothing comes back while all routes are asked, one after the other.
        .flag("--merchant-rate", "0.001")
        .flag("--merchant-burst", "2")
        .spawn()
        .await;
    let root = description(&app).await;
    let id = Uuid::now_v7().to_string();
    let mut is_spent = false;
    for route in payquery::http::routes::table()
        .iter()
        .filter(|route| route.path.starts_with("/v1/") && !SOCKETS.contains(&route.path))
    {
        let path = route.path.replace("{id}", &id).replace("{no}", "A-1");
        for method in route.allow.split(", ").filter(|method| *method != "HEAD") {
            let ask = || app.http.request(method.parse().unwrap(), app.url(&path));
            let missing = Answer::to(ask()).await;
            missing.problem(401, "unauthorized");
            fits(&root, route.path, method, &missing);
            while !is_spent {
                is_spent = Answer::to(ask().bearer_auth(&app.api_key)).await.status == 429;
            }
            let limited = Answer::to(ask().bearer_auth(&app.api_key)).await;
            // A poll of no order is no order before it is anything else.
            if (route.path, method) != (payquery::http::routes::STATUS, "GET") {
                limited.problem(429, "quota_exceeded");
            }
            fits(&root, route.path, method, &limited);
        }
    }
}

#[tokio::test]
async fn a_schema_lists_every_member_of_what_it_describes() {
    let app = App::spawn().await;
    let root = description(&app).await;
    let order = app.order_at("succeeded").await;
    let rejected = app.try_report(&order, json!({ "status": "pending" })).await;
    let answers = [
        ("Order", app.read(&order).await),
        ("StatusDocument", app.ask(&order).send().await.json()),
        ("OrderEvent", app.events(&order).await.pop().unwrap()),
        ("Problem", rejected.json()),
    ];
    for (name, answer) in answers {
        let described = root["components"]["schemas"][name]["properties"].as_object().unwrap();
        let members: BTreeSet<_> = answer.as_object().unwrap().keys().collect();
        let described: BTreeSet<_> = described.keys().collect();
        let optional = ["field", "violated-policies", "request_id"];
        let missing: Vec<_> = described
            .difference(&members)
            .filter(|name| !optional.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "{name} has no {missing:?}");
        assert!(members.is_subset(&described), "{name}: {members:?}");
    }
}

#[tokio::test]
async fn the_described_requests_are_taken() {
    let app = App::spawn().await;
    let root = description(&app).await;
    let mut example = serde_json::Map::new();
    for (name, schema) in root["components"]["schemas"]["NewOrder"]["properties"]
        .as_object()
        .unwrap()
    {
        if schema.get("example").is_some() {
            example.insert(name.clone(), schema["example"].clone());
        }
    }
    let created = app.post("/v1/orders", &Value::Object(example)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let words = root["components"]["schemas"]["TradeState"]["enum"].as_array().unwrap();
    assert_eq!(words.len(), 12);
    for word in words {
        let order = app.create_order().await;
        let status = app.try_report(&order, json!({ "trade_state": word })).await.status;
        assert!([200, 409].contains(&status), "{word}: {status}");
    }
}
