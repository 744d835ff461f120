//! What the command line asks for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

/// Measures Rowcast beside what PostgreSQL and NATS can do in the same run.
#[derive(Debug, Parser)]
#[command(name = "./dev bench", version)]
pub(crate) struct Args {
    /// What to measure; everything where none is named.
    pub(crate) scenarios: Vec<Scenario>,
    /// Rows of each backlog.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: u64,
    /// Rows of the large transaction.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) large_rows: u64,
    /// Rows in a second of the live scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    pub(crate) rates: Vec<u64>,
    /// Seconds of each live measurement.
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Readers of the fanout scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 5, 20])]
    pub(crate) readers: Vec<usize>,
    /// Tasks of the idle scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 500])]
    pub(crate) tasks: Vec<usize>,
    /// Groups of each task in the groups scenario.
    #[arg(long, default_value_t = 10)]
    pub(crate) groups: usize,
    /// Groups of each task in the groups scenario that have a policy, and so a stream of their own.
    #[arg(long, default_value_t = 1)]
    pub(crate) derived: usize,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Only these backlogs.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) backlogs: Vec<crate::backlog::Backlog>,
    /// Also lets Debezium's engine drain the inserts; it needs a Java runtime.
    #[arg(long)]
    pub(crate) peers: bool,
    /// Writes every sample to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Replaces in this file what is measured now, each scenario as a whole, and leaves the others. Of a scenario that
    /// fails, what was there stays.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) into: Option<PathBuf>,
    /// Draws what was measured into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Measures nothing and shows what an earlier run has written with --json or --into.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenarios", "json", "into"])]
    pub(crate) from: Option<PathBuf>,
}

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// A backlog of the source, drained by `pg_recvlogical` and by Rowcast.
    Drain,
    /// One very large transaction: how much memory it takes.
    Large,
    /// Rows at a steady rate: how long each takes from the commit to the client.
    Live,
    /// One stream, read by several groups at once.
    Fanout,
    /// Members of a keyed group that come, go and die.
    Rebalance,
    /// Tasks with nothing to do.
    Idle,
    /// Many groups on one consumer-group.
    Groups,
}

impl Scenario {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Drain => "drain: a backlog, read by pg_recvlogical and by Rowcast",
            Self::Large => "large: one transaction, and the memory that it takes",
            Self::Live => {
                "live: from the commit to the client, and what NATS and PostgreSQL alone take"
            }
            Self::Fanout => "fanout: groups that read one stream, and plain consumers that do",
            Self::Rebalance => "rebalance: members of a keyed group that come, go and die",
            Self::Idle => "idle: tasks with nothing to do",
            Self::Groups => "groups: many of them on one consumer-group",
        }
    }

    /// As the command line has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Large => "large",
            Self::Live => "live",
            Self::Fanout => "fanout",
            Self::Rebalance => "rebalance",
            Self::Idle => "idle",
            Self::Groups => "groups",
        }
    }

    /// Whether what it counts in a second are rows that are read. Groups that are made are none.
    pub(crate) const fn reads_rows(self) -> bool {
        match self {
            Self::Drain | Self::Large | Self::Live | Self::Fanout | Self::Rebalance => true,
            Self::Idle | Self::Groups => false,
        }
    }

    /// The scenario that has a measurement of this name.
    pub(crate) fn of(measurement: &str) -> Option<Self> {
        let begins = [
            ("drain ", Self::Drain),
            ("one transaction ", Self::Large),
            ("live,", Self::Live),
            ("fanout ", Self::Fanout),
            ("rebalance,", Self::Rebalance),
            ("idle", Self::Idle),
            ("groups,", Self::Groups),
        ];
        begins
            .into_iter()
            .find(|(begin, _)| measurement.starts_with(begin))
            .map(|(_, scenario)| scenario)
    }
}

impl Args {
    /// What is asked for, in the order that the report has.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if self.scenarios.is_empty() {
            Scenario::value_variants().to_vec()
        } else {
            self.scenarios.clone()
        }
    }

    /// The backlogs that are asked for.
    pub(crate) fn backlogs(&self) -> Vec<crate::backlog::Backlog> {
        if self.backlogs.is_empty() {
            crate::backlog::Backlog::value_variants().to_vec()
        } else {
            self.backlogs.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_names_of_scenarios_need_be_said_to_repeat_what_the_documentation_shows() {
        let args = Args::parse_from(["bench", "large"]);
        assert_eq!(args.scenarios(), [Scenario::Large]);
        assert_eq!((args.rows, args.large_rows), (1_000_000, 1_000_000));
        assert_eq!((args.rounds, args.seconds), (3, 30));
    }

    #[test]
    fn a_file_is_either_written_anew_or_changed() {
        let both = ["bench", "--json", "a", "--into", "b"];
        assert!(Args::try_parse_from(both).is_err());
        let shown = ["bench", "--from", "a", "--into", "b"];
        assert!(Args::try_parse_from(shown).is_err());
    }

    #[test]
    fn a_scenario_has_one_name() {
        for scenario in Scenario::value_variants() {
            let by_clap = scenario.to_possible_value().unwrap();
            assert_eq!(by_clap.get_name(), scenario.name());
            assert_eq!(serde_json::json!(scenario), scenario.name());
        }
    }
}
