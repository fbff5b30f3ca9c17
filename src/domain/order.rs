//! An order: one payment to be made.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::client_secret::ClientSecret;
use super::money::{Amount, Currency};
use super::status::Status;
use super::text::{Description, OutTradeNo, Reason, TransactionId};
use super::time::Timestamp;

/// A tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MerchantId(pub Uuid);

/// Ours; a UUIDv7, so that ids sort by the time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

/// The text is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID, such as 0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")]
pub struct OrderIdError;

impl OrderId {
    /// A new id; the time it carries is the order's time of creation.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Takes the hyphenated form only, as payquery writes it: one order has one URL.
    pub fn parse(text: &str) -> Result<Self, OrderIdError> {
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(OrderIdError);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| OrderIdError)
    }

    /// The time that the id carries; the epoch for an id that is no UUIDv7 (such an id is never ours).
    pub fn created_at(self) -> Timestamp {
        let ms = self.0.get_timestamp().map_or(0, |at| {
            let (seconds, nanos) = at.to_unix();
            i64::try_from(seconds).unwrap_or(i64::MAX / 1000) * 1000 + i64::from(nanos / 1_000_000)
        });
        Timestamp::from_unix_ms(ms)
    }

    /// The smallest id that an order created at `at` can have: turns a time into a bound for ids.
    pub fn first_at(at: Timestamp) -> Self {
        let ms = u64::try_from(at.unix_ms()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid())
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the order's changes, from 1. The one cursor over all transports, and the order's `ETag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Version(pub i64);

impl Version {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the merchant wants to find again beside the order: a JSON object of at most [`Metadata::MAX_BYTES`] as compact JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Metadata(Map<String, Value>);

/// Why metadata was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error("must be at most 4096 bytes as compact JSON, has {0}")]
    TooLarge(usize),
    #[error("must not contain the character U+0000")]
    Nul,
}

impl Metadata {
    pub const MAX_BYTES: usize = 4096;

    pub fn new(object: Map<String, Value>) -> Result<Self, MetadataError> {
        if object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
            return Err(MetadataError::Nul);
        }
        let metadata = Self(object);
        let bytes = metadata.to_value().to_string().len();
        if bytes > Self::MAX_BYTES {
            Err(MetadataError::TooLarge(bytes))
        } else {
            Ok(metadata)
        }
    }

    /// Metadata as the database keeps it; it was checked when it came in.
    pub fn from_stored(object: Map<String, Value>) -> Self {
        Self(object)
    }

    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

/// Postgres cannot keep U+0000 in JSON text.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// An order as it stands at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub merchant_id: MerchantId,
    pub out_trade_no: OutTradeNo,
    pub amount: Amount,
    pub currency: Currency,
    pub description: Option<Description>,
    pub metadata: Option<Metadata>,
    pub client_secret: ClientSecret,
    pub status: Status,
    pub reason: Option<Reason>,
    /// The payment came after the order had been closed.
    pub late: bool,
    pub version: Version,
    /// Minor units given back so far; 0 to `amount`.
    pub refunded_amount: i64,
    pub transaction_id: Option<TransactionId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// From here on an order that nobody has paid is closed.
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
}

/// What a merchant asks for when creating an order.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    pub out_trade_no: OutTradeNo,
    pub amount: Amount,
    pub currency: Currency,
    pub description: Option<Description>,
    pub metadata: Option<Metadata>,
    pub expiry: Expiry,
}

/// When an order that nobody pays is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this time.
    At(Timestamp),
    /// This many seconds after creation.
    After(i64),
}

impl Expiry {
    /// 30 minutes: long enough to find one's phone, short enough to free the stock.
    pub const DEFAULT: Self = Self::After(30 * 60);
    /// A year. Longer is a unit mixed up.
    pub const MAX_SECONDS: i64 = 366 * 24 * 3600;

    pub fn counted_from(self, created_at: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(seconds) => created_at.plus_seconds(seconds),
        }
    }
}

impl Order {
    /// The order that `new` asks for, at its first version.
    pub fn create(id: OrderId, merchant_id: MerchantId, client_secret: ClientSecret, new: NewOrder) -> Self {
        let created_at = id.created_at();
        Self {
            id,
            merchant_id,
            out_trade_no: new.out_trade_no,
            amount: new.amount,
            currency: new.currency,
            description: new.description,
            metadata: new.metadata,
            client_secret,
            status: Status::Pending,
            reason: None,
            late: false,
            version: Version::FIRST,
            refunded_amount: 0,
            transaction_id: None,
            created_at,
            updated_at: created_at,
            expires_at: new.expiry.counted_from(created_at),
            paid_at: None,
        }
    }

    /// The name that its merchant gave it: there is no other order of that name.
    pub fn name(&self) -> (MerchantId, &OutTradeNo) {
        (self.merchant_id, &self.out_trade_no)
    }

    /// Its time was up before it began.
    pub fn is_overdue_from_the_start(&self) -> bool {
        self.expires_at <= self.created_at
    }
}

#[cfg(test)]
impl Order {
    /// An order for tests: 10.00 CNY, pending, just created.
    pub fn sample() -> Self {
        let new = NewOrder {
            out_trade_no: OutTradeNo::parse("no-1").expect("valid"),
            amount: Amount::from_minor_units(1000).expect("valid"),
            currency: Currency::parse("CNY").expect("valid"),
            description: None,
            metadata: None,
            expiry: Expiry::After(60),
        };
        let secret = ClientSecret::from_stored(&format!("pqs_{}", "s".repeat(43))).expect("long enough");
        Self::create(OrderId::generate(), MerchantId(Uuid::now_v7()), secret, new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_carries_its_time_and_a_time_bounds_the_ids() {
        let id = OrderId::generate();
        let at = id.created_at();
        assert!(OrderId::first_at(at) <= id);
        assert!(id < OrderId::first_at(Timestamp::from_unix_ms(at.unix_ms() + 1)));
    }

    #[test]
    fn an_order_id_is_read_in_one_form_only() {
        let id = OrderId::generate();
        assert_eq!(OrderId::parse(&id.to_string()), Ok(id));
        for text in [
            "",
            "x",
            &id.0.simple().to_string(),
            &id.0.braced().to_string(),
            &id.0.urn().to_string(),
        ] {
            assert_eq!(OrderId::parse(text), Err(OrderIdError), "{text}");
        }
    }

    #[test]
    fn metadata_is_bounded_and_free_of_nul_at_any_depth() {
        let object = |value: Value| match value {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        assert!(Metadata::new(object(serde_json::json!({"a": "x".repeat(4096 - 8)}))).is_ok());
        assert_eq!(
            Metadata::new(object(serde_json::json!({"a": "x".repeat(4096 - 7)}))),
            Err(MetadataError::TooLarge(4097))
        );
        assert_eq!(
            Metadata::new(object(serde_json::json!({"a": [{"b\u{0}": 1}]}))),
            Err(MetadataError::Nul)
        );
        assert_eq!(
            Metadata::new(object(serde_json::json!({"a": ["\u{0}"]}))),
            Err(MetadataError::Nul)
        );
    }
}
