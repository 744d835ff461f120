//! Answers `RunPrecheck`.

use chrono::Utc;
use rowcast_domain::TaskId;
use rowcast_pg::ConnectOptions;
use rowcast_proto::message::{CheckResult, PrecheckReport, PrecheckRequest, RpcError};

use crate::broker::Broker;
use crate::error::Error;
use crate::provider::Provider;
use crate::source::Wish;
use crate::target::Access;
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
    let (options, wish) = read(&platform.access, request)?;
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

fn read(access: &Access, request: PrecheckRequest) -> Result<(ConnectOptions, Wish), Error> {
    let task: TaskId = request.task_id.parse()?;
    let source = request.source.ok_or(Error::Missing("source"))?;
    let objects = request.objects.ok_or(Error::Missing("objects"))?;
    let change_types = request.change_types.ok_or(Error::Missing("change_types"))?;
    let options = target::connect_options(access, source)?;
    Ok((
        options,
        Wish {
            task,
            objects,
            change_types,
            etl: request.etl,
            only: request.only,
            started: request.started,
            provider: Provider::of(&request.kind),
        },
    ))
}
