//! Answers questions about contacts.

use chrono::{SubsecRound as _, Utc};
use rowcast_bus::refuse::{self, Refusal as _};
use rowcast_domain::{ContactId, DeliveryId};
use rowcast_proto::message::{
    self, ContactRequest, DeleteContactReply, ListContactsReply, ListContactsRequest,
    PutContactRequest, RpcError, SealedSecret, TestContactReply,
};
use rowcast_proto::rest::{IncidentEvent, IncidentNotice};
use rowcast_service::keyring::Sealed;

use crate::deliver::Sender;
use crate::store::contacts::{self, Contact};
use crate::webhook;

impl From<Contact> for message::Contact {
    fn from(contact: Contact) -> Self {
        let Contact {
            id,
            name,
            resource_group,
            url,
            secret: _,
            created_at,
        } = contact;
        Self {
            id: id.into(),
            name,
            resource_group: resource_group.unwrap_or_default(),
            url,
            created_at: Some(created_at.into()),
        }
    }
}

/// Stores a contact, in the place of the one with its id if there is one.
///
/// # Errors
/// Where its URL is none, or leads to where no webhook may be, or the secret of a new one is missing.
pub(crate) async fn put(
    sender: &Sender,
    request: PutContactRequest,
) -> Result<message::Contact, RpcError> {
    let wanted = request.contact.unwrap_or_default();
    let id = read_id(wanted.id)?;
    let url = webhook::parse(&wanted.url).map_err(|error| at_url(&error))?;
    match webhook::look_up(&sender.networks, &url).await {
        // A name that leads nowhere now may lead somewhere once it is needed.
        Ok(_) | Err(webhook::Error::NotFound { .. }) => {}
        Err(
            error @ (webhook::Error::Url(_)
            | webhook::Error::Forbidden(_)
            | webhook::Error::Silent(_)
            | webhook::Error::Answered(_)),
        ) => return Err(at_url(&error)),
    }
    let there = contacts::get(&sender.pool, &id)
        .await
        .map_err(|error| database(&error))?;
    let (secret, created_at) = match (request.secret, there) {
        (Some(secret), Some(there)) => (sealed(secret), there.created_at),
        (Some(secret), None) => (sealed(secret), Utc::now().trunc_subsecs(6)),
        (None, Some(there)) => (there.secret, there.created_at),
        (None, None) => {
            return Err(refuse::invalid("secret_missing", "the secret is missing").field("secret"));
        }
    };
    let contact = Contact {
        id,
        name: wanted.name,
        resource_group: Some(wanted.resource_group).filter(|group| !group.is_empty()),
        url: wanted.url,
        secret,
        created_at,
    };
    let stored = contacts::put(&sender.pool, &contact).await;
    stored.map_err(|error| database(&error))?;
    tracing::info!(contact = %contact.id, "contact stored");
    Ok(contact.into())
}

/// All contacts.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn list(
    sender: &Sender,
    _all: ListContactsRequest,
) -> Result<ListContactsReply, RpcError> {
    let contacts = contacts::list(&sender.pool).await;
    let contacts = contacts.map_err(|error| database(&error))?;
    Ok(ListContactsReply {
        contacts: contacts.into_iter().map(Into::into).collect(),
    })
}

/// One contact.
///
/// # Errors
/// Where there is none of this id.
pub(crate) async fn get(
    sender: &Sender,
    request: ContactRequest,
) -> Result<message::Contact, RpcError> {
    Ok(existing(sender, request).await?.into())
}

/// Deletes a contact, and what it was still to be told.
///
/// # Errors
/// Where there is none of this id.
pub(crate) async fn delete(
    sender: &Sender,
    request: ContactRequest,
) -> Result<DeleteContactReply, RpcError> {
    let id = read_id(request.contact_id)?;
    let deleted = contacts::delete(&sender.pool, &id).await;
    if !deleted.map_err(|error| database(&error))? {
        return Err(not_found(&id));
    }
    tracing::info!(contact = %id, "contact deleted");
    Ok(DeleteContactReply {})
}

/// Tells a contact something to see whether it is heard.
///
/// # Errors
/// Where there is none of this id.
pub(crate) async fn test(
    sender: &Sender,
    request: ContactRequest,
) -> Result<TestContactReply, RpcError> {
    let contact = existing(sender, request).await?;
    let body = serde_json::to_string(&IncidentNotice {
        event: IncidentEvent::Test,
        incident: None,
    })
    .map_err(|error| refuse::internal("unwritten", error.to_string()))?;
    let told = sender.send(&contact, &DeliveryId::random(), &body).await;
    Ok(TestContactReply {
        delivered: told.is_ok(),
        detail: match told {
            Ok(()) => "it has taken it".to_owned(),
            Err(error) => error.to_string(),
        },
    })
}

async fn existing(sender: &Sender, request: ContactRequest) -> Result<Contact, RpcError> {
    let id = read_id(request.contact_id)?;
    let found = contacts::get(&sender.pool, &id).await;
    let found = found.map_err(|error| database(&error))?;
    found.ok_or_else(|| not_found(&id))
}

fn read_id(id: String) -> Result<ContactId, RpcError> {
    ContactId::try_from(id)
        .map_err(|error| refuse::invalid("malformed_id", error.to_string()).field("contact_id"))
}

fn not_found(id: &ContactId) -> RpcError {
    refuse::not_found(
        "contact_not_found",
        format!("there is no contact {:?}", id.as_str()),
    )
    .repair("List the contacts to see their ids.")
}

fn sealed(secret: SealedSecret) -> Sealed {
    Sealed {
        key_id: secret.key_id,
        nonce: secret.nonce,
        ciphertext: secret.ciphertext,
    }
}

fn at_url(error: &webhook::Error) -> RpcError {
    refuse::invalid("url_refused", error.to_string())
        .field("url")
        .repair("Give the https:// address of a webhook that is reached from here.")
}

fn database(error: &sqlx::Error) -> RpcError {
    tracing::error!(%error, "contacts cannot be read or written");
    refuse::unavailable(
        "database_unavailable",
        "contacts cannot be read or written at the moment",
    )
    .repair("Ask again later.")
}
