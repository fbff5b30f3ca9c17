//! The machine's pulse: for how long it stood still while a fault was tried. By so much anything may be late, and it is nobody's
//! fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two beats.
const BEAT: Duration = Duration::from_millis(10);
/// A beat that is late by less is what it is to share two processors, and the faults' bounds have room for it.
const STANDSTILL: Duration = Duration::from_millis(100);
/// Nothing that is to be quick takes longer; it may meet all standstills of such a stretch.
const STRETCH: Duration = Duration::from_secs(5);

/// See the module's head.
#[derive(Debug)]
pub struct Pulse {
    stop: Arc<AtomicBool>,
    beats: Vec<JoinHandle<Vec<Standstill>>>,
}

/// From when until when.
type Standstill = (Instant, Instant);

impl Pulse {
    /// Beats on threads that do nothing else; on two for each processor, since one processor may stand still alone.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let beats = (0..processors * 2).map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || beat(&stop))
        });
        Self {
            beats: beats.collect(),
            stop,
        }
    }

    /// The most that the machine stood still within a stretch of some seconds.
    pub fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let standstills = self
            .beats
            .into_iter()
            .flat_map(|beats| beats.join().unwrap_or_default());
        worst_stretch(&apart(standstills.collect()))
    }
}

fn beat(stop: &AtomicBool) -> Vec<Standstill> {
    let mut standstills = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + BEAT;
        thread::sleep(BEAT);
        let now = Instant::now();
        if now.saturating_duration_since(due) > STANDSTILL {
            standstills.push((due, now));
        }
    }
    standstills
}

/// Those that several threads have seen are one.
fn apart(mut standstills: Vec<Standstill>) -> Vec<Standstill> {
    standstills.sort_unstable();
    let mut apart: Vec<Standstill> = Vec::new();
    for (from, to) in standstills {
        match apart.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => apart.push((from, to)),
        }
    }
    apart
}

fn worst_stretch(standstills: &[Standstill]) -> Duration {
    let from = |number: usize| {
        let stretch = &standstills[number..];
        let end = stretch[0].0 + STRETCH;
        stretch
            .iter()
            .take_while(|(from, _)| *from < end)
            .map(|(from, to)| to.duration_since(*from))
            .sum::<Duration>()
    };
    (0..standstills.len()).map(from).max().unwrap_or_default()
}
