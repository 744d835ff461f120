//! `POST /contacts`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::ContactId;
use rowcast_proto::rest::{Contact, CreateContact};

use super::{body, contacts};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{clock, validate};

/// Makes a contact, which tasks can name to be told of their incidents.
#[utoipa::path(
    post,
    path = "/contacts",
    tag = "incidents",
    request_body = CreateContact,
    responses(
        (status = 201, description = "The contact, without its secret", body = Contact),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_contact(
    State(app): State<App>,
    caller: Caller,
    body::Json(wanted): body::Json<CreateContact>,
) -> Result<(StatusCode, Json<Contact>), ApiError> {
    validate::contact(&wanted)?;
    caller.may_give_to(wanted.resource_group.as_deref())?;
    let contact = Contact {
        id: ContactId::random(),
        name: wanted.name,
        kind: wanted.kind,
        url: wanted.url,
        address: wanted.address,
        resource_group: wanted.resource_group,
        created_at: clock::now(),
    };
    let stored = contacts::put(&app, contact, wanted.secret).await?;
    Ok((StatusCode::CREATED, Json(stored)))
}
