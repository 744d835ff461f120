//! `GET /contacts/{id}`.

use axum::extract::State;
use rowcast_proto::rest::Contact;

use super::body::ContactPath;
use super::contacts;
use super::tag::Tagged;
use super::versioned::{self, Thing};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows a contact.
#[utoipa::path(
    get,
    path = "/contacts/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The contact")),
    responses(
        (status = 200, description = "The contact, without its secret", body = Contact),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_contact(
    State(app): State<App>,
    caller: Caller,
    ContactPath(id): ContactPath,
) -> Result<Tagged<Contact>, ApiError> {
    let reading = contacts::existing(&app, &caller, &id);
    versioned::read(&app, Thing::Contact(&id), reading).await
}
