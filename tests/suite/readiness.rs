//! `/readyz` is open to whoever reaches it: asking it must not be a way to ask the database.

use std::time::Instant;

use crate::support::{Answer, App};

#[tokio::test]
async fn however_many_ask_whether_it_is_ready_the_database_is_asked_five_times_a_second() {
    let app = App::spawn().await;
    let asked = async || app.database.count_statements(&["select", "as one"]).await;
    let (before, start) = (asked().await, Instant::now());
    for _ in 0..10 {
        let asking: Vec<_> = (0..40)
            .map(|_| tokio::spawn(Answer::to(app.http.get(app.url("/readyz")))))
            .collect();
        for answer in asking {
            assert_eq!(answer.await.unwrap().status, 200);
        }
    }
    let (asked, took) = (asked().await - before, start.elapsed());
    // (And one for the first of them, and one of the doorbell's line, after ten seconds.)
    let most = took.as_millis() / 200 + 2;
    assert!(
        (1..=most).contains(&u128::try_from(asked).unwrap()),
        "{asked} times in {took:?}"
    );
}
