//! `POST /rules`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::RuleId;
use rowcast_proto::rest::{CreateRule, Rule};

use super::tag::Tagged;
use super::{body, contacts, rules};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{clock, validate};

/// Makes a rule, by which incidents of tasks or their groups are raised and contacts told.
#[utoipa::path(
    post,
    path = "/rules",
    tag = "incidents",
    request_body = CreateRule,
    responses(
        (status = 201, description = "The rule", body = Rule),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_rule(
    State(app): State<App>,
    caller: Caller,
    body::Json(wanted): body::Json<CreateRule>,
) -> Result<(StatusCode, Tagged<Rule>), ApiError> {
    validate::rule::made(&wanted)?;
    caller.may_give_to(wanted.resource_group.as_deref())?;
    let CreateRule {
        name,
        metric,
        threshold,
        hold_seconds,
        severity,
        task_ids,
        tags,
        resource_group,
        contacts,
        repeat_minutes,
        enabled,
    } = wanted;
    let rule = Rule {
        id: RuleId::random(),
        name,
        metric,
        threshold,
        hold_seconds,
        severity,
        task_ids,
        tags,
        resource_group,
        contacts,
        repeat_minutes,
        enabled,
        created_at: clock::now(),
    };
    rules::tasks_are_there(&app, &caller, &rule, &[]).await?;
    contacts::named_are_there(&app, &caller, "contacts", &rule.contacts, &[]).await?;
    let (version, rule) = rules::put(&app, rule, 0).await?;
    Ok((StatusCode::CREATED, Tagged(version, rule)))
}
