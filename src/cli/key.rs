//! `payquery key`: API keys, straight in the database.

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{OutputArgs, print_json, print_line};
use crate::config::DatabaseArgs;
use crate::database::Database;
use crate::db::Pool;
use crate::db::api_keys::ListedKey;
use crate::domain::text::MerchantName;
use crate::service::authenticate::{issue_key, list_keys, revoke_key};

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, and the merchant if there is none of that name. The key is shown this once
    Create(CreateArgs),
    /// List keys: whose, how they begin, when made, last used and revoked
    List(ListArgs),
    /// Revoke a key by its id. Running services refuse it within seconds
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The merchant's name
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    merchant: MerchantName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this merchant's keys
    #[arg(long, value_name = "NAME")]
    merchant: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The key's id, as `payquery key list` shows it
    #[arg(value_name = "KEY_ID")]
    key_id: Uuid,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

fn parse_name(text: &str) -> Result<MerchantName, String> {
    MerchantName::parse(text).map_err(|error| error.to_string())
}

impl KeyCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        let database = Database::open(match &self {
            Self::Create(args) => &args.database,
            Self::List(args) => &args.database,
            Self::Revoke(args) => &args.database,
        })
        .await?;
        let outcome = match self {
            Self::Create(args) => create(&args, &database.pool).await,
            Self::List(args) => list(&args, &database.pool).await,
            Self::Revoke(args) => revoke(&args, &database.pool).await,
        };
        outcome.and(database.close().await)
    }
}

async fn create(args: &CreateArgs, pool: &Pool) -> anyhow::Result<()> {
    let issued = issue_key(pool, &args.merchant).await?;
    if args.output.json {
        return print_json(&json!({
            "merchant": args.merchant,
            "key_id": issued.key_id,
            "api_key": issued.key.expose(),
        }));
    }
    print_line(&format!("merchant  {}", args.merchant))?;
    print_line(&format!("key id    {}", issued.key_id))?;
    print_line(&format!("API key   {}", issued.key.expose()))?;
    print_line("Keep it now: it is stored as a hash only and cannot be shown again.")
}

async fn list(args: &ListArgs, pool: &Pool) -> anyhow::Result<()> {
    let keys = list_keys(pool, args.merchant.as_deref()).await?;
    if args.output.json {
        let keys: Vec<_> = keys.iter().map(key_json).collect();
        return print_json(&json!({ "data": keys }));
    }
    let line = |id: &str, hint: &str, created: &str, used: &str, revoked: &str, merchant: &str| {
        format!("{id:36}  {hint:9}  {created:24}  {used:24}  {revoked:24}  {merchant}")
    };
    print_line(&line("KEY ID", "KEY", "CREATED", "LAST USED", "REVOKED", "MERCHANT"))?;
    for key in keys {
        let or_dash = |at: Option<crate::domain::time::Timestamp>| at.map_or_else(|| "-".into(), |at| at.to_string());
        print_line(&line(
            &key.key_id.to_string(),
            &format!("{}…", key.hint),
            &key.created_at.to_string(),
            &or_dash(key.last_used_at),
            &or_dash(key.revoked_at),
            &key.merchant,
        ))?;
    }
    Ok(())
}

fn key_json(key: &ListedKey) -> serde_json::Value {
    json!({
        "key_id": key.key_id,
        "merchant": key.merchant,
        "hint": key.hint,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    })
}

async fn revoke(args: &RevokeArgs, pool: &Pool) -> anyhow::Result<()> {
    anyhow::ensure!(
        revoke_key(pool, args.key_id).await?,
        "there is no key with the id {}; `payquery key list` shows them",
        args.key_id
    );
    if args.output.json {
        return print_json(&json!({ "key_id": args.key_id, "revoked": true }));
    }
    print_line(&format!(
        "key {} is revoked; running services refuse it within seconds",
        args.key_id
    ))
}
