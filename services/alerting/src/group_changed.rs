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
use crate::incident::{
    About, AboutGroup, GROUP_BEHIND, GROUP_BLOCKED, GROUP_DEAD_LETTERS, GROUP_GAP, Incident,
};
use crate::notify;
use crate::state_changed::{raise, resolve, trace_of};
use crate::store::{deleted_groups, incidents, seen_events};

/// The consumer of groups' states.
const GROUPS: &str = "alerting-groups";

/// The consumer of groups' deletions.
const DELETED_GROUPS: &str = "alerting-deleted-groups";

/// Of each of these a group has one incident at a time.
const RULES: [&str; 4] = [GROUP_BEHIND, GROUP_BLOCKED, GROUP_GAP, GROUP_DEAD_LETTERS];

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

/// Ends the group's open incidents that what is told of it rules out, and begins those that it makes.
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
    for (rule, verdict) in judge(to, event.reason, event.warning, event.dead_letters) {
        let why = match verdict {
            Verdict::Stays => continue,
            Verdict::Ends => {
                end(&mut transaction, (&task_id, &group.id), rule, at, &trace).await?;
                continue;
            }
            Verdict::Begins(why) => why,
        };
        let open = incidents::find_open(&mut transaction, &task_id, Some(&group.id), rule).await?;
        if open.is_some() {
            continue;
        }
        let incident = Incident {
            id: IncidentId::random(),
            summary: summary(&told.name, &group.name, &why),
            error: Some(error(rule, &why)),
            task_id: task_id.clone(),
            task_name: told.name.clone(),
            rule: rule.to_owned(),
            opened_at: at,
            resolved_at: None,
            group: Some(group.clone()),
            by: None,
        };
        raise(&mut transaction, incident, &told.contacts, &trace).await?;
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

/// What becomes of a group's incident under a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It begins, for this reason, or goes on.
    Begins(String),
    /// As it is.
    Stays,
    /// It ends.
    Ends,
}

/// By what is told of a group. What an older consumer-group does not tell rules nothing out: it does not look at what a blocked
/// group is about to lose, and does not count dead letters.
fn judge(
    to: GroupState,
    reason: String,
    warning: Option<String>,
    dead_letters: Option<u64>,
) -> [(&'static str, Verdict); 4] {
    let near = match warning {
        None => Verdict::Stays,
        Some(warning) if warning.is_empty() => Verdict::Ends,
        Some(warning) => Verdict::Begins(warning),
    };
    let letters = match dead_letters {
        None => Verdict::Stays,
        Some(0) => Verdict::Ends,
        Some(number) => Verdict::Begins(letters(number)),
    };
    let (behind, blocked, gap) = match to {
        GroupState::Gap => (Verdict::Ends, Verdict::Ends, Verdict::Begins(reason)),
        GroupState::Warning => (Verdict::Begins(reason), Verdict::Ends, Verdict::Ends),
        GroupState::Blocked => (near, Verdict::Begins(reason), Verdict::Ends),
        GroupState::Ok | GroupState::Unspecified => (Verdict::Ends, Verdict::Ends, Verdict::Ends),
    };
    [
        (GROUP_BEHIND, behind),
        (GROUP_BLOCKED, blocked),
        (GROUP_GAP, gap),
        (GROUP_DEAD_LETTERS, letters),
    ]
}

fn letters(number: u64) -> String {
    if number == 1 {
        return "1 change is a dead letter.".to_owned();
    }
    format!("{number} changes are dead letters.")
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
        GROUP_DEAD_LETTERS => {
            "See why: rowcast group dead-letter list. Repair what reads the group, then redrive them, or discard what nobody needs."
        }
        _behind => "Let the group's members read faster, or give the task a longer retention.",
    };
    TaskError {
        code: rule.to_owned(),
        message: reason.to_owned(),
        advice: advice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(to: GroupState, warning: Option<&str>) -> Verdict {
        let judged = judge(to, "why".to_owned(), warning.map(str::to_owned), None);
        let found = judged.into_iter().find(|(rule, _)| *rule == GROUP_BEHIND);
        found.unwrap().1
    }

    #[test]
    fn what_a_blocked_group_is_about_to_lose_is_an_incident_beside_it() {
        let near = Verdict::Begins("near".to_owned());
        assert_eq!(behind(GroupState::Blocked, Some("near")), near);
        assert_eq!(behind(GroupState::Blocked, Some("")), Verdict::Ends);
        assert_eq!(behind(GroupState::Blocked, None), Verdict::Stays);
        assert_eq!(behind(GroupState::Gap, Some("near")), Verdict::Ends);
        assert_eq!(behind(GroupState::Ok, None), Verdict::Ends);
        let warned = Verdict::Begins("why".to_owned());
        assert_eq!(behind(GroupState::Warning, None), warned);
    }
}
