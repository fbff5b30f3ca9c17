use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::*;
use crate::domain::webhook::{DeliveryId, EndpointId, SecretPair, WebhookSecret, WebhookUrl};

/// A name server's answers, one after the other, the last of them again and again; and how many were asked for.
fn answers(answers: Vec<Vec<SocketAddr>>) -> (Lookups, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let lookups = Lookups::by(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        Ok(answers[number.min(answers.len() - 1)].clone())
    });
    (lookups, asked)
}

/// One that may reach 127.0.0.1 and no other address of this machine.
fn sender(lookups: Lookups) -> Sender {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings {
        allow: vec!["127.0.0.1/32".parse().expect("a network")],
        retry_plan: "1s".parse().expect("a plan"),
        timeout: Duration::from_secs(5),
        disable_after: Duration::from_hours(24),
        retention_days: 0,
    };
    Sender::with(&settings, lookups).expect("a sender")
}

fn delivery_to(url: &str) -> Claimed {
    Claimed {
        id: DeliveryId(Uuid::nil()),
        token: Uuid::nil(),
        endpoint: EndpointId(Uuid::nil()),
        order: None,
        event_id: Uuid::nil(),
        payload: "{}".into(),
        attempt: 1,
        tries: 1,
        url: Some(WebhookUrl::parse(url).expect("a URL")),
        secrets: SecretPair {
            current: WebhookSecret::new([7; _]),
            previous: None,
        },
        endpoint_updated_at: chrono::DateTime::UNIX_EPOCH,
    }
}

/// Takes each connection, answers what comes on it, and closes it; counts them.
fn receive(listener: TcpListener) -> Arc<AtomicUsize> {
    let taken = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&taken);
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
        }
    });
    taken
}

fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((address, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// (The port is the answer's, too, where the URL names none.)
#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_leads_nobody_there() {
    for url in ["http://shop.example/", "https://shop.example/"] {
        let ((allowed, good), (forbidden, bad)) = (listen("127.0.0.1"), listen("127.0.0.2"));
        let taken = receive(allowed);
        let (lookups, asked) = answers(vec![vec![good], vec![bad]]);
        let sender = sender(lookups);
        let first = sender.send(&delivery_to(url)).await.attempt;
        assert_eq!(taken.load(Ordering::SeqCst), 1, "{url}: {first:?}");
        assert_eq!(
            asked.load(Ordering::SeqCst),
            1,
            "{url}: looked at and connected to by one answer"
        );
        let second = sender.send(&delivery_to(url)).await.attempt;
        assert_eq!(second.error.as_deref(), Some("no_address"), "{url}");
        assert_eq!(
            (taken.load(Ordering::SeqCst), asked.load(Ordering::SeqCst)),
            (1, 2),
            "{url}"
        );
        assert!(forbidden.accept().is_err(), "{url}: somebody came");
    }
}

#[tokio::test]
async fn of_the_addresses_of_a_name_those_that_may_not_be_reached_are_left_out() {
    for url in ["http://shop.example/", "https://shop.example/"] {
        let ((allowed, good), (forbidden, bad)) = (listen("127.0.0.1"), listen("127.0.0.2"));
        let taken = receive(allowed);
        let (lookups, _) = answers(vec![vec![bad, good, bad]]);
        let attempt = sender(lookups).send(&delivery_to(url)).await.attempt;
        assert_eq!(taken.load(Ordering::SeqCst), 1, "{url}: {attempt:?}");
        assert!(forbidden.accept().is_err(), "{url}: somebody came");
    }
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date() {
    assert_eq!(read_retry_after(b" 120 "), Some(Duration::from_mins(2)));
    let later = SystemTime::now() + Duration::from_secs(90);
    let read = read_retry_after(httpdate::fmt_http_date(later).as_bytes()).expect("a date");
    assert!(
        read > Duration::from_secs(80) && read <= Duration::from_secs(90),
        "{read:?}"
    );
    assert_eq!(read_retry_after(b"Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    for junk in [&b""[..], b"soon", b"-5", b"1.5", b"+5", b"\xff"] {
        assert_eq!(read_retry_after(junk), None, "{junk:?}");
    }
}

#[test]
fn what_is_kept_of_an_answer_is_clean_text() {
    assert_eq!(sanitise(b"ok\r\n"), "ok");
    assert_eq!(sanitise(b"a\0b\x1b[31mc"), "a b [31mc");
    assert_eq!(sanitise("caf\u{e9}".as_bytes().split_last().expect("bytes").1), "caf");
    assert_eq!(sanitise(b"\xff\xfe"), "");
}
