//! Table `orders`: reading. What writes an order writes its event too and stands in [`journal`](super::journal).

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Connection, DbError};
use crate::domain::client_secret::ClientSecret;
use crate::domain::idempotency::Fingerprint;
use crate::domain::listing::OrderFilter;
use crate::domain::money::{Amount, Currency};
use crate::domain::order::{MerchantId, Metadata, Order, OrderId, Version};
use crate::domain::status::Status;
use crate::domain::text::{AsciiName, FreeText, OutTradeNo, TextError};

/// A row as sqlx reads it, before it becomes an [`Order`].
struct OrderRow {
    id: Uuid,
    merchant_id: Uuid,
    out_trade_no: String,
    amount: i64,
    currency: String,
    description: Option<String>,
    metadata: Option<Value>,
    client_secret: String,
    status: String,
    reason: Option<String>,
    late: bool,
    version: i64,
    refunded_amount: i64,
    transaction_id: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
}

/// `select` with the columns of [`OrderRow`], checked by the compiler like any other query.
macro_rules! select_orders {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            OrderRow,
            "select id, merchant_id, out_trade_no, amount, currency, description, metadata, client_secret, status,
                    reason, late, version, refunded_amount, transaction_id, created_at, updated_at, expires_at, paid_at
             from orders " + $rest
            $(, $argument)*
        )
    };
}

/// The order, whosever it is: for the payer's side, where the client secret decides.
pub async fn find(executor: impl PgExecutor<'_>, id: OrderId) -> Result<Option<Order>, DbError> {
    select_orders!("where id = $1", id.0)
        .fetch_optional(executor)
        .await?
        .map(Order::try_from)
        .transpose()
}

/// Orders that were read together. One row that cannot be read must not stop the others: it is reported in the log, and
/// missing here.
#[derive(Debug)]
pub struct Found {
    pub orders: Vec<Order>,
    pub has_unreadable: bool,
}

/// These orders, whosever they are.
pub async fn find_all(executor: impl PgExecutor<'_>, ids: &[OrderId]) -> Result<Found, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = select_orders!("where id = any($1)", &ids).fetch_all(executor).await?;
    Ok(read_all(rows))
}

/// The merchants' orders with those numbers of theirs.
pub async fn find_all_by_number(
    executor: impl PgExecutor<'_>,
    names: &[(MerchantId, &OutTradeNo)],
) -> Result<Found, DbError> {
    let merchants: Vec<Uuid> = names.iter().map(|(merchant, _)| merchant.0).collect();
    let numbers: Vec<&str> = names.iter().map(|(_, number)| number.as_str()).collect();
    let rows = select_orders!(
        "where (merchant_id, out_trade_no) in (select * from unnest($1::uuid[], $2::text[]))",
        &merchants,
        &numbers as _,
    );
    Ok(read_all(rows.fetch_all(executor).await?))
}

/// Waits until nobody else has the order's row locked.
pub async fn wait_for_row(executor: impl PgExecutor<'_>, id: OrderId) -> Result<(), DbError> {
    sqlx::query!("select id from orders where id = $1 for share", id.0)
        .fetch_optional(executor)
        .await?;
    Ok(())
}

/// The merchant's order with that id.
pub async fn find_of_merchant(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    id: OrderId,
) -> Result<Option<Order>, DbError> {
    let order = find(executor, id).await?;
    Ok(order.filter(|order| order.merchant_id == merchant))
}

/// The merchant's order with that number of its own.
pub async fn find_by_out_trade_no(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    out_trade_no: &OutTradeNo,
) -> Result<Option<Order>, DbError> {
    select_orders!(
        "where merchant_id = $1 and out_trade_no = $2",
        merchant.0,
        out_trade_no.as_str()
    )
    .fetch_optional(executor)
    .await?
    .map(Order::try_from)
    .transpose()
}

/// Whether each of these orders was created by a request with the fingerprint beside it.
pub async fn were_created_by(
    executor: impl PgExecutor<'_>,
    creations: &[(OrderId, &Fingerprint)],
) -> Result<Vec<bool>, DbError> {
    let ids: Vec<Uuid> = creations.iter().map(|(id, _)| id.0).collect();
    let fingerprints: Vec<&[u8]> = creations.iter().map(|(_, fingerprint)| &fingerprint[..]).collect();
    let same = sqlx::query_scalar!(
        r#"select exists (select from orders o where o.id = c.id and o.fingerprint = c.fingerprint) as "same!"
           from unnest($1::uuid[], $2::bytea[]) with ordinality as c (id, fingerprint, place) order by place"#,
        &ids,
        &fingerprints as _,
    );
    Ok(same.fetch_all(executor).await?)
}

/// The merchant's orders among these, in no particular order, all read in one snapshot.
pub async fn find_many(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    ids: &[OrderId],
    out_trade_nos: &[OutTradeNo],
) -> Result<Vec<Order>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let numbers: Vec<String> = out_trade_nos.iter().map(ToString::to_string).collect();
    let rows = select_orders!(
        "where merchant_id = $1 and (id = any($2) or out_trade_no = any($3))",
        merchant.0,
        &ids,
        &numbers,
    );
    rows.fetch_all(executor)
        .await?
        .into_iter()
        .map(Order::try_from)
        .collect()
}

/// A merchant's orders, newest first: one more than the page holds.
///
/// A range of creation times is a range of ids. An `out_trade_no` is looked up by its own index in a query of its own:
/// beside the other conditions the planner would walk all of the merchant's orders.
pub async fn list(transaction: &mut Connection, filter: &OrderFilter) -> Result<Vec<Order>, DbError> {
    // Planned for what is asked, each time: a plan for any filter would walk all of the merchant's orders for a rare status.
    sqlx::query!("select set_config('plan_cache_mode', 'force_custom_plan', true) as setting")
        .fetch_one(&mut *transaction)
        .await?;
    let statuses: Vec<String> = filter.statuses.iter().map(ToString::to_string).collect();
    let from = filter.created.from.map(|at| OrderId::first_at(at).0);
    let to = filter.created.to.map(|at| OrderId::first_at(at).0);
    let updated_from = filter.updated.from.map(DateTime::from);
    let updated_to = filter.updated.to.map(DateTime::from);
    let before = filter.before.map(|id| id.0);
    let rows = if let Some(number) = &filter.out_trade_no {
        select_orders!(
            "where merchant_id = $1 and out_trade_no = $2
               and (cardinality($3::text[]) = 0 or status = any($3))
               and ($4::uuid is null or id >= $4) and ($5::uuid is null or id < $5)
               and ($6::timestamptz is null or updated_at >= $6) and ($7::timestamptz is null or updated_at < $7)
               and ($8::uuid is null or id < $8)",
            filter.merchant_id.0,
            number.as_str(),
            &statuses,
            from,
            to,
            updated_from,
            updated_to,
            before,
        )
        .fetch_all(&mut *transaction)
        .await?
    } else {
        select_orders!(
            "where merchant_id = $1
               and (cardinality($2::text[]) = 0 or status = any($2))
               and id >= $3 and id < $4
               and ($5::timestamptz is null or updated_at >= $5) and ($6::timestamptz is null or updated_at < $6)
             order by id desc limit $7",
            filter.merchant_id.0,
            &statuses,
            from.unwrap_or(Uuid::nil()),
            [before, to].into_iter().flatten().min().unwrap_or(Uuid::max()),
            updated_from,
            updated_to,
            filter.limit.and_one(),
        )
        .fetch_all(&mut *transaction)
        .await?
    };
    rows.into_iter().map(Order::try_from).collect()
}

/// Up to `limit` open orders whose time is up. Those that somebody is just changing are passed over, and so is a row that
/// cannot be read: they must not keep the others open.
pub async fn find_overdue(executor: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Order>, DbError> {
    let rows = select_orders!(
        "where status in ('pending', 'processing') and expires_at <= now()
         order by expires_at limit $1 for update skip locked",
        limit,
    );
    Ok(read_all(rows.fetch_all(executor).await?).orders)
}

fn read_all(rows: Vec<OrderRow>) -> Found {
    let mut found = Found {
        orders: Vec::with_capacity(rows.len()),
        has_unreadable: false,
    };
    for row in rows {
        let id = row.id;
        match Order::try_from(row) {
            Ok(order) => found.orders.push(order),
            Err(error) => {
                tracing::error!(order.id = %id, %error, "an order is passed over");
                found.has_unreadable = true;
            }
        }
    }
    found
}

impl TryFrom<OrderRow> for Order {
    type Error = DbError;

    fn try_from(row: OrderRow) -> Result<Self, DbError> {
        Ok(Self {
            id: OrderId(row.id),
            merchant_id: MerchantId(row.merchant_id),
            out_trade_no: read_text(row.out_trade_no)?,
            amount: Amount::from_minor_units(row.amount).map_err(|error| unreadable("amount", error))?,
            currency: Currency::parse(&row.currency).map_err(|error| unreadable("currency", error))?,
            description: row.description.map(read_free_text).transpose()?,
            metadata: row.metadata.map(read_metadata).transpose()?,
            client_secret: ClientSecret::from_stored(&row.client_secret)
                .map_err(|error| unreadable("client_secret", error))?,
            status: read_status(&row.status)?,
            reason: row.reason.map(read_free_text).transpose()?,
            late: row.late,
            version: Version(row.version),
            refunded_amount: row.refunded_amount,
            transaction_id: row.transaction_id.map(read_text).transpose()?,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            expires_at: row.expires_at.into(),
            paid_at: row.paid_at.map(Into::into),
        })
    }
}

fn unreadable(column: &str, error: impl Display) -> DbError {
    DbError::Unreadable(format!("{column} {error}"))
}

pub(super) fn read_status(word: &str) -> Result<Status, DbError> {
    Status::parse(word).map_err(|error| unreadable("status", error))
}

pub(super) fn read_text<const MAX: usize>(text: String) -> Result<AsciiName<MAX>, DbError> {
    AsciiName::parse(text).map_err(|error: TextError| unreadable("name", error))
}

fn read_free_text<const MAX: usize>(text: String) -> Result<FreeText<MAX>, DbError> {
    FreeText::parse(text).map_err(|error: TextError| unreadable("text", error))
}

fn read_metadata(value: Value) -> Result<Metadata, DbError> {
    match value {
        Value::Object(object) => Ok(Metadata::from_stored(object)),
        _ => Err(DbError::Unreadable("metadata that is no object".into())),
    }
}
