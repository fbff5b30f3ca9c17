//! SockJS below `/ws`, as its protocol (0.3.3) has it, with STOMP inside: what goes over the line.

use reqwest::Method;
use serde_json::json;

use crate::support::stomp::{Frame, frame};
use crate::support::{Answer, App, Order, Polled};

pub fn connect_frame(order: &Order) -> String {
    frame(&[
        "CONNECT",
        "accept-version:1.2",
        &format!("client-secret:{}", order.secret),
    ])
}

pub fn subscribe_frame(order: &Order) -> String {
    frame(&["SUBSCRIBE", "id:1", &format!("destination:/topic/orders.{}", order.id)])
}

/// The conversation up to the subscription.
pub async fn subscribe(session: &Polled, order: &Order) {
    assert_eq!(session.poll().await, "o");
    session.send(&connect_frame(order)).await;
    assert_eq!(Frame::read(&session.messages().await[0]).command, "CONNECTED");
    session.send(&subscribe_frame(order)).await;
}

/// The same up to the first document.
pub async fn follow(session: &Polled, order: &Order) {
    subscribe(session, order).await;
    assert_eq!(Frame::read(&session.messages().await[0]).document()["version"], 1);
}

async fn get(app: &App, path: &str) -> Answer {
    Answer::to(app.http.get(app.url(path))).await
}

#[tokio::test]
async fn a_client_finds_out_that_this_is_sockjs_and_what_it_can() {
    let app = App::spawn().await;
    for path in ["/ws", "/ws/"] {
        let greeting = get(&app, path).await;
        assert_eq!((greeting.status, &*greeting.text), (200, "Welcome to SockJS!\n"));
        assert_eq!(greeting.header("content-type"), "text/plain; charset=UTF-8");
    }
    let info = get(&app, "/ws/info").await;
    assert_eq!(info.header("content-type"), "application/json; charset=UTF-8");
    assert!(info.header("cache-control").contains("no-store"));
    let (first, second) = (info.json(), get(&app, "/ws/info").await.json());
    assert_eq!(first["websocket"], true);
    assert_eq!(first["cookie_needed"], false);
    assert_eq!(first["origins"], json!(["*:*"]));
    assert_ne!(first["entropy"], second["entropy"]);
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask_with_its_cookies_and_only_one_that_is_allowed() {
    let app = App::spawn().await;
    let session = app.sockjs();
    for (method, url) in [
        (Method::GET, app.url("/ws/info")),
        (Method::OPTIONS, app.url("/ws/info")),
        (Method::OPTIONS, session.url("xhr")),
        (Method::OPTIONS, session.url("xhr_send")),
        (Method::OPTIONS, session.url("xhr_streaming")),
        (Method::POST, session.url("xhr")),
    ] {
        let answer = Answer::to(
            app.http
                .request(method.clone(), &url)
                .header("origin", "https://shop.example"),
        )
        .await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://shop.example",
            "{method} {url}"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("vary").contains("Origin"));
        if method == Method::OPTIONS {
            assert_eq!(answer.status, 204);
        }
    }
    let app = App::builder()
        .flag("--cors-origins", "https://shop.example")
        .spawn()
        .await;
    let asked = app
        .http
        .get(app.url("/ws/info"))
        .header("origin", "https://evil.example");
    Answer::to(asked).await.problem(403, "origin_refused");
}

/// As the protocol's own tests (0.3.3, `verify_options`) want it.
#[tokio::test]
async fn what_a_page_may_ask_may_be_remembered_for_a_year() {
    const YEAR: u32 = 31_536_000;
    let app = App::spawn().await;
    let session = app.sockjs();
    for (url, methods) in [
        (app.url("/ws/info"), "OPTIONS, GET"),
        (session.url("xhr"), "OPTIONS, POST"),
        (session.url("xhr_streaming"), "OPTIONS, POST"),
        (session.url("xhr_send"), "OPTIONS, POST"),
    ] {
        let asked = app
            .http
            .request(Method::OPTIONS, &url)
            .header("origin", "https://shop.example");
        let answer = Answer::to(asked).await;
        assert_eq!((answer.status, &*answer.text), (204, ""), "{url}");
        assert_eq!(answer.header("access-control-allow-methods"), methods, "{url}");
        assert_eq!(answer.header("access-control-max-age"), YEAR.to_string());
        assert_eq!(answer.header("cache-control"), format!("public, max-age={YEAR}"));
        let expires: chrono::DateTime<chrono::Utc> = {
            let text = answer.header("expires");
            chrono::DateTime::parse_from_rfc2822(text).unwrap().into()
        };
        let days = (expires - chrono::Utc::now()).num_days();
        assert!((364..=365).contains(&days), "{expires}");
    }
    let page = get(&app, "/ws/iframe.html").await;
    assert!(page.has_header("expires") && !page.has_header("last-modified"));
}

#[tokio::test]
async fn the_iframe_page_loads_the_clients_script_and_may_be_kept() {
    let app = App::builder()
        .flag("--sockjs-client", "https://cdn.example/sockjs.js")
        .spawn()
        .await;
    let page = get(&app, "/ws/iframe-1.6.1.html").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=UTF-8")
    );
    assert!(
        page.text
            .contains("<script src=\"https://cdn.example/sockjs.js\"></script>"),
        "{}",
        page.text
    );
    assert!(page.header("cache-control").contains("max-age=31536000"));
    assert!(!page.has_header("x-frame-options"), "it is made for frames");
    for path in ["/ws/iframe.html", "/ws/iframe-a_b-1.html"] {
        let again = app.http.get(app.url(path)).header("if-none-match", page.header("etag"));
        let again = Answer::to(again).await;
        assert_eq!((again.status, &*again.text), (304, ""), "{path}");
    }
    for path in ["/ws/iframe", "/ws/iframe.htm", "/ws/IFRAME.HTML", "/ws/iframe-x.HTML"] {
        assert_eq!(get(&app, path).await.status, 404, "{path}");
    }
    let app = App::builder().flag("--sockjs-client", "").spawn().await;
    assert_eq!(get(&app, "/ws/iframe.html").await.status, 404);
}

#[tokio::test]
async fn what_is_no_transport_is_not_found() {
    let app = App::spawn().await;
    for path in [
        "/ws/a/b",
        "/ws/a/b/",
        "/ws/a/b/c",
        "/ws/a.b/c/xhr",
        "/ws/a/b.c/xhr",
        "/ws//b/xhr",
        "/ws/a//xhr",
        "/ws/x",
    ] {
        assert_eq!(get(&app, path).await.status, 404, "{path}");
    }
    let long = format!("/ws/a/{}/xhr", "b".repeat(65));
    assert_eq!(Answer::to(app.http.post(app.url(&long))).await.status, 404);
    let session = app.sockjs();
    let handshake = Answer::to(app.http.get(session.url("websocket"))).await;
    handshake.problem(426, "handshake_due");
}

#[tokio::test]
async fn a_conversation_over_polls_is_the_same_as_over_a_socket() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    follow(&session, &order).await;
    app.report(&order, "processing").await;
    let message = Frame::read(&session.messages().await[0]);
    assert_eq!(message.body, app.ask(&order).send().await.text);
    // Held until there is something.
    let held = async { session.messages().await };
    let report = app.report(&order, "succeeded");
    let (messages, _) = tokio::join!(held, report);
    assert_eq!(Frame::read(&messages[0]).document()["status"], "succeeded");
    session.send(&frame(&["DISCONNECT", "receipt:bye"])).await;
    assert_eq!(Frame::read(&session.messages().await[0]).header("receipt-id"), "bye");
    for _ in 0..2 {
        assert_eq!(
            session.poll().await,
            "c[3000,\"Go away!\"]",
            "for as long as the client asks"
        );
    }
    assert_eq!(session.send_raw("[\"x\"]").await.status, 404);
    app.wait_for_held(0).await;
}

/// The very bytes of each answer that goes on, from its beginning to the first document.
#[tokio::test]
async fn every_streaming_transport_wraps_its_frames_as_the_protocol_says() {
    let app = App::spawn().await;
    for (method, transport, content_type, prelude, open) in [
        (
            "POST",
            "xhr_streaming",
            "application/javascript",
            "h".repeat(2048) + "\n",
            "o\n",
        ),
        (
            "GET",
            "eventsource",
            "text/event-stream",
            "\r\n".into(),
            "data: o\r\n\r\n",
        ),
        (
            "GET",
            "htmlfile?c=_jp.a1",
            "text/html",
            String::new(),
            "<script>\np(\"o\");\n</script>\r\n",
        ),
    ] {
        let order = app.create_order().await;
        let session = app.sockjs();
        let mut stream = session.stream(method, transport).await;
        let header = |name: &str| stream.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), format!("{content_type}; charset=UTF-8"));
        assert_eq!(header("x-accel-buffering"), "no");
        assert!(header("cache-control").contains("no-store"));
        let begun = stream.until(open).await;
        if transport.starts_with("htmlfile") {
            assert!(begun.len() > 1024 && begun.contains("parent._jp.a1;"), "{begun}");
        } else {
            assert_eq!(begun, prelude + open);
        }
        session.send(&connect_frame(&order)).await;
        stream.until("CONNECTED").await;
        session.send(&subscribe_frame(&order)).await;
        stream.until("version").await;
        app.report(&order, "succeeded").await;
        stream.until("succeeded").await;
        drop(stream);
        app.wait_for_held(0).await;
    }
}

#[tokio::test]
async fn jsonp_calls_the_pages_function_and_takes_forms() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    let poll = async || Answer::to(app.http.get(session.url("jsonp?c=_jp.a1"))).await;
    let opened = poll().await;
    assert_eq!(opened.text, "/**/_jp.a1(\"o\");\r\n");
    assert_eq!(opened.header("x-content-type-options"), "nosniff");
    let post = async |body: String, content_type: &str| {
        let request = app
            .http
            .post(session.url("jsonp_send"))
            .header("content-type", content_type);
        Answer::to(request.body(body)).await
    };
    let payload = serde_json::to_string(&[connect_frame(&order)]).unwrap();
    let form: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("d", &payload)
        .finish();
    let taken = post(form, "application/x-www-form-urlencoded").await;
    assert_eq!((taken.status, &*taken.text), (200, "ok"));
    let connected = poll().await;
    let argument = connected
        .text
        .strip_prefix("/**/_jp.a1(")
        .unwrap()
        .strip_suffix(");\r\n")
        .unwrap();
    let frame: String = serde_json::from_str(argument).unwrap();
    assert!(frame.starts_with("a[\"CONNECTED"), "{frame}");
    let payload = serde_json::to_string(&[subscribe_frame(&order)]).unwrap();
    assert_eq!(post(payload, "text/plain").await.text, "ok");
    assert!(poll().await.text.contains("MESSAGE"));
    for (body, content_type, text) in [
        ("", "application/x-www-form-urlencoded", "Payload expected."),
        ("d=", "application/x-www-form-urlencoded", "Payload expected."),
        ("d=%5B", "application/x-www-form-urlencoded", "Broken JSON encoding."),
        ("", "text/plain", "Payload expected."),
    ] {
        let answer = post(body.into(), content_type).await;
        assert_eq!((answer.status, &*answer.text), (500, text), "{body:?}");
    }
    for (query, text) in [
        ("", "\"callback\" parameter required"),
        ("?c=%3Cscript%3E", "invalid \"callback\" parameter"),
        ("?c=alert(1)", "invalid \"callback\" parameter"),
    ] {
        for transport in ["jsonp", "htmlfile"] {
            let answer = Answer::to(app.http.get(session.url(&format!("{transport}{query}")))).await;
            assert_eq!((answer.status, &*answer.text), (500, text), "{query}");
        }
    }
}

#[tokio::test]
async fn what_is_sent_must_be_a_list_of_strings_to_a_session_that_is_there() {
    let app = App::spawn().await;
    let session = app.sockjs();
    assert_eq!(session.send_raw("[\"x\"]").await.status, 404);
    assert_eq!(session.poll().await, "o");
    for (body, text) in [
        ("", "Payload expected."),
        ("[\"x\"", "Broken JSON encoding."),
        ("{}", "Broken JSON encoding."),
        ("[1]", "Broken JSON encoding."),
    ] {
        let answer = session.send_raw(body).await;
        assert_eq!((answer.status, &*answer.text), (500, text), "{body:?}");
    }
    assert_eq!(session.send_raw(vec![b'x'; 65 * 1024]).await.status, 413);
    session.send("\n").await;
}
