//! Webhooks: whom they may reach, and how long they are tried.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::parse_network;
use crate::delivery::webhooks::{RetryPlan, Settings, parse_duration};

/// Deliveries to the merchants' endpoints.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookArgs {
    /// Networks that webhooks may reach besides the public ones, between commas; plain http is for these only
    #[arg(long, env = "PAYQUERY_WEBHOOK_ALLOW", value_name = "CIDR,…", value_delimiter = ',', value_parser = parse_network)]
    pub webhook_allow: Vec<IpNet>,

    /// Pauses between one try of a delivery and the next, each up to a fifth longer or shorter; after the last one it is given up
    #[arg(
        long,
        env = "PAYQUERY_WEBHOOK_RETRY_PLAN",
        value_name = "PAUSE,…",
        default_value = "5s,30s,2m,10m,30m,2h,5h,10h,14h,20h,24h"
    )]
    pub webhook_retry_plan: RetryPlan,

    /// Longest time that an attempt takes, in seconds
    #[arg(long, env = "PAYQUERY_WEBHOOK_TIMEOUT", value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub webhook_timeout: u64,

    /// An endpoint that took nothing for so long is disabled
    #[arg(long, env = "PAYQUERY_WEBHOOK_DISABLE_AFTER", value_name = "TIME", default_value = "5d", value_parser = parse_time)]
    pub webhook_disable_after: Duration,

    /// Days that deliveries which are done are kept; 0 is for ever
    #[arg(
        long,
        env = "PAYQUERY_WEBHOOK_RETENTION_DAYS",
        value_name = "DAYS",
        default_value_t = 30
    )]
    pub webhook_retention_days: u16,
}

impl WebhookArgs {
    pub fn settings(&self) -> Settings {
        Settings {
            allow: self.webhook_allow.clone(),
            retry_plan: self.webhook_retry_plan.clone(),
            timeout: Duration::from_secs(self.webhook_timeout),
            disable_after: self.webhook_disable_after,
            retention_days: self.webhook_retention_days,
        }
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "it must be a number and a unit (ms, s, m, h, d), such as 5d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a setting is without a word of anybody's, as it stands in the help.
    fn default_of(setting: &str) -> String {
        let command = WebhookArgs::augment_args(clap::Command::new("payquery"));
        let mut arguments = command.get_arguments();
        let argument = arguments
            .find(|argument| argument.get_id() == setting)
            .expect("a setting");
        let value = argument.get_default_values().first().expect("a default");
        value.to_str().expect("text").to_owned()
    }

    #[test]
    fn the_plan_of_the_documents_is_the_default_and_goes_on_for_a_bit_more_than_three_days() {
        let plan = default_of("webhook_retry_plan");
        let pauses: Vec<_> = plan.split(',').filter_map(parse_duration).collect();
        assert!(pauses.is_sorted(), "{plan}");
        let sum: Duration = pauses.iter().sum();
        let (three_days, a_bit_more) = (Duration::from_hours(72), Duration::from_hours(84));
        assert!(sum > three_days && sum < a_bit_more, "{sum:?}");
        // As the document writes it: 5 s, 30 s, 2 min, … 20 h and 24 h.
        let written: Vec<_> = plan
            .split(',')
            .map(|pause| pause.replace('s', " s").replace('m', " min").replace('h', " h"))
            .collect();
        let (last, others) = written.split_last().expect("there are pauses");
        let sentence = format!("It is tried again after {} and {last}, each up to", others.join(", "));
        assert!(include_str!("../../docs/webhooks.md").contains(&sentence), "{sentence}");
    }
}
