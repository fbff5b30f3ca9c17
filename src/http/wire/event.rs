//! An order's log.

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
