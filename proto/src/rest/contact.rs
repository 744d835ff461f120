//! Whom incidents are told, and how.

use chrono::{DateTime, Utc};
use rowcast_domain::ContactId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Incident;

/// How a contact is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContactKind {
    /// By `POST` of an `IncidentNotice` to a URL. Its headers are `Rowcast-Delivery`, the same if it is told again;
    /// `Rowcast-Timestamp`, in seconds; and `Rowcast-Signature: v1=` with the hexadecimal HMAC-SHA256 of the
    /// timestamp, a dot and the body.
    Webhook,
    /// By a mail in plain text. Its `Message-ID` is the same if it is sent again.
    Email,
}

/// `POST /contacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateContact {
    /// The user's name for it, 1–64 characters.
    pub name: String,
    /// How it is told.
    pub kind: ContactKind,
    /// Where a webhook is told: `https://` or `http://`, without a user. Never a link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Signs what a webhook is told: 16–256 printable ASCII characters. Never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where mail goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name of those who share it: 1–64 of letters, digits and `_.-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
}

/// `PATCH /contacts/{id}`: what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchContact {
    /// The user's name for it, 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where a webhook is told. With another one its secret is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Signs what a webhook is told. Never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where mail goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name of those who share it; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
}

/// Somebody who is told of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ContactId,
    /// The user's name for it.
    pub name: String,
    /// How it is told.
    pub kind: ContactKind,
    /// Where a webhook is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where mail goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name of those who share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// `GET /contacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactList {
    /// Oldest first.
    pub contacts: Vec<Contact>,
}

/// `POST /contacts/{id}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactTest {
    /// Whether it has taken it.
    pub delivered: bool,
    /// What it said, or why it was not told.
    pub detail: String,
}

/// What a contact is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentEvent {
    /// An incident began.
    Raised,
    /// An incident lasts, and its rule wants it told again.
    Repeated,
    /// An incident ended.
    Resolved,
    /// Somebody wants to see whether it is heard.
    Test,
}

impl IncidentEvent {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// The body that a webhook is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentNotice {
    /// What happened.
    pub event: IncidentEvent,
    /// The incident; absent in a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
}
