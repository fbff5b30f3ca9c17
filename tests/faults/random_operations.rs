//! Random operations at three replicas that are restarted all the time, compared with a plain model of the order table: every
//! answer is the model's, no client sees a version go back, every change reaches those who wait for it.
//!
//! `PAYQUERY_FAULTS_SEED` repeats the operations of an earlier run (their timing is the system's).

mod driver;
mod model;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::lab::{Door, OwnPostgres, Verdict, World};
use driver::Driver;

const REPLICAS: usize = 3;
const DRIVERS: u64 = 6;
const LASTS: Duration = Duration::from_secs(25);
const BETWEEN_RESTARTS: Duration = Duration::from_millis(1500);
/// From a change to the one who waits for it, also if its replica is replaced meanwhile.
const BOUND: Duration = Duration::from_secs(3);

/// The replicas as they are at this moment.
type Doors = Arc<Mutex<Vec<Door>>>;

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let seed = std::env::var("PAYQUERY_FAULTS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("   PAYQUERY_FAULTS_SEED={seed}");
    let mut world = World::of(postgres, "random_operations", REPLICAS).await;
    let doors: Doors = Arc::new(Mutex::new((0..REPLICAS).map(|number| world.door(number)).collect()));
    let until = Instant::now() + LASTS;
    let mut drivers = JoinSet::new();
    for number in 0..DRIVERS {
        let driver = Driver::new(
            world.merchant.clone(),
            Arc::clone(&doors),
            seed.wrapping_mul(DRIVERS) + number,
        );
        drivers.spawn(driver.run(until));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut restarts = 0;
    while Instant::now() + BETWEEN_RESTARTS < until {
        tokio::time::sleep(BETWEEN_RESTARTS).await;
        restart(&mut world, random.usize(..REPLICAS), random.bool()).await;
        *doors.lock().unwrap() = (0..REPLICAS).map(|number| world.door(number)).collect();
        restarts += 1;
    }
    let totals = drivers.join_all().await;
    let sum = |count: fn(&driver::Counts) -> usize| totals.iter().map(count).sum::<usize>();
    world.judge.audit(&world.pool).await;
    let done = format!(
        "seed {seed}: {} operations at {REPLICAS} replicas, {restarts} of them restarted meanwhile: {} orders, {} reports ({} \
         rejected), {} polls, {} waits told, {} expired; each answer as the model has it",
        sum(|counts| counts.operations),
        sum(|counts| counts.created),
        sum(|counts| counts.reports),
        sum(|counts| counts.rejected),
        sum(|counts| counts.polls),
        sum(|counts| counts.told),
        sum(|counts| counts.expired),
    );
    world.judge.verdict(done, BOUND)
}

/// Politely, with the new one there before the old one goes, or with kill -9.
async fn restart(world: &mut World, number: usize, politely: bool) {
    if politely {
        world.start_again(number).stop().await;
    } else {
        world.replicas[number].kill();
        world.start_again(number);
    }
}
