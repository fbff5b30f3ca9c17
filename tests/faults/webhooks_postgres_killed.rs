//! kill -9 of Postgres while webhooks are under way: each event arrives, those of an order in order, and nothing stays in hand.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::lab::{Hook, Http, Launch, Order, OwnPostgres, Verdict, World, wait_until};

const ORDERS: usize = 100;
/// What is reported of each order, after its creation.
const REPORTS: [&str; 4] = ["processing", "pending", "processing", "succeeded"];
const EVENTS: usize = ORDERS * (1 + REPORTS.len());
/// So many have come when it is killed.
const KILLED_AFTER: usize = 150;
const AWAY: Duration = Duration::from_secs(2);
/// What was claimed and not marked is claimed again when its lease is over: twice the time limit of an attempt.
const FLAGS: [&str; 3] = [
    "--webhook-allow=127.0.0.0/8",
    "--webhook-timeout=2",
    "--webhook-retry-plan=100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms",
];
/// From the report to the webhook, once all is well again; and from Postgres' return until all have come, a lease included.
const BOUND: Duration = Duration::from_secs(10);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let launch = Launch {
        flags: FLAGS.map(Into::into).into(),
        ..Launch::default()
    };
    let world = World::with(postgres, "webhooks_postgres_killed", vec![launch; 2]).await;
    let hook = Hook::start().await;
    create_endpoint(&world, &hook).await;
    let orders = world.create_orders(ORDERS).await;
    let killing = async {
        let came = wait_until(Duration::from_secs(20), async || hook.distinct() >= KILLED_AFTER).await;
        if came.is_none() {
            world
                .judge
                .wrong(format!("only {} events came before", hook.distinct()));
        }
        let before = hook.arrivals().len();
        tokio::task::block_in_place(|| postgres.kill());
        tokio::time::sleep(AWAY).await;
        tokio::task::block_in_place(|| postgres.start_again());
        (before, Instant::now())
    };
    let reporting = join_all(orders.chunks(ORDERS / 10).enumerate().map(|(number, orders)| {
        let world = &world;
        async move { report_all(world, number % 2, orders).await }
    }));
    let ((before, back_at), refusals) = tokio::join!(killing, reporting);
    let all = wait_until(BOUND, async || hook.distinct() >= EVENTS).await;
    match all {
        Some(_) => world.judge.late(back_at.elapsed()),
        None => world.judge.lost(format!("{} of {EVENTS} events came", hook.distinct())),
    }
    let repeated = check_orders(&world, &hook);
    check_hands(&world).await;
    check_next(&world, &hook).await;
    world.judge.audit(&world.pool).await;
    let done = format!(
        "kill -9 of Postgres for {AWAY:?} when {before} of {EVENTS} webhooks had come, two replicas delivering; {} reports refused \
         meanwhile; all came, {repeated} of them again, each order's in order and one at a time; none left in hand",
        refusals.iter().sum::<usize>(),
    );
    world.judge.verdict(done, BOUND)
}

async fn create_endpoint(world: &World, hook: &Hook) {
    let request = world.merchant.http.post(world.door(0).url("/v1/webhook-endpoints"));
    let request = request
        .bearer_auth(&world.merchant.api_key)
        .json(&json!({ "url": hook.url }));
    let created = Http::send(request).await;
    if !created.as_ref().is_ok_and(|answer| answer.status == 201) {
        world.judge.wrong(format!("no endpoint: {created:?}"));
    }
}

/// Reports until each is acknowledged, as a merchant does; says how often it was told to come again.
async fn report_all(world: &World, replica: usize, orders: &[Order]) -> usize {
    let mut refused = 0;
    for status in REPORTS {
        for order in orders {
            while !world
                .merchant
                .report(world.door(replica), order, status)
                .await
                .is_ok_and(|answer| answer.status == 200)
            {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    refused
}

/// Of each order no version comes after a later one, and no two at once. Says how many came more than once.
fn check_orders(world: &World, hook: &Hook) -> usize {
    let arrivals = hook.arrivals();
    let mut latest: HashMap<Uuid, i64> = HashMap::new();
    for arrival in &arrivals {
        let before = latest.insert(arrival.order, arrival.version).unwrap_or(0);
        if arrival.version < before || arrival.version > before + 1 {
            let (order, version) = (arrival.order, arrival.version);
            world.judge.wrong(format!("{order}: {version} after {before}"));
        }
    }
    if hook.crowded() > 0 {
        world.judge.wrong(format!("{} orders had two at once", hook.crowded()));
    }
    arrivals.len() - hook.distinct()
}

/// All that is queued is marked as delivered, in time for what has a lease to be taken up again.
async fn check_hands(world: &World) {
    let undone = wait_until(BOUND, async || {
        let undone = "select count(*) from webhook_deliveries where state <> 'delivered' or claim is not null";
        sqlx::query_scalar::<_, i64>(undone)
            .fetch_one(&world.pool)
            .await
            .is_ok_and(|count| count == 0)
    });
    if undone.await.is_none() {
        world.judge.wrong("some deliveries are in hand for ever".into());
    }
}

/// What happens afterwards comes as if nothing had been.
async fn check_next(world: &World, hook: &Hook) {
    for replica in 0..2 {
        let Ok((order, _)) = world.merchant.create(world.door(replica), json!({})).await else {
            return world.judge.wrong(format!("replica {replica} takes no writes"));
        };
        let came = wait_until(BOUND, async || hook.arrivals().iter().any(|it| it.order == order.id)).await;
        match came {
            Some(took) => world.judge.late(took),
            None => world.judge.lost(format!("{} after its return", order.id)),
        }
    }
}
