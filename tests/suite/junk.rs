//! Bytes that no client of good will sends, in headers, paths and instead of a request: always the client's fault, never ours.

use crate::support::App;

/// Sends the request: an answer comes, it blames the client if anyone, and what it says it says as a problem document.
async fn is_not_our_fault(app: &App, request: Vec<u8>) {
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    let answer = app
        .exchange(request)
        .await
        .unwrap_or_else(|| panic!("no answer to {shown}"));
    assert!((200..500).contains(&answer.status), "{shown}: {}", answer.status);
    // What cannot be read as a request at all is answered before payquery sees it, with a status and nothing else.
    if answer.status >= 400 && !answer.text.is_empty() {
        answer.problem(answer.status, answer.json()["code"].as_str().unwrap());
    }
}

#[tokio::test]
async fn junk_in_a_header_is_never_the_services_fault() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let long = [b'x'].repeat(20_000);
    let values: [&[u8]; 8] = [
        b"\xff\xfe\x80",
        b"\"\xff\"",
        b"",
        b"%00",
        b"\"\"\"",
        &long,
        b"\x01\x02",
        b"a\tb",
    ];
    let names = [
        "If-None-Match",
        "If-Match",
        "Authorization",
        "X-Request-Id",
        "Prefer",
        "Accept",
        "X-Forwarded-For",
        "Cookie",
    ];
    for path in [
        format!("/v1/orders/{}", order.id),
        format!("/v1/orders/{}/status", order.id),
    ] {
        for name in names {
            for value in values {
                let head = app.head("GET", &path, &format!("{name}: "));
                let request = [head.trim_end_matches("\r\n").as_bytes(), value, b"\r\n\r\n"].concat();
                is_not_our_fault(&app, request).await;
            }
        }
    }
    for length in [9000, 70_000, 200_000] {
        is_not_our_fault(
            &app,
            app.head("GET", "/v1/orders", &format!("X-Long: {}\r\n", "a".repeat(length)))
                .into(),
        )
        .await;
    }
    is_not_our_fault(
        &app,
        app.head("GET", "/v1/orders", &"X-Many: 1\r\n".repeat(2000)).into(),
    )
    .await;
}

#[tokio::test]
async fn junk_in_a_path_is_never_the_services_fault() {
    let app = App::spawn().await;
    let paths: [&[u8]; 18] = [
        b"/v1/orders/\xff\xfe",
        b"/v1/orders/%",
        b"/v1/orders/%z1",
        b"/v1/orders/%%%",
        b"/v1/orders?%ff=%00",
        b"*",
        b"?",
        b"/v1/orders?=",
        b"/v1/orders?&&&",
        b"/v1/orders?limit=%",
        b"/v1/orders?`=1",
        b"/v1/orders/out-trade-no/%zz",
        b"x",
        b"/v1/orders/\x00",
        b"http://elsewhere/v1/orders?limit=0",
        b"/v1/orders?limit=1#x",
        b"/..%2f..%2fetc",
        b"/v1/orders/../x",
    ];
    for path in paths {
        for key in ["x", &app.api_key] {
            let rest = format!(" HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n\r\n");
            is_not_our_fault(&app, [b"GET ", path, rest.as_bytes()].concat()).await;
        }
    }
    for length in [9000, 70_000, 200_000] {
        is_not_our_fault(
            &app,
            app.head("GET", &format!("/v1/orders/{}", "a".repeat(length)), "")
                .into(),
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_hardly_a_request_is_never_the_services_fault() {
    let app = App::spawn().await;
    for text in [
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}junk\r\n\r\n",
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    ] {
        is_not_our_fault(&app, text.into()).await;
    }
    for headers in [
        "Content-Length: -1\r\n",
        "Content-Length: x\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: junk\r\n",
    ] {
        is_not_our_fault(&app, (app.head("POST", "/v1/orders", headers) + "{}").into()).await;
    }
    assert!(app.listed("").await.is_empty());
}
