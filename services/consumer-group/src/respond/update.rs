//! Gives a group another name, another number of attempts, or way to go on behind them, another policy, or another
//! password, which closes its connections.

use std::time::Duration;

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{self, EtlPolicy, GroupRequest, RpcError, UpdateGroupRequest};
use sqlx::postgres::PgConnection;

use super::create::{
    self, check_max_deliver, check_name, check_on_exhausted, checked_password, hashing, name_taken,
};
use super::{database, find_live, shown, to_message};
use crate::attempt_limit::{self, Limited};
use crate::consumer::Position;
use crate::state::State;
use crate::store::group::{Group, Update};
use crate::{connection, kick, store};

/// How long it is looked where the group stands.
const LOOK: Duration = Duration::from_secs(2);

pub(super) async fn answer(
    state: State,
    question: UpdateGroupRequest,
) -> Result<message::Group, RpcError> {
    let named = GroupRequest {
        task_id: question.task_id.clone(),
        group_id: question.group_id.clone(),
        actor: question.actor.clone(),
    };
    let group = find_live(&state, &named).await?;
    let update = Update {
        etl: policy(&group, question.etl.as_ref())?,
        ..wanted(&state, &question).await?
    };
    let changes_password = update.password_hash.is_some();
    let changes_policy = update.etl.is_some();
    let group = apply(&state, &group, &update).await?;
    tracing::info!(group = %group.id, task = %group.task_id, actor = question.actor, changes_password, changes_policy, "group changed");
    if changes_password {
        let login = connection::login(&group.account, &group.id);
        // Whoever changes a password wants those out who know the one before, when the answer comes. Where
        // that fails, the reconciler does it.
        if let Err(error) = kick::login(&state.system, &login).await {
            tracing::warn!(group = %group.id, task = %group.task_id, %error, "connections not closed yet");
        }
    }
    // It is done, also where NATS does not tell where the group stands.
    let looked = tokio::time::timeout(LOOK, shown(&state, &group)).await;
    let looked = looked.ok().and_then(Result::ok);
    Ok(looked.unwrap_or_else(|| to_message(&group, Position::default())))
}

async fn wanted(state: &State, question: &UpdateGroupRequest) -> Result<Update, RpcError> {
    let name = Some(question.name.clone()).filter(|name| !name.is_empty());
    if let Some(name) = &name {
        check_name(name)?;
    }
    let max_deliver = check_max_deliver(question.max_deliver)?;
    let mut update = Update {
        name,
        max_deliver: max_deliver.and_then(|number| i32::try_from(number).ok()),
        on_exhausted: create::on_exhausted(question.on_exhausted)?,
        ..Update::default()
    };
    if question.password.is_some() {
        let password = checked_password(state, &question.task_id, question.password.as_ref())?;
        let hash = state.hasher.hash(password).await.map_err(hashing)?;
        update.password_hash = Some(hash);
    }
    Ok(update)
}

/// The policy that is asked for, or none any more: of a group that reads a stream of its own.
fn policy(group: &Group, asked: Option<&EtlPolicy>) -> Result<Option<Option<EtlPolicy>>, RpcError> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let wanted = Some(asked).filter(|etl| !etl.script.is_empty());
    let wanted = wanted.map(create::policy).transpose()?;
    match (&group.derived, wanted) {
        (Some(_), wanted) => Ok(Some(wanted)),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(refuse::conflict(
            "group_reads_task_stream",
            "the group reads its task's stream, which all groups share, and no policy can be applied to that",
        )
        .field("etl")
        .repair("make another group with the policy, and move it to this one's position")),
    }
}

async fn apply(state: &State, group: &Group, update: &Update) -> Result<Group, RpcError> {
    let name = update.name.as_deref().unwrap_or(&group.name);
    let mut transaction = state.pool.begin().await.map_err(database)?;
    // Whoever gives a consumer to another member, or moves it, changes its configuration too.
    store::share::lock(&mut transaction, &group.id)
        .await
        .map_err(database)?;
    check_attempts(&mut transaction, group, update).await?;
    if let Some(max_deliver) = update.max_deliver {
        let wanted = Group {
            max_deliver: max_deliver.unsigned_abs(),
            ..group.clone()
        };
        limit(state, &wanted).await?;
    }
    let changed = store::group::update(&mut *transaction, &group.id, update).await;
    match changed {
        Ok(Some(changed)) => {
            if changed.derived != group.derived {
                store::derivation::decided(&mut *transaction, &group.id)
                    .await
                    .map_err(database)?;
            }
            transaction.commit().await.map_err(database)?;
            Ok(changed)
        }
        Ok(None) => Err(super::unknown(&group.id)),
        Err(error)
            if error
                .as_database_error()
                .is_some_and(sqlx::error::DatabaseError::is_unique_violation) =>
        {
            Err(name_taken(name))
        }
        Err(error) => Err(database(error)),
    }
}

/// What is changed must fit what is not, as it is now: another change may have come first.
async fn check_attempts(
    connection: &mut PgConnection,
    group: &Group,
    update: &Update,
) -> Result<(), RpcError> {
    if update.on_exhausted.is_none() && update.max_deliver.is_none() {
        return Ok(());
    }
    let now = store::group::by_id(connection, &group.id)
        .await
        .map_err(database)?
        .ok_or_else(|| super::unknown(&group.id))?;
    let max_deliver = update.max_deliver.map(i32::unsigned_abs);
    let max_deliver = max_deliver.unwrap_or(now.max_deliver);
    check_on_exhausted(update.on_exhausted, now.on_exhausted, now.mode, max_deliver)?;
    Ok(())
}

/// Before it is written down: the consumers decide whether it can be. What a crash leaves in between the watch mends.
async fn limit(state: &State, wanted: &Group) -> Result<(), RpcError> {
    match attempt_limit::apply(state, wanted).await {
        Ok(Limited::Yes) => Ok(()),
        Ok(Limited::NotYet) => Err(refuse::conflict(
            "max_deliver_lowered",
            "some changes were sent more than once, and a lower limit could lose them",
        )
        .field("max_deliver")
        .repair(
            "give a higher number or 0, or ask again when retention has removed those changes",
        )),
        Err(error) => {
            tracing::error!(group = %wanted.id, task = %wanted.task_id, %error, "attempts not limited");
            Err(refuse::unavailable(
                "group_consumer",
                "NATS does not change the group's consumer",
            )
            .repair("ask again in some seconds"))
        }
    }
}
