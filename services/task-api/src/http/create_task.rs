//! `POST /tasks`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::{SourceId, TaskEvent, TaskId, TaskState};
use rowcast_proto::rest::{CreateSource, CreateTask, Source, Task};
use sqlx::postgres::PgConnection;

use super::create_source::{accepted, register};
use super::tag::Tagged;
use super::{body, contacts};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::source::StoredSource;
use crate::store::{source, task};
use crate::{clock, convert, validate};

/// Creates a task.
#[utoipa::path(
    post,
    path = "/tasks",
    tag = "tasks",
    request_body = CreateTask,
    responses(
        (status = 201, description = "The task", body = Task, headers(("ETag" = String, description = "The version that is shown"))),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_task(
    State(app): State<App>,
    caller: Caller,
    body::Json(wanted): body::Json<CreateTask>,
) -> Result<(StatusCode, Tagged<Task>), ApiError> {
    validate::task(&wanted)?;
    caller.may_give_to(wanted.resource_group.as_deref())?;
    contacts::are_there(&app, &caller, wanted.alerting.as_ref(), &[]).await?;
    created(&app, &caller, wanted, "created").await
}

/// Whether the platform has such a network.
pub(crate) fn network_is_there(app: &App, network: Option<&str>) -> Result<(), ApiError> {
    let Some(name) = network.filter(|name| app.client_networks().get(name).is_none()) else {
        return Ok(());
    };
    let repair = match app.client_networks().names() {
        names if names.is_empty() => {
            "Leave it out: there is one way to NATS for all clients.".to_owned()
        }
        names => format!("Give one of {names}, or leave it out."),
    };
    let detail = format!("the platform has no network {name:?} for clients");
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Err(ApiError::refused(status, "network_not_found", detail)
        .field("network")
        .repair(&repair))
}

/// A new task of this definition; `reason` is for its history.
pub(crate) async fn created(
    app: &App,
    caller: &Caller,
    wanted: CreateTask,
    reason: &str,
) -> Result<(StatusCode, Tagged<Task>), ApiError> {
    created_as(app, caller, (TaskId::random(), None), wanted, reason).await
}

/// The same with an id that was told before, and with the source that it names, where that is registered with it: both or
/// none.
pub(crate) async fn created_as(
    app: &App,
    caller: &Caller,
    (id, new_source): (TaskId, Option<&StoredSource>),
    mut wanted: CreateTask,
    reason: &str,
) -> Result<(StatusCode, Tagged<Task>), ApiError> {
    network_is_there(app, wanted.network.as_deref())?;
    let mut transaction = app.pool().begin().await?;
    if let Some(stored) = new_source {
        register(&mut transaction, stored).await?;
    }
    let source = match wanted.source.take() {
        None => registered_source(&mut transaction, caller, wanted.source_id.as_ref()).await?,
        Some(own) => {
            let stored = own_source(app, caller, *own, wanted.resource_group.as_ref())?;
            register(&mut transaction, &stored).await?;
            stored.source
        }
    };
    wanted.source_id = Some(source.id.clone());
    let now = clock::now();
    let database = wanted.database.get_or_insert(source.database);
    if wanted.name.is_empty() {
        wanted.name = given_name(database, &id);
    }
    let created = task::insert(
        &mut transaction,
        (&id, &source.id),
        &wanted,
        TaskState::NotConfigured,
        now,
    )
    .await?;
    let step = Step::requested(TaskEvent::Configured, &caller.actor(), reason);
    let task = lifecycle::apply(&mut transaction, created, step, now).await?;
    transaction.commit().await?;
    Ok((
        StatusCode::CREATED,
        Tagged(task.version, convert::task(task)),
    ))
}

/// A name for a task that came without one, by the rules for names: its database, and the end of its id.
fn given_name(database: &str, id: &TaskId) -> String {
    let plain = |c: char| if c.is_control() { '_' } else { c };
    let database: String = database.trim().chars().map(plain).take(59).collect();
    let skipped = id.as_str().chars().count().saturating_sub(4);
    let end: String = id.as_str().chars().skip(skipped).collect();
    format!("{database}-{end}").trim_start().to_owned()
}

/// The source of this id, if the caller sees it.
pub(crate) async fn registered_source(
    connection: &mut PgConnection,
    caller: &Caller,
    id: Option<&SourceId>,
) -> Result<Source, ApiError> {
    let found = match id {
        Some(id) => source::lock(connection, id).await?,
        None => None,
    };
    let seen = found.filter(|found| caller.sees(found.source.resource_group.as_deref()));
    seen.map(|found| found.source).ok_or_else(|| {
        let id = id.map_or("", |id| id.as_str());
        let detail = format!("there is no source {id}");
        ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "source_not_found", detail)
            .field("source_id")
            .repair("Register the source first, or list the sources to see their ids.")
    })
}

/// The source that was given with a task; unless it says otherwise, who shares the task shares it.
fn own_source(
    app: &App,
    caller: &Caller,
    mut wanted: CreateSource,
    group: Option<&String>,
) -> Result<StoredSource, ApiError> {
    if wanted.resource_group.is_none() {
        wanted.resource_group = group.cloned();
    }
    Ok(StoredSource {
        own: true,
        ..accepted(app, caller, wanted)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_name_is_one_that_a_user_may_give() {
        let id: TaskId = "t0a1b2c3d4e5f".parse().unwrap();
        assert_eq!(given_name("shop", &id), "shop-4e5f");
        let long = given_name(&"é".repeat(200), &id);
        assert_eq!(long.chars().count(), 64);
        for database in ["shop", " a\tb ", &"x".repeat(63)] {
            let name = given_name(database, &id);
            let body = serde_json::json!({"name": name, "source_id": "s0a1b2c3d4e5f", "objects": {"all": true}});
            validate::task(&serde_json::from_value(body).unwrap()).unwrap();
        }
    }
}
