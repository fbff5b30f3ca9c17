//! Three replicas whose clocks are right, 90 s ahead and 90 s behind: versions, times and expiry are those of one order all the
//! same.

use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::lab::{Launch, Order, OwnPostgres, Verdict, World, alternate};

const SKEWS: [i64; 3] = [0, 90, -90];
const ORDERS: usize = 20;
const ROUNDS: usize = 12;
/// From an order's deadline, by the database's clock, until its waiter is told.
const BOUND: Duration = Duration::from_secs(2);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let Some(library) = std::env::var("FAKETIME_LIBRARY").ok().filter(|path| !path.is_empty()) else {
        return Verdict::failed("libfaketime is not installed, so no process can be given another clock".into());
    };
    let launches = SKEWS.map(|seconds| Launch {
        variables: match seconds {
            0 => Vec::new(),
            _ => [
                ("LD_PRELOAD", library.clone()),
                ("FAKETIME", format!("{seconds:+}s")),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
                ("DONT_FAKE_MONOTONIC", "1".into()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        },
        ..Launch::default()
    });
    let world = World::with(postgres, "clock_skew", launches.into()).await;
    check_clocks(&world).await;
    let orders = world.create_orders(ORDERS).await;
    let mut backwards = 0;
    for order in &orders {
        backwards += report_in_turn(&world, order).await;
    }
    if backwards > 0 {
        world
            .judge
            .wrong(format!("updated_at went backwards {backwards} times"));
    }
    expire(&world).await;
    world.judge.audit(&world.pool).await;
    let done = format!(
        "clocks 0, +90 and -90 s: {} reports of {ORDERS} orders by three replicas in turn, updated_at never backwards; orders \
         closed by the database's clock",
        ORDERS * ROUNDS,
    );
    world.judge.verdict(done, BOUND)
}

/// The clocks really are apart, or all of this shows nothing.
async fn check_clocks(world: &World) {
    for (replica, skew) in SKEWS.into_iter().enumerate() {
        let before = SystemTime::now();
        let (_, answer) = world
            .merchant
            .create(world.door(replica), json!({}))
            .await
            .expect("an order is created");
        let created: DateTime<Utc> = answer.text("created_at").parse().expect("a time");
        let ahead_of = |at: SystemTime| (created - DateTime::<Utc>::from(at)).num_seconds();
        // It was created between the two, however far they are apart.
        let seen = (ahead_of(SystemTime::now()), ahead_of(before));
        if seen.0 > skew + 3 || seen.1 < skew - 3 {
            world
                .judge
                .wrong(format!("replica {replica}'s clock is {seen:?} s off, not {skew}"));
        }
    }
}

/// Reports the order's changes at one replica after the other; how often its time ran backwards.
async fn report_in_turn(world: &World, order: &Order) -> usize {
    let mut payer = world.payer(order);
    let mut times: Vec<String> = Vec::new();
    for (turn, version) in (1..=ROUNDS).zip(1..) {
        let door = world.door(turn % SKEWS.len());
        match world.merchant.report(door, order, alternate(version)).await {
            Ok(answer) if answer.version == Some(version + 1) => times.push(answer.text("updated_at")),
            other => world
                .judge
                .wrong(format!("report {version} of {}: {other:?}", order.id)),
        }
        // Shown at the next replica, which may not have heard yet.
        payer.seen = version + 1;
        let next = world.door((turn + 1) % SKEWS.len());
        if !payer.poll(next).await.is_ok_and(|answer| answer.status == 304) {
            world
                .judge
                .wrong(format!("{} is not current at the next replica", order.id));
        }
    }
    times.windows(2).filter(|pair| pair[1] < pair[0]).count()
}

/// Orders with a deadline in four seconds are closed then, and not before: not by the replica that thinks it is long past.
async fn expire(world: &World) {
    let deadline = SystemTime::now() + Duration::from_secs(4);
    let text = DateTime::<Utc>::from(deadline).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let orders = world.create_orders_with(30, json!({ "expires_at": text })).await;
    let waiting = orders.iter().enumerate().map(|(number, order)| {
        let (mut payer, door) = (world.payer(order), world.door(number % SKEWS.len()));
        async move { (payer.hold_until_final(door, 30).await, SystemTime::now()) }
    });
    let start = Instant::now();
    for (answer, at) in futures_util::future::join_all(waiting).await {
        match (&answer, at.duration_since(deadline)) {
            (Ok(answer), Ok(late)) if answer.text("reason") == "expired" => world.judge.late(late),
            _ => world.judge.wrong(format!("after {:?}: {answer:?}", start.elapsed())),
        }
    }
}
