//! When somebody is to know of a task.

use rowcast_domain::ContactId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When somebody is to know of a task, beside what every task tells.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerting {
    /// How far it may be behind its source, 30–86400 seconds; however far where absent. Above it an incident
    /// `task_delayed` is raised, which ends below half of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,
    /// Ids of the contacts that are told of its incidents, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub contacts: Vec<ContactId>,
}
