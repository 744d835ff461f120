//! The checks, in the order run.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rowcast_pg::{ConnectOptions, Error};
use rowcast_proto::message::{CheckOutcome, CheckResult};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::finding::Finding;
use crate::lanes::{self, Named};
use crate::source::{Source, Wish};

mod connectivity;
mod server_version;
mod tested_version;
mod primary;
mod wal_level;
mod replication_slots;
mod wal_senders;
pub(crate) mod replication_login;
mod privileges;
mod objects;
mod table_limit;
mod keys;
mod generated_columns;
mod column_types;
mod sender_timeout;
mod slot_failover;
mod wal_held;
mod wal_keep;
mod prepared_transactions;
mod long_transactions;
mod clock;
mod existing_slot;
mod leftovers;
mod publication;
mod provider;
mod schema_changes;
mod etl;
mod jetstream_servers;
mod jetstream_space;
mod jetstream_sync;

pub(crate) use server_version::{PUBLICATIONS_SINCE, judge as judge_version};

/// What the report says of a check whatever it finds.
pub(crate) struct Rule {
    /// Stable name.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// What it runs.
    pub(crate) ran: &'static str,
}

/// How long all of them may take.
const ALL_WITHIN: Duration = Duration::from_secs(35);

/// Reads facts of the source and judges them.
pub(crate) type Check = for<'a> fn(&'a Source) -> BoxFuture<'a, Result<Finding, Error>>;

type BrokerCheck = fn(&Broker) -> Finding;

/// What judges the broker, from what its servers said.
const BROKER_CHECKS: &[(Rule, BrokerCheck)] = &[
    (jetstream_servers::RULE, jetstream_servers::check),
    (jetstream_space::RULE, jetstream_space::check),
    (jetstream_sync::RULE, jetstream_sync::check),
];

/// Everything after [`connectivity`].
const CHECKS: &[(Rule, Check)] = &[
    (server_version::RULE, |source| {
        server_version::check(source).boxed()
    }),
    (tested_version::RULE, |source| {
        tested_version::check(source).boxed()
    }),
    (primary::RULE, |source| primary::check(source).boxed()),
    (wal_level::RULE, |source| wal_level::check(source).boxed()),
    (replication_slots::RULE, |source| {
        replication_slots::check(source).boxed()
    }),
    (wal_senders::RULE, |source| {
        wal_senders::check(source).boxed()
    }),
    (replication_login::RULE, |source| {
        replication_login::check(source).boxed()
    }),
    (objects::RULE, |source| objects::check(source).boxed()),
    (table_limit::RULE, |source| {
        table_limit::check(source).boxed()
    }),
    (privileges::RULE, |source| privileges::check(source).boxed()),
    (keys::RULE, |source| keys::check(source).boxed()),
    (generated_columns::RULE, |source| {
        generated_columns::check(source).boxed()
    }),
    (column_types::RULE, |source| {
        column_types::check(source).boxed()
    }),
    (wal_keep::RULE, |source| wal_keep::check(source).boxed()),
    (wal_held::RULE, |source| wal_held::check(source).boxed()),
    (sender_timeout::RULE, |source| {
        sender_timeout::check(source).boxed()
    }),
    (slot_failover::RULE, |source| {
        slot_failover::check(source).boxed()
    }),
    (prepared_transactions::RULE, |source| {
        prepared_transactions::check(source).boxed()
    }),
    (long_transactions::RULE, |source| {
        long_transactions::check(source).boxed()
    }),
    (clock::RULE, |source| clock::check(source).boxed()),
    (existing_slot::RULE, |source| {
        existing_slot::check(source).boxed()
    }),
    (leftovers::RULE, |source| leftovers::check(source).boxed()),
    (provider::RULE, |source| provider::check(source).boxed()),
    (publication::RULE, |source| {
        publication::check(source).boxed()
    }),
    (schema_changes::RULE, |source| {
        schema_changes::check(source).boxed()
    }),
    (etl::RULE, |source| etl::check(source).boxed()),
];

/// The checks that concern this wish.
fn concerning(wish: &Wish) -> Vec<Named> {
    let schema = wish.change_types.schema;
    CHECKS
        .iter()
        .filter(|(rule, _)| wish.provider.is_known() || rule.code != provider::RULE.code)
        .filter(|(rule, _)| wish.started || rule.code != publication::RULE.code)
        .filter(|(rule, _)| schema || rule.code != schema_changes::RULE.code)
        .filter(|(rule, _)| wish.live_tasks.is_some() || rule.code != leftovers::RULE.code)
        .filter(|(rule, _)| wish.etl.is_some() || rule.code != etl::RULE.code)
        .filter(|(rule, _)| wish.wants(rule.code))
        .collect()
}

/// Those that judge the broker for it.
fn of_broker(wish: &Wish) -> Vec<&'static (Rule, BrokerCheck)> {
    let checks = BROKER_CHECKS.iter();
    checks.filter(|(rule, _)| wish.wants(rule.code)).collect()
}

/// What runs for this wish.
pub(crate) fn planned(wish: &Wish) -> Vec<&'static Rule> {
    let of_source = concerning(wish).into_iter().map(|(rule, _)| rule);
    let of_broker = of_broker(wish).into_iter().map(|(rule, _)| rule);
    std::iter::once(&connectivity::RULE)
        .chain(of_source)
        .chain(of_broker)
        .collect()
}

/// Runs the checks of the broker, and tells `found` of each.
pub(crate) async fn run_on_broker(
    wish: &Wish,
    ask: impl Future<Output = Broker>,
    mut found: impl FnMut(CheckResult),
) {
    let checks = of_broker(wish);
    if checks.is_empty() {
        return;
    }
    let begun = Instant::now();
    let broker = ask.await;
    for (rule, check) in checks {
        found(result(rule, check(&broker), begun));
    }
}

/// Runs the checks of the source, several at once, and tells `found` of each as it ends; all but the first are
/// skipped where it cannot be reached, and the rest where it no longer answers.
pub(crate) async fn run_on_source(
    options: &ConnectOptions,
    wish: Wish,
    mut found: impl FnMut(CheckResult),
) {
    let begun = Instant::now();
    let (finding, reached) = connectivity::check(options).await;
    found(result(&connectivity::RULE, finding, begun));
    let Some((session, options)) = reached else {
        for (rule, _) in concerning(&wish) {
            let skipped = Finding::skipped("The source cannot be reached.");
            found(result(rule, skipped, Instant::now()));
        }
        return;
    };
    let units = units(concerning(&wish));
    let source = Source::new(session, options, wish);
    lanes::run(&source, &units, begun + ALL_WITHIN, found).await;
}

/// What can run beside each other. The login for replication takes one of the places that [`wal_senders`] counts.
fn units(checks: Vec<Named>) -> Vec<Vec<Named>> {
    let mut units: Vec<Vec<Named>> = Vec::new();
    for check in checks {
        let follows = check.0.code == replication_login::RULE.code;
        match units.last_mut() {
            Some(unit)
                if follows
                    && unit
                        .iter()
                        .any(|(rule, _)| rule.code == wal_senders::RULE.code) =>
            {
                unit.push(check);
            }
            Some(_) | None => units.push(vec![check]),
        }
    }
    units
}

/// What a check that began then has found.
pub(crate) fn result(rule: &Rule, finding: Finding, begun: Instant) -> CheckResult {
    let Finding {
        outcome,
        must_repair,
        saw,
        cause,
        repair,
    } = finding;
    if outcome == CheckOutcome::Fail {
        tracing::debug!(check = rule.code, saw, cause, "check failed");
    }
    CheckResult {
        code: rule.code.to_owned(),
        title: rule.title.to_owned(),
        outcome: outcome.into(),
        must_repair,
        ran: rule.ran.to_owned(),
        saw,
        cause,
        repair,
        duration_ms: u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX),
    }
}
