use futures_util::FutureExt as _;

use super::super::sessions::{Found, Sessions};
use super::*;

fn begin(sessions: &Arc<Sessions>) -> Conversation {
    match sessions.find_or_open("a") {
        Found::New(session, place) => Conversation::new(session, place),
        other => panic!("{other:?}"),
    }
}

/// Whether the session is kept for a while when it ends so.
fn is_kept(conversation: Conversation, ending: Ending) -> bool {
    conversation.end(ending).now_or_never().is_none()
}

#[tokio::test]
async fn a_session_in_which_nothing_was_opened_goes_at_once_when_its_time_is_over() {
    let sessions = Sessions::new(1);
    assert!(!is_kept(begin(&sessions), Ending::Unproven));
    assert!(sessions.find("a").is_none());
    let mut abandoned = begin(&sessions);
    let long_ago = Instant::now().checked_sub(DISCONNECT_DELAY);
    abandoned.session.state.lock().absent_since = long_ago.expect("the machine runs for longer");
    assert_eq!(abandoned.receive().await, None);
    assert!(!is_kept(abandoned, Ending::Gone));
    // What somebody is there to hear is kept until it was heard.
    let heard = begin(&sessions);
    let receiver = heard.session.attach().expect("nobody else receives");
    assert!(is_kept(heard, Ending::Unproven));
    receiver.finish();
    assert!(is_kept(begin(&sessions), Ending::Refused));
    let mut proven = begin(&sessions);
    proven.prove();
    assert!(is_kept(proven, Ending::Gone));
}

#[tokio::test]
async fn a_session_that_makes_room_ends_at_once_whatever_it_is_about() {
    let sessions = Sessions::new(1);
    let mut first = begin(&sessions);
    let Found::New(_, second) = sessions.find_or_open("b") else {
        panic!("there is room")
    };
    assert_eq!(first.receive().await, None);
    assert!(!is_kept(first, Ending::Gone));
    drop(second);
    // Also while it is kept for its client to hear of its end.
    let ending = begin(&sessions).end(Ending::Refused);
    tokio::pin!(ending);
    assert!((&mut ending).now_or_never().is_none());
    sessions.find_or_open("b");
    assert!((&mut ending).now_or_never().is_some());
}
