//! An order's log, and the merchant's feed.

use serde::Serialize;

use crate::domain::event::EventDocument;

/// A page of an order's log, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEventList)]
pub struct EventListBody<'a> {
    pub data: Vec<EventDocument<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// A page of the merchant's feed, in order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventFeedPage)]
pub struct FeedPageBody<'a> {
    pub data: Vec<EventDocument<'a>>,
    /// For `after`: all before it was read. Always there, also when nothing is new.
    #[schema(example = "bNkRAA")]
    pub next_cursor: String,
    /// There may be more at once: do not wait before you ask again.
    pub has_more: bool,
}

/// An event as a line of the feed.
#[derive(Debug, Serialize)]
pub struct FeedLine<'a> {
    #[serde(flatten)]
    pub event: EventDocument<'a>,
    /// For `after`: goes on with the next line.
    pub cursor: String,
}

/// The last line.
#[derive(Debug, Serialize)]
pub struct FeedEnd {
    pub cursor: String,
    pub has_more: bool,
}
