//! Which operations there are, what each takes, and what to do in the place of those that there are not.

use axum::http::StatusCode;
use rowcast_proto::rest::Role;

use super::parameters::Parameters;
use crate::error::ApiError;

/// An operation of DTS that an alias carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    DescribeDtsJobs,
    DescribeDtsJobDetail,
    ConfigureSubscription,
    ModifySubscription,
    ModifyDtsJobName,
    DescribePreCheckStatus,
    SkipPreCheck,
    CreateDtsInstance,
    RenewInstance,
    StartDtsJob,
    SuspendDtsJob,
    ResetDtsJob,
    DeleteDtsJob,
    CreateConsumerChannel,
    DescribeConsumerChannel,
    ModifyConsumerChannel,
    DeleteConsumerChannel,
    ModifyConsumptionTimestamp,
    TagResources,
    UntagResources,
}

/// Operations of change tracking that no alias carries out, and what does instead.
const UNSUPPORTED: [(&str, &str); 41] = [
    // Many at once: halfway there is no honest answer.
    ("StartDtsJobs", "Call StartDtsJob for each task."),
    ("SuspendDtsJobs", "Call SuspendDtsJob for each task."),
    (
        "StopDtsJobs",
        "Call SuspendDtsJob or DeleteDtsJob for each task.",
    ),
    ("DeleteDtsJobs", "Call DeleteDtsJob for each task."),
    // Of tasks.
    (
        "StopDtsJob",
        "Call SuspendDtsJob for a pause, DeleteDtsJob for the end.",
    ),
    (
        "ModifyDtsJobPassword",
        "Call PATCH /api/v1/sources/{id} with the password.",
    ),
    (
        "ModifyDtsJobEndpoint",
        "Call PATCH /api/v1/sources/{id} with host, port and password.",
    ),
    (
        "ModifyDynamicConfig",
        "Leave it out: a task has no throttle.",
    ),
    (
        "ConvertInstanceResourceGroup",
        "Call PATCH /api/v1/tasks/{id} with resource_group.",
    ),
    (
        "DescribeConnectionStatus",
        "Call POST /api/v1/sources/{id}/test.",
    ),
    ("DescribeDtsServiceLog", "Call GET /api/v1/tasks/{id}/log."),
    (
        "ListJobStep",
        "Call GET /api/v1/tasks/{id}/events, and read step of GET /api/v1/tasks/{id} while it starts.",
    ),
    (
        "ModifyJobStepCheckpoint",
        "Leave it out: a task goes on where it stood.",
    ),
    (
        "CountJobByCondition",
        "Call DescribeDtsJobs and read TotalRecordCount.",
    ),
    ("SummaryJobDetail", "Call GET /api/v1/sources/{id}/objects."),
    (
        "DescribeSubscriptionMeta",
        "Call GET /api/v1/tasks/{id}/groups/{gid}/connection.",
    ),
    ("ShieldPrecheck", "Call SkipPreCheck after the precheck."),
    // Of tags.
    ("ListTagResources", "Call GET /api/v1/tasks with tag."),
    ("DescribeTagKeys", "Call GET /api/v1/tasks and read tags."),
    ("DescribeTagValues", "Call GET /api/v1/tasks and read tags."),
    // Of alerts.
    (
        "CreateJobMonitorRule",
        "Call PATCH /api/v1/tasks/{id} with alerting: its delay, and who is told.",
    ),
    (
        "DescribeJobMonitorRule",
        "Read alerting of GET /api/v1/tasks/{id}; GET /api/v1/incidents has what was raised.",
    ),
    (
        "DescribeMetricList",
        "Read position of GET /api/v1/tasks/{id}, or the metrics of the services with Prometheus.",
    ),
    (
        "ConfigureSubscriptionInstanceAlert",
        "Call PATCH /api/v1/tasks/{id} with alerting: its delay, and who is told.",
    ),
    (
        "DescribeSubscriptionInstanceAlert",
        "Read alerting of GET /api/v1/tasks/{id}; GET /api/v1/incidents has what was raised.",
    ),
    // Of money.
    (
        "TransferPayType",
        "Leave it out: an instance stays paid as it was bought; PATCH /api/v1/tasks/{id}/instance says whether it is renewed.",
    ),
    (
        "TransferInstanceClass",
        "Leave it out: instances have no classes.",
    ),
    // Of networks.
    (
        "DescribeDTSIP",
        "Let the hosts of capture and precheck into pg_hba.conf.",
    ),
    (
        "WhiteIpList",
        "Let the hosts of capture and precheck into pg_hba.conf.",
    ),
    // Of the API before 2020.
    (
        "CreateSubscriptionInstance",
        "Call CreateDtsInstance, then ConfigureSubscription.",
    ),
    (
        "ConfigureSubscriptionInstance",
        "Call ConfigureSubscription.",
    ),
    ("ModifySubscriptionObject", "Call ModifySubscription."),
    ("StartSubscriptionInstance", "Call StartDtsJob."),
    ("DeleteSubscriptionInstance", "Call DeleteDtsJob."),
    ("DescribeSubscriptionInstances", "Call DescribeDtsJobs."),
    (
        "DescribeSubscriptionInstanceStatus",
        "Call DescribeDtsJobDetail.",
    ),
    ("CreateConsumerGroup", "Call CreateConsumerChannel."),
    ("DescribeConsumerGroup", "Call DescribeConsumerChannel."),
    ("DeleteConsumerGroup", "Call DeleteConsumerChannel."),
    ("ModifyConsumerGroupPassword", "Call ModifyConsumerChannel."),
    (
        "ConfigureDtsJob",
        "Call ConfigureSubscription: changes are tracked, not migrated or synchronized.",
    ),
];

impl Action {
    const ALL: [Self; 20] = [
        Self::DescribeDtsJobs,
        Self::DescribeDtsJobDetail,
        Self::ConfigureSubscription,
        Self::ModifySubscription,
        Self::ModifyDtsJobName,
        Self::DescribePreCheckStatus,
        Self::SkipPreCheck,
        Self::CreateDtsInstance,
        Self::RenewInstance,
        Self::StartDtsJob,
        Self::SuspendDtsJob,
        Self::ResetDtsJob,
        Self::DeleteDtsJob,
        Self::CreateConsumerChannel,
        Self::DescribeConsumerChannel,
        Self::ModifyConsumerChannel,
        Self::DeleteConsumerChannel,
        Self::ModifyConsumptionTimestamp,
        Self::TagResources,
        Self::UntagResources,
    ];

    /// The operation that the parameters name.
    ///
    /// # Errors
    /// Says what to call instead, where there is no alias of that name.
    pub(super) fn asked_for(parameters: &Parameters) -> Result<Self, ApiError> {
        let name = parameters.required("Action")?;
        if let Some(action) = Self::ALL.into_iter().find(|action| action.name() == name) {
            return Ok(action);
        }
        if let Some((name, instead)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) {
            return Err(unsupported(
                &format!("{name} has no alias"),
                "Action",
                instead,
            ));
        }
        let names = Self::ALL.map(Self::name).join(", ");
        let refused = ApiError::refused(
            StatusCode::BAD_REQUEST,
            "dts_action_unknown",
            "the operation is not known",
        );
        Err(refused
            .field("Action")
            .repair(format!("Give one of {names}.")))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::DescribeDtsJobs => "DescribeDtsJobs",
            Self::DescribeDtsJobDetail => "DescribeDtsJobDetail",
            Self::ConfigureSubscription => "ConfigureSubscription",
            Self::ModifySubscription => "ModifySubscription",
            Self::ModifyDtsJobName => "ModifyDtsJobName",
            Self::DescribePreCheckStatus => "DescribePreCheckStatus",
            Self::SkipPreCheck => "SkipPreCheck",
            Self::CreateDtsInstance => "CreateDtsInstance",
            Self::RenewInstance => "RenewInstance",
            Self::StartDtsJob => "StartDtsJob",
            Self::SuspendDtsJob => "SuspendDtsJob",
            Self::ResetDtsJob => "ResetDtsJob",
            Self::DeleteDtsJob => "DeleteDtsJob",
            Self::CreateConsumerChannel => "CreateConsumerChannel",
            Self::DescribeConsumerChannel => "DescribeConsumerChannel",
            Self::ModifyConsumerChannel => "ModifyConsumerChannel",
            Self::DeleteConsumerChannel => "DeleteConsumerChannel",
            Self::ModifyConsumptionTimestamp => "ModifyConsumptionTimestamp",
            Self::TagResources => "TagResources",
            Self::UntagResources => "UntagResources",
        }
    }

    /// The role that it takes. All are asked for by POST, those that only read too.
    pub(super) const fn needed(self) -> Role {
        match self {
            Self::DescribeDtsJobs
            | Self::DescribeDtsJobDetail
            | Self::DescribePreCheckStatus
            | Self::DescribeConsumerChannel => Role::Viewer,
            Self::ConfigureSubscription
            | Self::ModifySubscription
            | Self::ModifyDtsJobName
            | Self::SkipPreCheck
            | Self::CreateDtsInstance
            | Self::RenewInstance
            | Self::StartDtsJob
            | Self::SuspendDtsJob
            | Self::ResetDtsJob
            | Self::DeleteDtsJob
            | Self::CreateConsumerChannel
            | Self::ModifyConsumerChannel
            | Self::DeleteConsumerChannel
            | Self::ModifyConsumptionTimestamp
            | Self::TagResources
            | Self::UntagResources => Role::Operator,
        }
    }
}

/// What DTS does and an alias does not; `instead` is what to do.
pub(super) fn unsupported(detail: &str, parameter: &str, instead: &str) -> ApiError {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    ApiError::refused(status, "dts_action_unsupported", detail)
        .field(parameter)
        .repair(instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_describes_takes_a_viewer() {
        for action in Action::ALL {
            let reads = action.name().starts_with("Describe");
            assert_eq!(action.needed() == Role::Viewer, reads, "{action:?}");
        }
    }

    #[test]
    fn no_operation_is_both_carried_out_and_not() {
        for (name, instead) in UNSUPPORTED {
            assert!(
                Action::ALL.into_iter().all(|action| action.name() != name),
                "{name}"
            );
            assert!(instead.ends_with('.'), "{instead}");
        }
    }
}
