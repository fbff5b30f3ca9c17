//! One merchant's many readers of the event feed, and what they leave to others.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::feed::FeedPage;
use crate::support::{Answer, App};

/// Held feeds of one merchant, as docs/api.md says.
const MOST: usize = 64;
const SOON: Duration = Duration::from_secs(15);

/// Asks on and on as a client should: with the cursor that it was told, and after the pause that it was told.
fn follow(app: &App, cursor: &str) -> JoinHandle<()> {
    let (http, url, key) = (app.http.clone(), app.url("/v1/events"), app.api_key.clone());
    let mut cursor = cursor.to_owned();
    tokio::spawn(async move {
        loop {
            let request = http.get(format!("{url}?after={cursor}&wait=50")).bearer_auth(&key);
            let answer = Answer::to(request).await;
            // (So many at once may find no turn at the log: then they come again, too.)
            if answer.status == 200 {
                cursor = FeedPage::of(&answer).cursor;
            }
            for pause in ["x-poll-interval", "retry-after"] {
                if let Ok(seconds) = answer.header(pause).parse() {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
            }
        }
    })
}

async fn create_as(app: &App, key: &str, number: &str) {
    let request = app.http.post(app.url("/v1/orders")).bearer_auth(key);
    let body = json!({ "out_trade_no": number, "amount": 1, "currency": "CNY" });
    assert_eq!(Answer::to(request.json(&body)).await.status, 201);
}

#[tokio::test]
async fn of_one_merchants_feeds_sixty_four_are_held_and_the_rest_answered_at_once() {
    let app = App::spawn().await;
    let cursor = app.feed_page("").await.cursor;
    let mut asking = Vec::new();
    // (A few at a time: all their first looks at once would outlast their patience on a slow machine.)
    while asking.len() < MOST {
        asking.extend((0..8).map(|_| {
            let path = format!("/v1/events?after={cursor}&wait=50");
            tokio::spawn(Answer::to(app.merchant(Method::GET, &path)))
        }));
        app.wait_for_held(asking.len()).await;
    }
    let start = Instant::now();
    for _ in 0..3 {
        let answer = app.feed(&format!("after={cursor}&wait=50")).await;
        assert!(FeedPage::of(&answer).events.is_empty());
        assert!(answer.header("x-poll-interval").parse::<u32>().unwrap() >= 4);
    }
    let mut lines = app.feed_lines(&format!("after={cursor}&wait=50")).await;
    assert!(lines.headers.contains_key("x-poll-interval"));
    assert!(lines.rest().await.0.is_empty() && start.elapsed() < SOON);
    let degraded = app
        .metric("payquery_event_feed_requests_total", "outcome=\"degraded\"")
        .await;
    assert_eq!(degraded, 4.0);

    // Another merchant's is held, and so is one more when one has hung up.
    let rival = app.key_of("rival").await;
    let theirs = app.http.get(app.url("/v1/events?wait=50")).bearer_auth(&rival);
    let theirs = tokio::spawn(Answer::to(theirs));
    app.wait_for_held(MOST + 1).await;
    asking.pop().unwrap().abort();
    app.wait_for_held(MOST).await;
    let again = app.held_feed(&format!("after={cursor}&wait=50")).await;
    assert!(!again.is_finished() && !theirs.is_finished());
    create_as(&app, &rival, "R-1").await;
    assert_eq!(FeedPage::of(&theirs.await.unwrap()).types(), ["order.created"]);
    app.create_order().await;
    for held in asking.into_iter().chain([again]) {
        assert_eq!(FeedPage::of(&held.await.unwrap()).types(), ["order.created"]);
    }
}

/// Two hundred readers of one merchant, reports for them without a pause, and one connection that reads the log for all.
#[tokio::test]
async fn two_hundred_readers_of_one_merchant_do_not_keep_anothers_waiting() {
    let app = App::builder().flag("--db-connections", "4").spawn().await;
    let rival = app.key_of("rival").await;
    let order = app.create_order().await;
    let cursor = app.feed_page("").await.cursor;
    let mut crowd: Vec<_> = (0..200).map(|_| follow(&app, &cursor)).collect();
    let request = app.merchant(Method::PUT, &format!("/v1/orders/{}/status", order.id));
    crowd.push(tokio::spawn(async move {
        for status in ["processing", "pending"].into_iter().cycle() {
            let report = request.try_clone().unwrap().json(&json!({ "status": status }));
            assert_eq!(Answer::to(report).await.status, 200);
        }
    }));
    let page = app.http.get(app.url("/v1/events?after=now")).bearer_auth(&rival);
    let mut theirs = FeedPage::of(&Answer::to(page).await).cursor;
    let mut took = Vec::new();
    for n in 0..20 {
        let held = app.http.get(app.url(&format!("/v1/events?after={theirs}&wait=50")));
        let held = tokio::spawn(Answer::to(held.bearer_auth(&rival)));
        let start = Instant::now();
        create_as(&app, &rival, &format!("R-{n}")).await;
        let page = FeedPage::of(&held.await.unwrap());
        assert_eq!(page.types(), ["order.created"]);
        took.push(start.elapsed());
        theirs = page.cursor;
    }
    took.sort_unstable();
    eprintln!(
        "created, and told by the feed: half in {:?}, all in {:?}",
        took[10], took[19]
    );
    // (A machine that stands still for seconds does so for a few of them.)
    assert!(took[15] < Duration::from_secs(3) && took[19] < SOON, "{took:?}");
    crowd.iter().for_each(JoinHandle::abort);
}
