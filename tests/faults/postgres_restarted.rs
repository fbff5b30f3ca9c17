//! Fast restart of Postgres, away for 1 s.

use std::time::Duration;

use crate::lab::{OwnPostgres, Verdict};
use crate::outage::{self, Outage};

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let outage = Outage {
        name: "postgres_restarted",
        go_away: OwnPostgres::stop,
        come_back: OwnPostgres::start_again,
        lasts: Duration::from_secs(1),
        what: "fast restart of Postgres, away for 1 s",
    };
    outage::run(postgres, outage).await
}
