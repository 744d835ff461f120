//! `PATCH /rules/{id}`.

use axum::extract::State;
use rowcast_proto::rest::{PatchRule, Rule};

use super::body::{self, RulePath};
use super::tag::{IfMatch, Tagged};
use super::{contacts, rules};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::validate;

/// Changes a rule. What is open is judged by it as it is then, and tells those whom it has told.
#[utoipa::path(
    patch,
    path = "/rules/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The rule"), IfMatch),
    request_body = PatchRule,
    responses(
        (status = 200, description = "The rule", body = Rule),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_rule(
    State(app): State<App>,
    caller: Caller,
    RulePath(id): RulePath,
    expected: IfMatch,
    body::Json(wanted): body::Json<PatchRule>,
) -> Result<Tagged<Rule>, ApiError> {
    let (version, present) = rules::existing(&app, &caller, &id).await?;
    expected.holds(version)?;
    validate::rule::changed(&wanted, &present)?;
    if let Some(group) = &wanted.resource_group {
        caller.may_give_to(Some(group))?;
    }
    let next = changed(present.clone(), wanted);
    if next == present {
        return Ok(Tagged(version, present));
    }
    // Another group has other tasks.
    let known = match next.resource_group == present.resource_group {
        true => &present.task_ids[..],
        false => &[],
    };
    rules::tasks_are_there(&app, &caller, &next, known).await?;
    let named = &next.contacts;
    contacts::named_are_there(&app, &caller, "contacts", named, &present.contacts).await?;
    let (version, rule) = rules::put(&app, next, version).await?;
    Ok(Tagged(version, rule))
}

fn changed(mut rule: Rule, patch: PatchRule) -> Rule {
    let PatchRule {
        name,
        threshold,
        hold_seconds,
        severity,
        task_ids,
        tags,
        resource_group,
        contacts,
        repeat_minutes,
        enabled,
    } = patch;
    rule.name = name.unwrap_or(rule.name);
    rule.threshold = threshold.or(rule.threshold);
    rule.hold_seconds = hold_seconds.unwrap_or(rule.hold_seconds);
    rule.severity = severity.unwrap_or(rule.severity);
    rule.task_ids = task_ids.unwrap_or(rule.task_ids);
    rule.tags = tags.unwrap_or(rule.tags);
    rule.contacts = contacts.unwrap_or(rule.contacts);
    rule.enabled = enabled.unwrap_or(rule.enabled);
    if let Some(group) = resource_group {
        rule.resource_group = Some(group).filter(|name| !name.is_empty());
    }
    if let Some(minutes) = repeat_minutes {
        rule.repeat_minutes = Some(minutes).filter(|minutes| *minutes > 0);
    }
    rule
}
