//! The shapes of bodies, in and out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{ApiError, Problem};
use crate::db::order_events::LoggedEvent;
use crate::domain::document::StatusDocument;
use crate::domain::event::Source;
use crate::domain::money::{Amount, Currency, MAX_AMOUNT};
use crate::domain::order::{Expiry, Metadata, NewOrder, Order};
use crate::domain::report::{Report, Target};
use crate::domain::status::{Status, TradeState};
use crate::domain::text::{Description, OutTradeNo, Reason, TransactionId};
use crate::domain::time::Timestamp;
use crate::service::now;

/// An order to be created.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrder)]
pub struct NewOrderBody {
    /// The merchant's own number, unique among its orders: 1 to 64 visible ASCII characters.
    #[schema(example = "20261120-0001", min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
    out_trade_no: String,
    /// Minor units (cents, fen).
    #[schema(example = 1000, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// ISO 4217, in capitals.
    #[schema(example = "CNY", min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: String,
    /// What the payer is paying for.
    #[schema(example = "Coffee", min_length = 1, max_length = 256)]
    description: Option<String>,
    /// When the order is to be closed if nobody has paid; at most a year ahead. Not together with `expires_in`.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The same in seconds from now; 1800 when neither is given.
    #[schema(example = 1800, minimum = 1, maximum = 31_622_400)]
    expires_in: Option<i64>,
    /// An object of the merchant's own, at most 4096 bytes as compact JSON.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

impl NewOrderBody {
    /// Checks every field.
    pub fn parse(self) -> Result<NewOrder, ApiError> {
        let expiry = parse_expiry(self.expires_at.as_deref(), self.expires_in)?;
        Ok(NewOrder {
            out_trade_no: OutTradeNo::parse(self.out_trade_no).map_err(|e| ApiError::invalid("out_trade_no", e))?,
            amount: parse_amount("amount", self.amount)?,
            currency: parse_currency(&self.currency)?,
            description: self
                .description
                .map(Description::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("description", e))?,
            metadata: self
                .metadata
                .map(Metadata::new)
                .transpose()
                .map_err(|e| ApiError::invalid("metadata", e))?,
            expiry,
        })
    }
}

fn parse_expiry(at: Option<&str>, seconds: Option<i64>) -> Result<Expiry, ApiError> {
    match (at, seconds) {
        (None, None) => Ok(Expiry::DEFAULT),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "expires_in",
            "goes not together with expires_at; give one of them",
        )),
        (None, Some(seconds)) if (1..=Expiry::MAX_SECONDS).contains(&seconds) => Ok(Expiry::After(seconds)),
        (None, Some(_)) => Err(ApiError::invalid(
            "expires_in",
            format!("must be from 1 to {} seconds (a year)", Expiry::MAX_SECONDS),
        )),
        (Some(text), None) => {
            let at = Timestamp::parse(text).map_err(|e| ApiError::invalid("expires_at", e))?;
            // Whether it has passed is asked only where an order would come of it: a creation sent again is a repeat still.
            if at.since(now()).num_seconds() <= Expiry::MAX_SECONDS {
                Ok(Expiry::At(at))
            } else {
                Err(ApiError::invalid("expires_at", EXPIRES_AT_RANGE))
            }
        }
    }
}

/// When `expires_at` may lie.
pub const EXPIRES_AT_RANGE: &str = "must lie in the future, at most a year ahead";

fn parse_amount(field: &str, units: i64) -> Result<Amount, ApiError> {
    Amount::from_minor_units(units).map_err(|error| ApiError::invalid(field, error))
}

fn parse_currency(code: &str) -> Result<Currency, ApiError> {
    Currency::parse(code).map_err(|error| ApiError::invalid("currency", error))
}

/// What has become of an order. Either `status` or `trade_state` must be given.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Report)]
pub struct ReportBody {
    /// The status in payquery's words.
    #[schema(value_type = Option<Status>, example = "succeeded")]
    status: Option<String>,
    /// The status in the words of WeChat Pay or Alipay.
    trade_state: Option<TradeStateWord>,
    /// The provider's number of the payment.
    #[schema(
        example = "4200001234202611200000000000",
        min_length = 1,
        max_length = 128,
        pattern = "^[!-~]+$"
    )]
    transaction_id: Option<String>,
    /// Why, in the merchant's words.
    #[schema(min_length = 1, max_length = 256)]
    reason: Option<String>,
    /// The amount that the report is about; rejected when it isn't the order's.
    #[schema(example = 1000, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    amount: Option<i64>,
    /// The currency that the report is about; rejected when it isn't the order's.
    #[schema(example = "CNY", pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// When the payment was made; the time of the report when it is not given.
    #[schema(format = DateTime)]
    paid_at: Option<String>,
    /// The sum of all refunds so far, in minor units.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    refunded_amount: Option<i64>,
}

/// A provider's word. Only documented as an enumeration: reading it as text lets the error say which words there are.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct TradeStateWord(String);

impl utoipa::PartialSchema for TradeStateWord {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(TradeState::words()))
            .into()
    }
}

impl utoipa::ToSchema for TradeStateWord {
    fn name() -> std::borrow::Cow<'static, str> {
        "TradeState".into()
    }
}

/// How far a provider's clock may be ahead of ours, in seconds.
const CLOCK_TOLERANCE: i64 = 300;

impl ReportBody {
    /// Checks every field, and that the fields go together.
    pub fn parse(self) -> Result<Report, ApiError> {
        let target = match (self.status, self.trade_state) {
            (Some(word), None) => Target::Status(Status::parse(&word).map_err(|e| ApiError::invalid("status", e))?),
            (None, Some(word)) => {
                Target::TradeState(TradeState::parse(&word.0).map_err(|e| ApiError::invalid("trade_state", e))?)
            }
            (None, None) => return Err(ApiError::invalid("status", "is missing; give status, or trade_state")),
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "trade_state",
                    "goes not together with status; give one of them",
                ));
            }
        };
        let paid_at = self.paid_at.as_deref().map(parse_paid_at).transpose()?;
        let refunded_amount = self
            .refunded_amount
            .map(|units| parse_amount("refunded_amount", units))
            .transpose()?;
        for (field, given) in [
            ("paid_at", paid_at.is_some()),
            ("refunded_amount", refunded_amount.is_some()),
        ] {
            if given && !target.may_mean_paid() {
                return Err(ApiError::invalid(
                    field,
                    "goes only with a status that means paid: succeeded or refunded",
                ));
            }
        }
        Ok(Report {
            target,
            transaction_id: self
                .transaction_id
                .map(TransactionId::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("transaction_id", e))?,
            reason: self
                .reason
                .map(Reason::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("reason", e))?,
            amount: self.amount.map(|units| parse_amount("amount", units)).transpose()?,
            currency: self.currency.as_deref().map(parse_currency).transpose()?,
            paid_at,
            refunded_amount,
        })
    }
}

fn parse_paid_at(text: &str) -> Result<Timestamp, ApiError> {
    let at = Timestamp::parse(text).map_err(|error| ApiError::invalid("paid_at", error))?;
    if at > now().plus_seconds(CLOCK_TOLERANCE) {
        return Err(ApiError::invalid("paid_at", "lies in the future"));
    }
    Ok(at)
}

/// An order, whole, as its merchant sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Order)]
pub struct OrderBody<'a> {
    #[schema(format = Uuid, example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")]
    id: String,
    #[schema(example = "20261120-0001")]
    out_trade_no: &'a str,
    /// Minor units.
    #[schema(value_type = i64, example = 1000)]
    amount: Amount,
    #[schema(value_type = String, example = "CNY")]
    currency: Currency,
    #[schema(value_type = Option<String>, example = "Coffee")]
    description: Option<&'a Description>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a Metadata>,
    status: Status,
    #[schema(value_type = Option<String>)]
    reason: Option<&'a Reason>,
    /// The payer's question is answered.
    #[serde(rename = "final")]
    is_final: bool,
    /// Paid after it had been closed.
    late: bool,
    /// Counts the order's changes, from 1.
    #[schema(example = 1)]
    version: i64,
    /// Minor units given back so far.
    #[schema(example = 0)]
    refunded_amount: i64,
    #[schema(value_type = Option<String>)]
    transaction_id: Option<&'a TransactionId>,
    /// Opens this order's status, read-only. For the payer's screen.
    #[schema(example = "pqs_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    client_secret: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
}

impl<'a> OrderBody<'a> {
    pub fn of(order: &'a Order) -> Self {
        Self {
            id: order.id.to_string(),
            out_trade_no: order.out_trade_no.as_str(),
            amount: order.amount,
            currency: order.currency,
            description: order.description.as_ref(),
            metadata: order.metadata.as_ref(),
            status: order.status,
            reason: order.reason.as_ref(),
            is_final: order.status.is_final(),
            late: order.late,
            version: order.version.0,
            refunded_amount: order.refunded_amount,
            transaction_id: order.transaction_id.as_ref(),
            client_secret: order.client_secret.expose(),
            created_at: order.created_at,
            updated_at: order.updated_at,
            expires_at: order.expires_at,
            paid_at: order.paid_at,
        }
    }
}

/// A page of orders, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderList)]
pub struct OrderListBody<'a> {
    pub data: Vec<OrderBody<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Orders whose statuses are wanted: 1 to 100 names.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatusesRequest)]
pub struct StatusesBody {
    /// Ids of orders.
    #[serde(default)]
    #[schema(value_type = Vec<uuid::Uuid>, max_items = 100)]
    pub ids: Vec<String>,
    /// The merchant's own numbers of orders.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub out_trade_nos: Vec<String>,
}

/// One answer for each name, in the order asked: ids first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Statuses)]
pub struct StatusListBody<'a> {
    pub data: Vec<StatusItem<'a>>,
}

/// A status document with its `out_trade_no`, or a problem and the name it is about.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum StatusItem<'a> {
    Found {
        out_trade_no: &'a str,
        #[serde(flatten)]
        document: StatusDocument<'a>,
    },
    Missing {
        #[serde(skip_serializing_if = "Option::is_none")]
        order_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        out_trade_no: Option<String>,
        #[serde(flatten)]
        problem: Problem,
    },
}

/// One event of an order's log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEvent)]
pub struct EventBody<'a> {
    #[schema(format = Uuid)]
    id: String,
    /// `order.created`, `order.<status>`, `order.paid_late` or `order.rejected`.
    #[serde(rename = "type")]
    #[schema(example = "order.succeeded")]
    kind: &'a str,
    #[schema(format = Uuid)]
    order_id: String,
    out_trade_no: &'a str,
    /// The order's version after the event; of a rejected move, the version that it met.
    version: i64,
    /// Null for the creation.
    from: Option<Status>,
    /// Of a rejected move, what was asked for.
    to: Status,
    source: Source,
    accepted: bool,
    /// The order's reason; of a rejected move, the code of the rejection.
    reason: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What else was said.
    #[schema(value_type = Object)]
    data: &'a Value,
}

impl<'a> EventBody<'a> {
    pub fn of(logged: &'a LoggedEvent) -> Self {
        let event = &logged.event;
        Self {
            id: event.id.to_string(),
            kind: &event.kind,
            order_id: event.order_id.to_string(),
            out_trade_no: event.out_trade_no.as_str(),
            version: event.version.0,
            from: event.from,
            to: event.to,
            source: event.source,
            accepted: event.accepted,
            reason: event.reason.as_deref(),
            at: event.at,
            data: &event.data,
        }
    }
}

/// A page of an order's log, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEventList)]
pub struct EventListBody<'a> {
    pub data: Vec<EventBody<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

const _: () = assert!(MAX_AMOUNT == 9_007_199_254_740_991, "the schemas above say so");
