//! `DescribePreCheckStatus` and `SkipPreCheck`.

use rowcast_domain::TaskState;
use rowcast_proto::rest::{CheckItem, CheckOutcome, IgnoreChecks, Precheck};
use serde::Serialize;

use super::Call;
use super::action::unsupported;
use super::answer::Answer;
use super::job::time;
use super::page::{Counts, Page};
use super::wording::of_parameters;
use crate::error::ApiError;
use crate::http::ignore_checks::ignored;
use crate::http::query::malformed_parameter;
use crate::store::precheck;

const ITEMS: &str = "SkipPreCheckItems";
const NAMES: &str = "SkipPreCheckNames";

/// What the name of an item has behind its code.
const NAME_END: &str = "_DETAIL";

/// The number of the precheck among the steps of a job.
const PRECHECK: &str = "01";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    code: &'static str,
    job_id: String,
    job_name: String,
    state: &'static str,
    total: usize,
    error_item: usize,
    job_progress: Vec<Item>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    item: String,
    names: String,
    state: &'static str,
    can_skip: bool,
    skip: bool,
    ignore_flag: &'static str,
    err_msg: String,
    err_detail: String,
    repair_method: String,
    finish_time: String,
    order_num: usize,
}

/// What the last precheck has found, if it is about the task as it is now.
pub(super) async fn describe(call: &Call<'_>) -> Result<Answer, ApiError> {
    let page = Page::read(call.parameters, "PageNo")?;
    let code = call.parameters.optional("JobCode");
    if code.is_some_and(|code| code != PRECHECK) {
        let repair = "Give 01, or leave it out.";
        return Err(malformed_parameter(
            "JobCode",
            "is no step of a task",
            repair,
        ));
    }
    let task = call.task().await?;
    let state = state(task.state);
    let mut report = match state {
        RunState::Failed | RunState::Finished => precheck::last(call.app.pool(), &task.id).await?,
        RunState::NotStarted | RunState::Checking => None,
    };
    if let Some(report) = &mut report {
        precheck::mark_ignored(call.app.pool(), &task.id, report).await?;
    }
    let items = report.map(items).unwrap_or_default();
    let total = items.len();
    let error_item = items.iter().filter(|item| item.state == FAILED).count();
    let (job_progress, counts) = page.of(items);
    Answer::with(&Status {
        code: PRECHECK,
        job_id: task.id.into(),
        job_name: task.definition.name,
        state: state.word(),
        total,
        error_item,
        job_progress,
        counts,
    })
}

/// How far a precheck is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunState {
    NotStarted,
    Checking,
    Failed,
    Finished,
}

impl RunState {
    const fn word(self) -> &'static str {
        match self {
            Self::NotStarted => "NotStarted",
            Self::Checking => "Checking",
            Self::Failed => FAILED,
            Self::Finished => "Finished",
        }
    }
}

/// By the task's state and not by the report, which may be about what the task was before.
const fn state(task: TaskState) -> RunState {
    match task {
        TaskState::NotConfigured | TaskState::NotStarted => RunState::NotStarted,
        TaskState::Prechecking => RunState::Checking,
        TaskState::PrecheckFailed => RunState::Failed,
        TaskState::PrecheckPassed
        | TaskState::Starting
        | TaskState::Running
        | TaskState::Retrying
        | TaskState::Abnormal
        | TaskState::Suspended
        | TaskState::Locked
        | TaskState::Resetting
        | TaskState::Released => RunState::Finished,
    }
}

const FAILED: &str = "Failed";

fn items(report: Precheck) -> Vec<Item> {
    let finished_at = report.finished_at;
    let item = |(index, item): (usize, CheckItem)| Item {
        can_skip: item.may_be_ignored(),
        names: format!("{}{NAME_END}", item.code),
        item: item.code,
        state: match item.outcome {
            CheckOutcome::Pass => "Success",
            CheckOutcome::Alert => "Warning",
            CheckOutcome::Fail => FAILED,
            // An item before it has failed.
            CheckOutcome::Skipped => "NotStarted",
        },
        skip: item.ignored.is_some(),
        ignore_flag: if item.ignored.is_some() { "Y" } else { "N" },
        err_msg: item.cause,
        err_detail: item.saw,
        repair_method: item.repair,
        finish_time: time(item.checked_at.unwrap_or(finished_at)),
        order_num: index + 1,
    };
    report.items.into_iter().enumerate().map(item).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Skipped {
    skip_items: String,
    skip_names: String,
}

/// Ignores alerts of the last precheck. DTS asks neither who answers for it nor why: it is who calls.
pub(super) async fn skip(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    if call.parameters.flag("Skip")? == Some(false) {
        let detail = "an alert that is ignored stays so";
        return Err(unsupported(detail, "Skip", "Give true."));
    }
    let codes = codes(call)?;
    let skipped = Skipped {
        skip_items: list(&codes)?,
        skip_names: list(
            &codes
                .iter()
                .map(|code| format!("{code}{NAME_END}"))
                .collect::<Vec<_>>(),
        )?,
    };
    let wanted = IgnoreChecks {
        codes,
        by: call.caller.name().to_owned(),
        reason: "Skipped by SkipPreCheck, the alias for scripts of DTS, which gives no reason."
            .to_owned(),
    };
    let done = ignored(call.app, call.caller, &task.id, wanted).await;
    done.map_err(|error| of_parameters(error, &[("codes", ITEMS)]))?;
    Answer::with(&skipped)
}

/// The codes that are named, as items or by their names, each once.
fn codes(call: &Call<'_>) -> Result<Vec<String>, ApiError> {
    let mut codes = read(call, ITEMS)?;
    for name in read(call, NAMES)? {
        let code = name.strip_suffix(NAME_END).unwrap_or(&name);
        codes.push(code.to_owned());
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

fn read(call: &Call<'_>, name: &str) -> Result<Vec<String>, ApiError> {
    let Some(text) = call.parameters.optional(name) else {
        return Ok(Vec::new());
    };
    serde_json::from_str(text).map_err(|_no_list| {
        let repair = r#"Give ["<item>","<item>"]."#;
        malformed_parameter(name, "is no list in JSON", repair)
    })
}

fn list(words: &[String]) -> Result<String, ApiError> {
    serde_json::to_string(words).map_err(|error| ApiError::Unreadable(format!("items: {error}")))
}
