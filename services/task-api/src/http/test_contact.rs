//! `POST /contacts/{id}/test`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::ContactRequest;
use rowcast_proto::rest::ContactTest;
use rowcast_proto::rpc::TestContact;

use super::body::ContactPath;
use super::contacts;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Tells a contact something, once, and tells what it said.
#[utoipa::path(
    post,
    path = "/contacts/{id}/test",
    tag = "incidents",
    params(("id" = String, Path, description = "The contact")),
    responses(
        (status = 200, description = "What it said", body = ContactTest),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn test_contact(
    State(app): State<App>,
    caller: Caller,
    ContactPath(id): ContactPath,
) -> Result<Json<ContactTest>, ApiError> {
    contacts::existing(&app, &caller, &id).await?;
    let question = ContactRequest {
        contact_id: id.to_string(),
    };
    let told = ask::<TestContact>(app.bus(), &question, contacts::TEST_TIMEOUT).await?;
    Ok(Json(ContactTest {
        delivered: told.delivered,
        detail: told.detail,
    }))
}
