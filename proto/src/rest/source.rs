//! Sources: the customer's databases.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rowcast_domain::SourceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CheckItem;

/// What TLS to the source must prove, the least first; the meanings are libpq's `sslmode`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only where the server refuses the login without; proves nothing.
    Allow,
    /// TLS where the server offers it; proves nothing.
    Prefer,
    /// TLS; proves nothing of the server's identity.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// TLS with a certificate of a known authority for this host name.
    #[default]
    VerifyFull,
}

impl SslMode {
    /// libpq's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// The mode with this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Disable,
            Self::Allow,
            Self::Prefer,
            Self::Require,
            Self::VerifyCa,
            Self::VerifyFull,
        ]
        .into_iter()
        .find(|mode| mode.as_str() == name)
    }
}

/// Who runs a source's PostgreSQL. The repairs of the precheck say what to do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Its users.
    #[default]
    Postgresql,
    /// Amazon RDS for PostgreSQL.
    Rds,
    /// Amazon Aurora PostgreSQL.
    Aurora,
    /// Google Cloud SQL for PostgreSQL.
    CloudSql,
    /// Azure Database for PostgreSQL, flexible server.
    Azure,
    /// Supabase.
    Supabase,
    /// Neon.
    Neon,
    /// The Kubernetes operator `CloudNativePG`.
    CloudNativePg,
    /// Patroni.
    Patroni,
}

impl SourceKind {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Postgresql,
        Self::Rds,
        Self::Aurora,
        Self::CloudSql,
        Self::Azure,
        Self::Supabase,
        Self::Neon,
        Self::CloudNativePg,
        Self::Patroni,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Rds => "rds",
            Self::Aurora => "aurora",
            Self::CloudSql => "cloud_sql",
            Self::Azure => "azure",
            Self::Supabase => "supabase",
            Self::Neon => "neon",
            Self::CloudNativePg => "cloud_native_pg",
            Self::Patroni => "patroni",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether its users run it.
    #[must_use]
    pub fn is_postgresql(&self) -> bool {
        *self == Self::Postgresql
    }
}

/// `POST /sources`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSource {
    /// The user's name for it, 1–64 characters.
    pub name: String,
    /// Who runs it; its users where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SourceKind>,
    /// Where it runs, for people: 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What its provider calls it, for people: 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// DNS name, address, or the folder of a unix socket. Up to eight hosts of one cluster, with commas between, each
    /// with a port of its own where it has another one (`a,b:5433`): the one that takes writes is read, the first where
    /// several do.
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The database that tasks track unless they name another.
    pub database: String,
    /// The role to log in with; needs LOGIN and REPLICATION.
    pub account: String,
    /// Its password; may be empty or absent beside `sslcert`. Never returned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// What TLS must prove.
    #[serde(default)]
    pub sslmode: SslMode,
    /// Certificate authorities in PEM; the system's where absent.
    #[serde(default)]
    pub sslrootcert: Option<String>,
    /// The client certificate to log in with, in PEM, then those between it and its authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslcert: Option<String>,
    /// Its private key, in PEM without a passphrase. Never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslkey: Option<String>,
    /// What the user sorts sources by; the rules are those of a task's tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The name of those who share it, 1–64 characters; tasks have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
}

/// The port of a source that names none: PostgreSQL's own (PostgreSQL docs, 19.3.1).
#[must_use]
pub const fn default_port() -> u16 {
    5432
}

/// `PATCH /sources/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchSource {
    /// The user's name for it, 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SourceKind>,
    /// Where it runs; empty for no word of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What its provider calls it; empty for no word of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// DNS name, address, or the folder of a unix socket, or several with commas between. Needs the password, or the client certificate, again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// TCP port. Needs the password, or the client certificate, again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The database of tasks that are created later and name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The role to log in with. Needs the password, or the client certificate, again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its password. Never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What TLS must prove. Less than before needs the password, or the client certificate, again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<SslMode>,
    /// Certificate authorities in PEM; empty for the system's. Others need the password, or the client
    /// certificate, again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslrootcert: Option<String>,
    /// The client certificate to log in with, in PEM, together with its key; both empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslcert: Option<String>,
    /// The private key of the client certificate, in PEM without a passphrase. Never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslkey: Option<String>,
    /// All tags, in the place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The name of those who share it; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
}

/// A registered source.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its id.
    #[schema(value_type = String)]
    pub id: SourceId,
    /// The user's name for it.
    pub name: String,
    /// Who runs it; its users where absent.
    #[serde(default, skip_serializing_if = "SourceKind::is_postgresql")]
    pub kind: SourceKind,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What its provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// DNS name, address, or the folder of a unix socket. Up to eight hosts of one cluster, with commas between, each
    /// with a port of its own where it has another one (`a,b:5433`): the one that takes writes is read, the first where
    /// several do.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role to log in with.
    pub account: String,
    /// What TLS must prove.
    pub sslmode: SslMode,
    /// Whether the role logs in with a client certificate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_certificate: bool,
    /// What the user sorts sources by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The name of those who share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// `GET /sources`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceList {
    /// Oldest first.
    pub sources: Vec<Source>,
}

/// `POST /sources/{id}/test`, `POST /sources/test`: how far the way to a source leads.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceTest {
    /// Whether no step failed.
    pub passed: bool,
    /// In the order taken: `name`, `tcp`, `tls`, `login`, `replication_login`, `version`,
    /// `databases`. Those behind a failed one are skipped, and `tls` where it was not asked for.
    pub steps: Vec<CheckItem>,
    /// The server's version, as `17.2`; absent where it was not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Databases that the account may connect to, by name; the first thousand.
    pub databases: Vec<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_are_libpqs_and_in_order_of_what_they_prove() {
        let words = [
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
        ];
        let modes = words.map(|word| SslMode::from_name(word).unwrap());
        assert!(modes.is_sorted());
        assert_eq!(
            serde_json::to_value(modes).unwrap(),
            serde_json::json!(words)
        );
        assert_eq!(SslMode::from_name("always"), None);
    }
}
