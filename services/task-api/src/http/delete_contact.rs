//! `DELETE /contacts/{id}`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_proto::message::ContactRequest;
use rowcast_proto::rpc::DeleteContact;

use super::body::ContactPath;
use super::delete_source::named;
use super::tag::IfMatch;
use super::versioned::{self, Thing};
use super::{ASK_TIMEOUT, contacts};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task;

/// Deletes a contact that no task and no rule names any more, and what it was still to be told.
#[utoipa::path(
    delete,
    path = "/contacts/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The contact"), IfMatch),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_contact(
    State(app): State<App>,
    caller: Caller,
    ContactPath(id): ContactPath,
    expected: IfMatch,
) -> Result<StatusCode, ApiError> {
    contacts::existing(&app, &caller, &id).await?;
    let naming = task::naming_contact(app.pool(), &id).await?;
    if !naming.is_empty() {
        let tasks = named(&caller, &naming);
        let detail = format!("the contact {id} is told of: {tasks}");
        return Err(
            ApiError::refused(StatusCode::CONFLICT, "contact_in_use", detail)
                .repair("Take it out of `alerting.contacts` of these tasks first."),
        );
    }
    let question = ContactRequest {
        contact_id: id.to_string(),
    };
    let deletion = async {
        ask::<DeleteContact>(app.bus(), &question, ASK_TIMEOUT).await?;
        Ok(())
    };
    versioned::deleted(&app, Thing::Contact(&id), &expected, deletion).await?;
    Ok(StatusCode::NO_CONTENT)
}
