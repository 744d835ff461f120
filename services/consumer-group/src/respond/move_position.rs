//! Moves what a group is sent next.

use chrono::{DateTime, Utc};
use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_domain::ParseLsnError;
use rowcast_proto::message::move_group_request::Target as Asked;
use rowcast_proto::message::{self, GroupMember, GroupRequest, MoveGroupRequest, RpcError};
use rowcast_service::BoxError;

use super::{database, find_live, shown};
use crate::held::Range;
use crate::reads::Reads;
use crate::seek::own::{self, Behind, OwnFound};
use crate::seek::{self, Found, Target};
use crate::state::State;
use crate::status::{View, in_words};
use crate::store::group::Group;
use crate::{moving, store};

/// Members that a refusal names.
const NAMED: usize = 5;

pub(super) async fn answer(
    state: State,
    question: MoveGroupRequest,
) -> Result<message::Group, RpcError> {
    let named = GroupRequest {
        task_id: question.task_id.clone(),
        group_id: question.group_id.clone(),
        actor: question.actor.clone(),
    };
    let group = find_live(&state, &named).await?;
    let (target, field) = target(question.target.as_ref())?;
    let view = View::look_anew(&state, &Reads::of(&group))
        .await
        .map_err(|error| silent(&group, &error))?;
    if !question.force {
        no_member(&view, &group)?;
    }
    let next_sequence = place(&state, &view, &group, target, field).await?;
    wish(&state, &group, next_sequence, &question.actor)
        .await
        .map_err(database)?;
    if let Err(error) = Box::pin(moving::carry_out(&state, &group)).await {
        tracing::warn!(group = %group.id, task = %group.task_id, %error, "position not moved yet");
        state.changed.notify_one();
        return Err(refuse::unavailable(
            "move_pending",
            "the move is written down, and is carried out as soon as NATS lets it",
        )
        .repair("look at the group's generation and position in some seconds"));
    }
    shown(&state, &group).await
}

async fn wish(
    state: &State,
    group: &Group,
    next_sequence: u64,
    actor: &str,
) -> Result<(), sqlx::Error> {
    let mut transaction = state.pool.begin().await?;
    store::standing::wish(&mut transaction, &group.id, next_sequence, actor).await?;
    transaction.commit().await
}

/// What is asked for, and the name of the field that asks for it.
fn target(asked: Option<&Asked>) -> Result<(Target, &'static str), RpcError> {
    let missing = || {
        refuse::invalid(
            "target_missing",
            "the move names no place: no time, LSN, transaction or sequence, nor an end",
        )
        .repair("give exactly one of time, lsn, transaction, sequence, earliest, latest")
    };
    match asked {
        Some(Asked::Time(time)) => {
            let time: Option<DateTime<Utc>> = (*time).try_into().ok();
            let time = time.ok_or_else(|| {
                refuse::invalid("time_malformed", "that is no time")
                    .field("time")
                    .repair("give a time as 2026-11-23T05:33:10Z")
            })?;
            Ok((Target::Time(time), "time"))
        }
        Some(Asked::Lsn(lsn)) => {
            let lsn = lsn.parse().map_err(|error: ParseLsnError| {
                refuse::invalid("lsn_malformed", error.to_string())
                    .field("lsn")
                    .repair("give an LSN as 16/B374D848")
            })?;
            Ok((Target::Lsn(lsn), "lsn"))
        }
        Some(Asked::Transaction(xid)) => Ok((Target::Transaction(*xid), "transaction")),
        Some(Asked::Sequence(sequence)) => Ok((Target::Sequence(*sequence), "sequence")),
        Some(Asked::Earliest(true)) => Ok((Target::Earliest, "earliest")),
        Some(Asked::Latest(true)) => Ok((Target::Latest, "latest")),
        Some(Asked::Earliest(false) | Asked::Latest(false)) | None => Err(missing()),
    }
}

fn no_member(view: &View, group: &Group) -> Result<(), RpcError> {
    let force = "disconnect them, or give force to cut them off";
    match view.members(group) {
        Some([]) => Ok(()),
        Some(members) => {
            let mut names: Vec<String> = members.iter().take(NAMED).map(in_short).collect();
            if members.len() > NAMED {
                names.push(format!("{} more", members.len() - NAMED));
            }
            let detail = format!("members are connected: {}", names.join(", "));
            Err(refuse::conflict("group_connected", detail)
                .field("force")
                .repair(force))
        }
        None => Err(refuse::unavailable(
            "members_unknown",
            "no NATS server tells whether members are connected",
        )
        .field("force")
        .repair("ask again in some seconds")),
    }
}

fn in_short(member: &GroupMember) -> String {
    if member.name.is_empty() {
        member.address.clone()
    } else {
        format!("{} ({})", member.address, member.name)
    }
}

/// The sequence of the message that is asked for.
async fn place(
    state: &State,
    view: &View,
    group: &Group,
    target: Target,
    field: &str,
) -> Result<u64, RpcError> {
    let Some(range) = &view.range else {
        return Err(refuse::conflict(
            "stream_missing",
            "the task has no stream: it was never started, or is released",
        )
        .repair("start the task first"));
    };
    let found = match group.derived {
        None => seek::find(&view.stream, range, target).await,
        Some(_) => match Box::pin(own::find(state, group, (&view.stream, range), target)).await {
            Ok(OwnFound::Found(found)) => Ok(found),
            Ok(OwnFound::Behind(behind)) => return Err(not_made_yet(&behind, field)),
            Err(error) => Err(error),
        },
    };
    match found.map_err(|error| silent(group, &error))? {
        Found::Next(sequence) => Ok(sequence),
        Found::Outside => Err(outside(range, field, "is outside of what the stream holds")),
        Found::Nowhere => Err(outside(range, field, "is not in the stream")),
        Found::NotNear => Err(outside(
            range,
            field,
            "is not among the transactions that were searched, 2000 messages to either side of where it should be",
        )),
        Found::Unreadable(sequence) => Err(refuse::conflict(
            "message_unreadable",
            format!("the message {sequence} of the stream cannot be read, so nothing is found by its content"),
        )
        .field(field)
        .repair("move by sequence, or to earliest or latest")),
    }
}

/// The place is in the task's stream, and the group's own is not made of it.
fn not_made_yet(behind: &Behind, field: &str) -> RpcError {
    let Behind {
        made,
        behind,
        is_stopped,
    } = *behind;
    let detail = format!(
        "that {field} lies behind what the group's own stream is made of: it is made up to the message {made} of the task's stream, and not yet of {behind}"
    );
    let repair = if is_stopped {
        "remove what the own stream has stopped at, as the group's derivation tells, or choose a place that the own stream holds"
    } else {
        "ask again when the group's derivation is 0 messages behind, or choose a place that the own stream holds"
    };
    refuse::conflict("own_stream_behind", detail)
        .field(field)
        .repair(repair)
}

fn outside(range: &Range, field: &str, what: &str) -> RpcError {
    let detail = format!("that {field} {what}: {}", in_words(range));
    refuse::conflict("position_outside", detail)
        .field(field)
        .repair("choose a place within, or earliest or latest")
}

fn silent(group: &Group, error: &BoxError) -> RpcError {
    tracing::error!(group = %group.id, task = %group.task_id, %error, "stream not looked at");
    refuse::unavailable("group_position", "NATS does not tell what the stream holds")
        .repair("ask again in some seconds")
}
