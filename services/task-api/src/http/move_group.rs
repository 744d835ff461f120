//! `POST /tasks/{id}/groups/{gid}/position`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::MoveGroupRequest;
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::rest::{self, Group, MoveGroup};
use rowcast_proto::rpc;

use super::MOVE_TIMEOUT;
use super::body::{self, GroupPath};
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Moves what a consumer group is sent next, within what the task's stream holds. Answered once it is true; outside of the
/// stream it is refused with what the stream holds.
#[utoipa::path(
    post,
    path = "/tasks/{id}/groups/{gid}/position",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    request_body = MoveGroup,
    responses(
        (status = 200, description = "The group at its new position", body = Group),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn move_group(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
    body::Json(wanted): body::Json<MoveGroup>,
) -> Result<Json<rest::Group>, ApiError> {
    moved(&app, &caller, task, group, wanted).await.map(Json)
}

/// The group at its new position.
pub(crate) async fn moved(
    app: &App,
    caller: &Caller,
    task: TaskId,
    group: GroupId,
    wanted: MoveGroup,
) -> Result<Group, ApiError> {
    let force = wanted.force;
    let target = target(&wanted)?;
    existing(app, &task).await?;
    let question = MoveGroupRequest {
        task_id: task.into(),
        group_id: group.into(),
        actor: caller.actor(),
        force,
        target: Some(target),
    };
    let moved = ask::<rpc::MoveGroup>(app.bus(), &question, MOVE_TIMEOUT).await?;
    convert::group(moved)
}

/// The one place that is given.
fn target(wanted: &MoveGroup) -> Result<Target, ApiError> {
    let MoveGroup {
        time,
        lsn,
        transaction,
        sequence,
        earliest,
        latest,
        force: _,
    } = *wanted;
    let given = [
        time.map(|time| Target::Time(time.into())),
        lsn.map(|lsn| Target::Lsn(lsn.to_string())),
        transaction.map(|id| Target::Transaction(xid(id))),
        sequence.map(Target::Sequence),
        earliest.then_some(Target::Earliest(true)),
        latest.then_some(Target::Latest(true)),
    ];
    let mut given: Vec<Target> = given.into_iter().flatten().collect();
    match (given.pop(), given.as_slice()) {
        (Some(target), []) => Ok(target),
        (Some(_), _) | (None, _) => {
            let detail = "exactly one place must be given";
            let refused =
                ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail);
            Err(refused.field("time").repair(
                "Give one of time, lsn, transaction, sequence, \"earliest\": true, \"latest\": true.",
            ))
        }
    }
}

/// The id that changes have, which is the lower half of what PostgreSQL's functions tell: above it, it counts how often the
/// lower one began anew.
fn xid(id: u64) -> u32 {
    let [a, b, c, d, ..] = id.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_place_is_taken() {
        let earliest = MoveGroup {
            earliest: true,
            ..MoveGroup::default()
        };
        assert_eq!(target(&earliest).unwrap(), Target::Earliest(true));
        assert!(target(&MoveGroup::default()).is_err());
        let both = MoveGroup {
            sequence: Some(7),
            ..earliest
        };
        assert!(target(&both).is_err());
    }

    #[test]
    fn an_id_with_the_number_of_its_round_names_the_same_transaction() {
        for id in [740, (1 << 32) + 740, (7 << 32) + 740] {
            let wanted = MoveGroup {
                transaction: Some(id),
                ..MoveGroup::default()
            };
            assert_eq!(target(&wanted).unwrap(), Target::Transaction(740), "{id}");
        }
        assert_eq!(xid(u64::MAX), u32::MAX);
    }
}
