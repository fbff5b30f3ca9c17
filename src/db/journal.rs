//! The statements that write an order and its event as one: creations and changes.
//!
//! One statement is one transaction, in one round trip. Deliveries to other systems belong into the same statements.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

use super::DbError;
use crate::domain::event::OrderEvent;
use crate::domain::idempotency::Fingerprint;
use crate::domain::order::{Metadata, Order, OrderId};

/// An order that is to be, and the event that says so.
#[derive(Debug)]
pub struct Creation {
    pub order: Order,
    pub fingerprint: Fingerprint,
    pub event: OrderEvent,
}

/// Writes new orders and their events; says which were written. For the others nothing is: their merchant has an order with
/// that `out_trade_no` already, perhaps by another of these creations.
///
/// Another transaction that is just writing such a number is waited for up to `lock_wait` (zero: as long as a statement may
/// take); then all of it is refused.
pub async fn create(
    executor: impl PgExecutor<'_>,
    creations: &[&Creation],
    lock_wait: Duration,
) -> Result<Vec<OrderId>, DbError> {
    let columns = CreationColumns::of(creations);
    let created = sqlx::query_scalar!(
        r#"with patience as materialized (select set_config('lock_timeout', $1, true)),
           creation as (
               select c.* from patience, unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                                                $8::jsonb[], $9::text[], $10::bytea[], $11::text[], $12::bigint[],
                                                $13::timestamptz[], $14::timestamptz[], $15::uuid[], $16::text[],
                                                $17::text[], $18::jsonb[])
                   as c (order_id, merchant_id, out_trade_no, amount, currency, description, metadata, client_secret,
                         fingerprint, status, version, created_at, expires_at, event_id, kind, source, data)),
           created as (
               insert into orders (id, merchant_id, out_trade_no, amount, currency, description, metadata, client_secret,
                                   fingerprint, status, late, version, refunded_amount, created_at, updated_at, expires_at)
               select order_id, merchant_id, out_trade_no, amount, currency, description, metadata, client_secret,
                      fingerprint, status, false, version, 0, created_at, created_at, expires_at
               from creation
               on conflict (merchant_id, out_trade_no) do nothing
               returning id)
           insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted,
                                     at, data)
           select event_id, kind, order_id, merchant_id, out_trade_no, version, status, source, true, created_at, data
           from creation
           -- (`is true` keeps it a look into a hashed list; it would be a join of each with each.)
           where (order_id in (select id from created)) is true
           returning order_id as "order_id!""#,
        lock_wait.as_millis().to_string(),
        &columns.order_id,
        &columns.merchant_id,
        &columns.out_trade_no as _,
        &columns.amount,
        &columns.currency as _,
        &columns.description as _,
        &columns.metadata as _,
        &columns.client_secret as _,
        &columns.fingerprint as _,
        &columns.status as _,
        &columns.version,
        &columns.created_at,
        &columns.expires_at,
        &columns.event_id,
        &columns.kind as _,
        &columns.source as _,
        &columns.data as _,
    )
    .fetch_all(executor)
    .await?;
    Ok(created.into_iter().map(OrderId).collect())
}

/// An order as it is to be, one version on, and the event that says so.
#[derive(Debug)]
pub struct Change {
    pub order: Order,
    pub event: OrderEvent,
}

/// Applies changes to orders that still stand at the version before; says which were applied. The others were changed by
/// somebody else meanwhile, or are just being changed, and nothing is written for them. An order must not occur twice.
///
/// Nobody's lock is waited for, or one order could hold up all that are written with it.
pub async fn apply(executor: impl PgExecutor<'_>, changes: &[&Change]) -> Result<Vec<OrderId>, DbError> {
    let columns = ChangeColumns::of(changes);
    let applied = sqlx::query_scalar!(
        r#"with free as materialized (
               select c.*
               from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::text[],
                           $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::text[], $12::text[],
                           $13::text[], $14::jsonb[])
                   as c (order_id, version, status, reason, late, refunded_amount, transaction_id,
                         updated_at, paid_at, event_id, kind, from_status, source, data)
                   join orders o on o.id = c.order_id and o.version = c.version - 1
               for no key update of o skip locked),
           changed as (
               update orders o
               set status = c.status, reason = c.reason, late = c.late, version = c.version,
                   refunded_amount = c.refunded_amount, transaction_id = c.transaction_id,
                   updated_at = c.updated_at, paid_at = c.paid_at
               from free c
               where o.id = c.order_id
               returning o.id, o.merchant_id, o.out_trade_no, c.event_id, c.kind, c.version, c.from_status, c.status,
                         c.source, c.reason, c.updated_at, c.data)
           insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status,
                                     source, accepted, reason, at, data)
           select event_id, kind, id, merchant_id, out_trade_no, version, from_status, status, source, true, reason,
                  updated_at, data
           from changed
           returning order_id as "order_id!""#,
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
        &columns.data as _,
    )
    .fetch_all(executor)
    .await?;
    Ok(applied.into_iter().map(OrderId).collect())
}

/// The creations as columns, for `unnest`.
struct CreationColumns<'a> {
    order_id: Vec<Uuid>,
    merchant_id: Vec<Uuid>,
    out_trade_no: Vec<&'a str>,
    amount: Vec<i64>,
    currency: Vec<&'a str>,
    description: Vec<Option<&'a str>>,
    metadata: Vec<Option<Json<&'a Metadata>>>,
    client_secret: Vec<&'a str>,
    fingerprint: Vec<&'a [u8]>,
    status: Vec<&'a str>,
    version: Vec<i64>,
    created_at: Vec<DateTime<Utc>>,
    expires_at: Vec<DateTime<Utc>>,
    event_id: Vec<Uuid>,
    kind: Vec<&'a str>,
    source: Vec<&'a str>,
    data: Vec<Json<&'a Value>>,
}

impl<'a> CreationColumns<'a> {
    fn of(creations: &[&'a Creation]) -> Self {
        // In the order of their numbers, so that two statements with the same ones never wait for each other crosswise.
        let mut creations = creations.to_vec();
        let number = |creation: &'a Creation| (creation.order.merchant_id.0, creation.order.out_trade_no.as_str());
        creations.sort_unstable_by_key(|creation| number(creation));
        let orders = || creations.iter().map(|creation| &creation.order);
        let events = || creations.iter().map(|creation| &creation.event);
        Self {
            order_id: orders().map(|order| order.id.0).collect(),
            merchant_id: orders().map(|order| order.merchant_id.0).collect(),
            out_trade_no: orders().map(|order| order.out_trade_no.as_str()).collect(),
            amount: orders().map(|order| order.amount.get()).collect(),
            currency: orders().map(|order| order.currency.code()).collect(),
            description: orders()
                .map(|order| order.description.as_ref().map(|text| text.as_str()))
                .collect(),
            metadata: orders().map(|order| order.metadata.as_ref().map(Json)).collect(),
            client_secret: orders().map(|order| order.client_secret.expose()).collect(),
            fingerprint: creations.iter().map(|creation| &creation.fingerprint[..]).collect(),
            status: orders().map(|order| order.status.as_str()).collect(),
            version: orders().map(|order| order.version.0).collect(),
            created_at: orders().map(|order| order.created_at.into()).collect(),
            expires_at: orders().map(|order| order.expires_at.into()).collect(),
            event_id: events().map(|event| event.id).collect(),
            kind: events().map(|event| event.kind.as_str()).collect(),
            source: events().map(|event| event.source.as_str()).collect(),
            data: events().map(|event| Json(&event.data)).collect(),
        }
    }
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
    data: Vec<Json<&'a Value>>,
}

impl<'a> ChangeColumns<'a> {
    fn of(changes: &[&'a Change]) -> Self {
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
            data: events().map(|event| Json(&event.data)).collect(),
        }
    }
}
