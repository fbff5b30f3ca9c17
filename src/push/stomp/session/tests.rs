//! The time in which something must be followed, by a clock that the test sets.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::push::gate::shut::{asker, hot_order, streams};
use crate::push::socket::Gone;

/// A client that is there and says nothing.
struct Silent;

impl Wire for Silent {
    async fn receive(&mut self) -> Option<Bytes> {
        std::future::pending().await
    }

    async fn send(&mut self, _: String) -> Result<(), Gone> {
        Ok(())
    }

    async fn end(self, _: Ending) {}
}

fn has_a_minute(session: &Session) -> bool {
    let left = session.deadline.map(|at| at - Instant::now());
    left.is_some_and(|left| left <= Duration::from_mins(1) && left > Duration::from_secs(55))
}

#[tokio::test]
async fn one_that_opened_something_and_follows_nothing_ends_after_a_minute_and_not_before() {
    let streams = streams();
    let mut session = Session::new(&streams, asker(), Transport::Stomp);
    session.prove(&Token("pqs_".to_owned()));
    session.wind();
    assert!(has_a_minute(&session));
    let hot = hot_order(&streams).await;
    let following = streams.holds.follow(&hot, None).expect("there is a place");
    session.followings.insert(1, following);
    session.wind();
    assert_eq!(session.deadline, None, "it follows something");
    session.followings.remove(&1);
    session.wind();
    assert!(has_a_minute(&session), "from when it followed nothing any more");
    session.deadline = Some(Instant::now());
    assert_eq!(session.run(&mut Silent).await, Ending::Idle);
}
