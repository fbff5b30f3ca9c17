//! `If-None-Match` through the real port (RFC 9110 §13.1.2), and what comes before it.

use crate::support::{App, RawConnection};

#[tokio::test]
async fn weak_tags_lists_and_several_header_lines_are_understood() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    let unchanged: [&[&str]; 7] = [
        &["\"2\""],
        &["W/\"2\""],
        &["\"1\", \"2\""],
        &["\"x,y\",W/\"2\" , \"9\""],
        &[",, \"2\" ,"],
        &["\"1\"", "\"2\""],
        &["*"],
    ];
    for fields in unchanged {
        let ask = fields
            .iter()
            .fold(app.ask(&order), |ask, field| ask.if_none_match(field));
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.header("etag")), (304, "\"2\""), "{fields:?}");
    }
}

#[tokio::test]
async fn other_tags_and_what_is_no_tag_get_the_document() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    for field in [
        "\"1\"",
        "\"3\"",
        "\"22\"",
        "\"02\"",
        "2",
        "w/\"2\"",
        "\"2",
        "2\"",
        "\"*\"",
        "\"1\" \"2\"",
        "",
    ] {
        // An `If-Modified-Since` beside it means nothing (RFC 9110 §13.1.3).
        let ask = app.ask(&order).if_none_match(field);
        let answer = ask
            .header("if-modified-since", "Fri, 31 Dec 2100 00:00:00 GMT")
            .send()
            .await;
        assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""), "{field}");
    }
}

#[tokio::test]
async fn a_tag_of_bytes_that_are_no_text_gets_the_document() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut connection = RawConnection::open(app.address).await;
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\nif-none-match: \"",
        order.status_path(),
        order.secret
    );
    connection
        .send(&[head.as_bytes(), b"\xff\xfe\"\r\n\r\n"].concat())
        .await;
    let answer = connection.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn wrong_credentials_win_over_a_matching_tag() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for field in ["\"1\"", "*"] {
        let nobody = app
            .ask_without_credentials(&order)
            .if_none_match(field)
            .query("wait", 25)
            .send()
            .await;
        nobody.problem(401, "unauthorized");
        let wrong = app
            .ask_with(&order, "pqs_wrong")
            .if_none_match(field)
            .query("wait", 25)
            .send()
            .await;
        wrong.problem(404, "order_not_found");
    }
}

#[tokio::test]
async fn a_bad_parameter_wins_over_a_matching_tag() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let answer = app.ask(&order).if_none_match("\"1\"").query("wait", "abc").send().await;
    answer.invalid("wait");
}

#[tokio::test]
async fn a_used_up_quota_wins_over_a_matching_tag() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "1")
        .spawn()
        .await;
    let order = app.create_order().await;
    assert_eq!(app.ask(&order).send().await.status, 200);
    let answer = app.ask(&order).if_none_match("\"1\"").query("wait", 25).send().await;
    answer.problem(429, "quota_exceeded");
}
