//! Answers in DTS's shape.

use axum::Json;
use axum::response::{IntoResponse, Response};
use rowcast_bus::trace_context;
use rowcast_domain::TaskId;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::ApiError;

/// What an operation has done or found.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What DTS answers beside the members that all its answers have.
    members: Map<String, Value>,
    /// The task, where the parameters do not tell by a name that all operations know.
    pub(super) task: Option<TaskId>,
}

impl Answer {
    /// That it is done, with this task.
    pub(super) fn about(task: TaskId) -> Self {
        Self {
            task: Some(task),
            ..Self::default()
        }
    }

    /// With these members; `members` must be a struct.
    pub(super) fn with(members: &impl Serialize) -> Result<Self, ApiError> {
        match serde_json::to_value(members) {
            Ok(Value::Object(members)) => Ok(Self {
                members,
                task: None,
            }),
            Ok(other) => Err(ApiError::Unreadable(format!("answer for DTS: {other}"))),
            Err(error) => Err(ApiError::Unreadable(format!("answer for DTS: {error}"))),
        }
    }
}

/// What every answer of DTS has. The members of the operation stand beside it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DtsAnswer {
    /// The trace of the request, or a UUID where it has none.
    request_id: String,
    /// Always true: a failure is told by a problem.
    success: bool,
    /// Always 200.
    http_status_code: u16,
    /// Of the operation.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let trace = trace_context::current();
        let request_id = trace_context::trace_id(&trace)
            .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        Json(DtsAnswer {
            request_id,
            success: true,
            http_status_code: 200,
            members: self.members,
        })
        .into_response()
    }
}
