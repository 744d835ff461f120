//! `GET /audit`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rowcast_proto::rest::AuditLog;
use serde::Deserialize;
use utoipa::IntoParams;

use super::query::{self, Params, malformed_parameter};
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::audit::{self, Filter};
use crate::validate;

/// Entries of a page where the query names no number.
const PAGE: u32 = 100;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of this actor, as `user:admin`, `service:consumer-group`, or `login:` and the login of a group.
    actor: Option<String>,
    /// About this source, task, group or token: its id.
    about: Option<String>,
    /// Not before this time.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Most entries of the page, 1–200; 100 where absent.
    pub(crate) limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the requests that may have changed something, the logins of groups' clients, and what was put away of groups without a
/// request, newest first. For admins.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "access",
    params(Wanted),
    responses(
        (status = 200, description = "The entries", body = AuditLog),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_audit(
    State(app): State<App>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<AuditLog>, ApiError> {
    validate::page("limit", wanted.limit)?;
    let limit = wanted.limit.unwrap_or(PAGE);
    let filter = Filter {
        actor: wanted.actor,
        about: wanted.about,
        since: query::time("since", wanted.since)?,
        until: query::time("until", wanted.until)?,
        before: wanted.cursor.as_deref().map(number).transpose()?,
        limit,
    };
    let mut entries = audit::list(app.pool(), &filter).await?;
    let mut next_cursor = None;
    if let Ok(limit) = usize::try_from(limit)
        && entries.len() > limit
    {
        entries.truncate(limit);
        next_cursor = entries.last().map(|last| last.id.to_string());
    }
    Ok(Json(AuditLog {
        entries,
        next_cursor,
    }))
}

fn number(cursor: &str) -> Result<i64, ApiError> {
    cursor.parse().map_err(|_no_number| {
        let repair = "Give next_cursor of the page before, or leave it out.";
        malformed_parameter("cursor", "no page ends there", repair)
    })
}
