//! API keys that are revoked while something is open that they opened.

use crate::sockjs::subscribe_frame;
use crate::support::stomp::{Frame, frame};
use crate::support::{App, Piece};

async fn revoke_all_keys(app: &App) {
    sqlx::query("update api_keys set revoked_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_revoked_key_ends_the_streams_of_events_that_it_opened_and_opens_no_other() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut of_merchant = app.ask_with(&order, &app.api_key).events().await;
    let mut of_payer = app.stream(&order).await;
    for events in [&mut of_merchant, &mut of_payer] {
        assert_eq!(events.document().await["version"], 1);
    }
    let revoked = app.api_key.clone();
    revoke_all_keys(&app).await;
    let pieces = of_merchant.rest().await;
    let [Piece::Retry(milliseconds)] = &*pieces else {
        panic!("{pieces:?}")
    };
    assert!((2000..=3000).contains(milliseconds), "{milliseconds}");
    let again = app.ask_with(&order, &revoked).header("accept", "text/event-stream");
    again.send().await.problem(401, "unauthorized");
    // As for polls, a client secret is as good as before, whatever became of the merchant's keys.
    assert_eq!(app.ask(&order).send().await.status, 200);
    let app = app.with_key_of_acme().await;
    app.report(&order, "succeeded").await;
    assert_eq!(of_payer.document().await["version"], 2);
}

#[tokio::test]
async fn a_revoked_key_ends_the_sockjs_sessions_in_which_it_opened_something() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    assert_eq!(session.poll().await, "o");
    let key = format!("api-key:{}", app.api_key);
    session.send(&frame(&["CONNECT", "accept-version:1.2", &key])).await;
    assert_eq!(Frame::read(&session.messages().await[0]).command, "CONNECTED");
    session.send(&subscribe_frame(&order)).await;
    assert_eq!(Frame::read(&session.messages().await[0]).document()["version"], 1);
    revoke_all_keys(&app).await;
    Frame::read(&session.messages().await[0]).problem("unauthorized");
    assert_eq!(session.poll().await, "c[3000,\"Go away!\"]");
    app.wait_for_held(0).await;
}
