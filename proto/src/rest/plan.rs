//! What a request would change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Objects;

/// `PATCH /tasks/{id}/objects`, `POST /tasks/{id}/objects/preview`: either a replacement, or what comes and
/// goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeObjects {
    /// Tracked in the place of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<Objects>,
    /// No longer tracked: each must be tracked by the same name or pattern. A schema with `all` goes with its
    /// tables and patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<Objects>,
    /// Tracked too; what is tracked already stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Objects>,
}

/// Answer to `POST /tasks/{id}/objects/preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectsPlan {
    /// What the task would track.
    pub objects: Objects,
    /// What comes, as `public.orders`, `public.log_*`, `crm.*` or `all`.
    pub added: Vec<String>,
    /// What goes.
    pub removed: Vec<String>,
    /// Whether the task would have to be prechecked again before its start.
    pub needs_precheck: bool,
}

/// What a release removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReleasedKind {
    /// A replication slot on the source.
    Slot,
    /// A publication on the source.
    Publication,
    /// The event triggers of schema `rowcast` on the source, unless another task needs them.
    Trigger,
    /// The stream with its changes.
    Stream,
    /// A consumer group, whose members are disconnected.
    Group,
    /// The instance, which is billed no further.
    Instance,
}

/// One thing that a release removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleasedItem {
    /// What it is.
    pub kind: ReleasedKind,
    /// Its name, or its id where it has none.
    pub name: String,
    /// Where it is, or what goes with it.
    pub detail: String,
}

/// `GET /tasks/{id}/release`: what a release would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleasePlan {
    /// In the order removed.
    pub items: Vec<ReleasedItem>,
}
