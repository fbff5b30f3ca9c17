//! 5,000 connections that send nothing, half a head or half a body, or never read their answers: the others are served, memory
//! stays bounded, and the slow ones are cut off on time.

use std::io;
use std::iter::repeat_n;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::lab::{Door, Order, OwnPostgres, Traffic, Verdict, World};

/// A poll of somebody else's.
const BOUND: Duration = Duration::from_secs(2);
/// What 5,000 of them may cost, in KiB: two fixed buffers of 8 KB each per connection, and what comes with them.
const MAX_MEMORY_KIB: u64 = 250 * 1024;
/// Ends of thousands come one after the other.
const SLACK: Duration = Duration::from_secs(6);
/// What is not read ends by the system's timers, which are seconds apart and depend on its version.
const SLACK_OF_THE_SYSTEM: Duration = Duration::from_secs(15);
/// So many come at once, and somebody else is answered before the next do: it is to be seen how the others fare beside 5,000, and not
/// how quickly this machine opens 5,000 connections.
const AT_ONCE: usize = 100;

/// One way of being slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slowness {
    SendsNothing,
    HalfAHead,
    HalfABody,
    NeverReads,
}

use Slowness::{HalfABody, HalfAHead, NeverReads, SendsNothing};

/// How many of each, and the time after which they must be gone.
const CROWD: [(Slowness, usize, Duration); 4] = [
    (SendsNothing, 1500, Duration::from_secs(10)),
    (HalfAHead, 1500, Duration::from_secs(10)),
    (HalfABody, 1500, Duration::from_secs(15)),
    (NeverReads, 500, Duration::from_secs(30)),
];

fn slack(slowness: Slowness) -> Duration {
    if slowness == NeverReads {
        SLACK_OF_THE_SYSTEM
    } else {
        SLACK
    }
}

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let world = World::of(postgres, "slow_clients", 1).await;
    let door = world.door(0);
    let orders = world.create_orders(20).await;
    let mut traffic = Traffic::default();
    for _ in 0..4 {
        traffic.poll(&world, door, &orders, Duration::from_millis(10));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = world.replicas[0].memory_kib();
    let mut crowd = JoinSet::new();
    let comers = CROWD.map(|(slowness, count, limit)| repeat_n((slowness, limit), count));
    let comers: Vec<_> = comers.into_iter().flatten().collect();
    for comers in comers.chunks(AT_ONCE) {
        let streams = join_all(comers.iter().map(|(slowness, _)| connect(door, *slowness))).await;
        for ((slowness, limit), stream) in comers.iter().copied().zip(streams) {
            crowd.spawn(suffer(stream, slowness, opening(slowness, &world, &orders[0]), limit));
        }
        match world.payer(&orders[0]).look(door).await {
            Ok(answer) if answer.status == 200 => world.judge.late(answer.took),
            other => world.judge.wrong(format!("a look: {other:?}")),
        }
    }
    let mut peak = before;
    let mut cut = Vec::new();
    while !crowd.is_empty() {
        tokio::select! {
            Some(Ok(end)) = crowd.join_next() => cut.push(end),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        peak = peak.max(world.replicas[0].memory_kib());
    }
    let (_, polls) = traffic.finish().await;
    polls.times.iter().for_each(|(_, took)| world.judge.late(*took));
    let grown = peak.saturating_sub(before);
    if grown > MAX_MEMORY_KIB {
        world.judge.wrong(format!("{grown} KiB more memory"));
    }
    let mut ends = Vec::new();
    for (slowness, count, limit) in CROWD {
        let mut times: Vec<_> = cut
            .iter()
            .filter(|(of, _)| *of == slowness)
            .filter_map(|(_, time)| *time)
            .collect();
        times.sort_unstable();
        let last = times.last().copied().unwrap_or_default();
        if times.len() < count || last > limit + slack(slowness) {
            world.judge.wrong(format!(
                "{slowness:?}: {} of {count} cut off, the last after {last:?}",
                times.len()
            ));
        }
        ends.push(format!("{count} {slowness:?} gone after ≤ {:.1} s", last.as_secs_f64()));
    }
    world.judge.audit(&world.pool).await;
    let done = format!(
        "5,000 slow connections ({}); {} polls answered meanwhile; {} MiB more memory at the peak",
        ends.join(", "),
        polls.good,
        grown / 1024,
    );
    world.judge.verdict(done, BOUND)
}

/// What it sends before it is slow.
fn opening(slowness: Slowness, world: &World, order: &Order) -> Vec<u8> {
    match slowness {
        SendsNothing => Vec::new(),
        HalfAHead => format!("GET /v1/orders/{}/status HTTP/1.1\r\nhost: a\r\nauthor", order.id).into_bytes(),
        HalfABody => format!(
            "POST /v1/orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: 100\r\n\r\n{{\"out_trade_no\":",
            world.merchant.api_key
        )
        .into_bytes(),
        NeverReads => "GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20).into_bytes(),
    }
}

/// One slow client: when its connection was ended by the other side, if it was.
async fn suffer(
    stream: io::Result<TcpStream>,
    slowness: Slowness,
    opening: Vec<u8>,
    limit: Duration,
) -> (Slowness, Option<Duration>) {
    let Ok(mut stream) = stream else {
        return (slowness, None);
    };
    let start = Instant::now();
    let patience = limit + slack(slowness) * 2;
    if stream.write_all(&opening).await.is_err() {
        return (slowness, Some(start.elapsed()));
    }
    let ended = if slowness == NeverReads {
        tokio::time::timeout(patience, write_until_broken(&mut stream))
            .await
            .is_ok()
    } else {
        tokio::time::timeout(patience, stream.read_to_end(&mut Vec::new()))
            .await
            .is_ok()
    };
    (slowness, ended.then(|| start.elapsed()))
}

/// Those who never read have little room for what they are sent, so that it comes to waiting soon.
async fn connect(door: Door, slowness: Slowness) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if slowness == NeverReads {
        socket.set_recv_buffer_size(4096)?;
    }
    socket.connect(door.address).await
}

/// Asks on without reading an answer until the connection is gone.
async fn write_until_broken(stream: &mut TcpStream) {
    while stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
