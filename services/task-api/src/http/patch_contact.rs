//! `PATCH /contacts/{id}`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::ContactId;
use rowcast_proto::rest::{Contact, PatchContact};

use super::body::{self, ContactPath};
use super::contacts;
use super::tag::{IfMatch, Tagged};
use super::versioned::{self, Thing};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::validate;

/// Changes a contact. What it is still to be told goes where it is then.
#[utoipa::path(
    patch,
    path = "/contacts/{id}",
    tag = "incidents",
    params(("id" = String, Path, description = "The contact"), IfMatch),
    request_body = PatchContact,
    responses(
        (status = 200, description = "The contact, without its secret", body = Contact),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_contact(
    State(app): State<App>,
    caller: Caller,
    ContactPath(id): ContactPath,
    expected: IfMatch,
    body::Json(wanted): body::Json<PatchContact>,
) -> Result<Tagged<Contact>, ApiError> {
    // Whether it is there for the caller, before anything is counted.
    contacts::existing(&app, &caller, &id).await?;
    let change = changed(&app, &caller, &id, wanted);
    versioned::changed(&app, Thing::Contact(&id), &expected, change).await
}

async fn changed(
    app: &App,
    caller: &Caller,
    id: &ContactId,
    wanted: PatchContact,
) -> Result<Contact, ApiError> {
    let mut contact = contacts::existing(app, caller, id).await?;
    validate::contact_patch(&wanted, contact.kind)?;
    if let Some(group) = wanted.resource_group {
        caller.may_give_to(Some(&group))?;
        contact.resource_group = Some(group).filter(|name| !name.is_empty());
    }
    if let Some(name) = wanted.name {
        contact.name = name;
    }
    if wanted.address.is_some() {
        contact.address = wanted.address;
    }
    if let Some(url) = wanted.url.filter(|url| contact.url.as_ref() != Some(url)) {
        if wanted.secret.is_none() {
            return Err(secret_is_for_another());
        }
        contact.url = Some(url);
    }
    contacts::put(app, contact, wanted.secret).await
}

/// Who may change where it goes need not know what it is signed with.
fn secret_is_for_another() -> ApiError {
    let detail = "the secret was given for another URL";
    ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "secret_needed", detail)
        .field("secret")
        .repair("Give the secret with the URL.")
}
