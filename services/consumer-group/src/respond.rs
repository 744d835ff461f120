//! Answers to questions, one a file.

mod create;
mod update;
mod list;
mod get;
mod connection;
mod delete;
mod move_position;
mod history;
mod consumption;
mod dead_letters;
mod skip;

use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Bus, Server, refuse};
use rowcast_domain::{GroupId, ParseIdError, TaskId};
use rowcast_proto::message::{self, GroupRequest, RpcError};
use rowcast_proto::rpc::{
    CreateGroup, DeleteGroup, GetGroup, GetGroupConnection, GetGroupHistory, ListConsumption,
    ListGroups, MoveGroup, Rpc, SkipChange, UpdateGroup,
};
use rowcast_service::BoxError;

use crate::consumer::Position;
use crate::state::State;
use crate::store::group::Group;
use crate::{status, store};

/// Announces the service and its endpoints.
pub(crate) async fn serve(bus: &Bus, state: &State, version: &str) -> Result<Server, BoxError> {
    let description = "consumer groups: accounts, authorization, positions";
    let mut server = Server::start(bus, CreateGroup::SERVICE, version, description).await?;
    let shared = state.clone();
    server
        .add::<CreateGroup, _, _>(move |question| create::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<ListGroups, _, _>(move |question| list::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<GetGroup, _, _>(move |question| get::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<GetGroupConnection, _, _>(move |question| {
            connection::answer(shared.clone(), question)
        })
        .await?;
    let shared = state.clone();
    server
        .add::<UpdateGroup, _, _>(move |question| update::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<DeleteGroup, _, _>(move |question| delete::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<MoveGroup, _, _>(move |question| {
            Box::pin(move_position::answer(shared.clone(), question))
        })
        .await?;
    let shared = state.clone();
    server
        .add::<GetGroupHistory, _, _>(move |question| history::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<ListConsumption, _, _>(move |question| consumption::answer(shared.clone(), question))
        .await?;
    let shared = state.clone();
    server
        .add::<SkipChange, _, _>(move |question| Box::pin(skip::answer(shared.clone(), question)))
        .await?;
    dead_letters::serve(&mut server, state).await?;
    Ok(server)
}

/// The group that a question names, deleted or not.
async fn find(state: &State, question: &GroupRequest) -> Result<Group, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let group_id: GroupId = question.group_id.parse().map_err(|error: ParseIdError| {
        refuse::invalid("group_id_malformed", error.to_string())
            .field("group_id")
            .repair("give the id of a group as the group list shows it")
    })?;
    store::group::by_id(&state.pool, &group_id)
        .await
        .map_err(database)?
        .filter(|group| group.task_id == task_id)
        .ok_or_else(|| unknown(&group_id))
}

/// The group that a question names.
async fn find_live(state: &State, question: &GroupRequest) -> Result<Group, RpcError> {
    let group = find(state, question).await?;
    if group.deleted_at.is_some() {
        return Err(unknown(&group.id));
    }
    Ok(group)
}

fn unknown(group_id: &GroupId) -> RpcError {
    refuse::not_found(
        "group_not_found",
        format!("the task has no group {group_id}"),
    )
    .field("group_id")
    .repair("list the groups of the task")
}

fn check_task_id(text: &str) -> Result<TaskId, RpcError> {
    text.parse().map_err(|error: ParseIdError| {
        refuse::invalid("task_id_malformed", error.to_string())
            .field("task_id")
            .repair("give the id of a task as the task list shows it")
    })
}

/// A group as others see it, with how it is with it now.
async fn shown(state: &State, group: &Group) -> Result<message::Group, RpcError> {
    let mut shown = all_shown(state, &group.task_id, std::slice::from_ref(group)).await?;
    shown.pop().ok_or_else(|| unknown(&group.id))
}

/// Groups of one task as others see them, in their order.
async fn all_shown(
    state: &State,
    task_id: &TaskId,
    groups: &[Group],
) -> Result<Vec<message::Group>, RpcError> {
    let looked = status::of(state, task_id, groups).await.map_err(|error| {
        tracing::error!(task = %task_id, error = %error, "positions not known");
        refuse::unavailable(
            "group_position",
            "NATS does not tell where the group stands",
        )
        .repair("ask again in some seconds")
    })?;
    let shown = groups
        .iter()
        .zip(looked)
        .map(|(group, looked)| message::Group {
            status: Some(looked.status),
            ..to_message(group, looked.position)
        });
    Ok(shown.collect())
}

fn to_message(group: &Group, position: Position) -> message::Group {
    message::Group {
        id: group.id.to_string(),
        task_id: group.task_id.to_string(),
        name: group.name.clone(),
        account: group.account.clone(),
        created_at: Some(group.created_at.into()),
        acknowledged_sequence: position.acknowledged_sequence,
        pending: position.pending,
        in_flight: position.in_flight,
        status: None,
        mode: message::GroupMode::from(group.mode).into(),
        etl: group.derived.as_ref().and_then(|own| own.etl.clone()),
        format: group.format().into(),
        max_deliver: group.max_deliver,
        on_exhausted: message::OnExhausted::from(group.on_exhausted).into(),
        delivery: message::GroupDelivery::from(group.delivery()).into(),
    }
}

/// Logged here, because the asker is told no internals.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn database(error: sqlx::Error) -> RpcError {
    tracing::error!(error = %error, "question not answered");
    refuse::unavailable("group_database", "consumer-group cannot reach its database")
        .repair("ask again in some seconds")
}
