//! Many statuses at once.

use serde::{Deserialize, Serialize};

use super::super::error::Problem;
use crate::domain::document::StatusDocument;

/// Orders whose statuses are wanted: 1 to 100 names.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatusesRequest, example = json!({
    "ids": ["0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"], "out_trade_nos": ["20261120-0001"]
}))]
pub struct StatusesBody {
    /// Ids of orders.
    #[serde(default)]
    #[schema(value_type = Vec<uuid::Uuid>, max_items = 100)]
    pub ids: Vec<String>,
    /// The merchant's own numbers of orders.
    #[serde(default)]
    #[schema(value_type = Vec<OutTradeNoText>, max_items = 100)]
    pub out_trade_nos: Vec<String>,
}

/// An `out_trade_no`, as the schema says it.
#[derive(Debug, utoipa::ToSchema)]
#[schema(as = OutTradeNo, min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
#[allow(dead_code, reason = "only its schema is used")]
pub struct OutTradeNoText(String);

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
