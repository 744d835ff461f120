//! Instances, usage, incidents.

use chrono::{DateTime, Utc};
use rowcast_domain::{GroupId, IncidentId, InstanceId, OrderId, RuleId, TaskId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Severity, TaskError};

/// How an instance is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeType {
    /// By the hour.
    PayAsYouGo,
    /// In advance, for calendar months.
    Subscription,
}

/// Whether a subscription lets its task run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It does.
    Active,
    /// Its months are over: the task is locked, and goes on once it is renewed.
    Expired,
    /// It was not renewed in time, or its task is released. It cannot be renewed.
    Ended,
}

/// `POST /tasks/{id}/purchase`. The `Idempotency-Key` header is the order key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseTask {
    /// How it is paid.
    pub charge_type: ChargeType,
    /// Of a subscription, for how many months: 1 to 9, 12, 24, 36 or 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<u32>,
    /// Of a subscription, whether it is renewed by itself when it expires, for as many months and at the
    /// price of then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_renew: bool,
}

impl PurchaseTask {
    /// An instance that is paid by the hour.
    pub const BY_THE_HOUR: Self = Self {
        charge_type: ChargeType::PayAsYouGo,
        months: None,
        auto_renew: false,
    };
}

/// `POST /tasks/{id}/renew`. The `Idempotency-Key` header is the order key; without one every request is
/// another order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewTask {
    /// For how many months: 1 to 60. They begin where the paid ones end, also where that is past.
    pub months: u32,
}

/// `PATCH /tasks/{id}/instance`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchInstance {
    /// Of a subscription, whether it is renewed by itself when it expires.
    pub auto_renew: bool,
}

/// `GET /prices`: what an instance costs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prices {
    /// ISO 4217.
    pub currency: String,
    /// Version of the price list.
    pub price_version: String,
    /// By the hour: price of one, in millionths of the currency unit.
    pub hour_micros: u64,
    /// By subscription: price of one month, in millionths of the currency unit.
    pub month_micros: u64,
    /// For how many months a subscription can be bought. A renewal can be for any number from 1 to 60.
    pub months: Vec<u32>,
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
    /// Price of one hour, in millionths of the currency unit; 0 of a subscription.
    pub hour_micros: u64,
    /// ISO 4217.
    pub currency: String,
    /// When it was bought.
    pub purchased_at: DateTime<Utc>,
    /// Absent of one that is paid by the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// What was bought for the task, oldest first; told by `GET /tasks/{id}/instance`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
}

/// What is special of an instance that is paid in advance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Whether it lets its task run.
    pub state: InstanceState,
    /// For how many months it was bought; a renewal by itself is for as many.
    pub months: u32,
    /// Price of one month, in millionths of the currency unit, when it was last paid.
    pub month_micros: u64,
    /// When its months are over.
    pub expires_at: DateTime<Utc>,
    /// Whether it is renewed by itself then.
    pub auto_renew: bool,
    /// Where it is expired, when it ends and the task is released, unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_at: Option<DateTime<Utc>>,
}

/// One thing that was bought; it is written once and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// Its id.
    #[schema(value_type = String)]
    pub id: OrderId,
    /// Whether it renewed an instance that was there.
    pub renewal: bool,
    /// How it is paid.
    pub charge_type: ChargeType,
    /// What it cost, in millionths of the currency unit; 0 where the hours are billed.
    pub amount_micros: u64,
    /// ISO 4217.
    pub currency: String,
    /// Version of the price list.
    pub price_version: String,
    /// Who bought: `user:<name>`, or `service:billing` for a renewal by itself.
    pub actor: String,
    /// When.
    pub ordered_at: DateTime<Utc>,
    /// Of a subscription, for how many months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<u32>,
    /// Of a subscription, the begin of the months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_from: Option<DateTime<Utc>>,
    /// Of a subscription, their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_until: Option<DateTime<Utc>>,
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
    /// The rule that raised it; of one of `/rules`, its metric.
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
    /// The consumer group that it is about; absent where it is about the whole task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub group_id: Option<GroupId>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// The rule of `/rules` that raised it; absent where `rule` names one of Rowcast's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub rule_id: Option<RuleId>,
    /// That rule's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
    /// How much it matters by that rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// `GET /incidents`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct IncidentList {
    /// Newest first.
    pub incidents: Vec<Incident>,
}
