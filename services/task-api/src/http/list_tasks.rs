//! `GET /tasks`.

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use rowcast_domain::{SourceId, TaskState};
use rowcast_proto::rest::TaskList;
use rowcast_proto::subject;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::beside::Beside;
use super::query::{Params, malformed_parameter};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task::{self, Filter, Mark, Sort, SortKey, StoredTask};
use crate::{convert, validate};

/// Which tasks, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// In this state, or in one of several with commas between: `running,retrying`.
    state: Option<String>,
    /// Of this source.
    #[param(value_type = Option<String>)]
    source_id: Option<SourceId>,
    /// Has this text in its name or its id, in any case.
    pub(crate) search: Option<String>,
    /// Has this tag, or each of several with commas between: `env=prod,team`. Without `=`, the tag with
    /// any value.
    tag: Option<String>,
    /// Of this resource group.
    resource_group: Option<String>,
    /// The order; `created_at` where absent.
    #[serde(default)]
    #[param(inline)]
    sort: Order,
    /// Most tasks of the page, 1–200; all where absent.
    pub(crate) limit: Option<u32>,
    /// `next_cursor` of the page before, with the same `sort`.
    cursor: Option<String>,
    /// What other services know of them, with commas between: `instance`, `consumption`. What does not answer is left out.
    with: Option<String>,
}

/// An order of tasks; with `-` the other way round.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
enum Order {
    /// Oldest first.
    #[default]
    #[serde(rename = "created_at")]
    CreatedAt,
    /// Newest first.
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    /// By name, by code point.
    #[serde(rename = "name")]
    Name,
    /// By name, backwards.
    #[serde(rename = "-name")]
    NameDescending,
    /// By state, in the order of the lifecycle.
    #[serde(rename = "state")]
    State,
    /// By state, backwards.
    #[serde(rename = "-state")]
    StateDescending,
    /// Changed longest ago first.
    #[serde(rename = "updated_at")]
    UpdatedAt,
    /// Changed last first.
    #[serde(rename = "-updated_at")]
    UpdatedAtDescending,
}

impl Order {
    const fn sort(self) -> Sort {
        let (key, descending) = match self {
            Self::CreatedAt => (SortKey::CreatedAt, false),
            Self::CreatedAtDescending => (SortKey::CreatedAt, true),
            Self::Name => (SortKey::Name, false),
            Self::NameDescending => (SortKey::Name, true),
            Self::State => (SortKey::State, false),
            Self::StateDescending => (SortKey::State, true),
            Self::UpdatedAt => (SortKey::UpdatedAt, false),
            Self::UpdatedAtDescending => (SortKey::UpdatedAt, true),
        };
        Sort { key, descending }
    }
}

/// Lists tasks.
#[utoipa::path(
    get,
    path = "/tasks",
    tag = "tasks",
    params(Wanted),
    responses(
        (status = 200, description = "The tasks", body = TaskList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_tasks(
    State(app): State<App>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<TaskList>, ApiError> {
    validate::listed_tasks(&wanted)?;
    let beside = Beside::read(wanted.with.as_deref())?;
    let sort = wanted.sort.sort();
    let after = wanted.cursor.as_deref().map(|cursor| parse(cursor, sort));
    let filter = Filter {
        states: states(wanted.state.as_deref())?,
        source: wanted.source_id,
        search: wanted.search,
        tags: tags(wanted.tag.as_deref()),
        resource_group: wanted.resource_group,
        scope: caller.scope().map(<[String]>::to_vec),
        sort,
        after: after.transpose()?,
        limit: wanted.limit,
    };
    let mut stored = task::list(app.pool(), &filter).await?;
    let mut next_cursor = None;
    if let Some(limit) = filter.limit.and_then(|limit| usize::try_from(limit).ok())
        && stored.len() > limit
    {
        stored.truncate(limit);
        next_cursor = stored.last().map(|last| cursor(last, sort));
    }
    let mut tasks: Vec<_> = stored.into_iter().map(convert::task).collect();
    beside.add(&app, &mut tasks).await;
    Ok(Json(TaskList { tasks, next_cursor }))
}

fn states(text: Option<&str>) -> Result<Vec<TaskState>, ApiError> {
    let parse = |name: &str| {
        TaskState::from_name(name).ok_or_else(|| {
            let all = TaskState::ALL.map(|state| state.to_string()).join(", ");
            malformed_parameter(
                "state",
                &format!("{name:?} is no state"),
                &format!("Give one or more of {all}, with commas between."),
            )
        })
    };
    text.map_or_else(
        || Ok(Vec::new()),
        |text| text.split(',').map(parse).collect(),
    )
}

fn tags(text: Option<&str>) -> Vec<(String, Option<String>)> {
    let tag = |text: &str| match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    };
    text.map(|text| text.split(',').map(tag).collect())
        .unwrap_or_default()
}

/// Where the page behind this task begins: the key, and the id, which decides between equals.
fn cursor(task: &StoredTask, sort: Sort) -> String {
    match sort.key {
        SortKey::CreatedAt => format!("c.{}.{}", task.created_at.timestamp_micros(), task.id),
        SortKey::Name => format!("n.{}.{}", subject::escape(&task.definition.name), task.id),
        SortKey::State => format!("s.{}.{}", task.state, task.id),
        SortKey::UpdatedAt => format!("u.{}.{}", task.updated_at.timestamp_micros(), task.id),
    }
}

fn parse(cursor: &str, sort: Sort) -> Result<Mark, ApiError> {
    let parts: Vec<&str> = cursor.split('.').collect();
    let mark = match (sort.key, parts.as_slice()) {
        (SortKey::CreatedAt, ["c", micros, id]) => micros
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_micros)
            .map(|time| Mark::CreatedAt(time, (*id).to_owned())),
        (SortKey::Name, ["n", name, id]) => {
            subject::unescape(name).map(|name| Mark::Name(name, (*id).to_owned()))
        }
        (SortKey::State, ["s", state, id]) => {
            place(state).map(|place| Mark::State(place, (*id).to_owned()))
        }
        (SortKey::UpdatedAt, ["u", micros, id]) => micros
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_micros)
            .map(|time| Mark::UpdatedAt(time, (*id).to_owned())),
        (SortKey::CreatedAt | SortKey::Name | SortKey::State | SortKey::UpdatedAt, _) => None,
    };
    mark.ok_or_else(|| {
        malformed_parameter(
            "cursor",
            "no page in this order ends there",
            "Give next_cursor of the page before, with the same sort, or leave it out.",
        )
    })
}

/// Where a state stands in the lifecycle, from 1.
fn place(state: &str) -> Option<i32> {
    let before = TaskState::ALL
        .iter()
        .position(|other| other.as_str() == state)?;
    i32::try_from(before + 1).ok()
}
