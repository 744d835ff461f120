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
use crate::mail;
use crate::store::contacts::{self, Contact, Target};
use crate::store::rules;
use crate::webhook;

impl From<Contact> for message::Contact {
    fn from(contact: Contact) -> Self {
        let Contact {
            id,
            name,
            resource_group,
            target,
            created_at,
        } = contact;
        let (url, address) = match target {
            Target::Webhook { url, secret: _ } => (url, String::new()),
            Target::Mail(address) => (String::new(), address),
        };
        Self {
            id: id.into(),
            name,
            resource_group: resource_group.unwrap_or_default(),
            url,
            created_at: Some(created_at.into()),
            address,
        }
    }
}

/// Stores a contact, in the place of the one with its id if there is one.
///
/// # Errors
/// Where it cannot be told there, or the secret of a new webhook is missing.
pub(crate) async fn put(
    sender: &Sender,
    request: PutContactRequest,
) -> Result<message::Contact, RpcError> {
    let wanted = request.contact.unwrap_or_default();
    let id = read_id(wanted.id)?;
    let there = contacts::get(&sender.pool, &id).await;
    let there = there.map_err(|error| database(&error))?;
    let created_at = there.as_ref().map(|there| there.created_at);
    let target = match (wanted.url.is_empty(), wanted.address.is_empty()) {
        (false, true) => {
            let secret = request.secret.map(sealed);
            let secret = secret.or_else(|| secret_of(there)).ok_or_else(|| {
                refuse::invalid("secret_missing", "the secret is missing").field("secret")
            })?;
            webhook(sender, wanted.url, secret).await?
        }
        (true, false) => mail(sender, wanted.address)?,
        (true, true) | (false, false) => {
            let detail = "a contact has either a URL or an address";
            return Err(refuse::invalid("target_unclear", detail).field("kind"));
        }
    };
    let contact = Contact {
        id,
        name: wanted.name,
        resource_group: Some(wanted.resource_group).filter(|group| !group.is_empty()),
        target,
        created_at: created_at.unwrap_or_else(|| Utc::now().trunc_subsecs(6)),
    };
    let stored = contacts::put(&sender.pool, &contact).await;
    stored.map_err(|error| database(&error))?;
    tracing::info!(contact = %contact.id, "contact stored");
    Ok(contact.into())
}

fn secret_of(there: Option<Contact>) -> Option<Sealed> {
    match there?.target {
        Target::Webhook { url: _, secret } => Some(secret),
        Target::Mail(_) => None,
    }
}

async fn webhook(sender: &Sender, url: String, secret: Sealed) -> Result<Target, RpcError> {
    let parsed = webhook::parse(&url).map_err(|error| at_url(&error))?;
    match webhook::look_up(&sender.networks, &parsed).await {
        // A name that leads nowhere now may lead somewhere once it is needed.
        Ok(_) | Err(webhook::Error::NotFound { .. }) => Ok(Target::Webhook { url, secret }),
        Err(
            error @ (webhook::Error::Url(_)
            | webhook::Error::Forbidden(_)
            | webhook::Error::Silent(_)
            | webhook::Error::Answered(_)),
        ) => Err(at_url(&error)),
    }
}

fn mail(sender: &Sender, address: String) -> Result<Target, RpcError> {
    if sender.mailer.is_none() {
        let detail = "this platform sends no mail";
        return Err(refuse::invalid("mail_not_set_up", detail)
            .field("kind")
            .repair("Whoever runs it sets ROWCAST_SMTP_URL and ROWCAST_MAIL_FROM of alerting; or give a webhook."));
    }
    mail::parse(&address).map_err(|error| {
        refuse::invalid("address_refused", error.to_string())
            .field("address")
            .repair("Give one address, as ops@example.com.")
    })?;
    Ok(Target::Mail(address))
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

/// Deletes a contact, and what it was still to be told. One that a rule names at the same moment stays: the database
/// refuses it.
///
/// # Errors
/// Where there is none of this id, or rules name it.
pub(crate) async fn delete(
    sender: &Sender,
    request: ContactRequest,
) -> Result<DeleteContactReply, RpcError> {
    let id = read_id(request.contact_id)?;
    let naming = rules::naming(&sender.pool, &id).await;
    let naming = naming.map_err(|error| database(&error))?;
    if !naming.is_empty() {
        return Err(in_use(&id, &naming));
    }
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

fn in_use(id: &ContactId, rules: &[String]) -> RpcError {
    let detail = format!("the contact {id} is told by the rules {}", rules.join(", "));
    refuse::conflict("contact_in_use", detail)
        .repair("Take it out of `contacts` of these rules first, or delete them.")
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
