//! Server-sent events on the status resource.

use std::time::{Duration, Instant};

use crate::support::{App, Piece, RawConnection};

#[tokio::test]
async fn a_stream_tells_the_snapshot_first_then_each_change_and_ends_with_the_final_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut events = app.stream(&order).await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    assert_eq!(events.headers["x-accel-buffering"], "no");
    assert_eq!(events.headers["cache-control"], "private, no-store, no-transform");
    assert_eq!(events.piece().await, Some(Piece::Retry(2000)));
    let polled = app.ask(&order).send().await.text;
    assert_eq!(events.piece().await, Some(Piece::Event { id: 1, data: polled }));
    app.report(&order, "processing").await;
    assert_eq!(events.document().await["status"], "processing");
    app.report(&order, "succeeded").await;
    let polled = app.ask(&order).send().await.text;
    assert_eq!(events.rest().await, [Piece::Event { id: 3, data: polled }]);
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn whoever_comes_back_is_told_only_what_it_missed() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut current = app.ask(&order).header("last-event-id", "1").events().await;
    assert_eq!(current.piece().await, Some(Piece::Retry(2000)));
    app.report(&order, "processing").await;
    assert_eq!(current.document().await["version"], 2);
    app.report(&order, "pending").await;
    drop(current);
    let ways = [
        app.ask(&order).header("last-event-id", "2"),
        app.ask(&order).query("last_event_id", 2),
        app.ask(&order).query("since_version", 2),
        // EventSource comes back to the URL that it was opened with: the field is newer.
        app.ask(&order).query("last_event_id", 3).header("last-event-id", "2"),
        // What never was an id of ours, and versions that never were.
        app.ask(&order).header("last-event-id", "x"),
        app.ask(&order).header("last-event-id", ""),
        app.ask(&order).header("last-event-id", "99"),
        app.ask(&order).query("last_event_id", i64::MAX),
    ];
    for way in ways {
        assert_eq!(way.events().await.document().await["version"], 3);
    }
    for junk in ["", "x", "-1", "1.5"] {
        let refused = app
            .ask(&order)
            .query("last_event_id", junk)
            .header("accept", "text/event-stream");
        refused.send().await.invalid("last_event_id");
    }
}

#[tokio::test]
async fn a_page_opens_it_with_the_secret_in_the_query_and_the_merchant_with_its_key() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let by_query = app
        .ask_without_credentials(&order)
        .query("client_secret", &order.secret);
    let by_key = app.ask_with(&order, &app.api_key);
    for way in [by_query, by_key] {
        assert_eq!(way.events().await.document().await["version"], 1);
    }
}

#[tokio::test]
async fn an_api_key_in_the_address_opens_nothing_whatever_the_transport() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for accept in ["application/json", "text/event-stream"] {
        let ask = app
            .ask_without_credentials(&order)
            .query("client_secret", &app.api_key)
            .header("accept", accept);
        let refused = ask.send().await;
        assert_eq!(
            (refused.status, refused.json()["code"].clone()),
            (401, "unauthorized".into())
        );
        let detail = refused.json()["detail"].clone();
        assert!(
            detail.as_str().unwrap().contains("must not stand in an address"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_client_that_has_the_final_version_is_told_to_stop_coming_back() {
    let app = App::spawn().await;
    let order = app.order_at("closed").await;
    let mut first = app.stream(&order).await;
    assert!(matches!(
        &*first.rest().await,
        [Piece::Retry(2000), Piece::Event { id: 2, .. }]
    ));
    let back = app
        .ask(&order)
        .header("last-event-id", "2")
        .header("accept", "text/event-stream");
    let back = back.send().await;
    assert_eq!((back.status, &*back.text), (204, ""));
    app.report(&order, "succeeded").await; // late
    let mut late = app.ask(&order).header("last-event-id", "2").events().await;
    assert_eq!(late.document().await["late"], true);
    assert_eq!(late.piece().await, None);
}

#[tokio::test]
async fn in_silence_there_is_a_heartbeat() {
    let app = App::builder().flag("--heartbeat", "1").spawn().await;
    let order = app.create_order().await;
    let start = Instant::now();
    let mut events = app.stream(&order).await;
    assert_eq!(events.document().await["version"], 1);
    for _ in 0..3 {
        assert_eq!(events.piece().await, Some(Piece::Comment));
    }
    assert!((3..20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    app.report(&order, "succeeded").await;
    assert_eq!(events.document().await["version"], 2);
}

/// That those which began together do not end together is tested where their ends are drawn (`src/push/sse.rs`): when a busy
/// machine comes to tell us is not ours to say.
#[tokio::test]
async fn its_life_is_bounded_and_whoever_is_sent_away_comes_back_at_a_moment_of_its_own() {
    let app = App::builder().flag("--stream-lifetime", "3").spawn().await;
    let order = app.create_order().await;
    let start = Instant::now();
    let streams = (0..30).map(async |_| {
        let mut events = app.stream(&order).await;
        let rest = events.rest().await;
        let [Piece::Retry(2000), Piece::Event { id: 1, .. }, Piece::Retry(retry)] = *rest else {
            panic!("{rest:?}");
        };
        (start.elapsed(), retry)
    });
    let ends = futures_util::future::join_all(streams).await;
    let (mut times, mut retries): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    times.sort_unstable();
    retries.sort_unstable();
    assert!(
        times[0] >= Duration::from_millis(2400) && times[29] < Duration::from_secs(15),
        "{times:?}"
    );
    // Thirty draws from 1000, all within 100: less likely than one in 10^20.
    assert!(
        retries[0] >= 2000 && retries[29] <= 3000 && retries[29] - retries[0] > 100,
        "{retries:?}"
    );
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn refusals_are_problem_documents_as_a_polls_are() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "1")
        .spawn()
        .await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let ask = |token: &str| app.ask_with(&order, token).header("accept", "text/event-stream");
    ask(&other.secret).send().await.problem(404, "order_not_found");
    ask("pqk_wrong").send().await.problem(401, "unauthorized");
    ask(&app.key_of("beta").await)
        .send()
        .await
        .problem(404, "order_not_found");
    app.ask_without_credentials(&order)
        .header("accept", "text/event-stream")
        .send()
        .await
        .problem(401, "unauthorized");
    let events = app.stream(&order).await;
    assert_eq!(events.headers["ratelimit"], "\"poll\";r=0;t=100");
    let refused = ask(&order.secret).send().await;
    refused.problem(429, "quota_exceeded");
    assert!(refused.has_header("retry-after"));
    let count = async |outcome| {
        app.metric("payquery_polls_total", &format!("outcome=\"{outcome}\""))
            .await
    };
    assert_eq!(
        [count("streamed").await, count("limited").await, count("denied").await],
        [1.0, 1.0, 4.0]
    );
}

#[tokio::test]
async fn without_a_place_a_stream_is_a_poll() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let order = app.create_order().await;
    let mut first = app.stream(&order).await;
    assert_eq!(first.document().await["version"], 1);
    let mut second = app.stream(&order).await;
    assert!(matches!(
        &*second.rest().await,
        [Piece::Retry(10_000), Piece::Event { id: 1, .. }]
    ));
    let mut third = app.ask(&order).header("last-event-id", "1").events().await;
    assert_eq!(third.rest().await, [Piece::Retry(10_000)]);
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).send().await;
    assert_eq!(held.status, 304, "there is one account for all who wait");
    assert_eq!(app.metric("payquery_polls_total", "outcome=\"degraded\"").await, 1.0);
    drop(first);
    app.wait_for_held(0).await;
    let mut fourth = app.stream(&order).await;
    assert_eq!(fourth.document().await["version"], 1);
    app.report(&order, "succeeded").await;
    assert_eq!(fourth.document().await["version"], 2);
}

#[tokio::test]
async fn a_client_that_goes_frees_its_place_at_once() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    let mut connections = Vec::new();
    for _ in 0..20 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(request.as_bytes()).await;
        connections.push(connection);
    }
    app.wait_for_held(20).await;
    assert_eq!(app.metric("payquery_streams", "transport=\"sse\"").await, 20.0);
    let start = Instant::now();
    for (n, connection) in connections.into_iter().enumerate() {
        if n % 2 == 0 {
            connection.close().await;
        } else {
            connection.reset();
        }
    }
    app.wait_for_held(0).await;
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(app.metric("payquery_streams", "transport=\"sse\"").await, 0.0);
}

#[tokio::test]
async fn a_page_may_read_it_and_caches_and_proxies_keep_their_hands_off() {
    let app = App::builder()
        .flag("--cors-origins", "https://shop.example.com")
        .spawn()
        .await;
    let order = app.create_order().await;
    let events = app
        .ask(&order)
        .header("origin", "https://shop.example.com")
        .events()
        .await;
    assert_eq!(
        events.headers["access-control-allow-origin"],
        "https://shop.example.com"
    );
    assert_eq!(events.headers["vary"], "Authorization, Accept, Prefer, Origin");
    assert!(!events.headers.contains_key("content-length") && !events.headers.contains_key("etag"));
    let elsewhere = app
        .ask(&order)
        .header("origin", "https://evil.example.com")
        .events()
        .await;
    assert!(!elsewhere.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn only_whoever_asks_for_events_by_name_gets_a_stream() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for accept in [
        "*/*",
        "text/*",
        "application/json",
        "text/event-stream;q=0",
        "application/json, text/event-stream;q=0.1",
    ] {
        let answer = app.ask(&order).header("accept", accept).send().await;
        assert_eq!(
            (answer.header("content-type"), answer.version()),
            ("application/json", 1),
            "{accept}"
        );
    }
    let head = app.ask_head(&order).header("accept", "text/event-stream").send().await;
    assert_eq!((head.status, head.header("etag")), (200, "\"1\""));
}

#[tokio::test]
async fn documents_are_counted_and_the_time_from_payment_to_payer_is_measured() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (mut events, mut socket) = (app.stream(&order).await, app.follow(&order).await);
    events.document().await;
    socket.document().await;
    app.report(&order, "succeeded").await;
    assert_eq!(events.document().await, socket.document().await);
    for transport in ["sse", "websocket"] {
        let label = format!("transport=\"{transport}\"");
        assert_eq!(app.metric("payquery_stream_documents_total", &label).await, 2.0);
    }
    assert_eq!(
        app.metric("payquery_pay_to_seen_seconds_count", "").await,
        1.0,
        "whoever saw it first"
    );
}

#[tokio::test]
async fn one_change_wakes_all_streams_of_its_order_here_and_at_another_replica() {
    let app = App::builder().flag("--max-held-per-order", "1000").spawn().await;
    let other = app.another().await;
    let order = app.create_order().await;
    let mut streams = Vec::new();
    for n in 0..200 {
        let mut events = if n % 2 == 0 {
            app.stream(&order).await
        } else {
            other.stream(&order).await
        };
        assert_eq!(events.document().await["version"], 1);
        streams.push(events);
    }
    let start = Instant::now();
    app.report(&order, "succeeded").await;
    for mut events in streams {
        assert_eq!(events.document().await["version"], 2);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

/// nginx speaks HTTP/1.0 to what is behind it, unless it is told otherwise; so do old proxies. They know no chunks.
#[tokio::test]
async fn a_client_of_http_1_0_gets_a_stream_that_the_connections_end_ends() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut connection = RawConnection::open(app.address).await;
    let request = format!(
        "GET {} HTTP/1.0\r\nconnection: keep-alive\r\naccept: text/event-stream\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    connection.send(request.as_bytes()).await;
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    let answer = connection.read_to_end().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 OK"), "{head}");
    assert!(
        !head.contains("transfer-encoding") && !head.contains("keep-alive"),
        "{head}"
    );
    assert!(body.starts_with("retry: 2000\n\nid: 1\ndata: {"), "{body}");
    assert!(body.ends_with("}\n\n") && body.contains("\n\nid: 2\ndata: {"), "{body}");
}
