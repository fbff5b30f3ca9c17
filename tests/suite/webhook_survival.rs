//! Rows that no version of payquery writes, or that only a newer one does: they stop nobody.

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::rabbit::Rabbit;
use crate::support::{App, Receiver, Reply, TestDatabase, VirtualHost, eventually};

#[tokio::test]
async fn an_endpoint_whose_url_is_none_any_more_fails_alone_and_is_disabled() {
    let app = App::spawn_with_webhooks().await;
    let (receiver, other) = (Receiver::start_willing().await, Receiver::start_willing().await);
    let (spoilt, well) = (app.create_endpoint(&receiver).await, app.create_endpoint(&other).await);
    for url in ["gopher://127.0.0.1/", "no url"] {
        let before = other.received().len();
        app.patch(&spoilt.path(""), &json!({ "url": receiver.url, "enabled": true }))
            .await;
        sqlx::query("update webhook_endpoints set url = $1 where id = $2::text::uuid")
            .bind(url)
            .bind(&spoilt.id)
            .execute(&app.pool)
            .await
            .unwrap();
        let order = app.create_order().await;
        assert_eq!(other.wait_for_order(&order.id).await.kind(), "order.created");
        let shown = eventually(async || app.endpoint(&spoilt).await, |it| !it["disabled_at"].is_null()).await;
        assert_eq!(
            (&shown["disabled_reason"], &shown["url"]),
            (&json!("failing"), &json!(url))
        );
        let of_order = |deliveries: &Vec<Value>| {
            let mut of_order = deliveries.iter().filter(|it| it["order_id"] == json!(order.id));
            of_order.next().is_some_and(|it| it["state"] == "failed")
        };
        let deliveries = eventually(async || app.deliveries(&spoilt).await, of_order).await;
        assert_eq!(deliveries[0]["attempts"][0]["error"], "invalid_url", "{deliveries:?}");
        let told = other.wait_for(before + 2).await;
        assert_eq!(told[before + 1].kind(), "webhook_endpoint.disabled");
        assert_eq!(told[before + 1].json()["data"]["url"], url);
    }
    assert!(receiver.received().is_empty());
    // Its merchant sees it, and mends it.
    let mended = app
        .patch(&spoilt.path(""), &json!({ "url": receiver.url, "enabled": true }))
        .await;
    assert_eq!((mended.status, &mended.json()["url"]), (200, &json!(receiver.url)));
    assert_eq!(app.try_endpoint(&spoilt).await["state"], "delivered");
    assert_eq!(app.try_endpoint(&well).await["state"], "delivered");
}

/// What a replica of a newer version may write, between two events of today's.
async fn write_foreign_events(app: &App, order: &str) {
    for (kind, order, source, status) in [
        ("order.disputed", Some(order), "merchant", Some("succeeded")),
        ("merchant.renamed", None, "service", None),
        ("order.succeeded", Some(order), "astrologer", Some("succeeded")),
        ("order.frozen", Some(order), "merchant", Some("frozen")),
    ] {
        sqlx::query(
            "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at, data)
             select gen_random_uuid(), $1, $2::text::uuid, m.id, case when $2 is not null then 'X' end,
                    case when $2 is not null then 1 end, $4, $3, true, now(), '{}'
             from merchants m where m.name = 'acme'",
        )
        .bind(kind)
        .bind(order)
        .bind(source)
        .bind(status)
        .execute(&app.pool)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn events_that_only_a_newer_version_knows_are_passed_on_or_over_and_stop_no_reader() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let app = App::builder()
        .webhooks("1h")
        .flag("--amqp-url", &host.url)
        .spawn()
        .await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let before = app.create_order().await;
    receiver.wait_for_order(&before.id).await;
    write_foreign_events(&app, &before.id).await;
    let after = app.create_order().await;
    receiver.wait_for_order(&after.id).await;
    let kinds = async || {
        receiver
            .received()
            .iter()
            .map(crate::support::receiver::Received::kind)
            .collect::<Vec<_>>()
    };
    let told = eventually(kinds, |kinds| kinds.len() >= 4).await;
    // Types are words to be handed on; what cannot be read at all is passed over.
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        ["merchant.renamed", "order.created", "order.created", "order.disputed"]
    );
    let feed = app.feed_page("").await;
    assert_eq!(
        feed.types(),
        ["order.created", "order.disputed", "merchant.renamed", "order.created"]
    );
    let mut inbox = rabbit.read("ledger").await;
    for kind in feed.types() {
        assert_eq!(inbox.next().await.json()["type"], kind);
    }
    // Reading on by small pages comes past them, too.
    assert_eq!(app.whole_feed("", &[1]).await.len(), 4);
    // And so does making up for what was missed.
    let late = Receiver::start_willing().await;
    let endpoint_later = app.create_endpoint(&late).await;
    let body = json!({ "since": crate::support::merchant::rfc3339(crate::support::merchant::now_ms() - 60_000) });
    let recovered = app.post(&endpoint_later.path("/recover"), &body).await;
    assert_eq!(
        (recovered.status, &recovered.json()["queued"]),
        (202, &json!(4)),
        "{}",
        recovered.text
    );
    assert_eq!(late.wait_for(4).await.len(), 4);
    assert_eq!(app.wait_for_deliveries(&endpoint, 4).await.len(), 4);
}

#[tokio::test]
async fn what_waits_behind_a_delivery_that_was_given_up_is_released_with_it() {
    let app = App::builder().webhooks("1h").spawn().await;
    let receiver = Receiver::start(|_| Reply::status(500)).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.order_at("succeeded").await;
    let is_put_off = |deliveries: &Vec<Value>| deliveries.len() == 2 && deliveries[1]["attempts"][0].is_object();
    eventually(async || app.deliveries(&endpoint).await, is_put_off).await;
    receiver.answer_with(|_| Reply::ok());
    // The second is in somebody else's hands just when the first is given up.
    let mut connection = app.database.connect().await;
    let mut holding = connection.begin().await.unwrap();
    sqlx::query("select from webhook_deliveries where due_at is null for update")
        .execute(&mut *holding)
        .await
        .unwrap();
    app.patch(&endpoint.path(""), &json!({ "enabled": false })).await;
    let is_given_up = async || given_up_or_waiting(&app.database).await;
    eventually(is_given_up, |is_given_up| *is_given_up).await;
    app.patch(&endpoint.path(""), &json!({ "enabled": true })).await;
    holding.rollback().await.unwrap();
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    assert_eq!(
        (&deliveries[0]["state"], &deliveries[1]["state"]),
        (&json!("delivered"), &json!("failed"))
    );
}

/// Whether the first is given up, or whoever does it waits for the second.
async fn given_up_or_waiting(database: &TestDatabase) -> bool {
    let mut connection = database.connect().await;
    sqlx::query_scalar(
        "select exists (select from webhook_deliveries where state = 'failed')
             or exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
}
