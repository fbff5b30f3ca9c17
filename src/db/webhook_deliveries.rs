//! Table `webhook_deliveries` as merchants see it: lists, queueing again, and what goes when it is old. Delivering is in
//! [`webhook_queue`](super::webhook_queue).

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::order_events::{EventRow, LoggedEvent};
use super::{Connection, DbError, webhook_attempts};
use crate::domain::listing::{Page, PageSize, TimeRange};
use crate::domain::order::{MerchantId, OrderId};
use crate::domain::webhook::{Delivery, DeliveryId, DeliveryState, EndpointId, EventFilter};

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

/// A page of an endpoint's deliveries, with their latest attempts.
pub async fn list(
    connection: &mut Connection,
    endpoint: EndpointId,
    filter: &DeliveryFilter,
) -> Result<Page<Delivery>, DbError> {
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

/// Queues deliveries again, in the order given: those that are done at the queue's end, those that are not where they stand,
/// due at once unless somebody is at it. Their orders must be [locked](super::webhook_queue::lock_orders), and
/// [released](super::webhook_queue::release) afterwards.
pub async fn queue_again(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "update webhook_deliveries d
         set place = case when d.state = 'pending' then d.place else again.place end,
             due_at = case when d.state <> 'pending' then case when d.order_id is null then now() end
                           when d.claim is not null and d.due_at > now() then d.due_at
                           when d.due_at is not null then now() end,
             state = 'pending', tries = 0, done_at = null
         from (select id, nextval('webhook_places') as place
               from (select id from unnest($1::uuid[]) with ordinality as given (id, number) order by number) as given)
              as again
         where d.id = again.id",
        ids
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Of an endpoint's deliveries of events in that time those that are not delivered, in the queue's order, up to `limit`.
pub async fn find_undelivered(
    executor: impl PgExecutor<'_>,
    endpoint: EndpointId,
    range: TimeRange,
    limit: i64,
) -> Result<Vec<(Uuid, Option<Uuid>)>, DbError> {
    let rows = sqlx::query!(
        "select id, order_id from webhook_deliveries
         where endpoint_id = $1 and state = 'failed'
           and event_at >= coalesce($2, '-infinity'::timestamptz) and event_at < coalesce($3, 'infinity'::timestamptz)
         order by place limit $4",
        endpoint.0,
        range.from.map(DateTime::<Utc>::from),
        range.to.map(DateTime::<Utc>::from),
        limit,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.order_id)).collect())
}

/// The merchant's events in that time that the endpoint wants and was never to be sent, oldest first, up to `limit`.
pub async fn find_missed(
    executor: impl PgExecutor<'_>,
    (merchant, endpoint): (MerchantId, EndpointId),
    filter: &EventFilter,
    range: TimeRange,
    limit: i64,
) -> Result<Vec<LoggedEvent>, DbError> {
    let rows = sqlx::query_as!(
        EventRow,
        "select seq, id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source, accepted,
                reason, at, data
         from order_events e
         where merchant_id = $1 and (cardinality($3::text[]) = 0 or kind = any($3))
           and at >= coalesce($4, '-infinity'::timestamptz) and at < coalesce($5, 'infinity'::timestamptz)
           and not exists (select from webhook_deliveries d where d.endpoint_id = $2 and d.event_id = e.id)
         order by xid, seq limit $6",
        merchant.0,
        endpoint.0,
        filter.types(),
        range.from.map(DateTime::<Utc>::from),
        range.to.map(DateTime::<Utc>::from),
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(LoggedEvent::try_from).collect()
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

/// Gives up to `limit` deliveries of disabled endpoints up; says how many.
pub async fn give_up_of_disabled(executor: impl PgExecutor<'_>, limit: i64) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "update webhook_deliveries set state = 'failed', due_at = null, claim = null, done_at = now()
         where id in (
             select d.id from webhook_endpoints e join webhook_deliveries d on d.endpoint_id = e.id and d.state = 'pending'
             where e.disabled_at is not null and (d.claim is null or d.due_at < now())
             order by d.endpoint_id, d.order_id, d.place limit $1 for update of d skip locked)",
        limit,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
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
                  coalesce(extract(epoch from now() - (select created_at from webhook_deliveries where state = 'pending'
                                                       order by created_at limit 1)), 0)::float8 as "oldest_age!""#
    )
    .fetch_one(executor)
    .await?;
    Ok(Backlog {
        pending: row.pending,
        oldest_age: row.oldest_age.max(0.0),
    })
}
