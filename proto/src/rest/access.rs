//! Who may use the API, and what they did.

use chrono::{DateTime, Utc};
use rowcast_domain::TokenId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the bearer of a token may do; each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Make and change sources, tasks and groups.
    Operator,
    /// Make and revoke tokens, and read the audit log.
    Admin,
}

impl Role {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// `POST /tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Who will bear it, 1–64 characters; stands in histories and in the audit log as `user:<name>`.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Only tasks and sources of these resource groups, 1–20, are there for it; all where absent. An
    /// admin's is not bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_groups: Option<Vec<String>>,
    /// When it ends; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TokenId,
    /// Who bears it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Resource groups whose tasks and sources are there for it; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_groups: Option<Vec<String>>,
    /// Who made it: `user:<name>`.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last shown, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Answer to `POST /tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What there is to know of it.
    pub token: Token,
    /// The bearer token itself, told this once.
    pub secret: String,
}

/// `GET /tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    /// Oldest first.
    pub tokens: Vec<Token>,
}

/// A request that may have changed something, logins of a consumer group's clients at NATS, or changes of a group that the
/// service has put away by itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number; later ones are greater.
    pub id: u64,
    /// When it came; of logins and of dead letters, the first one.
    pub at: DateTime<Utc>,
    /// Who: `user:<name>`; of logins `login:<login>`, with `*` for many; of dead letters `service:consumer-group`.
    pub actor: String,
    /// The token that was shown; absent for the admin token of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token_id: Option<TokenId>,
    /// From where: the address of the last hop; of logins `*` for many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Method and route, as `POST /api/v1/tasks/{id}/start`; `login` for logins at NATS, `dead_letter` for changes that were put
    /// away without a request.
    pub action: String,
    /// The path; of logins and of dead letters that of the group, or empty where there is none.
    pub path: String,
    /// Id of what was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// HTTP status of the answer; absent while there is none, and for good where it was cut off: by a
    /// time-out, a fault, or the end of the process. Of logins 200 where they were let in, 401 where not; of dead
    /// letters 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Code of the problem; of logins that were refused, why; of dead letters their cause, `exhausted` or `given_up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Trace of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Of logins: how many there were, of this login, from this address, within a minute, with this end. Of dead letters: how many
    /// there were of this group within some seconds, for this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Of logins: what the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Of dead letters: the smallest of their sequences in the stream that the group reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// Of dead letters: the greatest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<u64>,
}

/// `GET /audit`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditLog {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// `cursor` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
