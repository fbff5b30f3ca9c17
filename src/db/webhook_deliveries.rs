//! Table `webhook_deliveries` as merchants see it: lists, queueing again, and what goes when it is old. Delivering is in
//! [`webhook_queue`](super::webhook_queue).

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::webhook_queue::Line;
use super::{Connection, DbError, webhook_attempts};
use crate::domain::listing::{Page, PageSize};
use crate::domain::order::OrderId;
use crate::domain::webhook::{Delivery, DeliveryId, DeliveryState, EndpointId};

/// A row as sqlx reads it.
struct DeliveryRow {
    id: Uuid,
    endpoint_id: Uuid,
    event_id: Uuid,
    event_type: String,
    order_id: Option<Uuid>,
    state: String,
    due_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    done_at: Option<DateTime<Utc>>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = DbError;

    fn try_from(row: DeliveryRow) -> Result<Self, DbError> {
        Ok(Self {
            id: DeliveryId(row.id),
            endpoint_id: EndpointId(row.endpoint_id),
            event_id: row.event_id,
            event_type: row.event_type,
            order_id: row.order_id.map(OrderId),
            state: DeliveryState::parse(&row.state)
                .map_err(|_| DbError::Unreadable(format!("state {:?} of a delivery", row.state)))?,
            next_attempt_at: row.due_at.map(Into::into),
            created_at: row.created_at.into(),
            done_at: row.done_at.map(Into::into),
            attempts: Vec::new(),
        })
    }
}

/// Which deliveries of an endpoint are wanted, newest first.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryFilter {
    /// None: any.
    pub state: Option<DeliveryState>,
    /// Only deliveries older than this one.
    pub before: Option<DeliveryId>,
    pub limit: PageSize,
}

/// A page of an endpoint's deliveries, with their latest attempts, from one snapshot. The transaction must have looked at nothing yet.
pub async fn list(
    connection: &mut Connection,
    endpoint: EndpointId,
    filter: &DeliveryFilter,
) -> Result<Page<Delivery>, DbError> {
    sqlx::query!("set transaction isolation level repeatable read")
        .execute(&mut *connection)
        .await?;
    let before = filter.before.map_or(Uuid::max(), |delivery| delivery.0);
    let rows = match filter.state {
        None => {
            sqlx::query_as!(
                DeliveryRow,
                "select id, endpoint_id, event_id, event_type, order_id, state, due_at, created_at, done_at
                 from webhook_deliveries where endpoint_id = $1 and id < $2 order by id desc limit $3",
                endpoint.0,
                before,
                filter.limit.and_one(),
            )
            .fetch_all(&mut *connection)
            .await?
        }
        Some(state) => {
            sqlx::query_as!(
                DeliveryRow,
                "select id, endpoint_id, event_id, event_type, order_id, state, due_at, created_at, done_at
                 from webhook_deliveries where endpoint_id = $1 and state = $4 and id < $2 order by id desc limit $3",
                endpoint.0,
                before,
                filter.limit.and_one(),
                state.as_str(),
            )
            .fetch_all(&mut *connection)
            .await?
        }
    };
    let deliveries = rows.into_iter().map(Delivery::try_from).collect::<Result<_, _>>()?;
    let mut page = Page::of(deliveries, filter.limit);
    webhook_attempts::add_to(connection, &mut page.items).await?;
    Ok(page)
}

/// One delivery of an endpoint, with its latest attempts.
pub async fn find(
    connection: &mut Connection,
    endpoint: EndpointId,
    id: DeliveryId,
) -> Result<Option<Delivery>, DbError> {
    let row = sqlx::query_as!(
        DeliveryRow,
        "select id, endpoint_id, event_id, event_type, order_id, state, due_at, created_at, done_at
         from webhook_deliveries where endpoint_id = $1 and id = $2",
        endpoint.0,
        id.0,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let mut found = row.map(Delivery::try_from).transpose()?;
    if let Some(delivery) = &mut found {
        webhook_attempts::add_to(connection, std::slice::from_mut(delivery)).await?;
    }
    Ok(found)
}

/// Queues deliveries again: those that are done at the place that each is given, those that are not where they stand, due at once
/// unless somebody is at it. Their endpoints and orders must be [locked](super::webhook_queue), and released afterwards.
pub async fn queue_again(executor: impl PgExecutor<'_>, deliveries: &[(i64, DeliveryId)]) -> Result<u64, DbError> {
    let (places, ids): (Vec<i64>, Vec<Uuid>) = deliveries.iter().map(|(place, id)| (place, id.0)).unzip();
    let done = sqlx::query!(
        "update webhook_deliveries d
         set place = case when d.state = 'pending' then d.place else again.place end,
             due_at = case when d.state <> 'pending' then case when d.order_id is null then now() end
                           when d.claim is not null and d.due_at > now() then d.due_at
                           when d.due_at is not null then now() end,
             state = 'pending', tries = 0, done_at = null
         from unnest($1::uuid[], $2::bigint[]) as again (id, place)
         where d.id = again.id",
        &ids,
        &places,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Drops up to `limit` deliveries that were done more than `keep_days` ago (0: none); says how many.
pub async fn drop_old(executor: impl PgExecutor<'_>, keep_days: i32, limit: i64) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "delete from webhook_deliveries where id in (
             select id from webhook_deliveries
             where $1 > 0 and state <> 'pending' and done_at < now() - make_interval(days => $1)
             order by done_at limit $2 for update skip locked)",
        keep_days,
        limit,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Drops up to `limit` deliveries of deleted endpoints; says how many.
pub async fn drop_of_deleted(executor: impl PgExecutor<'_>, limit: i64) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "delete from webhook_deliveries where id in (
             select d.id from webhook_endpoints e join webhook_deliveries d on d.endpoint_id = e.id
             where e.deleted_at is not null limit $1 for update of d skip locked)",
        limit,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Gives up to `limit` deliveries of disabled endpoints up; says of which lines, with one entry for each. What is left of them
/// must be [released](super::webhook_queue::release).
///
/// Endpoint after endpoint, in the order of the index: what is pending of those that are enabled is not looked at.
pub async fn give_up_of_disabled(executor: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Line>, DbError> {
    let rows = sqlx::query!(
        "update webhook_deliveries set state = 'failed', due_at = null, claim = null, done_at = now()
         where id in (
             select d.id
             from (select id from webhook_endpoints where disabled_at is not null order by id) as e
                  cross join lateral (
                      select id from webhook_deliveries
                      where endpoint_id = e.id and state = 'pending' and (claim is null or due_at < now())
                      order by order_id, place limit $1 for update skip locked) as d
             limit $1)
         returning endpoint_id, order_id",
        limit,
    )
    .fetch_all(executor)
    .await?;
    let lines = rows
        .into_iter()
        .map(|row| (EndpointId(row.endpoint_id), row.order_id.map(OrderId)));
    Ok(lines.collect())
}

/// What waits to be delivered, for monitoring.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// Up to 100,000: more are not counted.
    pub pending: i64,
    /// Seconds.
    pub oldest_age: f64,
}

pub async fn measure_backlog(executor: impl PgExecutor<'_>) -> Result<Backlog, DbError> {
    let row = sqlx::query!(
        r#"select (select count(*) from (select from webhook_deliveries where state = 'pending' limit 100000) as counted)
                      as "pending!",
                  coalesce(extract(epoch from now() - (select created_at from webhook_deliveries
                                                       where state = 'pending' and created_at > '-infinity'
                                                       order by created_at limit 1)), 0)::float8 as "oldest_age!""#
    )
    .fetch_one(executor)
    .await?;
    Ok(Backlog {
        pending: row.pending,
        oldest_age: row.oldest_age.max(0.0),
    })
}
