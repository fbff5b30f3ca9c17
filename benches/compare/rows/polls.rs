//! Polls of a hot order: processor time of the server for each, and how many a second; and what they cost the database.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::bare::Answers;
use crate::chores::Chores;
use crate::client::{Answer, Connection, get};
use crate::cluster::Counted;
use crate::lab::Lab;
use crate::ours::{Payquery, Shop};
use crate::peers::{self, Load, Nginx, STATIC_FILE};
use crate::result::{Measured, Reach, Row};
use crate::server::Server;

const DATABASE: &str = "polls";

/// A server and what it is asked; the second answer is that of the first's validators.
struct Asked<'a> {
    name: &'static str,
    server: &'a Server,
    full: (String, Vec<(String, String)>),
    unchanged: (String, Vec<(String, String)>),
}

impl Asked<'_> {
    /// The server answers as it is thought to.
    async fn check(&self) -> anyhow::Result<(Answer, Answer)> {
        let ask = |(path, headers): (String, Vec<(String, String)>)| async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            Connection::open(self.server.address)
                .await?
                .ask(&get(&path, &headers))
                .await
        };
        let full = ask(self.full.clone()).await?.expect(200).context(self.name)?;
        let unchanged = ask(self.unchanged.clone()).await?.expect(304).context(self.name)?;
        Ok((full, unchanged))
    }
}

/// The validators that a full answer gave, for the next request.
fn validators(answer: &Answer) -> Vec<(String, String)> {
    let sent = [("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")];
    let sent = sent
        .into_iter()
        .filter_map(|(got, send)| Some((send.to_owned(), answer.header(got)?.to_owned())));
    sent.collect()
}

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    lab.cluster.count_statements(DATABASE).await?;
    let ours = Payquery::start_alone(lab, DATABASE)?;
    let order = shop.stock(lab, 1).await?.remove(0);
    let chores = Chores::learn(lab, DATABASE).await?;
    let ours_asked = Asked {
        name: "payquery",
        server: &ours.server,
        full: (order.url_path(), order.poll_headers(0)),
        unchanged: (order.url_path(), order.poll_headers(1)),
    };
    let (full, unchanged) = ours_asked.check().await?;
    let bare = peers::start_bare(lab, &Answers::of(&unchanged, &full))?;
    let bare_asked = Asked {
        name: "bare actix-web",
        server: &bare,
        full: ("/full".into(), order.poll_headers(0)),
        unchanged: ("/unchanged".into(), order.poll_headers(1)),
    };
    let nginx = Nginx::start(lab, &full.body)?;
    let mut asked = vec![ours_asked, bare_asked];
    asked.push(asked_twice(&nginx.server, "nginx, static file", STATIC_FILE).await?);
    if peers::nchan_module().is_some() {
        let publish = crate::client::request("POST", "/publish/hot", &[], Some(std::str::from_utf8(&full.body)?));
        Connection::open(nginx.server.address).await?.ask(&publish).await?;
        asked.push(asked_twice(&nginx.server, "nchan, interval poll", "/poll/hot").await?);
    } else {
        lab.say("nchan is not installed (Debian: libnginx-mod-nchan): its rows are left out");
    }
    for asked in &asked {
        asked.check().await?;
    }
    let before = lab.cluster.statements(DATABASE).await?;
    let start = Instant::now();
    let loads = in_turn(lab, &asked).await?;
    let polls: f64 = loads
        .iter()
        .flat_map(|round| [round[0].0.requests, round[0].1.requests])
        .sum();
    let mut rows = rows_of(&asked, &loads);
    rows.push(statements_row(lab, &chores, &before, polls, start.elapsed()).await?);
    Ok(Measured {
        rows,
        ..Measured::default()
    })
}

async fn asked_twice<'a>(server: &'a Server, name: &'static str, path: &str) -> anyhow::Result<Asked<'a>> {
    let first = Connection::open(server.address)
        .await?
        .ask(&get(path, &[]))
        .await?
        .expect(200)?;
    Ok(Asked {
        name,
        server,
        full: (path.to_owned(), Vec::new()),
        unchanged: (path.to_owned(), validators(&first)),
    })
}

/// Each server's load of 304s and of 200s, round by round; who goes first changes.
async fn in_turn(lab: &Lab, asked: &[Asked<'_>]) -> anyhow::Result<Vec<Vec<(Load, Load)>>> {
    let mut rounds = Vec::new();
    for round in 0..lab.plan.rounds {
        let mut loads: Vec<Option<(Load, Load)>> = vec![None; asked.len()];
        for turn in 0..asked.len() {
            let which = (turn + round) % asked.len();
            let Asked {
                name,
                server,
                full,
                unchanged,
            } = &asked[which];
            let unchanged = peers::wrk(lab, server, &unchanged.0, &unchanged.1, lab.plan.poll_seconds)?;
            let full = peers::wrk(lab, server, &full.0, &full.1, 1)?;
            lab.say(&format!(
                "polls {}/{}: {name}: 304 {:.2} µs, {:.0}/s; 200 {:.2} µs, {:.0}/s",
                round + 1,
                lab.plan.rounds,
                unchanged.processor_microseconds,
                unchanged.per_second,
                full.processor_microseconds,
                full.per_second
            ));
            loads[which] = Some((unchanged, full));
            tokio::task::yield_now().await; // a Ctrl-C is heard between two loads
        }
        rounds.push(loads.into_iter().flatten().collect());
    }
    Ok(rounds)
}

/// What each peer's processor time is to be undercut to.
fn limit_for(peer: &str) -> f64 {
    match peer {
        "bare actix-web" => 1.15,
        "nginx, static file" => 1.0,
        _ => 1.3,
    }
}

fn rows_of(asked: &[Asked<'_>], loads: &[Vec<(Load, Load)>]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |what: &str, unit: &str, reach: fn(f64) -> Reach, value: fn(&(Load, Load)) -> f64| {
        for (which, peer) in asked.iter().enumerate().skip(1) {
            let mut row = Row::ratio(what, peer.name, unit, reach(limit_for(peer.name)));
            for round in loads {
                row.add(value(&round[0]), value(&round[which]));
            }
            rows.push(row);
        }
    };
    add("processor time of the server for a 304", "µs", Reach::AtMost, |load| {
        load.0.processor_microseconds
    });
    let at_least = |limit: f64| Reach::AtLeast((100.0 / limit).round() / 100.0);
    add("304s a second, one processor", "/s", at_least, |load| load.0.per_second);
    add("200s a second, one processor", "/s", at_least, |load| load.1.per_second);
    rows
}

async fn statements_row(
    lab: &Lab,
    chores: &Chores,
    before: &[Counted],
    polls: f64,
    time: Duration,
) -> anyhow::Result<Row> {
    let (of_polls, of_chores) = chores.calls_since(lab, before).await?;
    let mut row = Row::alone(
        "database statements per million polls of an unchanged order",
        "",
        Reach::AtMost(0.0),
    );
    row.ours = vec![of_polls as f64 * 1e6 / polls];
    row.note = format!(
        "{:.2} million polls in {:.0} s, beside which the chores that an idle process has sent {:.1} statements a second",
        polls / 1e6,
        time.as_secs_f64(),
        of_chores as f64 / time.as_secs_f64()
    );
    Ok(row)
}
