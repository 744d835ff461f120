//! Compares what is seen with what rules of users and thresholds of tasks allow.
//!
//! A task's own threshold is a rule about this task alone. Between a threshold and half of it nothing changes, so that
//! what goes up and down about a threshold is one incident. Each incident is begun, told again and ended in a transaction
//! of its own, with what tells of it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_bus::trace_context;
use rowcast_domain::{GroupId, IncidentId, RuleId, TaskId};
use rowcast_proto::rest::RuleMetric;
use sqlx::{Connection as _, PgConnection};

use crate::error::Error;
use crate::incident::{ByRule, Incident, TASK_DELAYED};
use crate::notify;
use crate::reading::{Reading, Readings};
use crate::rule::Rule;
use crate::state_changed::{raise, resolve};
use crate::store::{incidents, rules};
use crate::tasks::{Tasks, Wish};

/// What an incident is about, and by which rule; no rule for a task's own threshold.
type Key = (Option<RuleId>, TaskId, Option<GroupId>);

/// What was judged before.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// What is above, and since when, where its rule wants to see it for longer.
    above: HashMap<Key, DateTime<Utc>>,
}

/// By what it is judged.
#[derive(Debug, Clone, Copy)]
enum Allowed<'a> {
    /// A task's own threshold of delay.
    ByTask(&'a Wish, u64),
    ByRule(&'a Rule),
}

/// What a reading makes of incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Keep,
    /// One begins, if it has been so for long enough.
    Raise,
    /// The open one ends.
    Resolve,
}

impl Judge {
    /// Judges everything once.
    ///
    /// # Errors
    /// Those of the database; what was done by then stays.
    pub(crate) async fn round(
        &mut self,
        connection: &mut PgConnection,
        tasks: &mut Tasks,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut rules = rules::list(&mut *connection).await?;
        rules.retain(|rule| rule.is_enabled);
        let open = incidents::open(&mut *connection).await?;
        let running = tasks.look(now, |task, wish| late_since(task, wish, &open, &rules));
        let readings = Readings::of(&running, &open);
        let is_judged =
            |incident: &Incident| incident.by.is_some() || incident.rule == TASK_DELAYED;
        let judged = open.into_iter().filter(is_judged);
        let mut open: HashMap<Key, Incident> = judged
            .map(|incident| (key_of(&incident), incident))
            .collect();

        let mut above = HashMap::new();
        for (allowed, reading) in pairs(tasks, &rules, &readings) {
            let key = allowed.key(reading);
            let there = open.remove(&key);
            match (
                judge(reading.value, allowed.threshold(), there.is_some()),
                there,
            ) {
                (Verdict::Keep, _) | (Verdict::Raise, Some(_)) | (Verdict::Resolve, None) => {
                    // Nobody knows whether it has gone on: it counts as if it had.
                    if reading.value.is_none()
                        && let Some(since) = self.above.get(&key)
                    {
                        above.insert(key, *since);
                    }
                }
                (Verdict::Raise, None) => {
                    let since = self.above.get(&key).copied().unwrap_or(now);
                    if now - since >= allowed.hold() {
                        begin(connection, allowed, reading, now).await?;
                    } else {
                        above.insert(key, since);
                    }
                }
                (Verdict::Resolve, Some(there)) => end(connection, there, now).await?,
            }
        }
        self.above = above;
        // Of what nobody wants to know any more, or what is over.
        for there in open.into_values() {
            end(connection, there, now).await?;
        }
        tell_again(connection, &rules, now).await
    }
}

/// Since when a task is late that was not looked at before, by what is open.
fn late_since(
    task: &TaskId,
    wish: &Wish,
    open: &[Incident],
    rules: &[Rule],
) -> Option<DateTime<Utc>> {
    let of_task = open.iter().filter(|incident| incident.task_id == *task);
    let since = of_task.filter_map(|incident| {
        let late_by = match &incident.by {
            None if incident.rule == TASK_DELAYED => seconds(wish.threshold?),
            None => return None,
            Some(by) => {
                let mut of_delay = rules.iter().filter(|rule| match rule.metric {
                    RuleMetric::TaskDelaySeconds => true,
                    RuleMetric::TaskLagBytes
                    | RuleMetric::TaskAbnormal
                    | RuleMetric::TaskLocked
                    | RuleMetric::SourceDrifted
                    | RuleMetric::GroupGap
                    | RuleMetric::GroupBehind
                    | RuleMetric::GroupBlocked
                    | RuleMetric::GroupDeadLetters => false,
                });
                let rule = of_delay.find(|rule| rule.id == by.id)?;
                seconds(rule.threshold) + rule.hold()
            }
        };
        Some(incident.opened_at - late_by)
    });
    since.min()
}

fn seconds(seconds: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000))
}

fn key_of(incident: &Incident) -> Key {
    let rule = incident.by.as_ref().map(|by| by.id.clone());
    let group = incident.group.as_ref().map(|group| group.id.clone());
    (rule, incident.task_id.clone(), group)
}

/// Each reading with each that allows something about it.
fn pairs<'a>(
    tasks: &'a Tasks,
    rules: &'a [Rule],
    readings: &'a Readings,
) -> Vec<(Allowed<'a>, &'a Reading)> {
    let mut pairs = Vec::new();
    for reading in readings.about(RuleMetric::TaskDelaySeconds) {
        if let Some(wish) = tasks.wish(&reading.task)
            && let Some(threshold) = wish.threshold
        {
            pairs.push((Allowed::ByTask(wish, threshold), reading));
        }
    }
    for rule in rules {
        let covered = readings.about(rule.metric).iter().filter(|reading| {
            let wish = tasks.wish(&reading.task);
            wish.is_some_and(|wish| rule.covers(&reading.task, &wish.labels))
        });
        pairs.extend(covered.map(|reading| (Allowed::ByRule(rule), reading)));
    }
    pairs
}

fn judge(value: Option<u64>, threshold: u64, is_open: bool) -> Verdict {
    match (value, is_open) {
        (Some(value), false) if value > threshold => Verdict::Raise,
        (Some(value), true) if value == 0 || value.saturating_mul(2) < threshold => {
            Verdict::Resolve
        }
        (Some(_) | None, _) => Verdict::Keep,
    }
}

impl Allowed<'_> {
    fn key(self, reading: &Reading) -> Key {
        let rule = match self {
            Self::ByTask(..) => None,
            Self::ByRule(rule) => Some(rule.id.clone()),
        };
        let group = reading.group.as_ref().map(|group| group.id.clone());
        (rule, reading.task.clone(), group)
    }

    const fn threshold(self) -> u64 {
        match self {
            Self::ByTask(_, threshold) => threshold,
            Self::ByRule(rule) => rule.threshold,
        }
    }

    fn hold(self) -> TimeDelta {
        match self {
            Self::ByTask(..) => TimeDelta::zero(),
            Self::ByRule(rule) => rule.hold(),
        }
    }

    fn incident(self, reading: &Reading, now: DateTime<Utc>) -> Incident {
        let words = &reading.words;
        let threshold = self.threshold();
        let (rule, summary, by) = match self {
            Self::ByTask(..) => {
                let summary = format!("{words}; {threshold} s are allowed.");
                (TASK_DELAYED, summary, None)
            }
            Self::ByRule(rule) => {
                let summary = match rule.metric.unit() {
                    Some(unit) => format!("{words}; {threshold} {unit} are allowed."),
                    None => words.clone(),
                };
                let by = ByRule {
                    id: rule.id.clone(),
                    name: rule.name.clone(),
                    severity: rule.severity,
                };
                (rule.metric.as_str(), summary, Some(by))
            }
        };
        Incident {
            id: IncidentId::random(),
            task_id: reading.task.clone(),
            task_name: reading.task_name.clone(),
            rule: rule.to_owned(),
            summary,
            error: reading.error.clone(),
            opened_at: now,
            resolved_at: None,
            group: reading.group.clone(),
            by,
        }
    }
}

/// Nothing where the rule was changed or deleted since it was read: the next round judges by what it is then.
async fn begin(
    connection: &mut PgConnection,
    allowed: Allowed<'_>,
    reading: &Reading,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    let contacts = match allowed {
        Allowed::ByTask(wish, _) => &wish.contacts,
        Allowed::ByRule(rule) => {
            if !rules::holds(&mut transaction, rule).await? {
                return Ok(());
            }
            &rule.contacts
        }
    };
    let incident = allowed.incident(reading, now);
    let trace = trace_context::current();
    raise(&mut transaction, incident, contacts, &trace).await?;
    transaction.commit().await?;
    Ok(())
}

async fn end(
    connection: &mut PgConnection,
    open: Incident,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    resolve(&mut transaction, open, now, &trace_context::current()).await?;
    transaction.commit().await?;
    Ok(())
}

/// Of what lasts, by rules that want it.
async fn tell_again(
    connection: &mut PgConnection,
    rules: &[Rule],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    for rule in rules.iter().filter(|rule| rule.repeat_minutes > 0) {
        let since = now - TimeDelta::minutes(rule.repeat_minutes.into());
        let mut transaction = connection.begin().await?;
        let taken =
            incidents::take_to_be_told_again(&mut transaction, &rule.id, since, now).await?;
        for (incident, times) in taken {
            notify::repeated(&mut transaction, &incident, times).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_is_raised_and_below_half_resolved() {
        for (value, threshold, is_open, expected) in [
            (60, 60, false, Verdict::Keep),
            (61, 60, false, Verdict::Raise),
            (61, 60, true, Verdict::Keep),
            (30, 60, true, Verdict::Keep),
            (29, 60, true, Verdict::Resolve),
            (29, 60, false, Verdict::Keep),
            // What is true or not, and what may not be at all.
            (1, 0, false, Verdict::Raise),
            (1, 0, true, Verdict::Keep),
            (0, 0, true, Verdict::Resolve),
            (0, 0, false, Verdict::Keep),
            (0, 1, true, Verdict::Resolve),
        ] {
            let judged = judge(Some(value), threshold, is_open);
            assert_eq!(judged, expected, "{value} {threshold} {is_open}");
        }
        for is_open in [false, true] {
            assert_eq!(judge(None, 60, is_open), Verdict::Keep);
        }
    }
}
