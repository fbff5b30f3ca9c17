//! Postgres' disk is full: clear 503s, nothing acknowledged that isn't there, polls and held requests go on, and all is well
//! again by itself once there is room.
//!
//! The disk is a small file system in memory, which takes root to mount. Whoever may not is told so; it is no verdict.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::lab::{Holds, OwnPostgres, Traffic, Verdict, World, wait_until};

const HELD: usize = 100;
const LASTS: Duration = Duration::from_secs(5);
const BOUND: Duration = Duration::from_secs(1);
/// A cluster and its first logs take about half.
const SIZE: &str = "size=128m";

pub async fn run() -> Verdict {
    let Some(disk) = SmallDisk::mount() else {
        return Verdict::impossible("needs root, to mount a small disk");
    };
    let postgres = tokio::task::block_in_place(|| OwnPostgres::start_in(disk.0.join("postgres")));
    let world = World::of(&postgres, "disk_full", 1).await;
    let verdict = fill_and_free(&world, &disk).await;
    tokio::task::block_in_place(|| drop((world, postgres)));
    verdict
}

async fn fill_and_free(world: &World, disk: &SmallDisk) -> Verdict {
    let door = world.door(0);
    let (held, written) = (world.create_orders(HELD).await, world.create_orders(4).await);
    let mut holds = Holds::default();
    for order in &held {
        holds.add(world.payer(order), door);
    }
    world.wait_for_held(0, HELD).await;
    let mut traffic = Traffic::default();
    traffic.write(world, door, &written, Duration::from_millis(10));
    traffic.poll(world, door, &held, Duration::from_millis(5));

    tokio::task::block_in_place(|| disk.fill());
    let start = Instant::now();
    let refused = create_until(world, start + LASTS).await;
    let (end, ended) = (Instant::now(), holds.ended_so_far());
    disk.free();
    let recovery = wait_until(Duration::from_secs(10), async || create_large(world).await.is_ok()).await;
    let (writes, polls) = traffic.finish().await;
    for (_, took) in &polls.times {
        world.judge.late(*took);
    }
    for (is_wrong, what) in [
        (refused == 0, "no write was refused"),
        (ended > 0, "held requests ended meanwhile"),
        (writes.broken > 0, "writes were left without an answer"),
        (recovery.is_none(), "writes are refused for good"),
    ] {
        if is_wrong {
            world.judge.wrong(what.into());
        }
    }
    let told = tell_all(world, &held, holds).await;
    world.judge.audit(&world.pool).await;
    let done = format!(
        "Postgres' disk full for {} s: {refused} creations refused with 503; {} polls answered; {told} of {HELD} held requests kept \
         and then told; well again {} ms after there was room",
        LASTS.as_secs(),
        polls.good_between(start, end),
        recovery.unwrap_or_default().as_millis(),
    );
    world.judge.verdict(done, BOUND)
}

/// Creates orders until the time is up; how many were refused. What else there may be is wrong.
async fn create_until(world: &World, until: Instant) -> usize {
    let mut refused = 0;
    while Instant::now() < until {
        match create_large(world).await {
            Err(Ok(answer)) if answer.status == 503 && answer.retry_after => refused += 1,
            Ok(()) => {}
            Err(other) => world.judge.wrong(format!("a creation: {other:?}")),
        }
    }
    refused
}

/// An order that takes half a page, so that a page more is needed soon.
async fn create_large(world: &World) -> Result<(), Result<crate::lab::Answer, String>> {
    let noise: String = (0..3500).map(|_| fastrand::alphanumeric()).collect();
    let created = world
        .merchant
        .create(world.door(0), json!({ "metadata": { "noise": noise } }))
        .await;
    created.map(drop)
}

async fn tell_all(world: &World, held: &[crate::lab::Order], mut holds: Holds) -> usize {
    for order in held {
        let _ = world.merchant.report(world.door(0), order, "failed").await;
    }
    let mut told = 0;
    while let Some(Ok(ended)) = holds.0.join_next().await {
        match ended.answer {
            Ok(answer) if answer.text("status") == "failed" => told += 1,
            other => world.judge.lost(format!("a held request: {other:?}")),
        }
    }
    told
}

/// A file system in memory, unmounted with this value.
#[derive(Debug)]
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = PathBuf::from(format!("/tmp/payquery-faults-disk-{}", std::process::id()));
        fs::create_dir_all(&directory).ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&directory);
        let mounted = mount
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            let _ = fs::remove_dir(&directory);
        }
        mounted.then_some(Self(directory))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).expect("a file");
        for block in [vec![0; 65536], vec![0; 512]] {
            while ballast.write(&block).is_ok_and(|written| written > 0) {}
        }
    }

    fn free(&self) {
        let _ = fs::remove_file(self.0.join("ballast"));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
