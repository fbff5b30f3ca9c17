//! Table `webhook_deliveries` as a queue: what is put in. Claiming and marking is in [`webhook_claims`](super::webhook_claims).
//!
//! What holds: of one endpoint and order only the first pending delivery is ever claimed. Those behind it have no `due_at`;
//! [`release`] gives one to whichever is first. Who puts something behind others [locks](lock_orders) them before, so that
//! they are not done meanwhile without releasing it; and [the endpoint](lock_endpoints) before that, since two who queue for one
//! order would else both think theirs the first. Endpoints are locked in one go, then rows in one go, in the order (endpoint,
//! order, place), by everybody: so nobody waits for another crosswise.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::event::Event;
use crate::domain::order::OrderId;
use crate::domain::webhook::{DeliveryId, EndpointId};

/// A delivery that is to be.
#[derive(Debug)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub endpoint: EndpointId,
    pub event: EventSlip,
}

impl NewDelivery {
    pub fn new(endpoint: EndpointId, event: EventSlip) -> Self {
        Self {
            id: DeliveryId(Uuid::now_v7()),
            endpoint,
            event,
        }
    }
}

/// What a delivery needs of its event.
#[derive(Debug, Clone)]
pub struct EventSlip {
    pub id: Uuid,
    pub kind: String,
    pub at: DateTime<Utc>,
    pub order: Option<OrderId>,
    pub payload: String,
}

impl EventSlip {
    pub fn of(event: &Event, payload: String) -> Self {
        Self {
            id: event.id(),
            kind: event.kind().to_owned(),
            at: event.at().into(),
            order: event.order_id(),
            payload,
        }
    }
}

/// The deliveries of one order to one endpoint.
pub type Line = (EndpointId, Option<OrderId>);

/// The lines as columns; those of no order are no lines: their deliveries wait for nothing.
fn columns(lines: &[Line]) -> (Vec<Uuid>, Vec<Uuid>) {
    let of_orders = lines
        .iter()
        .filter_map(|(endpoint, order)| Some((endpoint.0, (*order)?.0)));
    of_orders.unzip()
}

/// Nobody else queues anything for orders at those endpoints until the transaction ends; meant for milliseconds. If this process
/// disappears without a word, the server ends the transaction after `IDLE_LIMIT`, and the others go on.
pub async fn lock_endpoints(executor: impl PgExecutor<'_>, lines: &[Line]) -> Result<(), DbError> {
    let (mut endpoints, _) = columns(lines);
    endpoints.sort_unstable();
    endpoints.dedup();
    if endpoints.is_empty() {
        return Ok(());
    }
    // In the order of the keys, whatever endpoints are behind them.
    sqlx::query!(
        "select set_config('idle_in_transaction_session_timeout', $2, true) as setting, pg_advisory_xact_lock(key) as lock
         from (select distinct hashtextextended('webhook_endpoint ' || id, 0) as key
               from unnest($1::uuid[]) as given (id) order by key offset 0) as keys",
        &endpoints,
        IDLE_LIMIT,
    )
    .fetch_all(executor)
    .await?;
    Ok(())
}

const IDLE_LIMIT: &str = "5s";

/// Keeps what is pending of those lines as it is until the transaction ends.
///
/// Line after line, in their order: a join that the planner may turn round reads all that is pending, once its statistics are of a
/// time when nothing was.
pub async fn lock_orders(executor: impl PgExecutor<'_>, lines: &[Line]) -> Result<(), DbError> {
    let (endpoints, orders) = columns(lines);
    sqlx::query!(
        "select d.id
         from (select distinct endpoint_id, order_id from unnest($1::uuid[], $2::uuid[]) as l (endpoint_id, order_id)
               order by endpoint_id, order_id) as line
              cross join lateral (
                  select id from webhook_deliveries
                  where endpoint_id = line.endpoint_id and order_id = line.order_id and state = 'pending'
                  order by place for no key update) as d",
        &endpoints,
        &orders,
    )
    .fetch_all(executor)
    .await?;
    Ok(())
}

/// The next places at the queue's end.
pub async fn take_places(executor: impl PgExecutor<'_>, count: usize) -> Result<Vec<i64>, DbError> {
    let places = sqlx::query_scalar!(
        r#"select nextval('webhook_places') as "place!" from generate_series(1, $1::bigint)"#,
        i64::try_from(count).unwrap_or(i64::MAX),
    )
    .fetch_all(executor)
    .await?;
    Ok(places)
}

/// Puts deliveries into the queue, each at its place; those that are there already stay as they are. Says how many are new.
/// Their endpoints and orders must be locked, and released afterwards.
pub async fn insert(executor: impl PgExecutor<'_>, new: &[(i64, &NewDelivery)]) -> Result<u64, DbError> {
    let (places, new): (Vec<i64>, Vec<&NewDelivery>) = new.iter().copied().unzip();
    let uuids = |uuid: fn(&NewDelivery) -> Uuid| new.iter().map(|it| uuid(it)).collect::<Vec<_>>();
    let texts = |text: fn(&NewDelivery) -> &str| new.iter().map(|it| text(it)).collect::<Vec<_>>();
    let orders: Vec<_> = new
        .iter()
        .map(|delivery| delivery.event.order.map(|order| order.0))
        .collect();
    let done = sqlx::query!(
        "insert into webhook_deliveries (id, endpoint_id, event_id, event_type, event_at, order_id, payload, place, due_at)
         select id, endpoint_id, event_id, event_type, event_at, order_id, payload, place,
                case when order_id is null then now() end
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[], $8::bigint[])
              as given (id, endpoint_id, event_id, event_type, event_at, order_id, payload, place)
         on conflict on constraint webhook_deliveries_once do nothing",
        &uuids(|delivery| delivery.id.0),
        &uuids(|delivery| delivery.endpoint.0),
        &uuids(|delivery| delivery.event.id),
        &texts(|delivery| &delivery.event.kind) as _,
        &new.iter().map(|delivery| delivery.event.at).collect::<Vec<_>>(),
        &orders as _,
        &texts(|delivery| &delivery.event.payload) as _,
        &places,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Makes the first of each of those lines due, unless it has its time already.
pub async fn release(executor: impl PgExecutor<'_>, lines: &[Line]) -> Result<(), DbError> {
    let (endpoints, orders) = columns(lines);
    sqlx::query!(
        "update webhook_deliveries d set due_at = now()
         from (select distinct * from unnest($1::uuid[], $2::uuid[]) as l (endpoint_id, order_id)) as line
              cross join lateral (
                  select id from webhook_deliveries
                  where endpoint_id = line.endpoint_id and order_id = line.order_id and state = 'pending'
                  order by place limit 1) as head
         where d.id = head.id and d.due_at is null",
        &endpoints,
        &orders,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Where a walk along the lines has come to.
pub type LinePlace = (EndpointId, OrderId);

/// Looks at up to `limit` lines after `from`, and releases what is first in its line and waits for nobody all the same: nothing
/// should. Says how many did, and where to go on; None: there are no more lines.
///
/// From one line to the next is a jump along the index, whose first row of a line tells: what waits behind it is not looked at.
pub async fn release_stranded(
    executor: impl PgExecutor<'_>,
    from: Option<LinePlace>,
    limit: i64,
) -> Result<(u64, Option<LinePlace>), DbError> {
    let (endpoint, order) = from.map_or((Uuid::nil(), Uuid::nil()), |(endpoint, order)| (endpoint.0, order.0));
    let walk = sqlx::query!(
        r#"with recursive line as (
               (select id, endpoint_id, order_id, due_at, 1::bigint as number from webhook_deliveries
                where state = 'pending' and order_id is not null and (endpoint_id, order_id) > ($1, $2)
                order by endpoint_id, order_id, place limit 1)
               union all
               select next.id, next.endpoint_id, next.order_id, next.due_at, line.number + 1
               from line cross join lateral (
                   select d.id, d.endpoint_id, d.order_id, d.due_at from webhook_deliveries d
                   where d.state = 'pending' and d.order_id is not null
                     and (d.endpoint_id, d.order_id) > (line.endpoint_id, line.order_id)
                   order by d.endpoint_id, d.order_id, d.place limit 1) as next
               where line.number < $3),
           stranded as (
               select d.id from webhook_deliveries d
               where d.id in (select id from line where due_at is null) and d.state = 'pending' and d.due_at is null
               order by d.endpoint_id, d.order_id for no key update skip locked),
           released as (update webhook_deliveries set due_at = now() where id in (select id from stranded) returning id)
           select (select count(*) from released) as "released!", (select max(number) from line) as lines,
                  (select endpoint_id from line order by number desc limit 1) as endpoint_id,
                  (select order_id from line order by number desc limit 1) as order_id"#,
        endpoint,
        order,
        limit,
    )
    .fetch_one(executor)
    .await?;
    let is_over = walk.lines.is_none_or(|lines| lines < limit);
    let last = walk.endpoint_id.zip(walk.order_id).filter(|_| !is_over);
    Ok((
        u64::try_from(walk.released).unwrap_or(0),
        last.map(|(endpoint, order)| (EndpointId(endpoint), OrderId(order))),
    ))
}
