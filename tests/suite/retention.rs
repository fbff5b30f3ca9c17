//! Old events go, by configuration; nothing else does.

use sqlx::Executor as _;

use crate::support::{App, eventually};

async fn add_old_partition(app: &App) {
    app.pool
        .execute(
            "create table order_events_2025_01 partition of order_events
             for values from ('2025-01-01 00:00:00Z') to ('2025-02-01 00:00:00Z')",
        )
        .await
        .unwrap();
}

async fn partitions(app: &App) -> Vec<String> {
    sqlx::query_scalar(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'order_events'::regclass order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn partitions_past_their_time_are_dropped_and_the_coming_ones_are_there() {
    let app = App::builder().flag("--event-retention-days", "30").spawn().await;
    let order = app.create_order().await;
    add_old_partition(&app).await;
    let app = app.restart().await;
    let left = eventually(
        async || partitions(&app).await,
        |names| !names.contains(&"order_events_2025_01".into()),
    )
    .await;
    assert_eq!(
        left.len(),
        4,
        "this month, the next two, and the one for what has none: {left:?}"
    );
    assert_eq!(app.events(&order).await.len(), 1);
}

#[tokio::test]
async fn by_default_every_event_is_kept() {
    let app = App::spawn().await;
    add_old_partition(&app).await;
    let app = app.restart().await;
    let calls = async || app.database.count_statements(&["keep_order_event_partitions"]).await;
    eventually(calls, |calls| *calls >= 2).await;
    assert!(partitions(&app).await.contains(&"order_events_2025_01".into()));
}
