//! Status reports in by RabbitMQ, and somebody who may publish to the queue and means harm.

use std::time::{Duration, Instant};

use lapin::types::AMQPValue;
use payquery::domain::api_key::ApiKey;
use serde_json::{Value, json};

use crate::support::rabbit::{DEAD, Inbox, Rabbit, Received, UPDATES, with_headers, with_key};
use crate::support::raw_publisher::{RawPublisher, long, short_text};
use crate::support::{App, VirtualHost, eventually};

/// The shop, and one who writes to its queue.
struct Scene {
    host: VirtualHost,
    rabbit: Rabbit,
    app: App,
    foe: RawPublisher,
    dead: Inbox,
}

impl Scene {
    async fn set(query: &str) -> Self {
        let host = VirtualHost::create().await;
        let app = App::builder()
            .flag("--amqp-url", &format!("{}{query}", host.url))
            .spawn()
            .await;
        let rabbit = Rabbit::connect(&host.url).await;
        let connected = async || app.metric("payquery_rabbitmq_connected", "updates").await;
        eventually(connected, |connected| *connected == 1.0).await;
        let foe = RawPublisher::connect(&host.url).await;
        let dead = rabbit.read(DEAD).await;
        Self {
            host,
            rabbit,
            app,
            foe,
            dead,
        }
    }

    /// A good report that comes after whatever came before is applied, and nothing had to begin anew.
    async fn all_is_well(&self) {
        let order = self.app.create_order().await;
        let report = json!({ "order_id": order.id, "status": "succeeded" });
        self.rabbit.report(&self.app.api_key, &report).await;
        eventually(
            async || self.app.read(&order).await,
            |read| read["status"] == "succeeded",
        )
        .await;
        let failures = self.app.metric("payquery_rabbitmq_intake_failures_total", "").await;
        assert_eq!(failures, 0.0);
    }

    async fn publish(&mut self, properties: &[u8]) {
        self.foe.publish(UPDATES, properties, b"{}").await;
    }

    /// What was last sent was put away: whoever sent it is not known, since its properties could not be read.
    async fn put_away_without_its_properties(&mut self) {
        let letter = self.dead.next().await;
        assert_eq!(
            (letter.header("payquery-code"), &letter.body[..]),
            ("unauthorized".into(), &b"{}"[..])
        );
        assert!(has_mark(&letter), "{letter:?}");
        assert_eq!(letter.properties.message_id(), &None);
    }
}

fn has_mark(letter: &Received) -> bool {
    let headers = letter.properties.headers().as_ref().unwrap().inner();
    headers.get("payquery-properties-left-out") == Some(&AMQPValue::Boolean(true))
}

/// Flags and the table of headers: tables, or arrays, in one another. The broker takes as many as fit into a frame.
fn nested_headers(kind: u8, depth: usize) -> Vec<u8> {
    let name = if kind == b'F' { short_text(b"") } else { Vec::new() };
    let head = name.len() + 5;
    // (From the outside inwards, since the lengths are known.)
    let mut nested = if kind == b'F' { Vec::new() } else { short_text(b"") };
    for level in 1..=depth {
        nested.extend([&name[..], &[kind]].concat());
        nested.extend(u32::try_from((depth - level) * head).unwrap().to_be_bytes());
    }
    [&[0x20, 0][..], &long(&nested)].concat()
}

#[tokio::test]
async fn headers_that_are_nested_without_end_are_put_away_and_end_nothing() {
    let mut scene = Scene::set("").await;
    for (kind, depth) in [(b'F', 17), (b'A', 17), (b'A', 400), (b'F', 10_000), (b'F', 21_800)] {
        scene.publish(&nested_headers(kind, depth)).await;
        scene.put_away_without_its_properties().await;
    }
    scene.publish(&nested_headers(b'F', 15)).await;
    let letter = scene.dead.next().await;
    assert!(!has_mark(&letter), "so many are nothing out of the ordinary");
    scene.all_is_well().await;
}

#[tokio::test]
async fn texts_that_are_not_utf_8_are_put_away_and_stop_nothing() {
    let mut scene = Scene::set("").await;
    let bad = short_text(b"\xff\xfe");
    // Content type and encoding, correlation id, reply-to, message id, type, app id, cluster id.
    for flag in [15, 14, 10, 9, 7, 5, 3, 2] {
        let flags = u16::to_be_bytes(1 << flag);
        scene.publish(&[&flags[..], &bad].concat()).await;
        scene.put_away_without_its_properties().await;
    }
    let name = [&bad[..], b"V"].concat();
    scene.publish(&[&[0x20, 0][..], &long(&name)].concat()).await;
    scene.put_away_without_its_properties().await;
    scene.all_is_well().await;
}

#[tokio::test]
async fn headers_of_more_than_the_frames_that_were_agreed_upon_are_put_away_and_stop_nothing() {
    let mut scene = Scene::set("?frame_max=8192").await;
    let member = [&short_text(b"long")[..], b"S", &long(&vec![b'x'; 100_000])].concat();
    scene.publish(&[&[0x20, 0][..], &long(&member)].concat()).await;
    scene.put_away_without_its_properties().await;
    let values = [&short_text(b"many")[..], b"A", &long(&[b'V'; 7000])].concat();
    scene.publish(&[&[0x20, 0][..], &long(&values)].concat()).await;
    scene.put_away_without_its_properties().await;
    // These fit, but not together with why they were put away.
    let member = [&short_text(b"long")[..], b"S", &long(&[b'x'; 8000])].concat();
    scene.publish(&[&[0x20, 0][..], &long(&member)].concat()).await;
    let letter = scene.dead.next().await;
    assert_eq!(letter.header("payquery-code"), "unauthorized");
    assert_eq!((has_mark(&letter), letter.header("long")), (false, String::new()));
    scene.all_is_well().await;
}

#[tokio::test]
async fn what_the_broker_takes_and_is_odd_all_the_same_stops_nothing() {
    let mut scene = Scene::set("").await;
    let values: [(u8, &[u8]); 9] = [
        (b'D', &[255; 5]),
        (b'T', &[255; 8]),
        (b'd', &[0x7f, 0xef, 255, 255, 255, 255, 255, 255]),
        (b'L', &[255; 8]),
        (b'x', &[0, 0, 0, 2, 0xff, 0]),
        (b'S', &[0, 0, 0, 2, 0xff, 0xfe]),
        (b'A', &[0; 4]),
        (b'F', &[0; 4]),
        (b'V', &[]),
    ];
    for (kind, value) in values {
        for name in [b"".to_vec(), vec![b'n'; 255]] {
            let member = [&short_text(&name)[..], &[kind], value].concat();
            scene
                .publish(&[&[0x20, 0][..], &long(&member.repeat(3))].concat())
                .await;
            assert_eq!(scene.dead.next().await.header("payquery-code"), "unauthorized");
        }
    }
    // A priority that is none, a timestamp at the end of time, and no body.
    let numbers = [&[0x18, 0x40][..], &[2, 255], &[255; 8]].concat();
    scene.foe.publish(UPDATES, &numbers, b"").await;
    assert_eq!(scene.dead.next().await.properties.timestamp(), &Some(u64::MAX));
    scene.all_is_well().await;
}

#[tokio::test]
async fn a_flood_of_keys_that_nobody_has_holds_a_good_message_up_for_moments_only() {
    let mut scene = Scene::set("").await;
    let order = scene.app.create_order().await;
    let begin = Instant::now();
    for number in 0..500_u16 {
        let mut entropy = [7; ApiKey::ENTROPY_BYTES];
        entropy[..2].copy_from_slice(&[number / 200, number % 200].map(|part| u8::try_from(part).unwrap()));
        let key = ApiKey::generate(&entropy).unwrap();
        let report = json!({ "order_id": order.id, "status": "failed" });
        scene.rabbit.report(key.expose(), &report).await;
    }
    let sent = begin.elapsed();
    scene.all_is_well().await;
    let after = begin.elapsed() - sent;
    // Ten look-ups a second would take fifty seconds; measured: two tenths of a second after the last was sent.
    assert!(
        after < Duration::from_secs(10),
        "sent in {sent:?}, and {after:?} after that"
    );
    for _ in 0..500 {
        assert_eq!(scene.dead.next().await.header("payquery-code"), "unauthorized");
    }
    assert_eq!(scene.app.read(&order).await["version"], 1);
}

#[tokio::test]
async fn answers_go_to_no_queue_that_is_not_for_answers() {
    let mut scene = Scene::set("").await;
    for queue in ["warehouse", "payquery.replies.shop"] {
        scene.rabbit.declare(queue).await;
    }
    let order = scene.app.create_order().await;
    for (reply_to, status) in [
        ("warehouse", "succeeded"),
        (UPDATES, "failed"),
        (DEAD, "failed"),
        ("payquery.replies.shop", "refunded"),
    ] {
        let report = json!({ "order_id": order.id, "status": status }).to_string();
        let asking = with_key(&scene.app.api_key).with_reply_to(reply_to.into());
        scene.rabbit.send(UPDATES, asking, report.as_bytes()).await;
    }
    // Answers go out one after the other, so with the last the first would have come.
    let answer = scene.rabbit.read("payquery.replies.shop").await.next().await;
    assert_eq!(answer.json()["status"], "refunded");
    assert_eq!(scene.rabbit.count("warehouse").await, 0);
    for _ in 0..2 {
        assert_eq!(scene.dead.next().await.header("payquery-code"), "illegal_transition");
    }
    let outcomes = async || scene.app.metric("payquery_rabbitmq_updates_total", "").await;
    eventually(outcomes, |count| *count == 4.0).await;
    scene.all_is_well().await;
}

#[tokio::test]
async fn answers_that_end_a_connection_end_none_that_reports_need() {
    let mut scene = Scene::set("").await;
    let order = scene.app.create_order().await;
    // A name that the broker answers with an error of the whole connection.
    let mut ends = with_headers(&[]).with_reply_to("amq.rabbitmq.reply-to.g1h2AA==.x".into());
    for _ in 0..20 {
        scene.rabbit.send(UPDATES, ends.clone(), b"{}").await;
        assert_eq!(scene.dead.next().await.header("payquery-code"), "unauthorized");
    }
    ends = with_key(&scene.app.api_key).with_reply_to("payquery.replies.shop".into());
    scene.rabbit.declare("payquery.replies.shop").await;
    let mut inbox = scene.rabbit.read("payquery.replies.shop").await;
    // The answer to one that comes while that connection is ending may be lost; then one asks again, as the documents say.
    let report = json!({ "order_id": order.id, "status": "succeeded" }).to_string();
    let ask = async || {
        scene.rabbit.send(UPDATES, ends.clone(), report.as_bytes()).await;
        scene.rabbit.count("payquery.replies.shop").await;
        let answer = tokio::time::timeout(Duration::from_secs(2), inbox.next()).await;
        answer.map_or(Value::Null, |answer| answer.json())
    };
    eventually(ask, |answer| answer["status"] == "succeeded").await;
    scene.all_is_well().await;
    drop(scene.host);
}
