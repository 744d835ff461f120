//! `rowcast rule`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use rowcast_proto::rest::{RuleMetric, Severity};

use super::{Agreement, SharingArgs, Shown};
use crate::tags::tag;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a rule, by which incidents are raised and contacts told
    Create(Create),
    /// Show all rules
    List(Shown),
    /// Show a rule
    Show(Named),
    /// Change a rule
    #[command(visible_alias = "modify")]
    Update(Update),
    /// Delete a rule; its incidents end
    Delete {
        /// Name or id of the rule
        rule: String,
        #[command(flatten)]
        agreement: Agreement,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Name or id of the rule
    pub(crate) rule: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What of a rule can be changed later; where it is left out of a new one, the API decides.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// Raise an incident above this: seconds or bytes, as the metric counts; not of what is true or not
    #[arg(long, value_name = "NUMBER")]
    pub(crate) above: Option<u64>,
    /// Only where it is so for this many seconds without a break, 0 to 86400
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) hold: Option<u32>,
    /// How much it matters
    #[arg(long, value_parser = severities())]
    pub(crate) severity: Option<Severity>,
    /// Name or id of a task that it watches; may be said 50 times
    #[arg(long = "task", value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
    /// Name or id of a contact that is told; may be said 20 times
    #[arg(long = "contact", value_name = "CONTACT")]
    pub(crate) contacts: Vec<String>,
    /// Tell them again after so many minutes while it lasts, 5 to 10080
    #[arg(long, value_name = "MINUTES")]
    pub(crate) repeat: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What to call it, 1 to 64 characters
    pub(crate) name: String,
    /// What it watches
    #[arg(long, value_parser = metrics())]
    pub(crate) metric: RuleMetric,
    #[command(flatten)]
    pub(crate) what: What,
    /// Only tasks with this tag; may be said several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// The name of those who share it: only their tasks are watched
    #[arg(long, value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
    /// It does not watch yet
    #[arg(long)]
    pub(crate) disabled: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// Name or id of the rule
    pub(crate) rule: String,
    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) without: Without,
    /// Only tasks with this tag too
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// Whatever tag of this key tasks have
    #[arg(long = "untag", value_name = "KEY")]
    pub(crate) untagged: Vec<String>,
    /// It watches
    #[arg(long)]
    pub(crate) enable: bool,
    /// It does not watch; what is open ends
    #[arg(long, conflicts_with = "enable")]
    pub(crate) disable: bool,
    #[command(flatten)]
    pub(crate) sharing: SharingArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What of a rule is to be no longer.
#[derive(Debug, clap::Args)]
pub(crate) struct Without {
    /// It watches all tasks
    #[arg(long, conflicts_with = "tasks")]
    pub(crate) no_tasks: bool,
    /// Nobody is told
    #[arg(long, conflicts_with = "contacts")]
    pub(crate) no_contacts: bool,
    /// They are told once
    #[arg(long, conflicts_with = "repeat")]
    pub(crate) no_repeat: bool,
}

fn metrics() -> impl TypedValueParser<Value = RuleMetric> {
    PossibleValuesParser::new(RuleMetric::ALL.map(RuleMetric::as_str))
        .try_map(|name| RuleMetric::from_name(&name).ok_or("there is no such metric"))
}

fn severities() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(Severity::ALL.map(Severity::as_str))
        .try_map(|name| Severity::from_name(&name).ok_or("there is no such severity"))
}
