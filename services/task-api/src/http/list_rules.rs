//! `GET /rules`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::ListRulesRequest;
use rowcast_proto::rest::RuleList;
use rowcast_proto::rpc::ListRules;

use super::ASK_TIMEOUT;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Lists the rules, oldest first.
#[utoipa::path(
    get,
    path = "/rules",
    tag = "incidents",
    responses(
        (status = 200, description = "The rules", body = RuleList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_rules(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<RuleList>, ApiError> {
    let listed = ask::<ListRules>(app.bus(), &ListRulesRequest {}, ASK_TIMEOUT).await?;
    let rules = listed.rules.into_iter().map(convert::rule);
    let mut rules = rules
        .map(|read| read.map(|(_version, rule)| rule))
        .collect::<Result<Vec<_>, _>>()?;
    rules.retain(|rule| caller.sees(rule.resource_group.as_deref()));
    Ok(Json(RuleList { rules }))
}
