//! An `out_trade_no` is the merchant's own: whatever visible characters it has, its order is found by it.

use crate::support::App;
use crate::support::merchant::new_order;

const AWKWARD: [&str; 26] = [
    "a/b",
    "a%2Fb",
    "a%252Fb",
    "100%",
    "%",
    "%41",
    "a+b",
    "+",
    ".",
    "..",
    "...",
    "../..",
    "a?b",
    "a#b",
    "a;b",
    "a\\b",
    "\"q\"",
    "{id}",
    "status",
    "a/status",
    "/status",
    "events",
    "a:b@c",
    "[x]",
    "a&status=closed",
    "~'(*)!$,=|^`<>",
];

/// Every byte as %XX but letters and digits.
fn encoded(number: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    number.bytes().map(encode).collect()
}

#[tokio::test]
async fn an_awkward_out_trade_no_finds_its_own_order_percent_encoded_in_the_path() {
    let app = App::spawn().await;
    for number in AWKWARD {
        assert_eq!(app.post("/v1/orders", &new_order(number)).await.status, 201, "{number}");
    }
    for number in AWKWARD {
        let path = format!("/v1/orders/out-trade-no/{}", encoded(number));
        // Not through a client that would tidy up the dots.
        let read = app.exchange(app.head("GET", &path, "")).await.unwrap();
        assert_eq!(read.status, 200, "{path}: {}", read.text);
        assert_eq!(read.json()["out_trade_no"], number);
    }
}

#[tokio::test]
async fn an_awkward_out_trade_no_takes_reports_percent_encoded_in_the_path() {
    let app = App::spawn().await;
    for number in AWKWARD {
        app.post("/v1/orders", &new_order(number)).await;
        let path = format!("/v1/orders/out-trade-no/{}/status", encoded(number));
        let body = r#"{"status":"succeeded"}"#;
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let request = app.head("PUT", &path, &headers) + body;
        let reported = app.exchange(request).await.unwrap();
        assert_eq!(reported.status, 200, "{path}: {}", reported.text);
        let order = reported.json();
        assert_eq!(
            (&order["out_trade_no"], &order["status"]),
            (&number.into(), &"succeeded".into())
        );
    }
}

#[tokio::test]
async fn an_awkward_out_trade_no_is_found_by_list_and_batch() {
    let app = App::spawn().await;
    for number in AWKWARD {
        app.post("/v1/orders", &new_order(number)).await;
    }
    for number in AWKWARD {
        let list = app
            .get(&format!("/v1/orders?out_trade_no={}", encoded(number)))
            .await
            .json();
        assert_eq!(list["data"].as_array().unwrap().len(), 1, "{number}");
        assert_eq!(list["data"][0]["out_trade_no"], number);
    }
    let batch = app
        .post("/v1/orders/statuses", &serde_json::json!({ "out_trade_nos": AWKWARD }))
        .await;
    for (answer, number) in batch.json()["data"].as_array().unwrap().iter().zip(AWKWARD) {
        assert_eq!(
            (&answer["out_trade_no"], &answer["version"]),
            (&number.into(), &1.into())
        );
    }
}

#[tokio::test]
async fn a_plus_and_a_dot_in_a_path_need_no_encoding() {
    let app = App::spawn().await;
    for number in ["a+b", "..", ".", "a.b", "a~b", "a:b@c", "a;b=c,d"] {
        app.post("/v1/orders", &new_order(number)).await;
        let path = format!("/v1/orders/out-trade-no/{number}");
        let read = app.exchange(app.head("GET", &path, "")).await.unwrap();
        assert_eq!(
            (read.status, &read.json()["out_trade_no"]),
            (200, &number.into()),
            "{path}"
        );
    }
}
