use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::order::Version;
use futures_util::FutureExt as _;

fn order_at(version: i64) -> Order {
    Order {
        version: Version(version),
        ..Order::sample()
    }
}

fn at(order: &Order, version: i64) -> Order {
    Order {
        version: Version(version),
        ..order.clone()
    }
}

async fn load(hub: &Arc<Hub>, order: &Order) -> Arc<HotOrder> {
    let read = order.clone();
    hub.get_or_load(order.id, || async { Ok(Some(read)) })
        .await
        .expect("loads")
        .expect("is there")
}

#[tokio::test]
async fn a_change_between_register_and_read_and_between_read_and_wait_wakes_the_waiter() {
    let hub = Hub::new(10);
    let order = order_at(1);
    let hot = load(&hub, &order).await;

    let mut waiter = hot.register();
    hub.publish(&at(&order, 2));
    assert_eq!(
        waiter.read().version,
        Version(2),
        "between register and read: the read shows it"
    );

    hub.publish(&at(&order, 3));
    waiter
        .changed()
        .now_or_never()
        .expect("between read and wait: the wait ends at once");
    assert_eq!(waiter.read().version, Version(3));

    let mut waiting = Box::pin(waiter.changed());
    assert!(waiting.as_mut().now_or_never().is_none(), "nothing new yet");
    hub.publish(&at(&order, 4));
    waiting.now_or_never().expect("while waiting: the wait ends");
}

#[tokio::test]
async fn a_snapshot_never_moves_backwards() {
    let hub = Hub::new(10);
    let order = order_at(5);
    let hot = load(&hub, &order).await;
    for version in [4, 5, 1] {
        hub.publish(&at(&order, version));
        assert_eq!(hot.snapshot().version, Version(5));
    }
    hub.publish(&at(&order, 7));
    hub.publish(&at(&order, 6));
    assert_eq!(hot.snapshot().version, Version(7));
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_read() {
    let hub = Hub::new(10);
    let order = order_at(1);
    let reads = Arc::new(AtomicUsize::new(0));
    let (open, gate) = watch::channel(false);
    let askers: Vec<_> = (0..1000)
        .map(|_| {
            let (hub, order, reads, mut gate) = (Arc::clone(&hub), order.clone(), Arc::clone(&reads), gate.clone());
            tokio::spawn(async move {
                let id = order.id;
                let load = || async move {
                    reads.fetch_add(1, Ordering::Relaxed);
                    gate.wait_for(|open| *open).await.expect("the gate stays");
                    Ok(Some(order))
                };
                hub.get_or_load(id, load).await.expect("loads").expect("is there").id
            })
        })
        .collect();
    tokio::task::yield_now().await;
    open.send_replace(true);
    for asker in askers {
        assert_eq!(asker.await.expect("no panic"), order.id);
    }
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_change_published_during_the_first_read_is_kept_when_the_read_is_older() {
    let hub = Hub::new(10);
    let order = order_at(1);
    let (started, mut reading) = watch::channel(false);
    let (open, mut gate) = watch::channel(false);
    let asker = tokio::spawn({
        let (hub, order) = (Arc::clone(&hub), order.clone());
        async move {
            let id = order.id;
            let load = || async move {
                started.send_replace(true);
                gate.wait_for(|open| *open).await.expect("the gate stays");
                Ok(Some(order))
            };
            hub.get_or_load(id, load).await
        }
    });
    reading.wait_for(|started| *started).await.expect("the read starts");
    hub.publish(&at(&order, 2));
    open.send_replace(true);
    let hot = asker.await.expect("no panic").expect("loads").expect("is there");
    assert_eq!(hot.snapshot().version, Version(2));
}

#[tokio::test]
async fn an_order_that_is_not_there_and_a_read_that_failed_leave_nothing_behind() {
    let hub = Hub::new(10);
    let id = OrderId::generate();
    assert!(
        hub.get_or_load(id, || async { Ok(None) })
            .await
            .expect("answers")
            .is_none()
    );
    let failed = hub
        .get_or_load(id, || async { Err(DbError::Unavailable(sqlx::Error::PoolTimedOut)) })
        .await;
    assert!(failed.is_err());
    assert!(hub.is_empty());
}

#[tokio::test]
async fn an_asker_who_hangs_up_does_not_end_the_read_for_the_others() {
    let hub = Hub::new(10);
    let order = order_at(1);
    let (open, mut gate) = watch::channel(false);
    let (id, read) = (order.id, order.clone());
    let mut first = Box::pin(hub.get_or_load(id, || async move {
        gate.wait_for(|open| *open).await.expect("the gate stays");
        Ok(Some(read))
    }));
    assert!(first.as_mut().now_or_never().is_none());
    let second = tokio::spawn({
        let hub = Arc::clone(&hub);
        async move { hub.get_or_load(id, || async { panic!("a second read") }).await }
    });
    drop(first);
    open.send_replace(true);
    assert!(second.await.expect("no panic").expect("loads").is_some());
}

#[tokio::test]
async fn the_hub_is_bounded_and_keeps_what_is_held() {
    let hub = Hub::new(SHARDS);
    let held = order_at(1);
    let hot = load(&hub, &held).await;
    for _ in 0..SHARDS * 20 {
        load(&hub, &order_at(1)).await;
    }
    assert!(hub.len() <= SHARDS + 1, "{}", hub.len());
    hub.publish(&at(&held, 2));
    assert_eq!(
        hot.snapshot().version,
        Version(2),
        "a held order is still found by its change"
    );
}
