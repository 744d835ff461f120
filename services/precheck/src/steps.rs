//! The way to a source, one step after the other.
//!
//! ```text
//! (hosts) ─▶ name ─▶ tcp ─▶ tls ─▶ login ─┬─▶ replication_login
//!                                         ├─▶ version
//!                                         └─▶ databases
//! ```
//!
//! Each step has a time limit of its own, so that a server which takes connections and says nothing
//! costs one limit.

mod hosts;
mod name;
mod tcp;
mod tls;
mod login;
mod replication_login;
mod version;
mod databases;

use std::time::Duration;

use rowcast_pg::hosts::{are_several, at};
use rowcast_pg::{ConnectOptions, Error};
use rowcast_proto::message::{CheckOutcome, CheckResult};
use tokio::time::Instant;

use crate::checks::{Rule, result};
use crate::diagnosis::Diagnosis;
use crate::finding::Finding;

/// Longer than a healthy server takes for any step, over a slow line too.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the walk has found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) steps: Vec<CheckResult>,
    /// The server's version, as `17.2`; `None` where it was not reached.
    pub(crate) version: Option<String>,
    /// By name.
    pub(crate) databases: Vec<String>,
}

/// Goes as far as the source lets us.
pub(crate) async fn walk(options: &ConnectOptions) -> Walk {
    let mut walk = Walk::default();
    let start = Some(());
    let chosen = if are_several(&options.host) {
        walk.step(options, &hosts::RULE, start, |()| hosts::take(options))
            .await
    } else {
        Some(at(options, &options.host))
    };
    let start = chosen.as_ref().map(|_chosen| ());
    let options = chosen.as_ref().unwrap_or(options);
    let addresses = walk
        .step(options, &name::RULE, start, |()| name::take(options))
        .await;
    let dialled = walk
        .step(options, &tcp::RULE, addresses, |addresses| {
            tcp::take(options, addresses)
        })
        .await;
    let transport = walk
        .step(options, &tls::RULE, dialled, |dialled| {
            tls::take(options, dialled)
        })
        .await;
    let session = walk
        .step(options, &login::RULE, transport, |transport| {
            login::take(options, transport)
        })
        .await;
    let session = session.as_ref();
    walk.step(options, &replication_login::RULE, session, |session| {
        replication_login::take(options, session)
    })
    .await;
    walk.version = walk
        .step(options, &version::RULE, session, version::take)
        .await;
    let databases = walk
        .step(options, &databases::RULE, session, databases::take)
        .await;
    walk.databases = databases.unwrap_or_default();
    walk
}

impl Walk {
    /// Whether no step failed.
    pub(crate) fn passed(&self) -> bool {
        let failed = |step: &CheckResult| step.outcome() == CheckOutcome::Fail;
        !self.steps.iter().any(failed)
    }

    /// Takes one step from where the step before it has led; `None` where either has failed.
    async fn step<A, T, F>(
        &mut self,
        options: &ConnectOptions,
        rule: &Rule,
        before: Option<A>,
        take: impl FnOnce(A) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<Taken<T>, Error>>,
    {
        let begun = Instant::now();
        let Some(before) = before else {
            let finding = Finding::skipped("A step before it has failed.");
            self.steps.push(result(rule, finding, begun));
            return None;
        };
        let taken = tokio::time::timeout(STEP_TIMEOUT, take(before))
            .await
            .unwrap_or(Err(Error::Timeout {
                step: rule.code,
                limit: STEP_TIMEOUT,
            }));
        let (value, finding) = match taken {
            Ok(Taken { value, finding }) => (value, finding),
            Err(error) => (None, Diagnosis::of(&error, options).finding(&error)),
        };
        self.steps.push(result(rule, finding, begun));
        value
    }
}

/// Where a step has led.
struct Taken<T> {
    /// What the next step begins with; `None` where the way ends.
    value: Option<T>,
    finding: Finding,
}

impl<T> Taken<T> {
    fn on(value: T, finding: Finding) -> Self {
        Self {
            value: Some(value),
            finding,
        }
    }

    fn end(finding: Finding) -> Self {
        Self {
            value: None,
            finding,
        }
    }
}
