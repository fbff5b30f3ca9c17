//! Heart-beats: what was agreed, and who is to be heard when (STOMP 1.2, "Heart-beating").

use std::time::Duration;

use tokio::time::Instant;

/// How often the server can send, and wants to hear, something, in milliseconds.
const OURS: u64 = 10_000;
/// A client is gone after so many intervals of silence: its line end may be late, and browsers slow the timers of hidden pages.
const PATIENCE: u32 = 3;
/// The longest interval that anyone needs, in milliseconds.
const LONGEST: u64 = 3_600_000;

/// The value of `heart-beat`, in milliseconds; 0 is "not at all".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offer {
    /// At least so often the one who offers can send something.
    can: u64,
    /// So often it wants to hear something.
    wants: u64,
}

impl Offer {
    /// Ours, where something is to be sent after that much silence at the latest.
    pub fn of_server(heartbeat: Duration) -> Self {
        let ours = u64::try_from(heartbeat.as_millis()).unwrap_or(OURS).min(OURS);
        Self { can: ours, wants: ours }
    }

    /// None when it is not two numbers; without the header there are no heart-beats.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::default()) };
        let (can, wants) = text.split_once(',')?;
        let number = |text: &str| text.trim().parse::<u64>().ok().map(|number| number.min(LONGEST));
        Some(Self {
            can: number(can)?,
            wants: number(wants)?,
        })
    }
}

impl std::fmt::Display for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{}", self.can, self.wants)
    }
}

/// Both directions of a connection.
#[derive(Debug, Clone)]
pub struct HeartBeat {
    /// So often something is sent.
    sending: Option<Duration>,
    /// After so much silence the client is gone.
    patience: Option<Duration>,
    last_sent: Instant,
    last_heard: Instant,
}

/// What time asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A line end, since nothing else was sent.
    Beat,
    /// The client was silent for too long.
    Silence,
}

impl HeartBeat {
    /// What a client's offer and ours come to.
    pub fn agree(client: Offer, server: Offer, now: Instant) -> Self {
        let agreed = |can: u64, wants: u64| (can > 0 && wants > 0).then(|| Duration::from_millis(can.max(wants)));
        Self {
            sending: agreed(server.can, client.wants),
            patience: agreed(client.can, server.wants).map(|interval| interval * PATIENCE),
            last_sent: now,
            last_heard: now,
        }
    }

    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    pub fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// The next moment at which something is due, and what; None when nothing ever is.
    pub fn next(&self) -> Option<(Instant, Due)> {
        let beat = self.sending.map(|interval| (self.last_sent + interval, Due::Beat));
        let silence = self.patience.map(|patience| (self.last_heard + patience, Due::Silence));
        [beat, silence].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says by it that something is there")]
mod tests {
    use super::*;

    const SERVER: Offer = Offer { can: OURS, wants: OURS };

    fn agreed(client: &str) -> (Option<u64>, Option<u64>) {
        let offer = Offer::parse(Some(client)).unwrap();
        let heart_beat = HeartBeat::agree(offer, SERVER, Instant::now());
        let seconds = |interval: Option<Duration>| interval.map(|interval| interval.as_secs());
        (seconds(heart_beat.sending), seconds(heart_beat.patience))
    }

    #[test]
    fn the_slower_of_both_sides_sets_the_pace_and_zero_switches_a_direction_off() {
        assert_eq!(agreed("10000,10000"), (Some(10), Some(30)));
        assert_eq!(agreed("0,0"), (None, None));
        assert_eq!(agreed("20000,0"), (None, Some(60)));
        assert_eq!(agreed("0,20000"), (Some(20), None));
        assert_eq!(agreed("1,1"), (Some(10), Some(30)));
        assert_eq!(agreed("18446744073709551615, 5"), (Some(10), Some(3 * 3600)));
        assert_eq!(Offer::parse(None), Some(Offer { can: 0, wants: 0 }));
        for junk in ["", "1", "a,b", "1,", "-1,0", "1,2,3"] {
            assert_eq!(Offer::parse(Some(junk)), None, "{junk}");
        }
        assert_eq!(Offer::of_server(Duration::from_secs(25)), SERVER);
        assert_eq!(Offer::of_server(Duration::from_secs(1)).to_string(), "1000,1000");
    }

    #[test]
    fn a_beat_is_due_after_our_silence_and_the_end_after_theirs() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut heart_beat = HeartBeat::agree(SERVER, SERVER, start);
        assert_eq!(heart_beat.next(), Some((after(10), Due::Beat)));
        heart_beat.sent(after(25));
        assert_eq!(heart_beat.next(), Some((after(30), Due::Silence)));
        heart_beat.heard(after(20));
        assert_eq!(heart_beat.next(), Some((after(35), Due::Beat)));
        let never = HeartBeat::agree(Offer::default(), SERVER, start);
        assert_eq!(never.next(), None);
    }
}
