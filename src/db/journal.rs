//! The statements that write an order and its event as one: creations and changes.
//!
//! One statement is one transaction, in one round trip. Deliveries to other systems belong into the same statements.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::event::OrderEvent;
use crate::domain::idempotency::Fingerprint;
use crate::domain::order::{Order, OrderId};

/// Writes a new order and its event. False when the merchant has an order with that `out_trade_no` already; then nothing is written.
pub async fn create(
    executor: impl PgExecutor<'_>,
    order: &Order,
    fingerprint: &Fingerprint,
    event: &OrderEvent,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "with created as (
             insert into orders (id, merchant_id, out_trade_no, amount, currency, description, metadata, client_secret,
                                 fingerprint, status, late, version, refunded_amount, created_at, updated_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, $11, 0, $12, $12, $13)
             on conflict (merchant_id, out_trade_no) do nothing
             returning id)
         insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted,
                                   at, data)
         select $14, $15, created.id, $2, $3, $11, $10, $16, true, $12, $17 from created",
        order.id.0,
        order.merchant_id.0,
        order.out_trade_no.as_str(),
        order.amount.get(),
        order.currency.code(),
        order.description.as_ref().map(|text| text.as_str()),
        order.metadata.as_ref().map(crate::domain::order::Metadata::to_value),
        order.client_secret.expose(),
        fingerprint,
        order.status.as_str(),
        order.version.0,
        DateTime::from(order.created_at),
        DateTime::from(order.expires_at),
        event.id,
        event.kind,
        event.source.as_str(),
        event.data,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An order as it is to be, one version on, and the event that says so.
#[derive(Debug)]
pub struct Change {
    pub order: Order,
    pub event: OrderEvent,
}

/// Applies changes to orders that still stand at the version before; says which were applied. The others were changed by
/// somebody else meanwhile, and nothing is written for them. An order must not occur twice.
pub async fn apply(executor: impl PgExecutor<'_>, changes: &[Change]) -> Result<Vec<OrderId>, DbError> {
    let columns = ChangeColumns::of(changes);
    let applied = sqlx::query_scalar!(
        r#"with change as (
               select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::text[],
                                    $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::text[], $12::text[],
                                    $13::text[], $14::jsonb[])
                   as c (order_id, version, status, reason, late, refunded_amount, transaction_id,
                         updated_at, paid_at, event_id, kind, from_status, source, data)),
           changed as (
               update orders o
               set status = c.status, reason = c.reason, late = c.late, version = c.version,
                   refunded_amount = c.refunded_amount, transaction_id = c.transaction_id,
                   updated_at = c.updated_at, paid_at = c.paid_at
               from change c
               where o.id = c.order_id and o.version = c.version - 1
               returning o.id, o.merchant_id, o.out_trade_no)
           insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status,
                                     source, accepted, reason, at, data)
           select c.event_id, c.kind, changed.id, changed.merchant_id, changed.out_trade_no, c.version, c.from_status,
                  c.status, c.source, true, c.reason, c.updated_at, c.data
           from changed join change c on c.order_id = changed.id
           returning order_id"#,
        &columns.order_id,
        &columns.version,
        &columns.status as _,
        &columns.reason as _,
        &columns.late,
        &columns.refunded_amount,
        &columns.transaction_id as _,
        &columns.updated_at,
        &columns.paid_at as _,
        &columns.event_id,
        &columns.kind as _,
        &columns.from_status as _,
        &columns.source as _,
        &columns.data,
    )
    .fetch_all(executor)
    .await?;
    Ok(applied.into_iter().map(OrderId).collect())
}

/// The changes as columns, for `unnest`: one statement, however many they are.
struct ChangeColumns<'a> {
    order_id: Vec<Uuid>,
    version: Vec<i64>,
    status: Vec<&'a str>,
    reason: Vec<Option<&'a str>>,
    late: Vec<bool>,
    refunded_amount: Vec<i64>,
    transaction_id: Vec<Option<&'a str>>,
    updated_at: Vec<DateTime<Utc>>,
    paid_at: Vec<Option<DateTime<Utc>>>,
    event_id: Vec<Uuid>,
    kind: Vec<&'a str>,
    from_status: Vec<Option<&'a str>>,
    source: Vec<&'a str>,
    data: Vec<serde_json::Value>,
}

impl<'a> ChangeColumns<'a> {
    fn of(changes: &'a [Change]) -> Self {
        // Rows are locked in the order of their ids, so that two batches never wait for each other crosswise.
        let mut changes: Vec<&Change> = changes.iter().collect();
        changes.sort_unstable_by_key(|change| change.order.id);
        let orders = || changes.iter().map(|change| &change.order);
        let events = || changes.iter().map(|change| &change.event);
        Self {
            order_id: orders().map(|order| order.id.0).collect(),
            version: orders().map(|order| order.version.0).collect(),
            status: orders().map(|order| order.status.as_str()).collect(),
            reason: orders()
                .map(|order| order.reason.as_ref().map(|reason| reason.as_str()))
                .collect(),
            late: orders().map(|order| order.late).collect(),
            refunded_amount: orders().map(|order| order.refunded_amount).collect(),
            transaction_id: orders()
                .map(|order| order.transaction_id.as_ref().map(|id| id.as_str()))
                .collect(),
            updated_at: orders().map(|order| order.updated_at.into()).collect(),
            paid_at: orders().map(|order| order.paid_at.map(Into::into)).collect(),
            event_id: events().map(|event| event.id).collect(),
            kind: events().map(|event| event.kind.as_str()).collect(),
            from_status: events().map(|event| event.from.map(|status| status.as_str())).collect(),
            source: events().map(|event| event.source.as_str()).collect(),
            data: events().map(|event| event.data.clone()).collect(),
        }
    }
}
