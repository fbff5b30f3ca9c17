//! The listener's line swallows everything without a word: changes still arrive within a tick, and once lines work again the
//! bell is heard again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::lab::{Forwarder, Launch, OwnPostgres, TICK, Times, Verdict, WITHIN_A_TICK, World, relay, relay_once};

/// Long enough for the heartbeat to find the line dead (15 s), and for a next line to fall into the same hole.
const HOLE: Duration = Duration::from_secs(18);
/// On a busy machine the next line may be later; a line that nobody gives up stays for ever.
const PATIENCE: Duration = Duration::from_secs(40);
/// The time in which a line that works again is found: what fell into the hole is given up after five seconds, and then there is a
/// pause of one.
const RECOVERY: Duration = Duration::from_secs(20);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let name = "listener_black_holed";
    let line = Forwarder::start(postgres.base().with_extension("line"), postgres.socket());
    let variables = vec![("PAYQUERY_LISTEN_URL".into(), line.url(name))];
    let launches = vec![
        Launch::default(),
        Launch {
            variables,
            ..Launch::default()
        },
    ];
    let world = World::with(postgres, name, launches).await;
    let mut payers: Vec<_> = world
        .create_orders(20)
        .await
        .iter()
        .map(|order| world.payer(order))
        .collect();
    let (one, other) = (world.door(0), world.door(1));
    let with_bell = Times(relay(&world, one, other, &mut payers, Instant::now() + Duration::from_secs(2)).await);

    let lines = || line.opened.load(Ordering::SeqCst);
    let (begun, lines_before) = (Instant::now(), lines());
    line.swallow(true);
    let mut in_the_hole = Times(relay(&world, one, other, &mut payers, begun + HOLE).await);
    while lines() == lines_before && begun.elapsed() < PATIENCE {
        in_the_hole = Times(relay(&world, one, other, &mut payers, Instant::now()).await);
    }
    let lines = lines();
    line.swallow(false);
    let lifted = Instant::now();
    let median = |times: Vec<Duration>| Times(times).percentile(50);
    let threshold = in_the_hole.percentile(50).min(TICK / 2) / 2 + with_bell.percentile(50) / 2;
    while median(relay_once(&world, one, other, &mut payers).await) > threshold {
        if lifted.elapsed() > RECOVERY {
            world.judge.wrong(format!(
                "the bell is not heard again {RECOVERY:?} after the line works again"
            ));
            break;
        }
    }
    if lines == lines_before {
        world.judge.wrong("the dead line was not given up".into());
    }
    world.judge.audit(&world.pool).await;
    let done = format!(
        "a replica's LISTEN line black-holed for {} s: {} reports at the other replica, each told here (p50 with the bell {} ms, \
         without {} ms); {lines} lines tried, the bell heard again after {:.1} s",
        lifted.duration_since(begun).as_secs(),
        world.judge.acknowledged() - payers.len(),
        with_bell.percentile(50).as_millis(),
        in_the_hole.percentile(50).as_millis(),
        lifted.elapsed().as_secs_f64(),
    );
    world.judge.verdict(done, WITHIN_A_TICK)
}
