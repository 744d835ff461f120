//! Answers `RunPrecheck`.

use chrono::Utc;
use rowcast_domain::TaskId;
use rowcast_pg::ConnectOptions;
use rowcast_proto::message::{CheckResult, PrecheckReport, PrecheckRequest, RpcError};

use crate::broker::Broker;
use crate::checks::Rule;
use crate::error::Error;
use crate::provider::Provider;
use crate::source::Wish;
use crate::{Platform, checks, progress, report, target};

/// Runs every check and reports.
///
/// # Errors
/// Where the question itself is at fault; a source that is at fault is what the report is about.
pub(crate) async fn answer(
    platform: &Platform,
    mut request: PrecheckRequest,
) -> Result<PrecheckReport, RpcError> {
    let started_at = Utc::now();
    let retention = request.retention.take();
    let run = std::mem::take(&mut request.run);
    let (options, wish) = read(platform, request)?;
    let provider = wish.provider;
    let task_id = wish.task.clone();
    let planned = checks::planned(&wish);
    let (progress, writer) = progress::begin(&platform.prechecks, &task_id, run.clone(), &planned);
    let found = async {
        let broker = Broker::ask(&platform.monitors, platform.replicas, retention);
        let same = wish.clone();
        let mut of_broker = Vec::new();
        let broker = checks::run_on_broker(&same, broker, |item| {
            progress.tell(&item);
            of_broker.push(item);
        });
        let mut items: Vec<CheckResult> = Vec::new();
        let source = checks::run_on_source(&options, wish, |mut item| {
            provider.advise(&mut item);
            progress.tell(&item);
            items.push(item);
        });
        tokio::join!(Box::pin(source), broker);
        progress.end();
        items.append(&mut of_broker);
        in_order(&mut items, &planned);
        items
    };
    let (items, ()) = tokio::join!(found, writer.run());
    let report = report::assemble(run, &task_id, items, started_at, Utc::now());
    tracing::info!(
        task = %task_id,
        passed = report.passed,
        success_percent = report.success_percent,
        "precheck finished"
    );
    Ok(report)
}

/// As planned, however they ended.
fn in_order(items: &mut [CheckResult], planned: &[&Rule]) {
    items.sort_by_key(|item| planned.iter().position(|rule| rule.code == item.code));
}

fn read(platform: &Platform, request: PrecheckRequest) -> Result<(ConnectOptions, Wish), Error> {
    let task: TaskId = request.task_id.parse()?;
    let source = request.source.ok_or(Error::Missing("source"))?;
    let objects = request.objects.ok_or(Error::Missing("objects"))?;
    let change_types = request.change_types.ok_or(Error::Missing("change_types"))?;
    let live_tasks = request.live_tasks.map(|live| {
        // What is no id is nobody's.
        let ids = live.ids.iter().filter_map(|id| id.parse().ok());
        ids.collect()
    });
    let options = target::connect_options(&platform.access, source)?;
    Ok((
        options,
        Wish {
            task,
            objects,
            change_types,
            etl: request.etl,
            only: request.only,
            started: request.started,
            live_tasks,
            table_limit: platform.table_limit,
            provider: Provider::of(&request.kind),
        },
    ))
}
