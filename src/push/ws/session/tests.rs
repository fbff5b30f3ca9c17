//! The times that a connection is given, by a clock that the tests set.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use actix_web::{FromRequest as _, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;

use super::*;
use crate::push::gate::shut::{asker, hot_order, streams};

/// A session whose client is there and says nothing, for as long as the answer to its handshake is kept.
async fn session() -> (Session, HttpResponse) {
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let request = handshake
        .into_iter()
        .fold(TestRequest::default(), TestRequest::insert_header);
    let request = request.to_http_request();
    let silence = Box::pin(stream::pending::<Result<Bytes, PayloadError>>());
    let silence: std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, PayloadError>>>> = silence;
    let payload = web::Payload::from_request(&request, &mut Payload::from(silence)).await;
    let heartbeat = Duration::from_mins(5);
    let accepted = Socket::accept(&request, payload.expect("is a payload"), None, heartbeat);
    let (answer, socket) = accepted.expect("is a handshake");
    (Session::new(streams(), asker(), socket), answer)
}

fn left(clock: &Clock) -> Option<Duration> {
    match clock.deadline {
        Deadline::Authentication(at) | Deadline::Following(at) => Some(at - Instant::now()),
        Deadline::None => None,
    }
}

fn is_about(seconds: u64, left: Option<Duration>) -> bool {
    let whole = Duration::from_secs(seconds);
    left.is_some_and(|left| left <= whole && left > whole.saturating_sub(Duration::from_secs(5)))
}

#[tokio::test]
async fn one_that_follows_nothing_has_a_minute_and_one_that_follows_something_all_the_time() {
    let (mut session, _answer) = session().await;
    let mut clock = Clock::new(&session.streams);
    session.wind(&mut clock);
    assert!(is_about(5, left(&clock)), "to authenticate");
    session.authenticated = true;
    session.wind(&mut clock);
    assert!(is_about(60, left(&clock)));
    let hot = hot_order(&session.streams).await;
    let following = session.streams.holds.follow(&hot, None).expect("there is a place");
    session.orders.insert(hot.id, following);
    session.wind(&mut clock);
    assert_eq!(left(&clock), None);
    session.orders.remove(&hot.id);
    session.wind(&mut clock);
    assert!(is_about(60, left(&clock)), "from when it followed nothing any more");
}

#[tokio::test]
async fn one_whose_time_is_up_is_closed_with_3008() {
    let now = Instant::now();
    for (authenticated, deadline, closing) in [
        (false, Deadline::Authentication(now), Closing::NOT_AUTHENTICATED),
        (true, Deadline::Following(now), Closing::NOTHING_FOLLOWED),
    ] {
        let (mut session, _answer) = session().await;
        session.authenticated = authenticated;
        let mut clock = Clock::new(&session.streams);
        clock.deadline = deadline;
        assert_eq!(session.go_on(&mut clock).await, Err(closing));
        assert!(format!("{closing:?}").contains("3008"), "{closing:?}");
    }
}
