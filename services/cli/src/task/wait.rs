//! Waiting for a task, state by state.

use std::cell::RefCell;
use std::fmt::Display;
use std::time::Duration;

use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::rest::{Task, TaskError};
use tokio::time::Instant;

use crate::api::Api;
use crate::args::Waiting;
use crate::bar::Bar;
use crate::failure::{Exit, Failure};

/// Time between two looks at the task.
const LOOK: Duration = Duration::from_millis(250);

/// What a look says.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It is where it was to come.
    There,
    /// It may still come there; why it has not, where that is known.
    OnItsWay(Option<String>),
    /// It cannot come there by itself.
    Stuck(String),
}

/// Tells each state that a task passes, once.
#[derive(Debug)]
pub(crate) struct Watch {
    name: String,
    began: Instant,
    until: Instant,
    limit_s: u64,
    began_as: TaskState,
    told: RefCell<Option<(TaskState, Option<String>)>>,
    bar: Bar,
}

impl Watch {
    /// Begins to count the time.
    pub(crate) fn of(task: &Task, waiting: &Waiting) -> Self {
        let began = Instant::now();
        Self {
            name: task.name.clone(),
            began,
            until: began + Duration::from_secs(waiting.timeout),
            limit_s: waiting.timeout,
            began_as: task.state,
            told: RefCell::new(None),
            bar: Bar::waiting(format!("{} is {}", task.name, task.state)),
        }
    }

    /// Tells of a state that is news.
    pub(crate) fn tell(&self, state: TaskState, why: Option<String>) {
        let news = Some((state, why));
        if *self.told.borrow() == news {
            return;
        }
        let why = news.as_ref().and_then(|(_state, why)| why.as_deref());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        self.bar.say(format!("{} is {state}", self.name));
        self.line(format_args!("{} is {state}{why}", self.name));
        self.told.replace(news);
    }

    /// Tells something of what goes on, with the time since the beginning.
    pub(crate) fn line(&self, text: impl Display) {
        let elapsed = self.began.elapsed().as_secs_f64();
        self.bar.line(format_args!("{elapsed:>6.1} s  {text}"));
    }

    /// What turns meanwhile.
    pub(crate) const fn bar(&self) -> &Bar {
        &self.bar
    }

    /// Waits until a look says that the task is there.
    pub(crate) async fn until(
        &self,
        api: &Api,
        id: &TaskId,
        judge: impl Fn(&Task) -> Seen,
    ) -> anyhow::Result<Task> {
        loop {
            let task = api.task(id).await?;
            if let Some((part, of)) = task.step.as_deref().and_then(part) {
                self.bar.at(part, of);
            }
            match judge(&task) {
                Seen::There => {
                    self.tell(task.state, None);
                    return Ok(task);
                }
                Seen::OnItsWay(why) => self.tell(task.state, why),
                Seen::Stuck(why) => return Err(Failure::of(Exit::Failed, why)),
            }
            self.look_again(task.state).await?;
        }
    }

    /// Ends with the failure of a wait that takes too long.
    pub(crate) async fn is_late(&self) -> anyhow::Error {
        tokio::time::sleep_until(self.until).await;
        let told = self.told.borrow();
        self.late(told.as_ref().map_or(self.began_as, |(state, _why)| *state))
    }

    fn late(&self, state: TaskState) -> anyhow::Error {
        let sentence = format!(
            "{} is {state} after {} s: wait longer with --timeout, or see `rowcast task show`",
            self.name, self.limit_s
        );
        Failure::of(Exit::TimedOut, sentence)
    }

    /// Pauses, unless the time is over.
    pub(crate) async fn look_again(&self, state: TaskState) -> anyhow::Result<()> {
        if Instant::now() > self.until {
            return Err(self.late(state));
        }
        tokio::time::sleep(LOOK).await;
        Ok(())
    }
}

/// Changes flow.
pub(crate) fn runs(task: &Task) -> Seen {
    match task.state {
        TaskState::Running => Seen::There,
        TaskState::Starting | TaskState::Retrying => {
            let error = task.error.as_ref().map(in_words);
            Seen::OnItsWay(error.or_else(|| task.step.as_deref().map(step)))
        }
        TaskState::NotConfigured
        | TaskState::NotStarted
        | TaskState::Prechecking
        | TaskState::PrecheckFailed
        | TaskState::PrecheckPassed
        | TaskState::Abnormal
        | TaskState::Suspended
        | TaskState::Locked
        | TaskState::Resetting
        | TaskState::Released => Seen::Stuck(stuck(task)),
    }
}

/// The parts of a start, in the order done.
const STEPS: [&str; 6] = [
    "connect",
    "compare",
    "publication",
    "slot",
    "stream",
    "replicate",
];

/// Which part of how many a start is at; `None` for one of a newer platform.
fn part(name: &str) -> Option<(usize, usize)> {
    let before = STEPS.iter().position(|step| *step == name)?;
    Some((before + 1, STEPS.len()))
}

/// What a start is at.
pub(crate) fn step(name: &str) -> String {
    let words = match name {
        "connect" => "logging in to the source",
        "compare" => "comparing the slot with the stream",
        "publication" => "making the publication",
        "slot" => "making the slot, which waits for the transactions that are open",
        "stream" => "making the stream",
        "replicate" => "asking for the changes",
        other => other,
    };
    match part(name) {
        Some((part, of)) => format!("{part}/{of} {words}"),
        None => words.to_owned(),
    }
}

/// Nothing is read any more.
pub(crate) fn rests(task: &Task) -> Seen {
    if task.state == TaskState::Suspended {
        Seen::There
    } else {
        Seen::Stuck(stuck(task))
    }
}

/// What the task made is removed, and it can begin anew.
pub(crate) fn is_reset(task: &Task) -> Seen {
    if task.state == TaskState::NotStarted {
        Seen::There
    } else if task.state == TaskState::Resetting {
        Seen::OnItsWay(task.error.as_ref().map(in_words))
    } else {
        Seen::Stuck(stuck(task))
    }
}

/// The task is released, and capture has removed what it made.
///
/// A report that came after the release and has no error says so. A task that was never reported of
/// has nothing to remove.
pub(crate) fn is_gone(task: &Task) -> Seen {
    if task.state != TaskState::Released {
        return Seen::Stuck(stuck(task));
    }
    if let Some(error) = &task.error {
        return Seen::OnItsWay(Some(in_words(error)));
    }
    let reported = task.position.as_ref().map(|position| position.reported_at);
    if reported.is_none_or(|at| at > task.updated_at) {
        Seen::There
    } else {
        Seen::OnItsWay(Some("removing what it made".to_owned()))
    }
}

fn stuck(task: &Task) -> String {
    let why = task
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!(": {}", in_words(error)));
    format!("{} is {}{why}", task.name, task.state)
}

/// Code, message and advice.
pub(crate) fn in_words(error: &TaskError) -> String {
    let text = format!("{}: {}", error.code, error.message.trim_end_matches('.'));
    if error.advice.is_empty() {
        text
    } else {
        format!("{text}. {}", error.advice)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn task(members: &Value) -> Task {
        let mut body = json!({
            "id": "t000000000001", "name": "orders", "source_id": "s000000000001",
            "database": "shop", "objects": {"all": true}, "change_types": {},
            "retry_minutes": 120, "retention": {}, "partitions": 16, "transactions": false,
            "stream": "RC_t000000000001", "state": "running",
            "created_at": "2026-11-23T05:00:00Z", "updated_at": "2026-11-23T06:00:00Z",
        });
        for (name, value) in members.as_object().unwrap() {
            body[name.as_str()] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    fn error() -> Value {
        json!({"code": "Gap", "message": "changes are lost.", "advice": "Decide."})
    }

    #[test]
    fn a_start_says_which_of_its_parts_it_is_at() {
        assert_eq!(step("stream"), "5/6 making the stream");
        assert_eq!(step("hibernate"), "hibernate", "a newer platform has more");
        let starting = task(&json!({"state": "starting", "step": "connect"}));
        let Seen::OnItsWay(Some(why)) = runs(&starting) else {
            panic!("a start is over before it runs");
        };
        assert_eq!(why, "1/6 logging in to the source");
    }

    #[test]
    fn a_start_waits_through_interruptions_and_ends_at_a_stop() {
        assert!(matches!(runs(&task(&json!({}))), Seen::There));
        let retrying = task(&json!({"state": "retrying", "error": error()}));
        let Seen::OnItsWay(Some(why)) = runs(&retrying) else {
            panic!("an interruption ends the wait");
        };
        assert_eq!(why, "Gap: changes are lost. Decide.");
        let stopped = task(&json!({"state": "abnormal", "error": error()}));
        let Seen::Stuck(why) = runs(&stopped) else {
            panic!("a stop does not end the wait");
        };
        assert_eq!(why, "orders is abnormal: Gap: changes are lost. Decide.");
    }

    #[test]
    fn a_release_is_over_once_capture_has_reported_it() {
        let reported = |at: &str| {
            json!({
                "position": "0/10.1", "stream_sequence": 1, "confirmed_lsn": "0/10",
                "lag_bytes": 0, "changes": 1, "durable": true, "reported_at": at,
            })
        };
        let released = |position: Value, error: Value| {
            is_gone(&task(
                &json!({"state": "released", "position": position, "error": error}),
            ))
        };
        let (before, after) = ("2026-11-23T05:59:59Z", "2026-11-23T06:00:01Z");
        let seen = released(reported(before), Value::Null);
        assert!(matches!(seen, Seen::OnItsWay(_)), "{seen:?}");
        let seen = released(reported(after), error());
        assert!(matches!(seen, Seen::OnItsWay(_)), "{seen:?}");
        let seen = released(reported(after), Value::Null);
        assert!(matches!(seen, Seen::There), "{seen:?}");
        // It never ran: there is nothing to remove.
        let seen = released(Value::Null, Value::Null);
        assert!(matches!(seen, Seen::There), "{seen:?}");
    }
}
