//! Arguments of what tells of a task's past: `rowcast task events` and `rowcast task log`.

use chrono::{DateTime, Utc};
use rowcast_proto::rest::LogLevel;

use super::Shown;

#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// Name or id of the task
    pub(crate) task: String,
    /// Only lines that matter at least so much: info, warn or error
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) level: Option<LogLevel>,
    /// Only lines of this service, as capture
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) found: Found,
    /// Most lines, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// Name or id of the task
    pub(crate) task: String,
    #[command(flatten)]
    pub(crate) found: Found,
    /// Most steps, the oldest [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u32>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What is looked for in what happened.
#[derive(Debug, clap::Args)]
pub(crate) struct Found {
    /// Only with this text in it, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Not before this time, as 2026-11-29T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// The page that the page before has named
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

impl Found {
    /// As parameters of the API.
    pub(crate) fn query(self) -> Vec<(&'static str, String)> {
        let times = [("since", self.since), ("until", self.until)];
        let times = times.map(|(name, time)| Some((name, time?.to_rfc3339())));
        let texts = [("search", self.search), ("cursor", self.cursor)];
        let texts = texts.map(|(name, text)| Some((name, text?)));
        times.into_iter().chain(texts).flatten().collect()
    }
}

fn level(text: &str) -> Result<LogLevel, String> {
    LogLevel::from_name(text).ok_or_else(|| "info, warn or error".to_owned())
}
