//! `GET /incidents`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_domain::TaskId;
use rowcast_proto::message::{Incident, ListIncidentsRequest};
use rowcast_proto::rest::IncidentList;
use rowcast_proto::rpc::ListIncidents;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ASK_TIMEOUT;
use super::query::Params;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task;

/// Which incidents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only of this task.
    #[param(value_type = Option<String>)]
    task_id: Option<TaskId>,
    /// Only open ones.
    #[serde(default)]
    open: bool,
}

/// Lists incidents, newest first.
#[utoipa::path(
    get,
    path = "/incidents",
    tag = "incidents",
    params(Filter),
    responses(
        (status = 200, description = "The incidents", body = IncidentList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_incidents(
    State(app): State<App>,
    caller: Caller,
    Params(filter): Params<Filter>,
) -> Result<Json<IncidentList>, ApiError> {
    let visible = match caller.scope() {
        Some(groups) => Some(task::ids_of_groups(app.pool(), groups).await?),
        None => None,
    };
    if visible.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Json(IncidentList::default()));
    }
    let question = ListIncidentsRequest {
        within: visible.clone().unwrap_or_default(),
        task_id: filter.task_id.map(String::from).unwrap_or_default(),
        open: filter.open,
    };
    let answer = ask::<ListIncidents>(app.bus(), &question, ASK_TIMEOUT).await?;
    // An older alerting does not know `within`.
    let is_visible = |incident: &Incident| {
        visible
            .as_ref()
            .is_none_or(|ids| ids.contains(&incident.task_id))
    };
    let incidents = answer.incidents.into_iter().filter(is_visible);
    let incidents = incidents.map(convert::incident);
    Ok(Json(IncidentList {
        incidents: incidents.collect::<Result<_, _>>()?,
    }))
}
