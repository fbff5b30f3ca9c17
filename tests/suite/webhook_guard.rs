//! Where webhooks may not go, and what a receiver cannot do to the service.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::webhooks::{ENDPOINTS, Endpoint};
use crate::support::{App, Receiver, Reply, eventually};

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_in_every_spelling() {
    let app = App::spawn().await;
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:53aa:64c::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
    ] {
        let url = format!("https://{host}:8443/hook");
        let refused = app.post(ENDPOINTS, &json!({ "url": url })).await;
        assert!(refused.invalid("url").contains("may not reach"), "{url}");
    }
    // One that is public, once there is one, cannot become another.
    let endpoint = app.create_endpoint_with(json!({ "url": "https://8.8.8.8/hook" })).await;
    let moved = app
        .patch(&endpoint.path(""), &json!({ "url": "https://10.0.0.1/hook" }))
        .await;
    assert!(moved.invalid("url").contains("may not reach"));
    assert_eq!(app.endpoint(&endpoint).await["url"], "https://8.8.8.8/hook");
}

/// What came of one attempt.
async fn attempt(app: &App, url: &str) -> Value {
    let endpoint = app.create_endpoint_with(json!({ "url": url })).await;
    let delivery = app.try_endpoint(&endpoint).await;
    let attempts = delivery["attempts"].as_array().unwrap();
    attempts[attempts.len() - 1].clone()
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved() {
    // (Without the networks that the other tests allow.)
    let app = App::builder()
        .flag("--webhook-allow", "10.77.0.0/16")
        .flag("--webhook-retry-plan", "10ms")
        .spawn()
        .await;
    let receiver = Receiver::start_willing().await;
    let port = receiver.address.port();
    for url in [
        format!("https://localhost:{port}/"),
        format!("http://localhost:{port}/"),
    ] {
        let refused = attempt(&app, &url).await;
        assert_eq!(
            (&refused["error"], &refused["status"]),
            (&json!("no_address"), &Value::Null),
            "{url}"
        );
        assert_eq!(refused["answer"], Value::Null);
    }
    let unknown = attempt(&app, "https://nobody.invalid/").await;
    assert_eq!(
        unknown["error"], "no_address",
        "the same word: a merchant learns no names of the inside"
    );
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_list_of_allowed_networks_that_became_shorter_counts_at_once() {
    let database = Arc::new(crate::support::TestDatabase::create().await);
    let app = App::builder().webhooks("10ms").spawn_over(Arc::clone(&database)).await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    assert_eq!(app.try_endpoint(&endpoint).await["state"], "delivered");
    drop(app);
    let app = App::builder()
        .flag("--webhook-retry-plan", "10ms")
        .spawn_over(database)
        .await;
    let app = app.with_key_of_acme().await;
    let refused = app.try_endpoint(&endpoint).await;
    assert_eq!(refused["attempts"][0]["error"], "no_address");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let app = App::builder().webhooks("10ms").spawn().await;
    let behind = Receiver::start_willing().await;
    let location: &'static str = format!("Location: {}\r\n", behind.url).leak();
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::start(move |_| Reply::Answer(status, location, String::new())).await;
        let redirected = attempt(&app, &receiver.url).await;
        assert_eq!(
            (&redirected["error"], &redirected["status"]),
            (&json!("redirect"), &json!(status))
        );
    }
    assert!(behind.received().is_empty());
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_endless_is_left_in_time_and_little_of_it_kept() {
    let app = App::builder()
        .webhooks("10ms")
        .flag("--webhook-timeout", "2")
        .spawn()
        .await;
    let hanging = Receiver::start(|_| Reply::Never).await;
    let hung = attempt(&app, &hanging.url).await;
    assert_eq!((&hung["error"], &hung["status"]), (&json!("timeout"), &Value::Null));
    let took = hung["duration_ms"].as_i64().unwrap();
    // (Much later than that nobody leaves it but a machine that stands still.)
    assert!((2000..10_000).contains(&took), "{took} ms");
    // All others have more time than they need.
    let app = App::builder().webhooks("10ms").spawn().await;
    let huge = Receiver::start(|_| Reply::Answer(200, "", "x".repeat(20_000_000))).await;
    let taken = attempt(&app, &huge.url).await;
    assert_eq!((&taken["status"], &taken["error"]), (&json!(200), &Value::Null));
    assert_eq!(taken["answer"], "x".repeat(500));
    // The status decides, also when the rest never comes.
    let cut = Receiver::start(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec())).await;
    let taken = attempt(&app, &cut.url).await;
    assert_eq!(
        (&taken["status"], &taken["error"], &taken["answer"]),
        (&json!(200), &Value::Null, &json!("half"))
    );
    for junk in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 banana\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1",
    ] {
        let receiver = Receiver::start(move |_| Reply::Raw(junk.as_bytes().to_vec())).await;
        assert_eq!(
            attempt(&app, &receiver.url).await["error"],
            "connection_broken",
            "{junk:?}"
        );
    }
    let heads =
        Receiver::start(|_| Reply::Raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(5_000_000)).into())).await;
    assert_eq!(attempt(&app, &heads.url).await["status"], Value::Null);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_apart() {
    let app = App::builder().webhooks("10ms").spawn().await;
    // Taken, so that nobody else can listen there meanwhile.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/hook", nobody.local_addr().unwrap());
    assert_eq!(attempt(&app, &url).await["error"], "connection_refused");
}

/// A certificate for 127.0.0.1 and the authority that issued it, as PEM.
fn certificate() -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&own_key, &issuer)
        .unwrap();
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(own_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), pem)
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_the_attempt_and_so_does_no_tls_at_all() {
    let app = App::builder().webhooks("10ms").spawn().await;
    let (acceptor, _) = certificate();
    let unknown = Receiver::start_encrypted(acceptor).await;
    assert_eq!(attempt(&app, &unknown.url).await["error"], "tls");
    let plain = Receiver::start_willing().await;
    let no_tls = attempt(&app, &plain.url.replace("http:", "https:")).await;
    assert_eq!((&no_tls["error"], &no_tls["status"]), (&json!("tls"), &Value::Null));
    assert!(unknown.received().is_empty() && plain.received().is_empty());
}

#[tokio::test]
async fn over_tls_a_delivery_arrives_when_the_system_trusts_the_certificate() {
    let (acceptor, authority) = certificate();
    let receiver = Receiver::start_encrypted(acceptor).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let app = App::builder().webhooks("10ms");
    let (_process, app) = app
        .spawn_process_with(&[("SSL_CERT_FILE", file.to_str().unwrap())])
        .await;
    let endpoint: Endpoint = app.create_endpoint(&receiver).await;
    let delivery = app.try_endpoint(&endpoint).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn deliveries_go_straight_to_the_receiver_whatever_proxy_the_environment_names() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let (acceptor, authority) = certificate();
    let (plain, encrypted) = (
        Receiver::start_willing().await,
        Receiver::start_encrypted(acceptor).await,
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let names = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ];
    let mut environment: Vec<_> = names.map(|name| (name, &*proxy_url)).into();
    // Nothing is excepted.
    environment.extend([
        ("NO_PROXY", ""),
        ("no_proxy", ""),
        ("SSL_CERT_FILE", file.to_str().unwrap()),
    ]);
    let app = App::builder().webhooks("1h");
    let (_process, app) = app.spawn_process_with(&environment).await;
    for receiver in [&plain, &encrypted] {
        let endpoint = app.create_endpoint(receiver).await;
        let sent = app.post(&endpoint.path("/test"), &json!({})).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let deliveries = eventually(
            async || app.deliveries(&endpoint).await,
            |deliveries| deliveries.iter().any(|delivery| delivery["attempts"][0].is_object()),
        );
        let delivery = deliveries.await.remove(0);
        let at_the_proxy = proxy.accept().map(|(_, from)| from);
        assert!(
            at_the_proxy
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
            "{at_the_proxy:?}"
        );
        assert_eq!(delivery["state"], "delivered", "{delivery}");
    }
}
