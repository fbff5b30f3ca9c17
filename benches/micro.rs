//! The pieces by themselves: `cargo bench --bench micro`. Times are of this machine, to be compared with each other and over time;
//! `make bench` compares the whole with its peers.

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use divan::{Bencher, black_box};
use payquery::domain::client_secret::{ClientSecret, IssuingKey};
use payquery::domain::document::StatusDocument;
use payquery::domain::money::{Amount, Currency};
use payquery::domain::order::{Expiry, MerchantId, NewOrder, Order, OrderId, Version};
use payquery::domain::text::OutTradeNo;
use payquery::http::{Rate, bench_support};
use payquery::hub::{HotOrder, Hub, Snapshot};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

fn order() -> Order {
    let id = OrderId::generate();
    let secret = ClientSecret::issue(&key(), id, [7; 16]);
    let new = NewOrder {
        out_trade_no: OutTradeNo::parse("A-1".to_owned()).expect("a name"),
        amount: Amount::from_minor_units(1000).expect("an amount"),
        currency: Currency::parse("CNY").expect("a currency"),
        description: None,
        metadata: None,
        expiry: Expiry::DEFAULT,
    };
    Order::create(id, MerchantId(id.0), secret, new)
}

fn key() -> IssuingKey {
    IssuingKey::new(&[7; 32])
}

/// A hub with so many hot orders; the runtime that it reads on must live as long.
fn hub(orders: usize) -> (Runtime, Arc<Hub>, Vec<Arc<HotOrder>>) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let (hub, hot) = runtime.block_on(async {
        let hub = Hub::new(orders * 2);
        let mut hot = Vec::new();
        for _ in 0..orders {
            let order = order();
            hot.push(load(&hub, order).await);
        }
        (hub, hot)
    });
    (runtime, hub, hot)
}

async fn load(hub: &Arc<Hub>, order: Order) -> Arc<HotOrder> {
    let id = order.id;
    let loaded = hub.get_or_load(id, || async { Ok(Some(order)) });
    loaded.await.expect("it loads").expect("it is there")
}

/// Finding an order is the first step of each poll.
#[divan::bench(args = [1_000, 100_000])]
fn hub_get(bencher: Bencher<'_, '_>, orders: usize) {
    let (_runtime, hub, hot) = hub(orders);
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 7919) % hot.len();
        hub.get(black_box(hot[at].id))
    });
}

/// A change that so many wait for: the bell, and each one's look at the document.
#[divan::bench(args = [0, 1, 100])]
fn hub_publish_and_wake(bencher: Bencher<'_, '_>, waiters: usize) {
    let (runtime, hub, _) = hub(1);
    let mut changed = order();
    let hot = runtime.block_on(load(&hub, changed.clone()));
    bencher.bench_local(|| {
        runtime.block_on(async {
            let waiting: Vec<_> = (0..waiters).map(|_| hot.register()).collect();
            changed.version = Version(changed.version.0 + 1);
            hub.publish(&changed);
            for mut waiter in waiting {
                waiter.changed().await;
            }
        });
    });
}

/// Rendered once for each version.
#[divan::bench]
fn document(bencher: Bencher<'_, '_>) {
    let order = order();
    bencher.bench_local(|| StatusDocument::of(black_box(&order)).render());
}

#[divan::bench]
fn snapshot(bencher: Bencher<'_, '_>) {
    let order = order();
    bencher.bench_local(|| Snapshot::stored(black_box(&order)));
}

/// The secret of a hot order is only compared.
#[divan::bench]
fn secret_of_a_hot_order(bencher: Bencher<'_, '_>) {
    let order = order();
    let presented = order.client_secret.expose().to_owned();
    bencher.bench_local(|| order.client_secret.matches(black_box(&presented)));
}

/// The secret of an order that is not in memory is checked before it is looked for.
#[divan::bench]
fn secret_of_a_cold_order(bencher: Bencher<'_, '_>) {
    let (order, key) = (order(), key());
    let presented = order.client_secret.expose().to_owned();
    bencher.bench_local(|| key.issued(order.id, black_box(&presented)));
}

fn headers(more: &[(HeaderName, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer pqs_0123456789"));
    for (name, value) in more {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    headers
}

#[divan::bench(args = ["\"3\"", "W/\"3\"", "\"1\", \"2\", \"3\""])]
fn if_none_match(bencher: Bencher<'_, '_>, value: &'static str) {
    let headers = headers(&[(IF_NONE_MATCH, value)]);
    bencher.bench_local(|| bench_support::is_unchanged(black_box(&headers), Version(3)));
}

#[divan::bench(args = ["", "wait=25&since_version=3"])]
fn question(bencher: Bencher<'_, '_>, query: &str) {
    let headers = headers(&[]);
    bencher.bench_local(|| bench_support::seconds_to_wait(black_box(query), &headers));
}

#[divan::bench]
fn prefer(bencher: Bencher<'_, '_>) {
    let headers = headers(&[(HeaderName::from_static("prefer"), "respond-async, wait=25")]);
    bencher.bench_local(|| bench_support::seconds_to_wait("", black_box(&headers)));
}

/// One key, as a hot poller has, and many.
#[divan::bench(args = [1, 100_000])]
fn limiter(bencher: Bencher<'_, '_>, keys: u64) {
    let limit = bench_support::Limit::new(Rate {
        per_second: 1_000_000.0,
        burst: 2000,
    });
    let mut key = 0;
    bencher.bench_local(|| {
        key = (key + 7919) % keys;
        limit.takes(black_box(key))
    });
}
