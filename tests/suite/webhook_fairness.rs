//! What one merchant does with its webhooks delays no other merchant, nor anybody's reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::merchant::{now_ms, rfc3339};
use crate::support::webhooks::{ENDPOINTS, Endpoint};
use crate::support::{Answer, App, Receiver, Reply, eventually};

const LOGGED: i32 = 60_000;
/// So many are recovered at least while others look at the clock.
const ENOUGH: usize = 20_000;
/// On two processors that everything shares, the receivers, and whatever else is tested.
const BOUND: Duration = Duration::from_secs(2);
/// What others have queued in that time at least, where nothing stands still.
const MANY: i64 = 6000;

/// How long somebody waited, and how many places in the queue were given out meanwhile. On a machine that is slow, or stands still for
/// seconds, everybody waits for long; who waits for others sees theirs go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    time: Duration,
    places: i64,
}

impl Wait {
    /// Whether it was shorter than that part of what is bearable.
    fn is_short(self, part: u32) -> bool {
        self.time < BOUND / part || self.places < MANY / i64::from(part)
    }
}

/// Whether all are short, and most of them very.
fn are_short(waits: &[Wait]) -> bool {
    let very_short = waits.iter().filter(|wait| wait.is_short(4)).count();
    very_short * 2 > waits.len() && waits.iter().all(|wait| wait.is_short(1))
}

/// Many orders of acme's that nobody was ever told of.
async fn fill_log(app: &App) {
    sqlx::query(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at, data)
         select gen_random_uuid(), 'order.created', gen_random_uuid(), m.id, 'N' || n, 1, 'pending', 'merchant', true, now(), '{}'
         from merchants m, generate_series(1, $1) as n where m.name = 'acme'",
    )
    .bind(LOGGED)
    .execute(&app.pool)
    .await
    .unwrap();
}

/// Another merchant, who does nothing out of the ordinary.
struct Neighbour<'a> {
    app: &'a App,
    key: String,
    receiver: Receiver,
}

impl Neighbour<'_> {
    async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.app.http.post(self.app.url(path)).bearer_auth(&self.key).json(body)).await
    }

    /// Places in the queue that were given out so far.
    async fn places(&self) -> i64 {
        let places = sqlx::query_scalar("select last_value from webhook_places");
        places.fetch_one(&self.app.pool).await.unwrap()
    }

    /// What a report took, and from its answer to the webhook.
    async fn report_one(&self, number: usize) -> (Wait, Wait) {
        let body = json!({ "out_trade_no": format!("B{number}"), "amount": 100, "currency": "CNY" });
        let before = self.places().await;
        let asked = Instant::now();
        let created = self.post("/v1/orders", &body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let answered = Instant::now();
        let meanwhile = self.places().await;
        let order = created.json()["id"].as_str().unwrap().to_owned();
        let told = self.receiver.wait_for_order(&order).await;
        let report = Wait {
            time: answered - asked,
            places: meanwhile - before,
        };
        let webhook = Wait {
            time: told.at.saturating_duration_since(answered),
            places: self.places().await - meanwhile,
        };
        (report, webhook)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_merchant_recovers_whatever_there_is_anothers_webhooks_and_reports_are_in_time() {
    let app = Arc::new(App::builder().webhooks("1h").flag("--merchant-rate", "0").spawn().await);
    fill_log(&app).await;
    let key = app.key_of("globex").await;
    let neighbour = Neighbour {
        app: &app,
        key,
        receiver: Receiver::start_willing().await,
    };
    let hook = neighbour
        .post(ENDPOINTS, &json!({ "url": neighbour.receiver.url }))
        .await;
    assert_eq!(hook.status, 201);
    // One that takes nothing, so all of it stays in the queue.
    let refusing = Receiver::start(|_| Reply::status(500)).await;
    let (stop, calls, queued) = (
        Arc::<AtomicBool>::default(),
        Arc::<AtomicUsize>::default(),
        Arc::<AtomicUsize>::default(),
    );
    let mut recovering = Vec::new();
    for _ in 0..4 {
        let (app, stop, calls, queued) = (
            Arc::clone(&app),
            Arc::clone(&stop),
            Arc::clone(&calls),
            Arc::clone(&queued),
        );
        let body = json!({ "url": refusing.url, "events": ["order.created", "order.refunded"] });
        recovering.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let endpoint: Endpoint = app.create_endpoint_with(body.clone()).await;
                let mut ask = json!({ "since": rfc3339(now_ms() - 3_600_000) });
                let mut has_more = true;
                while has_more && !stop.load(Ordering::Relaxed) {
                    let answer = app.post(&endpoint.path("/recover"), &ask).await;
                    if answer.status == 503 {
                        // (The four wait for each other; where the machine stands still, for too long. It is no pressure, and not counted.)
                        continue;
                    }
                    assert_eq!(answer.status, 202, "{}", answer.text);
                    let answer = answer.json();
                    calls.fetch_add(1, Ordering::Relaxed);
                    queued.fetch_add(
                        usize::try_from(answer["queued"].as_u64().unwrap()).unwrap(),
                        Ordering::Relaxed,
                    );
                    has_more = answer["has_more"] == true;
                    if answer["next_cursor"].is_string() {
                        ask["cursor"] = answer["next_cursor"].clone();
                    }
                }
                Answer::to(app.merchant(reqwest::Method::DELETE, &endpoint.path(""))).await;
            }
        }));
    }
    eventually(async || calls.load(Ordering::Relaxed), |calls| *calls >= 4).await;
    let start = Instant::now();
    let (mut reports, mut told) = (Vec::new(), Vec::new());
    while start.elapsed() < Duration::from_secs(6) || queued.load(Ordering::Relaxed) < ENOUGH {
        assert!(start.elapsed() < Duration::from_secs(80), "no pressure");
        let (report, webhook) = neighbour.report_one(told.len()).await;
        reports.push(report);
        told.push(webhook);
    }
    stop.store(true, Ordering::Relaxed);
    for task in recovering {
        task.await.unwrap();
    }
    reports.sort();
    told.sort();
    let (middle, last) = (told.len() / 2, told.len() - 1);
    println!(
        "{} calls queued {} events meanwhile; {} reports: median {:?}, longest {:?}; their webhooks: median {:?}, longest {:?}",
        calls.load(Ordering::Relaxed),
        queued.load(Ordering::Relaxed),
        told.len(),
        reports[middle],
        reports[last],
        told[middle],
        told[last]
    );
    assert!(are_short(&told), "{told:?}");
    assert!(are_short(&reports), "{reports:?}");
}

/// Of each merchant's endpoints two places each are wanted: more than half of them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_endpoints_fail_half_of_the_places_are_for_the_others() {
    const MERCHANTS: usize = 8;
    const ENDPOINTS_EACH: usize = 20;
    const ORDERS_EACH: usize = 2;
    const HALF: usize = 256;
    let app = App::builder()
        .flag("--webhook-allow", "127.0.0.0/8")
        // No attempt is over before this test is: nobody comes to a place because it has become free.
        .flag("--webhook-timeout", "60")
        .spawn()
        .await;
    let hanging = Receiver::start(|_| Reply::Never).await;
    let mut failing = Vec::new();
    for merchant in 0..MERCHANTS {
        let one = Neighbour {
            app: &app,
            key: app.key_of(&format!("failing-{merchant}")).await,
            receiver: Receiver::start_willing().await,
        };
        for _ in 0..ENDPOINTS_EACH {
            let created = one.post(ENDPOINTS, &json!({ "url": hanging.url })).await;
            assert_eq!(created.status, 201, "{}", created.text);
        }
        failing.push(one);
    }
    sqlx::query("update webhook_endpoints set failing_since = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    for one in &failing {
        for order in 0..ORDERS_EACH {
            let body = json!({ "out_trade_no": format!("F{order}"), "amount": 100, "currency": "CNY" });
            assert_eq!(one.post("/v1/orders", &body).await.status, 201);
        }
    }
    hanging.wait_for(HALF).await;
    let neighbour = Neighbour {
        app: &app,
        key: app.key_of("globex").await,
        receiver: Receiver::start_willing().await,
    };
    let created = neighbour
        .post(ENDPOINTS, &json!({ "url": neighbour.receiver.url }))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    for number in 0..4 {
        neighbour.report_one(number).await;
    }
    let failed = app.metric("payquery_webhook_attempts_total", "\"failed\"").await;
    assert_eq!(failed, 0.0, "all who hang still do");
    assert_eq!(hanging.received().len(), HALF, "those that fail have no more places");
}

#[tokio::test]
async fn no_call_about_webhooks_waits_for_whoever_reads_the_log() {
    let app = App::builder().webhooks("10ms").spawn().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    let delivery = app.wait_for_deliveries(&endpoint, 1).await.remove(0);
    // Another replica, which takes its time.
    let mut connection = app.database.connect().await;
    let mut reading = connection.begin().await.unwrap();
    sqlx::query("select from event_readers where name = 'webhooks' for update")
        .execute(&mut *reading)
        .await
        .unwrap();
    let other = app.create_endpoint(&receiver).await;
    for (path, body) in [
        (
            endpoint.path(&format!("/deliveries/{}/resend", delivery["id"].as_str().unwrap())),
            json!({}),
        ),
        (endpoint.path("/recover"), json!({ "since": rfc3339(now_ms() - 1000) })),
        (other.path("/test"), json!({})),
    ] {
        let answer = app.post(&path, &body).await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.text);
    }
    for enabled in [false, true] {
        let changed = app.patch(&endpoint.path(""), &json!({ "enabled": enabled })).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }
    reading.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovering_delivering_and_sending_again_at_once_locks_nobody_out_and_keeps_each_order_in_line() {
    const ORDERS: usize = 24;
    let app = Arc::new(
        App::builder()
            .webhooks("10ms,10ms")
            .flag("--merchant-rate", "0")
            // As many as ask at once: who waited for one for too long would be told to come again.
            .flag("--db-connections", "32")
            .spawn()
            .await,
    );
    // (It takes a moment, or no two would ever be seen at once.)
    let receiver = Receiver::start(|request| {
        let status = if request.number % 3 == 0 { 500 } else { 200 };
        Reply::Late(Duration::from_millis(5), Box::new(Reply::status(status)))
    })
    .await;
    let endpoint = app.create_endpoint(&receiver).await;
    let since = rfc3339(now_ms() - 1000);
    let mut orders = Vec::new();
    for round in 0..6 {
        // In every second round nobody is told, so there is something missed besides what was given up.
        let enabled = round % 2 == 1;
        app.patch(&endpoint.path(""), &json!({ "enabled": enabled })).await;
        if round == 0 {
            for _ in 0..ORDERS {
                orders.push(app.create_order().await);
            }
        } else {
            for order in &orders {
                app.report(order, ["processing", "pending"][round % 2]).await;
            }
        }
        app.patch(&endpoint.path(""), &json!({ "enabled": true })).await;
        let deliveries = app.deliveries(&endpoint).await;
        let mut asking = Vec::new();
        for _ in 0..4 {
            let (app, endpoint, since) = (Arc::clone(&app), endpoint.clone(), since.clone());
            asking.push(tokio::spawn(async move {
                app.post(&endpoint.path("/recover"), &json!({ "since": since })).await
            }));
        }
        for delivery in deliveries.iter().rev().take(24) {
            let path = endpoint.path(&format!("/deliveries/{}/resend", delivery["id"].as_str().unwrap()));
            let app = Arc::clone(&app);
            asking.push(tokio::spawn(async move { app.post(&path, &json!({})).await }));
        }
        for answer in asking {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status, 202, "{}", answer.text);
        }
    }
    let done = async || app.get(&endpoint.path("/deliveries?state=pending")).await.json()["data"].clone();
    eventually(done, |pending| pending.as_array().unwrap().is_empty()).await;
    assert_eq!(receiver.most_at_once().0, 1);
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}
