//! SIGSTOP of Postgres for 10 s.

use std::time::Duration;

use crate::lab::{OwnPostgres, Verdict};
use crate::outage::{self, Outage};

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let outage = Outage {
        name: "postgres_stopped",
        go_away: OwnPostgres::freeze,
        come_back: OwnPostgres::thaw,
        lasts: Duration::from_secs(10),
        what: "SIGSTOP of Postgres for 10 s",
    };
    outage::run(postgres, outage).await
}
