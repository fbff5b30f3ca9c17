//! Lists: what is looked for, and the cursors by which one reads on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::order::{MerchantId, OrderId};
use super::status::Status;
use super::text::OutTradeNo;
use super::time::Timestamp;
use super::webhook::DeliveryId;

/// Which of a merchant's orders are wanted, newest first.
#[derive(Debug, Clone)]
pub struct OrderFilter {
    pub merchant_id: MerchantId,
    /// Empty: any.
    pub statuses: Vec<Status>,
    pub out_trade_no: Option<OutTradeNo>,
    pub created: TimeRange,
    pub updated: TimeRange,
    /// Only orders older than this one.
    pub before: Option<OrderId>,
    pub limit: PageSize,
}

/// From a point in time (included) to another (not included).
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeRange {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// How many rows a page has at most: 1 to 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u8);

/// The number is no page size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to 200")]
pub struct PageSizeError;

impl PageSize {
    pub const DEFAULT: Self = Self(50);
    const MAX: u8 = 200;

    pub fn parse(text: &str) -> Result<Self, PageSizeError> {
        text.parse()
            .ok()
            .filter(|size| (1..=Self::MAX).contains(size))
            .map(Self)
            .ok_or(PageSizeError)
    }

    pub fn get(self) -> usize {
        usize::from(self.0)
    }

    /// One row more than the page shows: tells whether there is a next page.
    pub fn and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// More items follow the last one.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Makes a page of rows that were read with [`PageSize::and_one`].
    pub fn of(mut rows: Vec<T>, size: PageSize) -> Self {
        let has_more = rows.len() > size.get();
        rows.truncate(size.get());
        Self { items: rows, has_more }
    }
}

/// Where to read on. Opaque to clients; good over restarts and replicas, since it names a row and no state of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// After this order, in a list of orders.
    Order(OrderId),
    /// After the event with this sequence number, in the log of an order.
    Event(i64),
    /// After this delivery, in a list of deliveries.
    Delivery(DeliveryId),
    /// After this event, in the log of all orders by time.
    Log(LogPlace),
}

/// An event's place in the log by time. (Its order by commits is another: [`LogCursor`](super::log_cursor::LogCursor).)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    /// Microseconds since 1970.
    pub at_us: i64,
    pub seq: i64,
}

/// The text is no cursor of that list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor of this list; take it from next_cursor of the page before")]
pub struct CursorError;

const ORDER_TAG: u8 = b'o';
const EVENT_TAG: u8 = b'e';
const DELIVERY_TAG: u8 = b'd';
const LOG_TAG: u8 = b'l';
/// The last moment of the year 9999, in microseconds.
const MAX_AT_US: i64 = 253_402_300_799_999_999;

impl Cursor {
    pub fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(17);
        match self {
            Self::Order(id) => {
                bytes.push(ORDER_TAG);
                bytes.extend_from_slice(id.0.as_bytes());
            }
            Self::Event(seq) => {
                bytes.push(EVENT_TAG);
                bytes.extend_from_slice(&seq.to_be_bytes());
            }
            Self::Delivery(id) => {
                bytes.push(DELIVERY_TAG);
                bytes.extend_from_slice(id.0.as_bytes());
            }
            Self::Log(place) => {
                bytes.push(LOG_TAG);
                bytes.extend_from_slice(&place.at_us.to_be_bytes());
                bytes.extend_from_slice(&place.seq.to_be_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn decode(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        match bytes.split_first() {
            Some((&ORDER_TAG, id)) => Uuid::from_slice(id)
                .map(|id| Self::Order(OrderId(id)))
                .map_err(|_| CursorError),
            Some((&DELIVERY_TAG, id)) => Uuid::from_slice(id)
                .map(|id| Self::Delivery(DeliveryId(id)))
                .map_err(|_| CursorError),
            Some((&LOG_TAG, place)) => {
                let (at, seq) = place.split_first_chunk().ok_or(CursorError)?;
                let place = LogPlace {
                    at_us: i64::from_be_bytes(*at),
                    seq: i64::from_be_bytes(seq.try_into().map_err(|_| CursorError)?),
                };
                let is_fine = (0..=MAX_AT_US).contains(&place.at_us) && place.seq >= 0;
                is_fine.then_some(Self::Log(place)).ok_or(CursorError)
            }
            Some((&EVENT_TAG, seq)) => {
                let seq = i64::from_be_bytes(seq.try_into().map_err(|_| CursorError)?);
                if seq >= 0 {
                    Ok(Self::Event(seq))
                } else {
                    Err(CursorError)
                }
            }
            _ => Err(CursorError),
        }
    }

    /// Reads a cursor of a list of orders.
    pub fn decode_order(text: &str) -> Result<OrderId, CursorError> {
        match Self::decode(text)? {
            Self::Order(id) => Ok(id),
            _ => Err(CursorError),
        }
    }

    /// Reads a cursor of an order's log.
    pub fn decode_event(text: &str) -> Result<i64, CursorError> {
        match Self::decode(text)? {
            Self::Event(seq) => Ok(seq),
            _ => Err(CursorError),
        }
    }

    /// Reads a cursor of a list of deliveries.
    pub fn decode_delivery(text: &str) -> Result<DeliveryId, CursorError> {
        match Self::decode(text)? {
            Self::Delivery(id) => Ok(id),
            _ => Err(CursorError),
        }
    }

    /// Reads a cursor of the log by time.
    pub fn decode_log(text: &str) -> Result<LogPlace, CursorError> {
        match Self::decode(text)? {
            Self::Log(place) => Ok(place),
            _ => Err(CursorError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_cursor_is_read_back_as_it_was_written(id: u128, seq in 0..i64::MAX) {
            let order = OrderId(Uuid::from_u128(id));
            prop_assert_eq!(Cursor::decode_order(&Cursor::Order(order).encode()), Ok(order));
            prop_assert_eq!(Cursor::decode_event(&Cursor::Event(seq).encode()), Ok(seq));
            prop_assert_eq!(Cursor::decode_event(&Cursor::Order(order).encode()), Err(CursorError));
            let delivery = DeliveryId(Uuid::from_u128(id));
            prop_assert_eq!(Cursor::decode_delivery(&Cursor::Delivery(delivery).encode()), Ok(delivery));
            prop_assert_eq!(Cursor::decode_order(&Cursor::Delivery(delivery).encode()), Err(CursorError));
            let place = LogPlace { at_us: seq % MAX_AT_US, seq };
            prop_assert_eq!(Cursor::decode_log(&Cursor::Log(place).encode()), Ok(place));
            prop_assert_eq!(Cursor::decode_delivery(&Cursor::Log(place).encode()), Err(CursorError));
        }

        #[test]
        fn junk_never_panics_and_what_is_taken_is_canonical(text in ".{0,40}") {
            if let Ok(cursor) = Cursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }

    #[test]
    fn page_sizes_lie_between_1_and_200() {
        assert_eq!(PageSize::parse("200").map(PageSize::get), Ok(200));
        for text in ["0", "201", "-1", "", "ten", "99999999999"] {
            assert_eq!(PageSize::parse(text), Err(PageSizeError), "{text}");
        }
    }
}
