//! A task as DTS shows its jobs. What DTS has and a task has not is absent: nothing is made up.

use chrono::{DateTime, SecondsFormat, Utc};
use rowcast_domain::{SourceId, TaskId, TaskState};
use rowcast_proto::rest::{
    ChargeType, Consumption, Instance, PrecheckState, PrecheckSummary, Source, TaskError,
    TaskPosition,
};
use serde::Serialize;

use super::instance::{POSTPAID, PREPAID};
use super::{db_list, status};
use crate::convert::{measured, precheck_summary};
use crate::error::ApiError;
use crate::store::task::StoredTask;

/// The only kind of job that there is.
pub(super) const JOB_TYPE: &str = "SUBSCRIBE";

/// The only kind of database that there is.
pub(super) const ENGINE: &str = "PostgreSQL";

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Job {
    dts_job_id: TaskId,
    #[serde(rename = "DtsInstanceID")]
    dts_instance_id: TaskId,
    dts_job_name: String,
    job_type: &'static str,
    status: &'static str,
    create_time: String,
    /// Absent where nothing was bought, or billing does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_object: Option<String>,
    source_endpoint: SourceEndpoint,
    /// When the oldest message of the stream was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    begin_timestamp: Option<String>,
    /// Commit time of the last change in the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_timestamp: Option<String>,
    /// Commit time of the last change that the slowest group has acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumption_checkpoint: Option<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    performance: Option<Performance>,
    /// In percent of one processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_usage: Option<String>,
    /// In MB, of capture's buffers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    precheck_status: Option<StepStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_etl_status: Option<StepStatus>,
    /// Addresses, with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumption_client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_group_id: Option<String>,
    tag_list: Vec<Tag>,
    retry_state: RetryState,
}

/// Address and account are absent where the caller does not see the source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SourceEndpoint {
    engine_name: &'static str,
    #[serde(rename = "InstanceID")]
    instance_id: String,
    database_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
}

/// DTS tells numbers as text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Performance {
    /// Messages a second.
    rps: String,
    /// MB a second.
    flow: String,
}

/// How a step of a job gets on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StepStatus {
    status: &'static str,
    /// Absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    tag_key: String,
    tag_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RetryState {
    retrying: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    err_message: Option<String>,
}

/// What others know of a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Its source, where the caller sees that.
    pub(super) source: Option<&'a Source>,
    /// What was bought for it.
    pub(super) instance: Option<&'a Instance>,
    pub(super) consumption: Option<&'a Consumption>,
}

/// The job that a task is.
pub(super) fn job(
    task: StoredTask,
    beside: Known<'_>,
    with_objects: bool,
) -> Result<Job, ApiError> {
    let Known {
        source, instance, ..
    } = beside;
    let precheck = precheck_summary(task.state, task.last_precheck.clone());
    let etl = etl(&task);
    let definition = task.definition;
    let database = definition.database.unwrap_or_default();
    let db_object = match with_objects {
        true => Some(db_list::write(&database, &definition.objects)?),
        false => None,
    };
    let position = task.position.map(|position| measured(position, task.state));
    let position = position.as_ref();
    let held = position.and_then(|position| position.held.as_ref());
    let committed_at = position.and_then(|position| position.committed_at);
    let error = task.error.as_ref().map(told);
    let retrying = task.state == TaskState::Retrying;
    let tags = definition.tags.into_iter();
    Ok(Job {
        dts_job_id: task.id.clone(),
        dts_instance_id: task.id,
        dts_job_name: definition.name,
        job_type: JOB_TYPE,
        status: status::word(task.state),
        create_time: time(task.created_at),
        pay_type: instance.map(|instance| pay_type(instance.charge_type)),
        expire_time: instance
            .and_then(|instance| instance.subscription.as_ref())
            .map(|subscription| time(subscription.expires_at)),
        db_object,
        source_endpoint: endpoint(task.source_id, database, source),
        begin_timestamp: held.map(|held| time(held.first_at)),
        end_timestamp: committed_at.map(time),
        consumption_checkpoint: beside
            .consumption
            .and_then(|consumption| consumption.acknowledged_at)
            .map(time),
        delay: position.and_then(|position| position.delay_seconds),
        performance: position.and_then(performance),
        cpu_usage: position
            .and_then(|position| position.cpu_percent)
            .map(|percent| format!("{percent:.1}")),
        mem_usage: position
            .and_then(|position| position.memory_bytes)
            .map(megabytes),
        precheck_status: precheck.as_ref().map(precheck_status),
        data_etl_status: etl,
        consumption_client: beside
            .consumption
            .map(|consumption| consumption.clients.join(","))
            .filter(|clients| !clients.is_empty()),
        retry_state: RetryState {
            retrying,
            err_message: error.clone().filter(|_told| retrying),
        },
        error_message: error,
        resource_group_id: definition.resource_group,
        tag_list: tags
            .map(|(tag_key, tag_value)| Tag { tag_key, tag_value })
            .collect(),
    })
}

fn endpoint(id: SourceId, database_name: String, source: Option<&Source>) -> SourceEndpoint {
    SourceEndpoint {
        engine_name: ENGINE,
        instance_id: id.into(),
        database_name,
        ip: source.map(|source| source.host.clone()),
        port: source.map(|source| source.port.to_string()),
        user_name: source.map(|source| source.account.clone()),
    }
}

fn performance(position: &TaskPosition) -> Option<Performance> {
    Some(Performance {
        rps: format!("{:.2}", position.messages_per_second?),
        flow: format!("{:.3}", position.bytes_per_second? / 1e6),
    })
}

/// In the words of `DescribePreCheckStatus`.
fn precheck_status(last: &PrecheckSummary) -> StepStatus {
    StepStatus {
        status: match last.state {
            PrecheckState::Running => "Checking",
            PrecheckState::Passed => "Finished",
            PrecheckState::Failed => "Failed",
            PrecheckState::Outdated => "NotStarted",
        },
        percent: last.success_percent.map(|percent| percent.to_string()),
    }
}

/// Of a task with a policy: whether changes pass through it now.
fn etl(task: &StoredTask) -> Option<StepStatus> {
    task.definition.etl.as_ref()?;
    let applied = task.state == TaskState::Running && task.objects_since.is_some();
    let status = if applied { "Running" } else { "NotStarted" };
    Some(StepStatus {
        status,
        percent: None,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "two digits behind the point are told"
)]
fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

const fn pay_type(charge_type: ChargeType) -> &'static str {
    match charge_type {
        ChargeType::PayAsYouGo => POSTPAID,
        ChargeType::Subscription => PREPAID,
    }
}

/// DTS has one text where we have three.
fn told(error: &TaskError) -> String {
    format!("{}: {} {}", error.code, error.message, error.advice)
}

/// As DTS writes times: in UTC, to the second.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
