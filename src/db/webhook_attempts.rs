//! Table `webhook_attempts`: what came of each attempt at a delivery.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::webhook::{Attempt, Delivery, DeliveryId};

/// The latest attempts of a delivery that are shown.
const SHOWN: i64 = 20;

pub async fn insert(executor: impl PgExecutor<'_>, attempts: &[(DeliveryId, &Attempt)]) -> Result<(), DbError> {
    let ids: Vec<_> = attempts.iter().map(|(delivery, _)| delivery.0).collect();
    let numbers: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.number).collect();
    let times: Vec<DateTime<Utc>> = attempts.iter().map(|(_, attempt)| attempt.at.into()).collect();
    let durations: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.duration_ms).collect();
    let statuses = attempts
        .iter()
        .map(|(_, attempt)| attempt.status.and_then(|status| i16::try_from(status).ok()));
    let errors: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.error.as_deref()).collect();
    let answers: Vec<_> = attempts.iter().map(|(_, attempt)| attempt.answer.as_deref()).collect();
    sqlx::query!(
        "insert into webhook_attempts (delivery_id, number, at, duration_ms, status, error, answer)
         select * from unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::int[], $5::smallint[], $6::text[], $7::text[])
         on conflict do nothing",
        &ids,
        &numbers,
        &times,
        &durations,
        &statuses.collect::<Vec<_>>() as _,
        &errors as _,
        &answers as _,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Adds to deliveries their latest attempts, oldest first.
pub async fn add_to(executor: impl PgExecutor<'_>, deliveries: &mut [Delivery]) -> Result<(), DbError> {
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id.0).collect();
    let rows = sqlx::query!(
        r#"select a.delivery_id as "delivery_id!", a.number as "number!", a.at as "at!", a.duration_ms as "duration_ms!",
                  a.status, a.error, a.answer
           from unnest($1::uuid[]) as d (id) cross join lateral (
                select * from webhook_attempts where delivery_id = d.id order by number desc limit $2) as a
           order by a.delivery_id, a.number"#,
        &ids,
        SHOWN,
    )
    .fetch_all(executor)
    .await?;
    let mut found: HashMap<Uuid, Vec<Attempt>> = HashMap::new();
    for row in rows {
        found.entry(row.delivery_id).or_default().push(Attempt {
            number: row.number,
            at: row.at.into(),
            duration_ms: row.duration_ms,
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            error: row.error,
            answer: row.answer,
        });
    }
    for delivery in deliveries {
        delivery.attempts = found.remove(&delivery.id.0).unwrap_or_default();
    }
    Ok(())
}
