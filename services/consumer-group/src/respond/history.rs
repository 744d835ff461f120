//! How it was with a group over time.

use chrono::{DateTime, Utc};
use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{
    GroupHistoryReply, GroupHistoryRequest, GroupRequest, GroupSample, RpcError,
};

use super::{database, find_live};
use crate::state::State;
use crate::store;
use crate::store::sample::Sample;

/// Most samples in an answer.
const MAX_POINTS: u32 = 1000;

pub(super) async fn answer(
    state: State,
    question: GroupHistoryRequest,
) -> Result<GroupHistoryReply, RpcError> {
    let named = GroupRequest {
        task_id: question.task_id.clone(),
        group_id: question.group_id.clone(),
        actor: String::new(),
    };
    let group = find_live(&state, &named).await?;
    let (since, until) = (
        time("since", question.since)?,
        time("until", question.until)?,
    );
    if since >= until {
        return Err(
            refuse::invalid("time_malformed", "since is not before until")
                .field("since")
                .repair("give an earlier since, or a later until"),
        );
    }
    if !(1..=MAX_POINTS).contains(&question.points) {
        let detail = format!(
            "points is {}, but must be 1 to {MAX_POINTS}",
            question.points
        );
        return Err(refuse::invalid("points_out_of_range", detail)
            .field("points")
            .repair("ask for fewer points, or for a shorter time"));
    }
    let samples = store::sample::of_group(&state.pool, &group.id, since, until, question.points)
        .await
        .map_err(database)?;
    Ok(GroupHistoryReply {
        samples: samples.iter().map(sample).collect(),
    })
}

fn time(
    field: &str,
    given: Option<rowcast_proto::message::Timestamp>,
) -> Result<DateTime<Utc>, RpcError> {
    given.and_then(|time| time.try_into().ok()).ok_or_else(|| {
        refuse::invalid("time_malformed", format!("{field} is no time"))
            .field(field)
            .repair("give a time as 2026-11-23T05:33:10Z")
    })
}

fn sample(sample: &Sample) -> GroupSample {
    GroupSample {
        at: Some(sample.at.into()),
        acknowledged_sequence: sample.acknowledged_sequence.cast_unsigned(),
        unread: sample.unread.cast_unsigned(),
        in_flight: sample.in_flight.cast_unsigned(),
        delay_seconds: sample.delay_seconds.cast_unsigned(),
        members: sample.members.unwrap_or(-1),
    }
}
