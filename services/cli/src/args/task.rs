//! `rowcast task`.

use std::path::PathBuf;

use clap::ValueEnum;
use rowcast_proto::rest::{
    AcceptableStop, ChangeTypes, DataChange, Format, Packing, Retention, default_retry_minutes,
};

use super::alerting::{AlertingArgs, AlertingChange};
use super::etl::EtlArgs;
use super::fixed::FixedArgs;
use super::history::{Events, Log};
use super::instance::{Instance, Purchase, Renew};
use super::precheck::{Ignore, Precheck, Recheck};
use super::{Agreement, SharingArgs, Shown, Waiting};
use crate::secret::PasswordArgs;
use crate::tags::tag;
use crate::task::selection::ObjectArgs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Say what to track
    Create(Box<Create>),
    /// Make a task with the configuration of another; it has no instance and no groups
    Clone {
        /// Name or id of the task to copy
        task: String,
        /// What to call the new one, 1 to 64 characters
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show the networks by which clients can reach NATS
    Networks(Shown),
    /// Show what makes a task of the same configuration
    Preview {
        /// Name or id of the task
        task: String,
        /// In which way it is made
        #[arg(short, long, value_enum, default_value_t = PreviewFormat::Command)]
        output: PreviewFormat,
    },
    /// Show all tasks
    List(List),
    /// Show one task: its state, how far it has come, what is wrong
    Show(Named),
    /// See whether the source is fit for the task; names every problem and its repair
    Precheck(Precheck),
    /// Look again at what was prechecked, while the task runs
    Recheck(Recheck),
    /// Say who answers for alerts of the last precheck, and why: with any that nobody answers for, nothing starts
    #[command(visible_alias = "ignore")]
    IgnoreAlerts(Ignore),
    /// Buy an instance, paid by the hour or in advance; twice buys once
    Purchase(Purchase),
    /// Pay further months of a subscription; a task that is locked goes on
    Renew(Renew),
    /// Show what was bought, until when it is paid, and every order; or say whether it renews itself
    Instance(Instance),
    /// Let changes flow
    Start(Begin),
    /// Stop reading; the source keeps its WAL until the task goes on
    Suspend(Step),
    /// Go on after a suspension
    Resume(Begin),
    /// Begin anew: removes the task's stream and what it made on the source; instance and groups stay
    Reset(Reset),
    /// End a task for good: removes its stream, its groups and what it made on the source
    Release(Release),
    /// Call a task something else
    Rename {
        /// Name or id of the task
        task: String,
        /// What to call it, 1 to 64 characters
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Change a task, also while it runs; `objects` changes what is tracked
    Update(Update),
    /// Show what is tracked, or replace it, also while the task runs
    Objects(Objects),
    /// Show what happened to a task
    Events(Events),
    /// Show what the services logged about a task
    Log(Log),
    /// Print changes as they come, until Ctrl-C
    Tail(Tail),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Name or id of the task
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// A way to make a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PreviewFormat {
    /// By this command
    Command,
    /// By curl, with the variables `ROWCAST_API_URL` and `ROWCAST_TOKEN`
    Curl,
    /// All of them, and the body of the request
    Json,
    /// By a file for `rowcast apply`
    Yaml,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only tasks that are not released
    #[arg(long, conflicts_with = "states")]
    pub(crate) live: bool,
    /// Only tasks in one of these states
    #[arg(long = "in", value_delimiter = ',', value_name = "STATE,…")]
    pub(crate) states: Vec<String>,
    /// Only tasks of this source
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Only tasks with this text in their name or id, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only tasks with this tag; said twice, with both
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    pub(crate) tags: Vec<String>,
    /// Only tasks of this resource group
    #[arg(long, value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
    /// The order; with `-` the other way round
    #[arg(
        long,
        default_value = "created_at",
        allow_hyphen_values = true,
        value_parser = [
            "created_at", "-created_at", "name", "-name", "state", "-state", "updated_at", "-updated_at"
        ]
    )]
    pub(crate) sort: String,
    /// Most tasks [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u32>,
    /// The page that the page before has named, in the same order
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// With their last prechecks, how late and fast they are, what they take and hold, how their groups get on, how they
    /// are paid, and what can be asked of them
    #[arg(long)]
    pub(crate) wide: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What to call it, 1 to 64 characters [default: its database and the end of its id]
    pub(crate) name: Option<String>,
    /// Name or id of the source
    #[arg(long, required_unless_present = "own_source")]
    pub(crate) source: Option<String>,
    /// A source of the task's own, which goes with it: a file as for `rowcast apply` with one source
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    pub(crate) own_source: Option<PathBuf>,
    /// The database [default: the source's]; said more than once, each gets a task, `NAME-DATABASE`
    #[arg(long = "database", value_name = "DATABASE")]
    pub(crate) databases: Vec<String>,
    #[command(flatten)]
    pub(crate) objects: ObjectArgs,
    #[command(flatten)]
    pub(crate) changes: ChangeArgs,
    /// How long an interruption is retried, in minutes; more than 30 are advised
    #[arg(long, default_value_t = default_retry_minutes())]
    pub(crate) retry_minutes: u32,
    /// How long changes are kept, in hours
    #[arg(long, default_value_t = Retention::default().hours)]
    pub(crate) retention_hours: u32,
    /// Most bytes kept [default: no limit]
    #[arg(long)]
    pub(crate) retention_bytes: Option<u64>,
    /// Number of key partitions [default: 16, or 1 where rows are packed]
    #[arg(long)]
    pub(crate) partitions: Option<u32>,
    /// Publish begin and commit of transactions
    #[arg(long)]
    pub(crate) transactions: bool,
    /// Put rows of one transaction into one message
    #[arg(long)]
    pub(crate) pack: bool,
    /// How messages are written
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: FormatArg,
    #[command(flatten)]
    pub(crate) etl: EtlArgs,
    #[command(flatten)]
    pub(crate) alerting: AlertingArgs,
    /// By which network its clients reach NATS [default: the platform's own]; see `rowcast task networks`
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Something to sort tasks by; may be said 20 times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// The name of those who share it
    #[arg(long, value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Which changes a new task tracks.
#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Only these changes of rows
    #[arg(
        long = "changes",
        value_enum,
        value_delimiter = ',',
        value_name = "KIND,…"
    )]
    kinds: Vec<Kind>,
    /// Schema changes too
    #[arg(long)]
    schema_changes: bool,
    /// Schema changes only
    #[arg(long, conflicts_with = "kinds", requires = "schema_changes")]
    no_row_changes: bool,
}

impl ChangeArgs {
    pub(crate) fn types(&self) -> ChangeTypes {
        let data = match self.kinds.as_slice() {
            [] if self.no_row_changes => Vec::new(),
            [] => DataChange::ALL.to_vec(),
            kinds => kinds.iter().copied().map(Into::into).collect(),
        };
        ChangeTypes {
            data,
            schema: self.schema_changes,
        }
    }
}

/// A kind of data change, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl From<Kind> for DataChange {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Insert => Self::Insert,
            Kind::Update => Self::Update,
            Kind::Delete => Self::Delete,
            Kind::Truncate => Self::Truncate,
        }
    }
}

/// How messages are written, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatArg {
    Json,
    Protobuf,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Json => Self::Json,
            FormatArg::Protobuf => Self::Protobuf,
        }
    }
}

impl Create {
    pub(crate) const fn packing(&self) -> Packing {
        if self.pack {
            Packing::Transaction
        } else {
            Packing::Row
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// Name or id of the task
    pub(crate) task: String,
    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How long an interruption is retried, in minutes; more than 30 are advised
    #[arg(long, value_name = "MINUTES")]
    pub(crate) retry_minutes: Option<u32>,
    /// How long changes are kept, in hours; less than before asks first
    #[arg(long, value_name = "HOURS")]
    pub(crate) retention_hours: Option<u32>,
    /// Most bytes kept, or `none` for no limit
    #[arg(long, value_name = "BYTES", value_parser = limit)]
    pub(crate) retention_bytes: Option<Limit>,
    /// Only these changes of rows
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    pub(crate) changes: Vec<Kind>,
    /// Schema changes too, or not
    #[arg(long, value_name = "true|false")]
    pub(crate) schema_changes: Option<bool>,
    #[command(flatten)]
    pub(crate) etl: EtlArgs,
    /// No ETL policy any more: rows are told as they are
    #[arg(long, conflicts_with_all = ["script", "on_error"])]
    pub(crate) no_etl: bool,
    #[command(flatten)]
    pub(crate) alerting: AlertingChange,
    #[command(flatten)]
    pub(crate) fixed: FixedArgs,
    /// Gives it a tag, or the tag another value
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// Takes a tag away
    #[arg(long = "untag", value_name = "KEY")]
    pub(crate) untagged: Vec<String>,
    #[command(flatten)]
    pub(crate) sharing: SharingArgs,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Most of something, if there is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let limit = text.parse().map_err(|_no_number| "a number, or none")?;
    Ok(Limit(Some(limit)))
}

#[derive(Debug, clap::Args)]
pub(crate) struct Begin {
    /// Name or id of the task
    pub(crate) task: String,
    /// Go on past this stop though changes are lost: Gap, `PublicationMissing` or `BrokerDataLoss`
    #[arg(long, value_name = "STOP", value_parser = stop)]
    pub(crate) accept_stop: Option<AcceptableStop>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

fn stop(code: &str) -> Result<AcceptableStop, String> {
    AcceptableStop::from_name(code)
        .ok_or_else(|| "one of Gap, PublicationMissing, BrokerDataLoss".to_owned())
}

#[derive(Debug, clap::Args)]
pub(crate) struct Step {
    /// Name or id of the task
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    pub(crate) step: Step,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Release {
    #[command(flatten)]
    pub(crate) step: Step,
    /// Only show what would be removed
    #[arg(long, conflicts_with_all = ["yes", "wait"])]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Objects {
    /// Name or id of the task
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) objects: ObjectArgs,
    /// Tracks these beside what is tracked [default: in its place]
    #[arg(long, conflicts_with = "remove")]
    pub(crate) add: bool,
    /// Tracks these no longer
    #[arg(long)]
    pub(crate) remove: bool,
    /// Only show what would come and go
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Reads as a group of the task: what it prints it has acknowledged, and a reader of the same group does
/// not get it.
#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// Name or id of the task
    pub(crate) task: String,
    /// Go on where this group stopped [default: a group for this once, from now on]
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// Begin with the oldest change that is kept
    #[arg(long, conflicts_with = "group")]
    pub(crate) from_start: bool,
    /// End after this many changes
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// A line of text, or the change in JSON
    #[arg(short, long, value_enum, default_value_t = LineFormat::Text)]
    pub(crate) output: LineFormat,
}

/// How a change is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineFormat {
    /// One JSON document a line; begin and commit too
    Json,
    /// Time, operation, table, key and values, as far as they fit
    Text,
}
