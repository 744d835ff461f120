//! `GET /contacts`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::ContactList;

use super::contacts;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Lists the contacts, oldest first.
#[utoipa::path(
    get,
    path = "/contacts",
    tag = "incidents",
    responses(
        (status = 200, description = "The contacts", body = ContactList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_contacts(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<ContactList>, ApiError> {
    let contacts = contacts::visible(&app, &caller).await?;
    Ok(Json(ContactList { contacts }))
}
