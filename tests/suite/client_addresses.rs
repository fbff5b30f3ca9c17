//! Whose quota a poll counts on: the peer's, or that of the client whom a trusted proxy names.

use crate::support::{Answer, App, AppBuilder, Asking, Order};

fn one_poll() -> AppBuilder {
    App::builder().flag("--poll-rate", "0.01").flag("--poll-burst", "1")
}

/// Polls with that header: whether there was quota.
async fn may_poll(app: &App, order: &Order, (name, value): (&str, &str)) -> bool {
    let answer = app.ask(order).header(name, value).send().await;
    assert!(matches!(answer.status, 200 | 429), "{answer:?}");
    answer.status == 200
}

#[tokio::test]
async fn clients_at_different_addresses_have_quotas_of_their_own() {
    let app = one_poll().spawn().await;
    let order = app.create_order().await;
    let from = |address: &str| {
        let client = reqwest::Client::builder().local_address(address.parse::<std::net::IpAddr>().unwrap());
        Asking(
            client
                .build()
                .unwrap()
                .get(app.url(&order.status_path()))
                .bearer_auth(&order.secret),
        )
    };
    assert_eq!(from("127.0.0.2").send().await.status, 200);
    assert_eq!(from("127.0.0.2").send().await.status, 429);
    assert_eq!(from("127.0.0.3").send().await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxys_clients_have_quotas_of_their_own() {
    let app = one_poll()
        .flag("--trusted-proxies", "10.0.0.0/8,127.0.0.0/8")
        .spawn()
        .await;
    for (name, first, second) in [
        ("x-forwarded-for", "198.51.100.1", "198.51.100.2"),
        ("forwarded", "for=198.51.100.1;proto=https", "for=\"198.51.100.2:4711\""),
        ("forwarded", "for=\"[2001:db8:1::1]\"", "for=\"[2001:db8:2::1]:443\""),
    ] {
        let order = app.create_order().await;
        assert!(may_poll(&app, &order, (name, first)).await, "{first}");
        assert!(!may_poll(&app, &order, (name, first)).await, "{first}");
        assert!(may_poll(&app, &order, (name, second)).await, "{second}");
    }
}

/// What stands left of the address that the proxy wrote is the client's own say.
#[tokio::test]
async fn a_client_behind_a_trusted_proxy_cannot_choose_its_address() {
    let app = one_poll().flag("--trusted-proxies", "127.0.0.1").spawn().await;
    let order = app.create_order().await;
    assert!(may_poll(&app, &order, ("x-forwarded-for", "6.6.6.1, 198.51.100.1")).await);
    for forged in [
        "6.6.6.2, 198.51.100.1",
        "6.6.6.3, junk, 198.51.100.1",
        "198.51.100.1",
        "198.51.100.1:99",
    ] {
        assert!(!may_poll(&app, &order, ("x-forwarded-for", forged)).await, "{forged}");
    }
}

#[tokio::test]
async fn what_a_peer_says_that_is_no_trusted_proxy_counts_for_nothing() {
    for app in [
        one_poll().spawn().await,
        one_poll().flag("--trusted-proxies", "10.0.0.0/8").spawn().await,
    ] {
        let order = app.create_order().await;
        assert!(may_poll(&app, &order, ("x-forwarded-for", "198.51.100.1")).await);
        assert!(!may_poll(&app, &order, ("x-forwarded-for", "198.51.100.2")).await);
        assert!(!may_poll(&app, &order, ("forwarded", "for=198.51.100.3")).await);
    }
}

/// A customer has a /64 at least: counted by single addresses it would have as many quotas as it likes.
#[tokio::test]
async fn addresses_of_one_ipv6_network_share_a_quota() {
    let app = one_poll().flag("--trusted-proxies", "127.0.0.1").spawn().await;
    let order = app.create_order().await;
    assert!(may_poll(&app, &order, ("x-forwarded-for", "2001:db8:0:1::1")).await);
    assert!(!may_poll(&app, &order, ("x-forwarded-for", "2001:db8:0:1:ffff::2")).await);
    assert!(may_poll(&app, &order, ("x-forwarded-for", "2001:db8:0:2::1")).await);
}

#[tokio::test]
async fn failed_authentication_counts_by_the_clients_address_too() {
    let app = App::builder()
        .flag("--auth-failure-rate", "0.01")
        .flag("--auth-failure-burst", "1")
        .flag("--trusted-proxies", "127.0.0.1")
        .spawn()
        .await;
    let order = app.create_order().await;
    let guess = async |address: &str| -> Answer {
        app.ask_with(&order, "pqs_wrong")
            .header("x-forwarded-for", address)
            .send()
            .await
    };
    guess("198.51.100.1").await.problem(404, "order_not_found");
    guess("198.51.100.1").await.problem(429, "quota_exceeded");
    guess("198.51.100.2").await.problem(404, "order_not_found");
}
