//! `/demo`: a checkout page to try payquery with, and the phone's page behind its QR code. Served with `--demo` only.
//!
//! The pages play the merchant's part, too, and do so here: no browser ever sees an API key. What they may do is little. An
//! order is created for the merchant "demo" alone; a report needs that order's client secret; both are asked for by these
//! pages only, a few times a second.

mod own_page;
mod pages;
mod qr;

use std::net::IpAddr;

use actix_web::guard::GuardContext;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::Door;
use super::auth::{MISSING_CREDENTIALS, bearer_token};
use super::conditional::WritePrecondition;
use super::error::ApiError;
use super::limits::{Cost, Limiter, Rate};
use super::routes;
use crate::domain::document::StatusDocument;
use crate::domain::money::{Amount, Currency};
use crate::domain::order::{Expiry, MerchantId, NewOrder, Order, OrderId};
use crate::domain::report::{Report, Target};
use crate::domain::status::Status;
use crate::domain::text::{Description, OutTradeNo, TransactionId};
use crate::domain::time::Timestamp;
use crate::service::create::Created;
use crate::service::read::OrderName;

pub use own_page::OwnPage;
pub use pages::{asset, checkout, pay};

/// What one network may ask for; all together ten times as much. A person at a demo presses buttons, no more.
const RATE: Rate = Rate {
    per_second: 2.0,
    burst: 20,
};
/// How long a demo's order may be open, in seconds: somebody is looking at it.
const EXPIRES_IN: std::ops::RangeInclusive<i64> = 5..=3600;

/// What the pages act with; there is none without `--demo`.
#[derive(Debug)]
pub struct Demo {
    merchant: MerchantId,
    by_network: Limiter,
    altogether: Limiter,
}

impl Demo {
    pub fn new(merchant: MerchantId) -> Self {
        Self {
            merchant,
            by_network: Limiter::new("demo", Some(RATE)),
            altogether: Limiter::new("demo", Some(RATE.tenfold())),
        }
    }

    fn charge(&self, network: IpAddr) -> Result<(), ApiError> {
        let charged = self.by_network.check(network, Cost::Full);
        let charged = charged.and_then(|_| self.altogether.check((), Cost::Full));
        charged.map(drop).map_err(ApiError::QuotaExceeded)
    }

    /// Forgets networks that are back at full quota.
    pub fn drop_idle_keys(&self) {
        self.by_network.drop_idle_keys();
    }
}

/// Whether there is a demo. Where there is none, its paths are like all others that nothing is served at.
pub fn is_on(context: &GuardContext<'_>) -> bool {
    context
        .app_data::<web::Data<Door>>()
        .is_some_and(|door| door.demo.is_some())
}

impl Door {
    /// The demo; its limits have been asked.
    fn demo_for(&self, request: &HttpRequest) -> Result<&Demo, ApiError> {
        let demo = self.demo.as_ref().ok_or(ApiError::RouteNotFound)?;
        demo.charge(self.client_of(request))?;
        Ok(demo)
    }
}

/// An order to be created.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoOrder {
    /// Fen.
    amount: i64,
    /// Seconds.
    expires_in: i64,
}

impl DemoOrder {
    fn parse(&self) -> Result<NewOrder, ApiError> {
        if !EXPIRES_IN.contains(&self.expires_in) {
            return Err(ApiError::invalid("expires_in", "must be from 5 to 3600 seconds"));
        }
        let number = format!("demo-{:032x}", fastrand::u128(..));
        Ok(NewOrder {
            out_trade_no: OutTradeNo::parse(number).expect("37 visible characters"),
            amount: Amount::from_minor_units(self.amount).map_err(|error| ApiError::invalid("amount", error))?,
            currency: Currency::parse("CNY").expect("a currency in use"),
            description: Some(Description::parse("payquery demo").expect("two short words")),
            metadata: None,
            expiry: Expiry::After(self.expires_in),
        })
    }
}

/// What the checkout page learns of its new order: what a payer's screen may know, and where to pay.
#[derive(Debug, Serialize)]
struct NewDemoOrder<'a> {
    order_id: OrderId,
    client_secret: &'a str,
    out_trade_no: &'a str,
    expires_at: Timestamp,
    pay_url: &'a str,
    /// The link as a QR code, an SVG image.
    qr: String,
}

/// `POST /demo/orders`
pub async fn create_order(
    request: HttpRequest,
    door: web::Data<Door>,
    sent: OwnPage<DemoOrder>,
) -> Result<HttpResponse, ApiError> {
    let demo = door.demo_for(&request)?;
    let created = door.service.create(demo.merchant, sent.body.parse()?).await?;
    let (Created::New(order) | Created::Already(order)) = created;
    let secret = order.client_secret.expose();
    // The secret stands behind the #: browsers keep that to themselves, so no log on the way has it.
    let pay_url = format!("{}/demo/pay/{}#{secret}", sent.origin, order.id);
    Ok(answer(&NewDemoOrder {
        order_id: order.id,
        client_secret: secret,
        out_trade_no: order.out_trade_no.as_str(),
        expires_at: order.expires_at,
        qr: qr::svg(&pay_url)?,
        pay_url: &pay_url,
    }))
}

/// What somebody pressed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pressed {
    action: Action,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// Of an order that is closed this is a late payment.
    Pay,
    Close,
    Refund,
}

impl Action {
    /// What a merchant's backend would report.
    fn report(self, id: OrderId) -> Report {
        let (status, transaction_id) = match self {
            // The same for each press: a second one is a repeat, not a second payment.
            Self::Pay => (Status::Succeeded, TransactionId::parse(format!("demo-{id}")).ok()),
            Self::Close => (Status::Closed, None),
            Self::Refund => (Status::Refunded, None),
        };
        Report {
            target: Target::Status(status),
            transaction_id,
            reason: None,
            amount: None,
            currency: None,
            paid_at: None,
            refunded_amount: None,
        }
    }
}

/// `POST /demo/orders/{id}/actions`
pub async fn act(
    request: HttpRequest,
    door: web::Data<Door>,
    sent: OwnPage<Pressed>,
) -> Result<HttpResponse, ApiError> {
    let demo = door.demo_for(&request)?;
    let id = routes::order_id(&request)?;
    let token = bearer_token(request.headers())?.ok_or(MISSING_CREDENTIALS)?;
    let opened = door.open_order(id, token, door.client_of(&request)).await?;
    if opened.hot.merchant_id != demo.merchant {
        return Err(ApiError::OrderNotFound);
    }
    let (name, report) = (OrderName::Id(id), sent.body.action.report(id));
    let precondition = WritePrecondition::of(request.headers())?;
    let order: Order = door.service.update(demo.merchant, name, report, precondition).await?;
    Ok(answer(&StatusDocument::of(&order)))
}

fn answer(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .json(body)
}
