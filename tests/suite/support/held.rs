//! Changes of orders that stop in the middle.

use sqlx::{Executor as _, PgTransaction};

use super::App;

impl App {
    /// From here on every statement that changes an order stops in the middle, sent and not carried out, until the
    /// transaction ends. (A lock on the row would not do: it is waited for before anything is written.)
    pub async fn hold_changes(&self) -> PgTransaction<'static> {
        self.pool
            .execute(
                "create function wait() returns trigger language plpgsql as $$ begin
                     perform pg_advisory_xact_lock_shared(77);
                     return new;
                 end $$;
                 create trigger held before update on orders for each row execute function wait();",
            )
            .await
            .unwrap();
        let mut held = self.pool.begin().await.unwrap();
        held.execute("select pg_advisory_xact_lock(77)").await.unwrap();
        held
    }
}
