//! How long a request is held, how it asks for that, and how it ends when nothing happens.

use std::time::{Duration, Instant};

use crate::support::{Answer, App, Asking};

async fn timed(ask: Asking) -> (Answer, Duration) {
    let start = Instant::now();
    let answer = ask.send().await;
    (answer, start.elapsed())
}

/// The wait less a sixteenth; timers count in milliseconds.
fn at_least(wait: u64) -> Duration {
    Duration::from_secs(wait) * 15 / 16 - Duration::from_millis(2)
}

#[tokio::test]
async fn when_time_is_up_a_matching_tag_gets_304_and_all_else_the_document() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (tagged, versioned, until_final, stale) = tokio::join!(
        timed(app.ask(&order).if_none_match("\"1\"").query("wait", 1)),
        timed(app.ask(&order).query("since_version", 1).query("wait", 1)),
        timed(app.ask(&order).query("until", "final").query("wait", 1)),
        timed(
            app.ask(&order)
                .if_none_match("\"7\"")
                .query("until", "final")
                .query("wait", 1)
        ),
    );
    assert_eq!((tagged.0.status, tagged.0.text.as_str()), (304, ""));
    let unchanged = app.ask(&order).send().await.text;
    for (answer, _) in [&versioned, &until_final, &stale] {
        assert_eq!((answer.status, &answer.text), (200, &unchanged));
    }
    for (answer, elapsed) in [tagged, versioned, until_final, stale] {
        assert!(elapsed >= at_least(1), "{elapsed:?}: {answer:?}");
        assert!(
            answer.has_header("x-poll-interval") && answer.header("etag") == "\"1\"",
            "{answer:?}"
        );
    }
}

/// What it missed while it slept is told, though it isn't final.
#[tokio::test]
async fn until_final_gets_the_latest_document_when_its_time_is_up() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app
        .ask(&order)
        .if_none_match("\"1\"")
        .query("until", "final")
        // Long enough that the report comes before its end on any machine.
        .query("wait", 6)
        .spawn();
    app.wait_for_held(1).await;
    app.report(&order, "processing").await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.version()), (200, 2));
    assert_eq!(answer.json()["status"], "processing");
    assert_eq!(app.metric("payquery_polls_total", "outcome=\"timed_out\"").await, 1.0);
}

#[tokio::test]
async fn holds_end_at_different_moments_within_the_last_sixteenth() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let ask = || app.ask(&order).if_none_match("\"1\"").query("wait", 2);
    let asking: Vec<_> = (0..40).map(|_| tokio::spawn(timed(ask()))).collect();
    let mut times = Vec::new();
    for asking in asking {
        times.push(asking.await.unwrap().1);
    }
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= at_least(2), "{times:?}");
    // Forty draws from 125 ms all within 25 ms: less likely than one in 10^25.
    assert!(*last - *first > Duration::from_millis(25), "{times:?}");
}

#[tokio::test]
async fn a_preference_is_honoured_and_said_to_be() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (answer, elapsed) = timed(
        app.ask(&order)
            .if_none_match("\"1\"")
            .header("prefer", "respond-async, wait=1"),
    )
    .await;
    assert_eq!((answer.status, answer.header("preference-applied")), (304, "wait=1"));
    assert!(elapsed >= at_least(1), "{elapsed:?}");
    let held = app
        .ask(&order)
        .if_none_match("\"1\"")
        .header("prefer", "wait=25")
        .spawn();
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.header("preference-applied")), (200, "wait=25"));
}

#[tokio::test]
async fn the_applied_preference_is_the_clamped_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for (asked, applied) in [
        ("wait=56", "wait=55"),
        ("wait=99999999999", "wait=55"),
        ("wait=55", "wait=55"),
    ] {
        let answer = app.ask(&order).header("prefer", asked).send().await;
        assert_eq!(answer.header("preference-applied"), applied, "{asked}");
    }
}

#[tokio::test]
async fn a_preference_that_is_no_wait_is_passed_over() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for preference in ["wait=abc", "wait=-1", "wait", "return=minimal", "waiting=25"] {
        let answer = app
            .ask(&order)
            .if_none_match("\"1\"")
            .header("prefer", preference)
            .send()
            .await;
        assert_eq!(
            (answer.status, answer.has_header("preference-applied")),
            (304, false),
            "{preference}"
        );
    }
}

#[tokio::test]
async fn the_query_wins_over_the_preference() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let ask = || app.ask(&order).if_none_match("\"1\"");
    let (answer, elapsed) = timed(ask().query("wait", 0).header("prefer", "wait=25")).await;
    assert_eq!((answer.status, answer.has_header("preference-applied")), (304, false));
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    let (answer, elapsed) = timed(ask().query("wait", 1).header("prefer", "wait=0")).await;
    assert_eq!((answer.status, answer.has_header("preference-applied")), (304, false));
    assert!(elapsed >= at_least(1), "{elapsed:?}");
}

#[tokio::test]
async fn a_wait_beyond_the_maximum_is_clamped_to_it() {
    let app = App::builder().flag("--max-wait", "1").spawn().await;
    let order = app.create_order().await;
    for wait in ["2", "60", "99999999999999999999"] {
        let (answer, elapsed) = timed(app.ask(&order).if_none_match("\"1\"").query("wait", wait)).await;
        assert_eq!(answer.status, 304);
        assert!(
            elapsed >= at_least(1) && elapsed < Duration::from_secs(10),
            "{wait}: {elapsed:?}"
        );
    }
    let answer = app.ask(&order).header("prefer", "wait=25").send().await;
    assert_eq!(answer.header("preference-applied"), "wait=1");
}

#[tokio::test]
async fn a_wait_of_more_than_55_seconds_is_taken() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 600).spawn();
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    assert_eq!(held.await.unwrap().version(), 2);
}

#[tokio::test]
async fn what_is_no_wait_version_or_until_is_a_400_that_names_the_parameter() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let cases = [
        ("wait", &["abc", "-1", "", "1.5", "+1", "1e1", " 1", "٣"][..]),
        (
            "since_version",
            &["x", "-1", "", "1.0", "99999999999999999999", "\"1\""],
        ),
        ("until", &["", "paid", "FINAL", "final "]),
    ];
    for (name, values) in cases {
        for value in values {
            let detail = app.ask(&order).query(name, value).send().await.invalid(name);
            assert!(detail.starts_with(name), "{name}={value:?}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_given_twice_is_a_400_that_names_it() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for (name, value) in [
        ("wait", "1"),
        ("since_version", "1"),
        ("until", "final"),
        ("client_secret", &order.secret),
    ] {
        let answer = app.ask(&order).query(name, value).query(name, value).send().await;
        let detail = answer.invalid(name);
        assert!(!detail.contains(&order.secret), "{detail}");
    }
}

/// Clients add some to get around caches.
#[tokio::test]
async fn parameters_that_mean_nothing_here_are_passed_over() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let answer = app
        .ask(&order)
        .query("_", 1_738_281_600)
        .query("_", "%ff")
        .query("waits", "x")
        .send()
        .await;
    assert_eq!((answer.status, answer.version()), (200, 1));
}
