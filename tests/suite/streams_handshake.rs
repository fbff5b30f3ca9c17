//! Handshakes: subprotocols, origins, and what is none.

use crate::support::{Answer, App, RawConnection};

const SHOP: &str = "https://shop.example.com";

#[tokio::test]
async fn every_offer_of_subprotocols_gets_the_one_that_fits_best() {
    let app = App::spawn().await;
    let offer = |names: &'static str| [("sec-websocket-protocol", names)];
    for (path, offered, selected) in [
        ("/v1/ws", "payquery.v1", Some("payquery.v1")),
        ("/v1/ws", "echo-protocol, payquery.v1", Some("payquery.v1")),
        ("/v1/ws", "chat,payquery.v1 ,superchat", Some("payquery.v1")),
        ("/v1/ws", "echo-protocol", Some("echo-protocol")),
        ("/v1/ws", "protocol1", Some("protocol1")),
        ("/v1/ws", "protocol1, echo-protocol", Some("echo-protocol")),
        ("/v1/ws", "v12.stomp, v11.stomp", None),
        ("/v1/ws", "PAYQUERY.V1", None),
        ("/v1/ws", "payquery.v1x", None),
        ("/v1/echo", "echo-protocol", Some("echo-protocol")),
        ("/v1/echo", "payquery.v1, echo-protocol", Some("echo-protocol")),
        ("/v1/echo", "payquery.v1", Some("payquery.v1")),
        ("/v1/echo", "soap", None),
    ] {
        // The library refuses an answer that leaves its offer out, as browsers do: then we look at nothing else.
        let answered = app.handshake(path, &offer(offered)).await;
        assert_eq!(
            (answered.0, answered.1.as_deref()),
            (101, selected),
            "{path}: {offered}"
        );
    }
    let twice = [
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-protocol", "payquery.v1"),
    ];
    assert_eq!(
        app.handshake("/v1/ws", &twice).await,
        (101, Some("payquery.v1".to_owned()))
    );
    assert_eq!(app.handshake("/v1/ws", &[]).await, (101, None));
    assert_eq!(
        app.try_socket("/v1/echo", &offer("echo-protocol"))
            .await
            .unwrap()
            .protocol
            .as_deref(),
        Some("echo-protocol")
    );
}

#[tokio::test]
async fn what_is_no_handshake_is_told_what_is_due() {
    let app = App::spawn().await;
    for path in ["/v1/ws", "/v1/echo"] {
        let plain = app.get(path).await;
        plain.problem(426, "handshake_due");
        assert_eq!(
            (plain.header("upgrade"), plain.header("sec-websocket-version")),
            ("websocket", "13")
        );
        assert_eq!(app.post(path, &serde_json::json!({})).await.status, 405);
        let broken = |field: &'static str, value: &'static str| {
            let upgrade = [
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            upgrade
                .into_iter()
                .fold(app.http.get(app.url(path)), move |request, (name, usual)| {
                    request.header(name, if name == field { value } else { usual })
                })
        };
        let answer = |request| crate::support::Answer::to(request);
        answer(broken("sec-websocket-version", "8"))
            .await
            .problem(426, "handshake_due");
        answer(broken("upgrade", "h2c")).await.problem(426, "handshake_due");
        answer(broken("sec-websocket-key", "short"))
            .await
            .invalid("Sec-WebSocket-Key");
    }
}

#[tokio::test]
async fn in_http_1_0_nobody_upgrades() {
    let app = App::spawn().await;
    for path in [
        "/v1/ws",
        "/v1/echo",
        "/ws",
        "/ws/websocket",
        "/ws/000/abcdefgh/websocket",
    ] {
        let mut connection = RawConnection::open(app.address).await;
        let request = format!(
            "GET {path} HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        connection.send(request.as_bytes()).await;
        let answer = connection.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.0 426 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn only_pages_of_allowed_origins_open_sockets_and_programs_may() {
    let app = App::builder().flag("--cors-origins", SHOP).spawn().await;
    for path in [
        "/v1/ws",
        "/v1/echo",
        "/ws",
        "/ws/websocket",
        "/ws/000/abcdefgh/websocket",
    ] {
        assert!(app.try_socket(path, &[("origin", SHOP)]).await.is_ok());
        assert!(app.try_socket(path, &[]).await.is_ok());
        let refused = app
            .try_socket(path, &[("origin", "https://evil.example.com")])
            .await
            .unwrap_err();
        assert_eq!(
            (refused.status, &refused.problem["code"]),
            (403, &"origin_refused".into())
        );
        assert!(refused.headers.contains_key("x-request-id"));
    }
    for transport in ["xhr", "xhr_streaming", "xhr_send"] {
        let ask = |origin| app.http.post(app.sockjs().url(transport)).header("origin", origin);
        let refused = Answer::to(ask("https://evil.example.com")).await;
        refused.problem(403, "origin_refused");
        assert!(!refused.has_header("access-control-allow-origin"), "{transport}");
        let allowed = ask(SHOP).send().await.unwrap();
        assert_ne!(allowed.status(), 403, "{transport}");
        assert_eq!(allowed.headers()["access-control-allow-origin"], SHOP);
    }
    let open = App::spawn().await;
    assert!(
        open.try_socket("/v1/ws", &[("origin", "https://evil.example.com")])
            .await
            .is_ok()
    );
}
