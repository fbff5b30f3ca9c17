//! One source of random operations, with orders of its own, and those who wait for them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use super::model::{Expected, MILLISECOND, ModelOrder, STATUSES};
use super::waiting::Waiting;
use super::{BOUND, Doors};
use crate::lab::{Door, Merchant, Payer};

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub operations: usize,
    pub created: usize,
    pub reports: usize,
    pub rejected: usize,
    pub polls: usize,
    pub told: usize,
    pub expired: usize,
}

/// See the module's head.
#[derive(Debug)]
pub struct Driver {
    merchant: Merchant,
    doors: Doors,
    random: fastrand::Rng,
    orders: Vec<Entry>,
    waits: JoinSet<()>,
    counts: Counts,
}

#[derive(Debug)]
struct Entry {
    /// Shared with those who wait, for the time at which the order moved.
    model: Arc<Mutex<ModelOrder>>,
    payers: [Payer; 2],
}

/// Waits at once.
const MAX_WAITS: usize = 40;
const ORDERS: usize = 60;
/// How long is waited for what must come. What may be late by less is the bound's business.
const PATIENCE: Duration = Duration::from_secs(15);

impl Driver {
    pub fn new(merchant: Merchant, doors: Doors, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            merchant,
            doors,
            random,
            orders: Vec::new(),
            waits: JoinSet::new(),
            counts: Counts::default(),
        }
    }

    pub async fn run(mut self, until: Instant) -> Counts {
        while Instant::now() < until {
            self.counts.operations += 1;
            match self.random.u8(..100) {
                _ if self.orders.len() < 3 => self.create().await,
                0..8 => self.create().await,
                8..45 => self.report().await,
                45..85 => self.poll().await,
                _ => self.wait(),
            }
            while self.waits.try_join_next().is_some() {
                self.counts.told += 1;
            }
        }
        self.finish().await;
        self.counts
    }

    async fn create(&mut self) {
        let expires_in = (self.random.u8(..4) == 0).then_some(3);
        let fields = expires_in.map_or(json!({}), |seconds| json!({ "expires_in": seconds }));
        let asked_at = Instant::now();
        // A creation whose answer was lost is simply another order, which nobody asks for.
        let door = self.any_door();
        let Ok((order, _)) = self.merchant.create(door, fields).await else {
            return;
        };
        let model = ModelOrder::new(asked_at, expires_in.map(Duration::from_secs));
        let payer = || Payer {
            http: self.merchant.http.clone(),
            judge: Arc::clone(&self.merchant.judge),
            order: order.clone(),
            seen: 1,
        };
        let entry = Entry {
            model: Arc::new(Mutex::new(model)),
            payers: [payer(), payer()],
        };
        self.counts.created += 1;
        if self.orders.len() < ORDERS {
            self.orders.push(entry);
        } else {
            let place = self.random.usize(..ORDERS);
            self.settle(place).await;
            self.orders[place] = entry;
        }
    }

    async fn report(&mut self) {
        let place = self.random.usize(..self.orders.len());
        // Mostly what keeps the order open, so that it has a life.
        let status = STATUSES[if self.random.u8(..4) > 0 {
            self.random.usize(..2)
        } else {
            self.random.usize(..6)
        }];
        self.report_to(place, status).await;
    }

    /// Reports until there is an answer: a repeat of what went through already is answered like the first.
    async fn report_to(&mut self, place: usize, status: &'static str) {
        self.see_expiry(place).await;
        let (order, model) = (
            self.orders[place].payers[0].order.clone(),
            Arc::clone(&self.orders[place].model),
        );
        let before = model.lock().unwrap().clone();
        self.counts.reports += 1;
        let answer = loop {
            let door = self.any_door();
            match self.merchant.report(door, &order, status).await {
                Ok(answer) if answer.status != 503 => break answer,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let told = (answer.status, answer.version, answer.text("status"));
        let fits = |order: &ModelOrder| match order.expect(status) {
            Expected::Rejected => answer.status == 409,
            Expected::Unchanged => told == (200, Some(order.version), status.into()),
            Expected::Changed => told == (200, Some(order.version + 1), status.into()),
        };
        let mut model = model.lock().unwrap();
        if !fits(&before) {
            // A report that was long on its way may find the order's time up.
            if before.may_be_closed() && fits(&before.closed()) {
                model.move_to("closed");
                self.counts.expired += 1;
            } else {
                self.merchant
                    .judge
                    .wrong(format!("{status} reported to {before:?}: {answer:?}"));
            }
        }
        match model.expect(status) {
            Expected::Changed => model.move_to(status),
            Expected::Rejected => self.counts.rejected += 1,
            Expected::Unchanged => {}
        }
    }

    async fn poll(&mut self) {
        let place = self.random.usize(..self.orders.len());
        self.see_expiry(place).await;
        let (door, which) = (self.any_door(), self.random.usize(..2));
        let entry = &mut self.orders[place];
        let expected = entry.model.lock().unwrap().clone();
        let seen = entry.payers[which].seen;
        let asked_at = Instant::now();
        let Ok(answer) = entry.payers[which].poll(door).await else {
            return;
        };
        self.counts.polls += 1;
        let version = answer.version.unwrap_or(0);
        let stale = version < expected.version && asked_at.duration_since(expected.moved_at) > BOUND;
        // Its time may be up meanwhile.
        let newest = expected.version + i64::from(expected.may_be_closed());
        let status = if version == seen { 304 } else { 200 };
        if answer.status != status || version > newest || stale {
            self.merchant
                .judge
                .wrong(format!("{expected:?} polled with {seen}: {answer:?}"));
        }
    }

    /// Somebody waits until the order moves on, or until it is final, whatever happens to replicas meanwhile.
    fn wait(&mut self) {
        let place = self.random.usize(..self.orders.len());
        if self.waits.len() >= MAX_WAITS {
            return;
        }
        let entry = &self.orders[place];
        let model = entry.model.lock().unwrap().clone();
        if model.is_final() {
            return;
        }
        let waiting = Waiting {
            payer: Payer {
                seen: model.version,
                ..entry.payers[0].clone()
            },
            since: model.version,
            until_final: self.random.bool(),
            model: Arc::clone(&entry.model),
            doors: Arc::clone(&self.doors),
        };
        self.waits.spawn(waiting.run());
    }

    /// Where an order's time is up, waits until the service has closed it, and takes that into the model.
    async fn see_expiry(&mut self, place: usize) {
        let model = Arc::clone(&self.orders[place].model);
        if !model.lock().unwrap().is_expiring() {
            return;
        }
        let due = model.lock().unwrap().expires_at.expect("it expires");
        let mut payer = self.orders[place].payers[0].clone();
        payer.seen = model.lock().unwrap().version;
        let begun = due.max(Instant::now());
        let mut told = Vec::new();
        let (version, at) = loop {
            let door = self.any_door();
            match payer.hold_until_final(door, 2).await {
                Ok(answer) if answer.text("reason") == "expired" => break (answer.version, Instant::now()),
                _ if begun.elapsed() > PATIENCE => break (None, Instant::now()),
                answer => told.push((door.number, answer)),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.merchant.judge.late(at.saturating_duration_since(begun));
        let mut model = model.lock().unwrap();
        if version != Some(model.version + 1) || at + MILLISECOND < due {
            let late = at.saturating_duration_since(due);
            self.merchant.judge.wrong(format!(
                "{model:?} became {version:?} {late:?} after its time; told before: {told:?}"
            ));
        }
        model.move_to("closed");
        self.counts.expired += 1;
    }

    /// Brings an order to its end, so that whoever waits for it is told.
    async fn settle(&mut self, place: usize) {
        self.see_expiry(place).await;
        if !self.orders[place].model.lock().unwrap().is_final() {
            self.report_to(place, "succeeded").await;
        }
    }

    /// Every order becomes final; then nobody may be left waiting.
    async fn finish(&mut self) {
        for place in 0..self.orders.len() {
            self.settle(place).await;
        }
        let waiting = self.waits.len();
        let all = async { while self.waits.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            self.merchant
                .judge
                .lost(format!("{} still wait for an order that is final", self.waits.len()));
        }
        self.counts.told += waiting - self.waits.len();
    }

    fn any_door(&mut self) -> Door {
        self.doors.lock().unwrap()[self.random.usize(..super::REPLICAS)]
    }
}
