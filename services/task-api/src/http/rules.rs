//! What the routes of rules have in common.

use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{RuleId, TaskId};
use rowcast_proto::message::{PutRuleRequest, RuleRequest};
use rowcast_proto::rest::Rule;
use rowcast_proto::rpc::{GetRule, PutRule};

use super::ASK_TIMEOUT;
use crate::auth::Caller;
use crate::convert;
use crate::error::ApiError;
use crate::state::App;
use crate::store::task;

/// The rule and its version, if it is there for the caller.
pub(crate) async fn existing(
    app: &App,
    caller: &Caller,
    id: &RuleId,
) -> Result<(u64, Rule), ApiError> {
    let question = RuleRequest {
        rule_id: id.to_string(),
    };
    let answer = ask::<GetRule>(app.bus(), &question, ASK_TIMEOUT).await?;
    let (version, rule) = convert::rule(answer)?;
    if !caller.sees(rule.resource_group.as_deref()) {
        return Err(ApiError::not_found("rule", id.as_str()));
    }
    Ok((version, rule))
}

/// Stores a rule that was thought out on this version, 0 for a new one; tells it with its new version.
pub(crate) async fn put(app: &App, rule: Rule, version: u64) -> Result<(u64, Rule), ApiError> {
    let question = PutRuleRequest {
        rule: Some(convert::rule_message(rule, version)),
    };
    convert::rule(ask::<PutRule>(app.bus(), &question, ASK_TIMEOUT).await?)
}

/// Whether the tasks are there for the caller, and are such as a rule of this group can watch; those that it names
/// already may stay.
pub(crate) async fn tasks_are_there(
    app: &App,
    caller: &Caller,
    rule: &Rule,
    present: &[TaskId],
) -> Result<(), ApiError> {
    let new = rule.task_ids.iter().filter(|id| !present.contains(id));
    for id in new {
        let found = task::resource_group(app.pool(), id).await?;
        let Some(group) = found.filter(|group| caller.sees(group.as_deref())) else {
            let detail = format!("there is no task {:?}", id.as_str());
            return Err(
                at_tasks("task_not_found", detail).repair("List the tasks to see their ids.")
            );
        };
        if rule.resource_group.is_some() && rule.resource_group != group {
            let detail = format!("the task {id} is not of the rule's resource group");
            return Err(at_tasks("task_not_watched", detail).repair(
                "A rule with a resource group watches tasks of this group: leave the task out, or the group.",
            ));
        }
    }
    Ok(())
}

fn at_tasks(code: &str, detail: String) -> crate::error::Refused {
    ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, code, detail).field("task_ids")
}
