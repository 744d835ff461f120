//! What the routes of contacts have in common.

use std::time::Duration;

use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{ContactId, Secret};
use rowcast_proto::message::{self as m, ContactRequest, ListContactsRequest, PutContactRequest};
use rowcast_proto::rest::{Alerting, Contact};
use rowcast_proto::rpc::{GetContact, ListContacts, PutContact};
use rowcast_service::keyring;

use super::ASK_TIMEOUT;
use crate::auth::Caller;
use crate::convert;
use crate::error::ApiError;
use crate::state::App;

/// How long a test may take: what is told has ten seconds to answer, and its name ten to be found.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(25);

/// The contact, if it is there for the caller.
pub(crate) async fn existing(
    app: &App,
    caller: &Caller,
    id: &ContactId,
) -> Result<Contact, ApiError> {
    let question = ContactRequest {
        contact_id: id.to_string(),
    };
    let contact = convert::contact(ask::<GetContact>(app.bus(), &question, ASK_TIMEOUT).await?)?;
    if !caller.sees(contact.resource_group.as_deref()) {
        return Err(ApiError::not_found("contact", id.as_str()));
    }
    Ok(contact)
}

/// Those that are there for the caller, oldest first.
pub(crate) async fn visible(app: &App, caller: &Caller) -> Result<Vec<Contact>, ApiError> {
    let listed = ask::<ListContacts>(app.bus(), &ListContactsRequest {}, ASK_TIMEOUT).await?;
    let contacts = listed.contacts.into_iter().map(convert::contact);
    let mut contacts = contacts.collect::<Result<Vec<_>, _>>()?;
    contacts.retain(|contact| caller.sees(contact.resource_group.as_deref()));
    Ok(contacts)
}

/// Stores a contact; its present secret stays where none is given.
pub(crate) async fn put(
    app: &App,
    contact: Contact,
    secret: Option<String>,
) -> Result<Contact, ApiError> {
    let sealed_for = keyring::contact_secret(contact.id.as_str());
    let secret = match secret {
        Some(secret) => Some(app.keyring().seal(&Secret::new(secret), &sealed_for)?),
        None => None,
    };
    let question = PutContactRequest {
        contact: Some(m::Contact {
            id: contact.id.into(),
            name: contact.name,
            resource_group: contact.resource_group.unwrap_or_default(),
            url: contact.url.unwrap_or_default(),
            created_at: None,
            address: contact.address.unwrap_or_default(),
        }),
        secret: secret.map(convert::sealed),
    };
    convert::contact(ask::<PutContact>(app.bus(), &question, ASK_TIMEOUT).await?)
}

/// Whether all whom a task is to name are there for the caller; those whom it names already may stay, whoever
/// chose them.
pub(crate) async fn are_there(
    app: &App,
    caller: &Caller,
    alerting: Option<&Alerting>,
    present: &[ContactId],
) -> Result<(), ApiError> {
    let named = alerting.map_or(&[][..], |said| &said.contacts);
    named_are_there(app, caller, "alerting.contacts", named, present).await
}

/// As [`are_there`], of those that stand in this field.
pub(crate) async fn named_are_there(
    app: &App,
    caller: &Caller,
    field: &str,
    named: &[ContactId],
    present: &[ContactId],
) -> Result<(), ApiError> {
    let is_new = |id: &ContactId| !present.contains(id);
    if !named.iter().any(is_new) {
        return Ok(());
    }
    let visible = visible(app, caller).await?;
    let is_missing = |id: &&ContactId| visible.iter().all(|contact| contact.id != **id);
    let mut named = named.iter().filter(|id| is_new(id));
    let Some(missing) = named.find(is_missing) else {
        return Ok(());
    };
    let detail = format!("there is no contact {:?}", missing.as_str());
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Err(ApiError::refused(status, "contact_not_found", detail)
        .field(field)
        .repair("Make the contact first, or list the contacts to see their ids."))
}
