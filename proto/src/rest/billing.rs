//! Instances, usage, incidents.

use chrono::{DateTime, Utc};
use rowcast_domain::{IncidentId, InstanceId, TaskId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TaskError;

/// How an instance is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeType {
    /// By the hour.
    PayAsYouGo,
}

/// `POST /tasks/{id}/purchase`. The `Idempotency-Key` header is the order key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseTask {
    /// How it is paid.
    pub charge_type: ChargeType,
}

/// What is bought for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Its id.
    #[schema(value_type = String)]
    pub id: InstanceId,
    /// Its task.
    #[schema(value_type = String)]
    pub task_id: TaskId,
    /// How it is paid.
    pub charge_type: ChargeType,
    /// Price of one hour, in millionths of the currency unit.
    pub hour_micros: u64,
    /// ISO 4217.
    pub currency: String,
    /// When it was bought.
    pub purchased_at: DateTime<Utc>,
}

/// One hour of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageLine {
    /// Start of the hour.
    pub hour: DateTime<Utc>,
    /// Billable seconds in it.
    pub seconds: u32,
    /// Amount in millionths of the currency unit.
    pub amount_micros: u64,
    /// ISO 4217.
    pub currency: String,
    /// Whether the hour is over and the line final.
    pub closed: bool,
}

/// `GET /tasks/{id}/usage`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageList {
    /// By hour.
    pub lines: Vec<UsageLine>,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Its id.
    #[schema(value_type = String)]
    pub id: IncidentId,
    /// The task.
    #[schema(value_type = String)]
    pub task_id: TaskId,
    /// The task's name.
    pub task_name: String,
    /// The rule that raised it.
    pub rule: String,
    /// What happened.
    pub summary: String,
    /// The error behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// When it was raised.
    pub opened_at: DateTime<Utc>,
    /// When it ended; absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<DateTime<Utc>>,
}

/// `GET /incidents`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct IncidentList {
    /// Newest first.
    pub incidents: Vec<Incident>,
}
