//! RabbitMQ: where it is, and what is done with it.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgAction, Args};

use crate::amqp::Broker;

/// Messages to and from the merchant's other systems.
#[derive(Clone, Args)]
#[command(next_help_heading = "RabbitMQ")]
pub struct RabbitmqArgs {
    /// The RabbitMQ broker: amqp://user:password@host/vhost, or amqps://. Order events go to its exchange payquery.events, and status reports are taken from its queue payquery.updates
    #[arg(long, env = "PAYQUERY_AMQP_URL", hide_env_values = true, value_name = "URL")]
    pub amqp_url: Option<String>,

    /// Certificate authorities to trust at amqps://, besides the public ones: a PEM file
    #[arg(long, env = "PAYQUERY_AMQP_CA_FILE", value_name = "PATH")]
    pub amqp_ca_file: Option<PathBuf>,

    /// Take status reports from the queue payquery.updates
    #[arg(long, env = "PAYQUERY_AMQP_UPDATES", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub amqp_updates: bool,
}

impl RabbitmqArgs {
    /// The broker, if one is named. Checked here and not where flags are read: that would repeat the URL, and the password in it.
    pub fn broker(&self) -> anyhow::Result<Option<Broker>> {
        // (Compose passes what is not set as an empty text.)
        let Some(url) = self.amqp_url.as_ref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let authorities = self.amqp_ca_file.as_ref().map(std::fs::read_to_string).transpose();
        let authorities = authorities.context("cannot read PAYQUERY_AMQP_CA_FILE")?;
        let broker = Broker::new(url, authorities).context("PAYQUERY_AMQP_URL is no address of a broker")?;
        Ok(Some(broker))
    }
}

/// The URL has a password in it.
impl fmt::Debug for RabbitmqArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitmqArgs")
            .field("amqp_url", &self.amqp_url.as_ref().map(|_| "…"))
            .field("amqp_ca_file", &self.amqp_ca_file)
            .field("amqp_updates", &self.amqp_updates)
            .finish()
    }
}
