use std::collections::BTreeSet;

use proptest::prelude::*;
use tokio::sync::{Notify, mpsc, oneshot};

use super::*;

/// A queue of numbers whose batches are told to the test, and end when it says so.
struct Bench {
    queue: Arc<Queue<u32>>,
    begun: mpsc::UnboundedReceiver<Vec<u32>>,
    carry_out: Carry,
    end: Arc<Notify>,
}

/// No batch of a test takes that long.
const NEVER: Duration = Duration::from_hours(1);

type Carry = Arc<dyn Fn(Vec<u32>) -> Pin<Box<dyn Future<Output = Vec<u32>> + Send>> + Send + Sync>;

impl Bench {
    /// Jobs of which `comes_again` says so are given back.
    fn new(comes_again: fn(u32) -> bool) -> Self {
        Self::with_long(NEVER, comes_again)
    }

    fn with_long(long: Duration, comes_again: fn(u32) -> bool) -> Self {
        let (tell, begun) = mpsc::unbounded_channel();
        let end = Arc::new(Notify::new());
        let told = Arc::clone(&end);
        let carry_out = move |jobs: Vec<u32>| {
            let (tell, end) = (tell.clone(), Arc::clone(&told));
            Box::pin(async move {
                tell.send(jobs.clone()).expect("the test listens");
                end.notified().await;
                jobs.into_iter()
                    .filter(|job| comes_again(*job))
                    .map(|job| job + 1000)
                    .collect()
            }) as Pin<Box<dyn Future<Output = Vec<u32>> + Send>>
        };
        Self {
            queue: Queue::with_long(long, Histogram::noop()),
            begun,
            carry_out: Arc::new(carry_out),
            end,
        }
    }

    fn add(&self, job: u32) {
        if let Some(shift) = self.queue.add(job).expect("there is room") {
            let carry_out = Arc::clone(&self.carry_out);
            tokio::spawn(shift.work(move |jobs| carry_out(jobs)));
        }
    }

    async fn next_begun(&mut self) -> Vec<u32> {
        self.begun.recv().await.expect("a batch begins")
    }
}

#[tokio::test]
async fn a_job_that_finds_nobody_at_work_is_taken_at_once_and_those_that_follow_go_together() {
    let mut bench = Bench::new(|_| false);
    bench.add(1);
    assert_eq!(bench.next_begun().await, [1]);
    for job in [2, 3, 4] {
        bench.add(job);
    }
    bench.end.notify_one();
    assert_eq!(bench.next_begun().await, [2, 3, 4]);
}

#[tokio::test]
async fn jobs_given_back_come_first_and_in_their_order() {
    let mut bench = Bench::new(|job| job == 2 || job == 3);
    bench.add(1);
    assert_eq!(bench.next_begun().await, [1]);
    for job in [2, 3, 4] {
        bench.add(job);
    }
    bench.end.notify_one();
    assert_eq!(bench.next_begun().await, [2, 3, 4]);
    bench.add(5);
    bench.end.notify_one();
    assert_eq!(bench.next_begun().await, [1002, 1003, 5]);
}

#[tokio::test]
async fn a_crowd_gets_a_second_shift_and_no_third() {
    let mut bench = Bench::new(|_| false);
    bench.add(0);
    assert_eq!(bench.next_begun().await, [0]);
    let crowd = u32::try_from(CROWD).expect("a small number");
    for job in 1..=crowd {
        bench.add(job);
    }
    assert_eq!(bench.next_begun().await, (1..=crowd).collect::<Vec<_>>());
    assert!((0..crowd).all(|job| bench.queue.add(job).expect("there is room").is_none()));
}

#[tokio::test]
async fn a_batch_that_takes_long_keeps_no_other_job_waiting() {
    let mut bench = Bench::with_long(Duration::from_millis(1), |_| false);
    for job in 0..5 {
        bench.add(job);
        assert_eq!(bench.next_begun().await, [job], "though none of those before has ended");
    }
}

#[tokio::test]
async fn when_all_is_done_nobody_is_at_work() {
    let mut bench = Bench::new(|_| false);
    for job in 0..3 {
        bench.add(job);
        bench.next_begun().await;
        bench.end.notify_one();
        while Arc::strong_count(&bench.queue) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.queue.state.lock().shifts, 0);
    }
}

#[test]
fn a_job_beyond_the_bound_is_given_back() {
    let queue = Queue::new(Histogram::noop());
    let add = |job| queue.add(job).expect("there is room");
    let shifts: Vec<_> = (0..MAX_WAITING).filter_map(add).collect();
    assert!(matches!(queue.add(7), Err(Full(7))));
    drop(shifts);
}

#[test]
fn whoever_waits_for_a_shift_that_came_to_nothing_is_told() {
    let queue = Queue::new(Histogram::noop());
    let (sender, mut answer) = oneshot::channel::<()>();
    let shift = queue.add(sender).expect("there is room");
    assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    drop(shift);
    assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

fn refused() -> DbError {
    DbError::Refused(sqlx::Error::RowNotFound)
}

proptest! {
    #[test]
    fn in_the_end_only_what_is_refused_by_itself_is_refused(count in 0_u32..300, bad in prop::collection::btree_set(0_u32..300, 0..4)) {
        let mut parts = Parts::of((0..count).collect());
        let (mut written, mut failed, mut statements) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(part) = parts.next() {
            statements += 1;
            prop_assert!(!part.is_empty());
            if part.iter().any(|item| bad.contains(item)) {
                if let Some((part, error)) = parts.failed(part, refused()) {
                    prop_assert!(matches!(error, DbError::Refused(_)));
                    failed.extend(part);
                }
            } else {
                prop_assert!(part.into_iter().all(|item| written.insert(item)), "nothing is written twice");
            }
        }
        let (bad, good): (BTreeSet<_>, BTreeSet<_>) = (0..count).partition(|item| bad.contains(item));
        prop_assert!(statements <= 1 + bad.len() * 20, "{statements} for {} bad ones", bad.len());
        prop_assert_eq!((written, failed), (good, bad));
    }

    #[test]
    fn nothing_more_is_sent_on_a_connection_that_is_gone(count in 2_u32..300) {
        let mut parts = Parts::of((0..count).collect());
        let whole = parts.next().expect("there are items");
        prop_assert!(parts.failed(whole, refused()).is_none());
        let half = parts.next().expect("there are items");
        let gone = DbError::Unavailable(sqlx::Error::WorkerCrashed);
        let (left, _) = parts.failed(half, gone).expect("nothing is to be tried");
        prop_assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), (0..count).collect());
        prop_assert!(parts.next().is_none());
    }
}
