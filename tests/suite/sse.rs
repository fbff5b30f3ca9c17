//! Server-sent events on the status resource.

use crate::support::{App, Piece};

#[tokio::test]
async fn a_stream_tells_the_snapshot_first_then_each_change_and_ends_with_the_final_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut events = app.stream(&order).await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    assert_eq!(events.headers["x-accel-buffering"], "no");
    assert_eq!(events.headers["cache-control"], "private, no-store, no-transform");
    assert_eq!(events.piece().await, Some(Piece::Retry(2000)));
    let polled = app.ask(&order).send().await.text;
    assert_eq!(events.piece().await, Some(Piece::Event { id: 1, data: polled }));
    app.report(&order, "processing").await;
    assert_eq!(events.document().await["status"], "processing");
    app.report(&order, "succeeded").await;
    let polled = app.ask(&order).send().await.text;
    assert_eq!(events.rest().await, [Piece::Event { id: 3, data: polled }]);
    app.wait_for_held(0).await;
}
