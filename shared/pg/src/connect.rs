//! How to reach a customer's PostgreSQL, and a SQL session on it.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rowcast_domain::Secret;
use tokio::task::JoinSet;
use tokio_postgres::Statement;
use tokio_postgres::config::SslNegotiation;

use crate::networks::Networks;
use crate::password_guard::{Established, PasswordRefused};
use crate::tls;
use crate::transport::{self, Transport};
use crate::{Error, hosts, second_way};

/// Settings of every SQL session.
///
/// `search_path` keeps objects a customer put into `public` from standing in for built-in ones; the
/// timeouts (milliseconds) bound what a query of ours can hold up on the source. A role that reads by
/// default still makes the publication of its task. `quote_all_identifiers` decides how `format_type`
/// writes a type, which must be as on the connection that decodes.
const SESSION_OPTIONS: &str = "-c search_path=pg_catalog -c statement_timeout=30000 \
     -c lock_timeout=10000 -c standard_conforming_strings=on \
     -c default_transaction_read_only=off -c quote_all_identifiers=off";

/// Takes from a session the time limits that a role or a database may have as defaults: a session that
/// waits for the next schema, or a walsender that decodes a long transaction, is not idle. Each version
/// has other ones, and a login with one that the server does not know is refused.
pub(crate) const WITHOUT_TIME_LIMITS: &str = "SELECT pg_catalog.set_config(name, '0', false)
     FROM pg_catalog.pg_settings
     WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')
       AND setting <> '0'";

/// Where a PostgreSQL server is and who logs in.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Host name or address; a leading `/` makes it the directory of a Unix-domain socket. Several, with commas
    /// between, are one source of which one host takes writes ([`crate::hosts`]).
    pub host: String,
    /// Port; on a Unix-domain socket it is the suffix of the socket's file name.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role that logs in.
    pub user: String,
    /// Password; empty where the server asks for none.
    pub password: Secret,
    /// What TLS has to achieve.
    pub ssl_mode: SslMode,
    /// Certificates to trust, PEM; without them the system's.
    pub ssl_root_cert: Option<String>,
    /// What proves to the server who logs in, where it asks (PostgreSQL docs, "Certificate
    /// Authentication").
    pub client_certificate: Option<ClientCertificate>,
    /// Where the host may be.
    pub networks: Networks,
    /// Shown in `pg_stat_activity` and `pg_stat_replication`.
    pub application_name: String,
    /// Bound for the whole of name resolution, dialling, TLS and login.
    pub connect_timeout: Duration,
}

/// A certificate that a server may ask for, and its key.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// PEM: the certificate, then those between it and its authority.
    pub chain: String,
    /// PEM of the private key, without a passphrase.
    pub key: Secret,
}

/// What TLS has to achieve, in libpq's words and meanings (PostgreSQL docs, "SSL Support").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only where the server refuses the login without, and then without knowing who it is.
    Allow,
    /// TLS if the server has it, without knowing who the server is; none where it refuses the login with.
    Prefer,
    /// TLS. Who the server is stays unchecked, unless root certificates are given: then, as libpq
    /// does, the chain is verified.
    Require,
    /// TLS with a server whose certificate the roots vouch for, whatever its name.
    VerifyCa,
    /// TLS with a server whose certificate the roots vouch for under the name dialled.
    VerifyFull,
}

/// The text names none of libpq's TLS modes that Rowcast has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an sslmode: expected disable, allow, prefer, require, verify-ca or verify-full"
)]
pub struct ParseSslModeError(String);

impl FromStr for SslMode {
    type Err = ParseSslModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" => Ok(Self::Allow),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            other => Err(ParseSslModeError(other.to_owned())),
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

/// A SQL session. Dropping it closes the connection.
#[derive(Debug)]
pub struct Session {
    client: tokio_postgres::Client,
    /// What is asked again and again, parsed and planned by the server once.
    prepared: Mutex<HashMap<String, Statement>>,
    /// Drives the socket; aborted when the session is dropped.
    _connection: JoinSet<()>,
}

impl Session {
    /// A query as a statement of this session, which the server keeps until the session ends: for what is
    /// asked again and again.
    pub(crate) async fn prepared(&self, query: &str) -> Result<Statement, Error> {
        let known = self.known().get(query).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(query).await?;
        self.known().insert(query.to_owned(), statement.clone());
        Ok(statement)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Statement>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Session {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

/// For transactions, which borrow the client as a whole.
impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.client
    }
}

/// Opens a SQL session, of several hosts on the one that takes writes.
///
/// A server that is not known to be the right one (TLS without verification, or none, to another
/// machine) gets no password in clear or as MD5, only a SCRAM proof.
pub async fn connect(options: &ConnectOptions) -> Result<Session, Error> {
    connect_to_one(&hosts::primary(options).await?).await
}

/// Opens a SQL session on the only host that is named.
pub(crate) async fn connect_to_one(options: &ConnectOptions) -> Result<Session, Error> {
    let limit = options.connect_timeout;
    tokio::time::timeout(limit, open(options))
        .await
        .unwrap_or(Err(Error::Timeout {
            step: "connecting",
            limit,
        }))
}

async fn open(options: &ConnectOptions) -> Result<Session, Error> {
    log_in(options, transport::open(options).await?).await
}

/// Opens a SQL session on a connection that was made step by step; waits as long as the server does. Where the
/// server refuses the login, that is tried the other way that `ssl_mode` has ([`second_way`]).
///
/// # Errors
/// As [`connect`], but for what comes before the login.
pub async fn log_in(options: &ConnectOptions, transport: Transport) -> Result<Session, Error> {
    let other = second_way::after(options, &transport);
    let refusal = match log_in_once(options, transport).await {
        Ok(session) => return Ok(session),
        Err(refusal) => refusal,
    };
    let Some(other) = other.filter(|_other| second_way::may_help(&refusal)) else {
        return Err(refusal);
    };
    let again = async { log_in_once(&other, transport::open(&other).await?).await };
    Box::pin(again)
        .await
        .map_err(|second| second_way::telling(refusal, second))
}

async fn log_in_once(options: &ConnectOptions, transport: Transport) -> Result<Session, Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .user(&options.user)
        .dbname(&options.database)
        .application_name(&options.application_name)
        .options(SESSION_OPTIONS)
        // The transport is ready, with TLS where it has any: "direct" keeps tokio-postgres from
        // asking for TLS once more, and hands it the transport's channel binding.
        .ssl_negotiation(SslNegotiation::Direct)
        .ssl_mode(tokio_postgres::config::SslMode::Require);
    if !options.password.expose().is_empty() {
        config.password(options.password.expose());
    }
    let (client, connection) = config
        .connect_raw(transport, Established)
        .await
        .map_err(login_error)?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = connection.await {
            // The client's calls fail with the same cause; this line is for those that make none.
            tracing::debug!(error = %Error::from(error), "source session ended");
        }
    });
    client.batch_execute(WITHOUT_TIME_LIMITS).await?;
    Ok(Session {
        client,
        prepared: Mutex::default(),
        _connection: task,
    })
}

/// An error while logging in: what is neither the server's word nor the network's is a login that
/// one side cannot agree to.
fn login_error(error: tokio_postgres::Error) -> Error {
    let broken = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    let refused = broken
        .and_then(std::io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<PasswordRefused>());
    if let Some(refused) = refused {
        return Error::Authentication(refused.to_string());
    }
    if let Some(refusal) = broken.and_then(tls::refusal) {
        return refusal;
    }
    match Error::from(error) {
        Error::Protocol(text) => Error::Authentication(text),
        error @ (Error::Connect { .. }
        | Error::NotAllowed { .. }
        | Error::NoPrimary { .. }
        | Error::TlsMissing { .. }
        | Error::Tls(_)
        | Error::Authentication(_)
        | Error::ConnectionLost(_)
        | Error::Server(_)
        | Error::Timeout { .. }
        | Error::InvalidArgument(_)) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssl_modes_keep_the_words_of_libpq() {
        for word in [
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
        ] {
            assert_eq!(word.parse::<SslMode>().unwrap().to_string(), word);
        }
        assert!("always".parse::<SslMode>().is_err());
    }
}
