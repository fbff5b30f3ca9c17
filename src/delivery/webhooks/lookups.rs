//! Looking names up, without letting slow name servers stand in anybody's way.
//!
//! The operating system's resolver holds a thread for as long as it waits, and cannot be told to stop: an attempt may be over
//! long before. So look-ups are bounded, whoever still waits for them; and a name is looked up once at a time, however many
//! deliveries go there. Who does not get a turn within its attempt's time has failed this time, as with any answer that does
//! not come.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

/// Threads that look-ups may hold; the runtime has 512 for everything that blocks.
const MAX_AT_ONCE: usize = 64;

/// The addresses of a name; None: it is not known.
type Found = Option<Arc<[SocketAddr]>>;
/// None: not looked up yet.
type Answer = watch::Receiver<Option<Found>>;
type Resolver = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// See the module's head.
#[derive(Clone)]
pub struct Lookups {
    turns: Arc<Semaphore>,
    running: Arc<Mutex<HashMap<String, Answer>>>,
    resolver: Arc<Resolver>,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}

impl Lookups {
    /// By the operating system.
    pub fn new() -> Self {
        Self::by(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    /// By something else.
    pub fn by(resolver: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            running: Arc::default(),
            resolver: Arc::new(resolver),
        }
    }

    /// The addresses of a name; None: it has none, or nobody knows.
    pub async fn find(&self, name: &str) -> Found {
        let mut answer = self.join(name);
        let found = answer.wait_for(Option::is_some).await.ok()?;
        found.clone().flatten()
    }

    /// The look-up of that name that is under way, or a new one.
    fn join(&self, name: &str) -> Answer {
        let mut running = self.running.lock();
        if let Some(answer) = running.get(name) {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        running.insert(name.to_owned(), answer.clone());
        tokio::spawn(self.clone().look_up(name.to_owned(), tell));
        answer
    }

    async fn look_up(self, name: String, tell: watch::Sender<Option<Found>>) {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        if self.forget_unless_awaited(&name, &tell) {
            return;
        }
        let (resolver, asked) = (Arc::clone(&self.resolver), name.clone());
        let look = tokio::task::spawn_blocking(move || {
            // Held by the thread, and not by whoever waits for it.
            let _turn = turn;
            resolver(&asked)
        });
        let found = look.await.ok().and_then(Result::ok);
        self.running.lock().remove(&name);
        tell.send_replace(Some(found.map(Into::into)));
    }

    /// Whether everybody has gone who wanted it. (The table's own receiver is left.)
    fn forget_unless_awaited(&self, name: &str, tell: &watch::Sender<Option<Found>>) -> bool {
        let mut running = self.running.lock();
        let is_forgotten = tell.receiver_count() <= 1;
        if is_forgotten {
            running.remove(name);
        }
        is_forgotten
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Look-ups that each wait for a word, and a count of those that were begun.
    fn slow() -> (Lookups, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (go, gone) = mpsc::channel();
        let (gone, begun) = (Mutex::new(gone), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&begun);
        let lookups = Lookups::by(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = gone.lock().recv();
            Ok(vec![([192, 0, 2, 1], 0).into()])
        });
        (lookups, go, begun)
    }

    async fn until(begun: &AtomicUsize, count: usize) {
        while begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn name_servers_that_never_answer_hold_a_few_threads_and_the_rest_is_free() {
        let (lookups, go, begun) = slow();
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..600 {
            let lookups = lookups.clone();
            waiting.spawn(async move { lookups.find(&format!("host{number}.example")).await });
        }
        until(&begun, MAX_AT_ONCE).await;
        // More than the runtime has threads: without a bound this would wait behind them for ever.
        assert_eq!(tokio::task::spawn_blocking(|| 7).await.expect("a thread"), 7);
        assert_eq!(begun.load(Ordering::SeqCst), MAX_AT_ONCE);
        // Those who gave up meanwhile are not looked up any more.
        waiting.abort_all();
        while waiting.join_next().await.is_some() {}
        let late = tokio::spawn({
            let lookups = lookups.clone();
            async move { lookups.find("late.example").await }
        });
        drop(go);
        assert_eq!(
            late.await.expect("no panic").as_deref(),
            Some(&[([192, 0, 2, 1], 0).into()][..])
        );
        assert_eq!(begun.load(Ordering::SeqCst), MAX_AT_ONCE + 1);
        while !lookups.running.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_ask_at_the_same_time() {
        let (lookups, go, begun) = slow();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let lookups = lookups.clone();
            asking.spawn(async move { lookups.find("shop.example").await });
        }
        until(&begun, 1).await;
        drop(go);
        assert!(asking.join_all().await.iter().all(Option::is_some));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        // The next one is a new one: nothing is kept.
        assert!(lookups.find("shop.example").await.is_some());
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_look_up_that_fails_or_panics_is_a_name_that_is_not_known() {
        let lookups = Lookups::by(|name| match name {
            "panics.example" => panic!("on purpose"),
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        assert_eq!(lookups.find("fails.example").await, None);
        assert_eq!(lookups.find("panics.example").await, None);
        assert_eq!(lookups.turns.available_permits(), MAX_AT_ONCE);
    }
}
