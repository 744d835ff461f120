//! `GET /tasks/{id}/events`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rowcast_proto::rest::TaskTransitionList;
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::TaskPath;
use super::get_task::existing;
use super::query::{self, Params, malformed_parameter};
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::transition::{self, Filter};
use crate::validate;

/// Which steps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// With this text in the reason, the actor or the states, in any case.
    search: Option<String>,
    /// Not before this time.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Most steps of the page, 1–200; all where absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists what happened to a task, oldest first.
#[utoipa::path(
    get,
    path = "/tasks/{id}/events",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), Wanted),
    responses(
        (status = 200, description = "The steps of its life", body = TaskTransitionList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    TaskPath(id): TaskPath,
    Params(wanted): Params<Wanted>,
) -> Result<Json<TaskTransitionList>, ApiError> {
    validate::searched_page(wanted.search.as_deref(), wanted.limit)?;
    let filter = Filter {
        search: wanted.search,
        since: query::time("since", wanted.since)?,
        until: query::time("until", wanted.until)?,
        after: wanted.cursor.as_deref().map(number).transpose()?,
        limit: wanted.limit,
    };
    existing(&app, &id).await?;
    let mut events = transition::list(app.pool(), &id, &filter).await?;
    let mut next_cursor = None;
    if let Some(limit) = filter.limit.and_then(|limit| usize::try_from(limit).ok())
        && events.len() > limit
    {
        events.truncate(limit);
        next_cursor = events.last().map(|(number, _event)| number.to_string());
    }
    Ok(Json(TaskTransitionList {
        events: events.into_iter().map(|(_number, event)| event).collect(),
        next_cursor,
    }))
}

fn number(cursor: &str) -> Result<i64, ApiError> {
    cursor.parse().map_err(|_no_number| {
        let repair = "Give next_cursor of the page before, or leave it out.";
        malformed_parameter("cursor", "no page ends there", repair)
    })
}
