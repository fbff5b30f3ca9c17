//! `payquery order`: what a merchant's backend does, from a shell.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, IF_MATCH};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::ServiceArgs;
use super::{OutputArgs, print_json, print_line};

#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Create an order
    Create(CreateArgs),
    /// Show an order
    Show(ShowArgs),
    /// Report what has become of an order
    Report(ReportArgs),
    /// Show an order's log, rejected reports included
    Log(LogArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The merchant's own number of the order
    #[arg(long, value_name = "NUMBER")]
    out_trade_no: String,
    /// Minor units: 1000 is 10.00 CNY
    #[arg(long, value_name = "UNITS")]
    amount: i64,
    /// ISO 4217 code
    #[arg(long, value_name = "CODE", default_value = "CNY")]
    currency: String,
    /// What the payer is paying for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Seconds until the order is closed if nobody pays [default: 1800]
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<i64>,
    /// A JSON object to keep with the order
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Value>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The order's id, or the merchant's own number
    #[arg(value_name = "ORDER")]
    order: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The order's id, or the merchant's own number
    #[arg(value_name = "ORDER")]
    order: String,
    /// pending, processing, succeeded, failed, closed, refunded; or a provider's word in capitals, such as SUCCESS
    #[arg(value_name = "STATUS")]
    status: String,
    /// The provider's number of the payment
    #[arg(long, value_name = "ID")]
    transaction_id: Option<String>,
    /// Why the order has this status
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The amount that was paid; rejected if it isn't the order's
    #[arg(long, value_name = "UNITS")]
    amount: Option<i64>,
    /// The currency that was paid in; rejected if it isn't the order's
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// When it was paid, as RFC 3339
    #[arg(long, value_name = "TIME")]
    paid_at: Option<String>,
    /// The sum of all refunds so far
    #[arg(long, value_name = "UNITS")]
    refunded_amount: Option<i64>,
    /// Only if the order still stands at this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub struct LogArgs {
    /// The order's id, or the merchant's own number
    #[arg(value_name = "ORDER")]
    order: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

fn parse_object(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("it must be a JSON object, such as {\"shop\":7}".into())
    }
}

impl OrderCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => create(args).await,
            Self::Show(args) => show(args).await,
            Self::Report(args) => report(args).await,
            Self::Log(args) => log(args).await,
        }
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let body = given([
        ("out_trade_no", Some(json!(args.out_trade_no))),
        ("amount", Some(json!(args.amount))),
        ("currency", Some(json!(args.currency))),
        ("description", args.description.map(Value::from)),
        ("expires_in", args.expires_in.map(Value::from)),
        ("metadata", args.metadata),
    ]);
    let client = args.service.merchant()?;
    let answer = client
        .send(Method::POST, &["v1", "orders"], &[], HeaderMap::new(), Some(&body))
        .await?;
    print_order(&answer.body, args.output)
}

async fn show(args: ShowArgs) -> anyhow::Result<()> {
    let client = args.service.merchant()?;
    let answer = client
        .send(Method::GET, &order_path(&args.order), &[], HeaderMap::new(), None)
        .await?;
    print_order(&answer.body, args.output)
}

async fn report(args: ReportArgs) -> anyhow::Result<()> {
    // Providers write their words in capitals, payquery its own in small letters.
    let word = if args.status.bytes().any(|byte| byte.is_ascii_uppercase()) {
        "trade_state"
    } else {
        "status"
    };
    let body = given([
        (word, Some(json!(args.status))),
        ("transaction_id", args.transaction_id.map(Value::from)),
        ("reason", args.reason.map(Value::from)),
        ("amount", args.amount.map(Value::from)),
        ("currency", args.currency.map(Value::from)),
        ("paid_at", args.paid_at.map(Value::from)),
        ("refunded_amount", args.refunded_amount.map(Value::from)),
    ]);
    let mut headers = HeaderMap::new();
    if let Some(version) = args.if_version {
        headers.insert(IF_MATCH, HeaderValue::from_str(&format!("\"{version}\""))?);
    }
    let mut path = order_path(&args.order);
    path.push("status");
    let answer = args
        .service
        .merchant()?
        .send(Method::PUT, &path, &[], headers, Some(&body))
        .await?;
    print_order(&answer.body, args.output)
}

async fn log(args: LogArgs) -> anyhow::Result<()> {
    let client = args.service.merchant()?;
    let order = client
        .send(Method::GET, &order_path(&args.order), &[], HeaderMap::new(), None)
        .await?;
    let id = order.body["id"].as_str().context("the answer is no order")?;
    let mut cursor: Option<String> = None;
    loop {
        let query: Vec<_> = cursor.into_iter().map(|cursor| ("cursor", cursor)).collect();
        let page = client
            .send(
                Method::GET,
                &["v1", "orders", id, "events"],
                &query,
                HeaderMap::new(),
                None,
            )
            .await?;
        for event in page.body["data"].as_array().into_iter().flatten() {
            print_event(event, args.output)?;
        }
        cursor = page.body["next_cursor"].as_str().map(ToOwned::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// A UUID is an id; everything else is the merchant's own number.
fn order_path(order: &str) -> Vec<&str> {
    if Uuid::try_parse(order).is_ok() {
        vec!["v1", "orders", order]
    } else {
        vec!["v1", "orders", "out-trade-no", order]
    }
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn print_order(order: &Value, output: OutputArgs) -> anyhow::Result<()> {
    if output.json {
        return print_json(order);
    }
    for (name, value) in order.as_object().context("the answer is no order")? {
        print_line(&format!("{name:16}  {}", plain(value)))?;
    }
    Ok(())
}

fn print_event(event: &Value, output: OutputArgs) -> anyhow::Result<()> {
    if output.json {
        return print_json(event);
    }
    let word = |name: &str| plain(&event[name]);
    let moved = format!("{} -> {}", word("from"), word("to"));
    print_line(&format!(
        "{}  v{:<3} {:18} {:24} by {}  {}",
        word("at"),
        word("version"),
        word("type"),
        moved,
        word("source"),
        word("reason")
    ))
}

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
