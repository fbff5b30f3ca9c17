//! The API of webhook endpoints: what it takes, what it refuses, and whom it shows what.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::support::webhooks::ENDPOINTS;
use crate::support::{Answer, App, Receiver, Reply, eventually};

const URL: &str = "https://shop.example.com/payquery?a=b";

#[tokio::test]
async fn an_endpoint_is_created_read_changed_and_listed_and_its_secret_shown_once() {
    let app = App::spawn().await;
    let created = app
        .post(
            ENDPOINTS,
            &json!({ "url": URL, "events": ["order.succeeded", "order.created"] }),
        )
        .await;
    assert_eq!(
        (created.status, created.header("cache-control")),
        (201, "no-store"),
        "{}",
        created.text
    );
    let mut shown = created.json();
    let id = shown["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{ENDPOINTS}/{id}"));
    let secret = shown["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(
        (&shown["url"], &shown["events"], &shown["enabled"]),
        (&json!(URL), &json!(["order.created", "order.succeeded"]), &json!(true))
    );
    let path = format!("{ENDPOINTS}/{id}");
    assert_eq!(app.get(&path).await.json(), shown);
    assert_eq!(
        app.get(ENDPOINTS).await.json(),
        json!({ "data": [shown], "next_cursor": null })
    );
    let changed = app
        .patch(&path, &json!({ "url": "https://other.example/" }))
        .await
        .json();
    assert_eq!(
        (&changed["url"], &changed["events"]),
        (&json!("https://other.example/"), &shown["events"])
    );
    let unchanged = app.patch(&path, &json!({})).await.json();
    assert_eq!(unchanged["url"], changed["url"]);
    let rotated = app.post(&format!("{path}/rotate-secret"), &json!({})).await;
    assert_eq!(rotated.header("cache-control"), "no-store");
    assert_ne!(rotated.json()["secret"], json!(secret));
    for answer in [
        app.get(&path).await,
        app.get(ENDPOINTS).await,
        app.patch(&path, &json!({})).await,
    ] {
        assert!(!answer.text.contains("whsec_"), "{}", answer.text);
    }
    let deleted = Answer::to(app.merchant(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, 204);
    let again = Answer::to(app.merchant(Method::DELETE, &path)).await;
    again.problem(404, "webhook_endpoint_not_found");
}

#[tokio::test]
async fn each_field_that_is_not_as_it_must_be_is_named() {
    let app = App::spawn().await;
    let endpoint = app.create_endpoint_with(json!({ "url": URL })).await;
    let cases = [
        (json!({ "url": 7 }), "url"),
        (json!({ "url": "" }), "url"),
        (json!({ "url": "shop.example.com" }), "url"),
        (json!({ "url": "ftp://shop.example.com/" }), "url"),
        (json!({ "url": "http://shop.example.com/" }), "url"),
        (json!({ "url": "https://user:word@shop.example.com/" }), "url"),
        (json!({ "url": "https://shop.example.com/#a" }), "url"),
        (json!({ "url": "https://shop.example.com:99999/" }), "url"),
        (json!({ "url": "https://127.0.0.1/" }), "url"),
        (
            json!({ "url": format!("https://a.example/{}", "x".repeat(2048)) }),
            "url",
        ),
        (json!({ "url": "https://a.example/\u{0}" }), "url"),
        (json!({ "url": URL, "events": [] }), "events"),
        (json!({ "url": URL, "events": ["order.paid"] }), "events"),
        (json!({ "url": URL, "events": "order.succeeded" }), "events"),
        (json!({ "url": URL, "events": [7] }), "events[0]"),
        (json!({ "url": URL, "colour": 1 }), "colour"),
        (json!({ "url": URL, "secret": "whsec_AAAA" }), "secret"),
    ];
    for (body, field) in &cases {
        app.post(ENDPOINTS, body).await.invalid(field);
        app.patch(&endpoint.path(""), body).await.invalid(field);
    }
    app.post(ENDPOINTS, &json!({ "events": null })).await.invalid("url");
    app.patch(&endpoint.path(""), &json!({ "enabled": "no" }))
        .await
        .invalid("enabled");
    assert_eq!(app.endpoint(&endpoint).await["url"], URL, "nothing was changed");
    assert_eq!(app.get(ENDPOINTS).await.json()["data"].as_array().unwrap().len(), 1);
    for path in ["/x", "/0", "/00000000000000000000000000000000"] {
        app.get(&format!("{ENDPOINTS}{path}")).await.invalid("id");
    }
    let junk = format!("{ENDPOINTS}/{}/deliveries/x/resend", endpoint.id);
    app.post(&junk, &json!({})).await.invalid("delivery");
    for (query, field) in [
        ("state=done", "state"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=ZQAAAAAAAAAA", "cursor"),
        ("status=failed", "status"),
        ("state=failed&state=failed", "state"),
    ] {
        app.get(&endpoint.path(&format!("/deliveries?{query}")))
            .await
            .invalid(field);
    }
}

#[tokio::test]
async fn a_merchant_has_twenty_endpoints_at_most_also_when_it_asks_at_once() {
    let app = App::spawn().await;
    let body = json!({ "url": URL });
    let asked = futures_util::future::join_all((0..30).map(|_| app.post(ENDPOINTS, &body))).await;
    let (created, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((created.len(), refused.len()), (20, 10));
    for answer in refused {
        answer.problem(409, "too_many_webhook_endpoints");
    }
    let path = format!("{ENDPOINTS}/{}", created[0].json()["id"].as_str().unwrap());
    assert_eq!(Answer::to(app.merchant(Method::DELETE, &path)).await.status, 204);
    assert_eq!(app.post(ENDPOINTS, &body).await.status, 201);
    // Another merchant's are counted apart.
    let other = app.key_of("other").await;
    let theirs = app.http.post(app.url(ENDPOINTS)).bearer_auth(other).json(&body);
    assert_eq!(Answer::to(theirs).await.status, 201);
}

#[tokio::test]
async fn another_tenants_endpoint_answers_every_call_as_one_that_is_not_there() {
    let app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let delivery = app.try_endpoint(&endpoint).await["id"].as_str().unwrap().to_owned();
    let other = app.key_of("other").await;
    let since = json!({ "since": crate::support::merchant::rfc3339(crate::support::merchant::now_ms()) });
    let nobody = Uuid::now_v7().to_string();
    let calls = |id: &str| {
        vec![
            (Method::GET, format!("{ENDPOINTS}/{id}"), Value::Null),
            (Method::PATCH, format!("{ENDPOINTS}/{id}"), json!({ "enabled": false })),
            (Method::DELETE, format!("{ENDPOINTS}/{id}"), Value::Null),
            (Method::POST, format!("{ENDPOINTS}/{id}/rotate-secret"), Value::Null),
            (Method::POST, format!("{ENDPOINTS}/{id}/test"), Value::Null),
            (Method::POST, format!("{ENDPOINTS}/{id}/recover"), since.clone()),
            (Method::GET, format!("{ENDPOINTS}/{id}/deliveries"), Value::Null),
            (
                Method::POST,
                format!("{ENDPOINTS}/{id}/deliveries/{delivery}/resend"),
                Value::Null,
            ),
        ]
    };
    for (theirs, none) in calls(&endpoint.id).into_iter().zip(calls(&nobody)) {
        let mut faces = Vec::new();
        for (method, path, body) in [theirs.clone(), none] {
            let mut request = app.http.request(method, app.url(&path)).bearer_auth(&other);
            if !body.is_null() {
                request = request.json(&body);
            }
            let answer = Answer::to(request).await;
            let mut problem = answer.problem(404, "webhook_endpoint_not_found");
            problem.as_object_mut().unwrap().remove("request_id");
            faces.push(problem);
        }
        assert_eq!(faces[0], faces[1], "{theirs:?}");
    }
    let list = app.http.get(app.url(ENDPOINTS)).bearer_auth(&other);
    assert_eq!(Answer::to(list).await.json()["data"], json!([]));
    // Nor does another endpoint of one's own reach it.
    let second = app.create_endpoint(&receiver).await;
    app.post(&second.path(&format!("/deliveries/{delivery}/resend")), &json!({}))
        .await
        .problem(404, "delivery_not_found");
    assert_eq!(app.endpoint(&endpoint).await["enabled"], true);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_page_by_page_and_by_state() {
    let app = App::builder().webhooks("10ms").spawn().await;
    let receiver = Receiver::start(|request| {
        crate::support::Reply::status(if request.kind() == "order.created" { 500 } else { 200 })
    })
    .await;
    let endpoint = app.create_endpoint(&receiver).await;
    for _ in 0..3 {
        app.order_at("succeeded").await;
    }
    let all = app.wait_for_deliveries(&endpoint, 6).await;
    let ids = |list: &[Value]| {
        list.iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut newest_first = ids(&all);
    newest_first.sort_by(|a, b| b.cmp(a));
    assert_eq!(ids(&all), newest_first);
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .get(&endpoint.path(&format!("/deliveries?limit=4{cursor}")))
            .await
            .json();
        paged.extend(ids(page["data"].as_array().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, ids(&all));
    for (state, kind) in [("failed", "order.created"), ("delivered", "order.succeeded")] {
        let page = app
            .get(&endpoint.path(&format!("/deliveries?state={state}")))
            .await
            .json();
        let list = page["data"].as_array().unwrap();
        assert_eq!(list.len(), 3);
        assert!(
            list.iter().all(|it| it["state"] == state && it["type"] == kind),
            "{page}"
        );
    }
    assert_eq!(
        app.get(&endpoint.path("/deliveries?state=pending")).await.json()["data"],
        json!([])
    );
}

#[tokio::test]
async fn a_list_shows_deliveries_and_their_attempts_as_they_were_at_one_moment() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-timeout", "60")
        .spawn()
        .await;
    let receiver = Receiver::start(|_| Reply::Never).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    receiver.wait_for(1).await;
    // Between a look at the deliveries and one at their attempts the delivery is done.
    let mut marking = app.database.connect().await;
    marking
        .execute("begin; lock table webhook_attempts in access exclusive mode")
        .await
        .unwrap();
    let (deliveries, ()) = tokio::join!(app.deliveries(&endpoint), async {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let waiting = async || {
            sqlx::query_scalar::<_, i64>(waiting)
                .fetch_one(&app.pool)
                .await
                .unwrap()
        };
        eventually(waiting, |waiting| *waiting == 1).await;
        marking
            .execute(
                "insert into webhook_attempts (delivery_id, number, at, duration_ms, status)
                 select id, 1, now(), 5, 200 from webhook_deliveries;
                 update webhook_deliveries set state = 'delivered', due_at = null, claim = null, done_at = now();
                 commit",
            )
            .await
            .unwrap();
    });
    assert_eq!(
        (&deliveries[0]["state"], &deliveries[0]["attempts"]),
        (&json!("pending"), &json!([]))
    );
    let now = app.deliveries(&endpoint).await;
    assert_eq!(
        (&now[0]["state"], &now[0]["attempts"][0]["status"]),
        (&json!("delivered"), &json!(200))
    );
}
