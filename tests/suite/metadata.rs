//! Metadata: comes back as it was sent, within its bounds.

use serde_json::{Value, json};

use crate::support::App;
use crate::support::merchant::new_order;

#[tokio::test]
async fn metadata_comes_back_as_it_was_sent_at_once_and_later() {
    let app = App::spawn().await;
    let cases = [
        json!({}),
        json!({ "": "" }),
        json!({ "table": 7, "who": "张三 👩‍👩‍👧", "tags": ["a", null, true, { "deep": [[]] }] }),
        json!({ "control": "a\tb\u{1}\u{7f}\"\\/", "key\n": 1 }),
        json!({ "i64": i64::MIN, "u64": u64::MAX, "half": 0.5, "small": 1e-7, "one": 1.0, "big": 1e300 }),
    ];
    for metadata in cases {
        let mut body = new_order(&uuid::Uuid::now_v7().to_string());
        body["metadata"] = metadata.clone();
        let created = app.post("/v1/orders", &body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.json()["metadata"], metadata);
        let path = format!("/v1/orders/{}", created.json()["id"].as_str().unwrap());
        assert_eq!(app.get(&path).await.text, created.text, "read back");
        assert_eq!(app.post("/v1/orders", &body).await.text, created.text, "created again");
    }
}

#[tokio::test]
async fn metadata_may_have_4096_bytes_as_compact_json_and_no_more() {
    let app = App::spawn().await;
    // {"k":"…"} is eight bytes around the text; 咖 has three.
    for (text, fits) in [
        ("x".repeat(4088), true),
        ("x".repeat(4089), false),
        ("咖".repeat(1362) + "xx", true),
        ("咖".repeat(1363), false),
    ] {
        let mut body = new_order(&uuid::Uuid::now_v7().to_string());
        body["metadata"] = json!({ "k": text });
        let answer = app.post("/v1/orders", &body).await;
        if fits {
            assert_eq!(answer.status, 201, "{}", answer.text);
        } else {
            assert!(answer.invalid("metadata").contains("4096 bytes"));
        }
    }
}

#[tokio::test]
async fn white_space_around_metadata_does_not_count_against_it() {
    let app = App::spawn().await;
    let spaces = " ".repeat(5000);
    let body = format!(r#"{{"out_trade_no":"A-1","amount":1,"currency":"CNY","metadata":{{{spaces}"k":1}}}}"#);
    let answer = app.create_raw(&[], &body).await;
    assert_eq!((answer.status, &answer.json()["metadata"]), (201, &json!({ "k": 1 })));
}

#[tokio::test]
async fn metadata_that_cannot_be_kept_is_refused() {
    let app = App::spawn().await;
    let cases: [(Value, &str); 9] = [
        (json!({ "a": "\u{0}" }), "U+0000"),
        (json!({ "a\u{0}": 1 }), "U+0000"),
        (json!({ "a": [{ "b": ["x\u{0}y"] }] }), "U+0000"),
        (json!({ "a": { "b\u{0}": 1 } }), "U+0000"),
        (json!([]), "invalid type"),
        (json!("text"), "invalid type"),
        (json!(7), "invalid type"),
        (json!(true), "invalid type"),
        (json!([{ "a": 1 }]), "invalid type"),
    ];
    for (metadata, reason) in cases {
        let mut body = new_order("A-1");
        body["metadata"] = metadata;
        let detail = app.post("/v1/orders", &body).await.invalid("metadata");
        assert!(detail.contains(reason), "{body}: {detail}");
    }
    assert_eq!(app.listed("").await.len(), 0);
}

/// Postgres writes a number out in full; the largest of all must still be a number when it is read back. One that was not
/// stopped the closing of every tenant's orders, and its own merchant's lists.
#[tokio::test]
async fn the_largest_number_is_read_back_and_stands_in_nobodys_way() {
    let app = App::spawn().await;
    let mut body = new_order("largest");
    body["metadata"] = json!({ "x": f64::MAX, "y": 123_456_789.123_456_79 });
    body["expires_in"] = json!(1);
    let created = app.post("/v1/orders", &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let order = crate::support::Order::of(&created.json());
    let closed = app.ask(&order).query("until", "final").query("wait", 20).send().await;
    assert_eq!((closed.status, &closed.json()["status"]), (200, &json!("closed")));
    assert_eq!(app.read(&order).await["metadata"], body["metadata"]);
}
