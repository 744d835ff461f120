//! Takes `GroupStateChanged` and `GroupDeleted`.

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::{Bus, consume};
use rowcast_domain::{GroupId, IncidentId, TaskId};
use rowcast_proto::message::{
    GroupDeleted, GroupState, GroupStateChanged, TaskError, TraceContext,
};
use rowcast_service::{BoxError, CancellationToken};
use sqlx::{PgConnection, PgPool};

use crate::error::Error;
use crate::incident::{About, AboutGroup, GROUP_BEHIND, GROUP_BLOCKED, GROUP_GAP, Incident};
use crate::notify;
use crate::state_changed::{raise, resolve, trace_of};
use crate::store::{deleted_groups, incidents, seen_events};

/// The consumer of groups' states.
const GROUPS: &str = "alerting-groups";

/// The consumer of groups' deletions.
const DELETED_GROUPS: &str = "alerting-deleted-groups";

/// Of these a group has one incident at a time.
const RULES: [&str; 3] = [GROUP_BEHIND, GROUP_BLOCKED, GROUP_GAP];

/// What takes events about groups, each with its name.
pub(crate) fn consumers(
    bus: &Bus,
    pool: &PgPool,
    wishes: &kv::Store,
    stop: &CancellationToken,
) -> [(&'static str, BoxFuture<'static, Result<(), BoxError>>); 2] {
    let (takes_into, asks) = (pool.clone(), wishes.clone());
    let changes =
        consume::<GroupStateChanged, _, _>(bus.clone(), GROUPS, stop.clone(), move |event| {
            let (pool, wishes) = (takes_into.clone(), asks.clone());
            async move {
                let taken = take(&pool, &wishes, event).await;
                taken.map_err(Into::into)
            }
        });
    let takes_into = pool.clone();
    let deletions =
        consume::<GroupDeleted, _, _>(bus.clone(), DELETED_GROUPS, stop.clone(), move |event| {
            let pool = takes_into.clone();
            async move {
                let taken = take_deleted(&pool, event).await;
                taken.map_err(Into::into)
            }
        });
    [
        ("consume groups", changes.boxed()),
        ("consume deleted groups", deletions.boxed()),
    ]
}

/// Ends the group's open incidents that its state rules out, and begins the one that it is.
///
/// # Errors
/// Where the event is malformed or the database did not do it; nothing is changed then.
pub(crate) async fn take(
    pool: &PgPool,
    wishes: &kv::Store,
    event: GroupStateChanged,
) -> Result<(), Error> {
    let now = Utc::now();
    let trace = trace_of(event.meta.as_ref());
    let to = event.to();
    let group = AboutGroup {
        id: group_id(event.group_id)?,
        name: event.group_name,
    };
    let About {
        event_id,
        task_id,
        at,
    } = About::read(event.meta, event.task_id, now)?;
    let told = notify::told(wishes, &task_id).await?;
    let mut transaction = pool.begin().await?;
    if !seen_events::insert(&mut transaction, &event_id, now).await?
        || deleted_groups::contains(&mut *transaction, &group.id).await?
    {
        tracing::debug!(
            event = event_id,
            "event was taken before, or comes too late"
        );
        return Ok(());
    }
    let rule = rule_of(to);
    for other in RULES {
        // What holds a group up does not end that it is behind: nobody looks at that while it is blocked.
        let stays = rule == Some(GROUP_BLOCKED) && other == GROUP_BEHIND;
        if rule != Some(other) && !stays {
            end(&mut transaction, (&task_id, &group.id), other, at, &trace).await?;
        }
    }
    if let Some(rule) = rule {
        let open = incidents::find_open(&mut transaction, &task_id, Some(&group.id), rule).await?;
        if open.is_none() {
            let incident = Incident {
                id: IncidentId::random(),
                summary: summary(&told.name, &group.name, &event.reason),
                error: Some(error(rule, &event.reason)),
                task_id,
                task_name: told.name,
                rule: rule.to_owned(),
                opened_at: at,
                resolved_at: None,
                group: Some(group),
                by: None,
            };
            raise(&mut transaction, incident, &told.contacts, &trace).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Ends the incidents of a group that is gone.
///
/// # Errors
/// Where the event is malformed or the database did not do it; nothing is changed then.
pub(crate) async fn take_deleted(pool: &PgPool, event: GroupDeleted) -> Result<(), Error> {
    let now = Utc::now();
    let trace = trace_of(event.meta.as_ref());
    let group = group_id(event.group_id)?;
    let About {
        event_id,
        task_id,
        at,
    } = About::read(event.meta, event.task_id, now)?;
    let mut transaction = pool.begin().await?;
    if !seen_events::insert(&mut transaction, &event_id, now).await? {
        tracing::debug!(event = event_id, "event was taken before");
        return Ok(());
    }
    deleted_groups::insert(&mut transaction, &group, now).await?;
    for rule in RULES {
        end(&mut transaction, (&task_id, &group), rule, at, &trace).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn end(
    connection: &mut PgConnection,
    (task, group): (&TaskId, &GroupId),
    rule: &str,
    at: DateTime<Utc>,
    trace: &TraceContext,
) -> Result<(), Error> {
    match incidents::find_open(connection, task, Some(group), rule).await? {
        Some(open) => resolve(connection, open, at, trace).await,
        None => Ok(()),
    }
}

fn group_id(text: String) -> Result<GroupId, Error> {
    GroupId::try_from(text.clone()).map_err(|_malformed| Error::Malformed {
        field: "group_id",
        value: text,
    })
}

const fn rule_of(state: GroupState) -> Option<&'static str> {
    match state {
        GroupState::Gap => Some(GROUP_GAP),
        GroupState::Warning => Some(GROUP_BEHIND),
        GroupState::Blocked => Some(GROUP_BLOCKED),
        GroupState::Ok | GroupState::Unspecified => None,
    }
}

fn summary(task: &str, group: &str, reason: &str) -> String {
    format!("Group {group} of task {task}: {reason}")
}

fn error(rule: &str, reason: &str) -> TaskError {
    let advice = match rule {
        GROUP_GAP => {
            "See what is missing, then move the group's position to earliest or to another place that is still there."
        }
        GROUP_BLOCKED => {
            "Where a change is not acknowledged, repair what reads the group; an ordered or keyed group can put the change away: rowcast group skip. \
             Where the group's own stream is not made, neither helps: give the group a policy that fits, or remove what stops it."
        }
        _behind => "Let the group's members read faster, or give the task a longer retention.",
    };
    TaskError {
        code: rule.to_owned(),
        message: reason.to_owned(),
        advice: advice.to_owned(),
    }
}
