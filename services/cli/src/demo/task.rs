//! The demo's task, from nothing to running.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, bail};
use rowcast_domain::{SourceId, TaskId, TaskState};
use rowcast_proto::rest::{
    ChangeTypes, CheckOutcome, CreateTask, Format, IgnoreChecks, Objects, Packing, Precheck,
    PurchaseTask, Retention, RunPrecheck, SchemaObjects, StartTask, Task, default_retry_minutes,
};
use tokio::time::Instant;

use super::database::SHOP;
use crate::api::Api;
use crate::output;
use crate::task::precheck::ignorable;

/// Who answers for what the demo's precheck alerts to.
const BY: &str = "rowcast up";

/// Why it does not matter.
const REASON: &str =
    "It is the demo's own server, with made-up rows, which `rowcast reset` removes.";

/// How long the task may take to run; after a crash the lease of the capture before must run out.
const RUNNING_LIMIT: Duration = Duration::from_secs(120);

/// Time between two looks at the task.
const LOOK: Duration = Duration::from_millis(250);

/// Finds the task or makes it, and brings it to where changes flow.
///
/// One that the user has suspended stays so.
pub(super) async fn running(api: &Api, source: &SourceId) -> anyhow::Result<Task> {
    let known = api.tasks().await?.tasks;
    let ours = |task: &Task| {
        task.source_id == *source && task.name == SHOP && task.state != TaskState::Released
    };
    let mut task = match known.into_iter().find(ours) {
        Some(task) => task,
        None => {
            output::line("demo: task shop")?;
            api.create_task(&wanted(source)).await?
        }
    };
    let deadline = Instant::now() + RUNNING_LIMIT;
    let mut told = None;
    loop {
        if told != Some(task.state) {
            output::line(format_args!("demo: task {} is {}", task.id, task.state))?;
            told = Some(task.state);
        }
        match task.state {
            TaskState::Running => return Ok(task),
            TaskState::Suspended => {
                output::trouble(format_args!(
                    "the demo's task is suspended: resume it with `rowcast task resume {}`",
                    task.id
                ));
                return Ok(task);
            }
            TaskState::NotConfigured | TaskState::NotStarted | TaskState::PrecheckFailed => {
                check(api, &task.id).await?;
            }
            TaskState::PrecheckPassed => {
                ignore_alerts(api, &task.id).await?;
                api.purchase(&task.id, &PurchaseTask::BY_THE_HOUR).await?;
                api.start(&task.id, &StartTask::default()).await?;
            }
            TaskState::Abnormal | TaskState::Locked | TaskState::Released => {
                return Err(stopped(&task));
            }
            TaskState::Prechecking
            | TaskState::Starting
            | TaskState::Retrying
            | TaskState::Resetting => {
                tokio::time::sleep(LOOK).await;
            }
        }
        if Instant::now() > deadline {
            bail!(
                "the demo's task is {} and not running after {} s{}",
                task.state,
                RUNNING_LIMIT.as_secs(),
                why(&task)
            );
        }
        task = api.task(&task.id).await?;
    }
}

fn wanted(source: &SourceId) -> CreateTask {
    CreateTask {
        name: SHOP.to_owned(),
        source_id: Some(source.clone()),
        source: None,
        database: None,
        objects: Objects {
            all: false,
            schemas: vec![SchemaObjects {
                name: SHOP.to_owned(),
                all: true,
                tables: Vec::new(),
                patterns: Vec::new(),
            }],
            schema_patterns: Vec::new(),
        },
        change_types: ChangeTypes::default(),
        retry_minutes: default_retry_minutes(),
        retention: Retention::default(),
        partitions: None,
        transactions: false,
        packing: Packing::Row,
        format: Format::Json,
        etl: None,
        alerting: None,
        network: None,
        tags: BTreeMap::new(),
        resource_group: None,
    }
}

async fn check(api: &Api, id: &TaskId) -> anyhow::Result<()> {
    let report = api.precheck(id, &RunPrecheck::default()).await?;
    if report.passed {
        output::line(format_args!(
            "demo: precheck passed, {} checks",
            report.items.len()
        ))?;
        return Ok(());
    }
    Err(failed(&report))
}

/// Nobody else is there to answer for the demo.
async fn ignore_alerts(api: &Api, id: &TaskId) -> anyhow::Result<()> {
    let codes = ignorable(&api.last_precheck(id).await?);
    if codes.is_empty() {
        return Ok(());
    }
    output::line(format_args!(
        "demo: ignores the alerts {}: {REASON}",
        codes.join(", ")
    ))?;
    let body = IgnoreChecks {
        codes,
        by: BY.to_owned(),
        reason: REASON.to_owned(),
    };
    api.ignore_checks(id, &body).await?;
    Ok(())
}

fn failed(report: &Precheck) -> anyhow::Error {
    let problems: Vec<String> = report
        .items
        .iter()
        .filter(|item| item.outcome == CheckOutcome::Fail)
        .map(|item| {
            format!(
                "\n  {}: {}\n    repair: {}",
                item.title, item.cause, item.repair
            )
        })
        .collect();
    anyhow!("the precheck of the demo failed:{}", problems.concat())
}

fn stopped(task: &Task) -> anyhow::Error {
    anyhow!(
        "the demo's task {} is {}{}; begin anew with `rowcast reset`, or start without it: --no-demo",
        task.id,
        task.state,
        why(task)
    )
}

fn why(task: &Task) -> String {
    task.error.as_ref().map_or_else(String::new, |error| {
        format!(" ({}: {} {})", error.code, error.message, error.advice)
    })
}
