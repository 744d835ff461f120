//! `CreateConsumerChannel`, `DescribeConsumerChannel`, `ModifyConsumerChannel`, `DeleteConsumerChannel` and
//! `ModifyConsumptionTimestamp`: consumer groups.

use chrono::{DateTime, SecondsFormat};
use rowcast_domain::GroupId;
use rowcast_proto::rest::{CreateGroup, Group, MoveGroup, PatchGroup};
use serde::Serialize;

use super::Call;
use super::action::unsupported;
use super::answer::Answer;
use super::page::{Counts, Page};
use super::wording::of_parameters;
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::http::body;
use crate::http::create_group::created;
use crate::http::delete_group::deleted;
use crate::http::list_groups::groups_of;
use crate::http::move_group::moved;
use crate::http::patch_group::updated;
use crate::http::query::malformed_parameter;

const OF_GROUP: [(&str, &str); 3] = [
    ("name", "ConsumerGroupName"),
    ("account", "ConsumerGroupUserName"),
    ("password", "ConsumerGroupPassword"),
];

const TIME: &str = "ConsumptionTimestamp";

#[derive(Serialize)]
struct Created<'a> {
    #[serde(rename = "ConsumerGroupID")]
    consumer_group_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Channels {
    consumer_channels: Vec<Channel>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Channel {
    consumer_group_id: String,
    consumer_group_name: String,
    consumer_group_user_name: String,
    /// Commit time of the last change acknowledged.
    consumption_checkpoint: String,
    /// In seconds; −1 without a client.
    message_delay: i64,
    /// Not sent, or sent and not acknowledged; −1 without a client.
    unconsumed_data: i64,
}

/// Creates a group.
pub(super) async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let given = |name| call.parameters.required(name).map(str::to_owned);
    let wanted = CreateGroup {
        name: given("ConsumerGroupName")?,
        account: given("ConsumerGroupUserName")?,
        password: given("ConsumerGroupPassword")?,
        mode: None,
        etl: None,
        format: None,
        max_deliver: None,
        on_exhausted: None,
        delivery: None,
    };
    let group = created(call.app, call.caller, task.id, wanted, call.key.clone()).await;
    let group = group.map_err(|error| of_parameters(error, &OF_GROUP))?;
    Answer::with(&Created {
        consumer_group_id: group.id.as_str(),
    })
}

/// A page of the groups, oldest first.
pub(super) async fn describe(call: &Call<'_>) -> Result<Answer, ApiError> {
    let page = Page::read(call.parameters, "PageNumber")?;
    let task = call.task().await?;
    let list = groups_of(call.app, task.id).await?;
    let (groups, counts) = page.of(list.groups);
    Answer::with(&Channels {
        consumer_channels: groups.into_iter().map(channel).collect(),
        counts,
    })
}

fn channel(group: Group) -> Channel {
    let status = group.status.as_ref();
    let position = status.and_then(|status| status.position.as_ref());
    let unread = group.pending.saturating_add(group.in_flight);
    Channel {
        consumption_checkpoint: position.map_or_else(String::new, |position| {
            position
                .committed_at
                .to_rfc3339_opts(SecondsFormat::Secs, true)
        }),
        message_delay: status.map_or(-1, |status| status.delay_seconds),
        unconsumed_data: status.map_or_else(
            || i64::try_from(unread).unwrap_or(i64::MAX),
            |status| status.unconsumed,
        ),
        consumer_group_id: group.id.into(),
        consumer_group_name: group.name,
        consumer_group_user_name: group.account,
    }
}

/// Deletes a group.
pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let group: GroupId = body::id("group", call.parameters.required("ConsumerGroupId")?)?;
    deleted(call.app, call.caller, task.id, group).await?;
    Ok(Answer::default())
}

/// Gives a group another name or password.
pub(super) async fn modify(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let given = |name| call.parameters.optional(name).map(str::to_owned);
    let group: GroupId = body::id("group", call.parameters.required("ConsumerGroupId")?)?;
    if given("ConsumerGroupUserName").is_some() {
        let detail = "the account of a group stays as it was made";
        let instead = "Leave it out, or make another group.";
        return Err(unsupported(detail, "ConsumerGroupUserName", instead));
    }
    let wanted = PatchGroup {
        name: given("ConsumerGroupName"),
        password: given("ConsumerGroupPassword"),
        ..PatchGroup::default()
    };
    let of = (task.id, group);
    let updated = updated(call.app, call.caller, of, &IfMatch::ANY, wanted).await;
    updated.map_err(|error| of_parameters(error, &OF_GROUP))?;
    Ok(Answer::default())
}

/// Moves what a group is sent next to a time; refused while it has members, as in DTS.
pub(super) async fn seek(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = call.parameters;
    let task = match parameters.optional("SubscriptionInstanceId") {
        Some(id) => call.visible(&body::id("task", id)?).await?,
        None => call.task().await?,
    };
    let group: GroupId = body::id("group", parameters.required("ConsumerGroupId")?)?;
    let time = DateTime::parse_from_rfc3339(parameters.required(TIME)?);
    let time = time.map_err(|_no_time| {
        malformed_parameter(TIME, "is no time", "Give it as 2026-11-29T10:00:00Z.")
    })?;
    let wanted = MoveGroup {
        time: Some(time.to_utc()),
        ..MoveGroup::default()
    };
    let id = task.id.clone();
    let moved = moved(call.app, call.caller, task.id, group, wanted).await;
    moved.map_err(|error| of_parameters(error, &[("time", TIME)]))?;
    Ok(Answer::about(id))
}
