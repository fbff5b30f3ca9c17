//! kill -9 of Postgres, all its processes, for 4 s.

use std::time::Duration;

use crate::lab::{OwnPostgres, Verdict};
use crate::outage::{self, Outage};

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let outage = Outage {
        name: "postgres_killed",
        go_away: OwnPostgres::kill,
        come_back: OwnPostgres::start_again,
        lasts: Duration::from_secs(4),
        what: "kill -9 of Postgres, all its processes, for 4 s",
    };
    outage::run(postgres, outage).await
}
