//! Why the way to a source ends, and what opens it.

use std::io;
use std::net::IpAddr;

use rowcast_domain::TableName;
use rowcast_pg::{ConnectOptions, Error, ServerError, transport};

use crate::finding::Finding;

pub(crate) mod hba;
pub(crate) mod tls;

/// SQLSTATE of a login with a wrong password.
const PASSWORD_WRONG: &str = "28P01";

/// What `PgBouncer` says where it does not pass something on (its `src/client.c`), in no other language.
/// PostgreSQL has no such message.
const POOLERS_REFUSAL: &str = "unsupported startup parameter";

/// What an error on the way means.
pub(crate) struct Diagnosis {
    /// Stable name, as `password_wrong`.
    pub(crate) name: &'static str,
    /// Why it fails.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) repair: String,
}

impl Diagnosis {
    pub(crate) fn new(
        name: &'static str,
        cause: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self {
            name,
            cause: cause.into(),
            repair: repair.into(),
        }
    }

    pub(crate) fn of(error: &Error, options: &ConnectOptions) -> Self {
        match error {
            Error::Connect { cause, .. } => of_network(cause, options),
            Error::NotAllowed { host, address } => Self::new(
                "not_allowed",
                format!("{host} is at {address}, where this Rowcast lets no source be."),
                "Give another host, or ask who runs Rowcast to allow the network in \
                 ROWCAST_SOURCE_NETWORKS of precheck and capture; link-local addresses never are.",
            ),
            Error::NoPrimary { .. } => Self::new(
                "no_primary",
                "Each of the hosts that answers is a standby, and changes are decoded on the primary.",
                "Name all hosts of the cluster, or wait for its failover to end.",
            ),
            Error::TlsMissing { .. } => tls::missing(options),
            Error::Tls(text) => tls::failed(text, options),
            Error::Server(answer) => of_answer(answer, options),
            Error::Timeout { .. } => timed_out(options),
            Error::Authentication(_) => Self::new(
                "login_refused",
                "The two sides cannot agree on how to log in.",
                "Give the account a SCRAM password (password_encryption = 'scram-sha-256', then set the \
                 password again), or use sslmode verify-full so that the password is safe to send.",
            ),
            Error::ConnectionLost(_) => Self::new(
                "connection_lost",
                "The connection was closed before the login was finished.",
                format!(
                    "See PostgreSQL's log, and whether a firewall or proxy stands before port {}.",
                    options.port
                ),
            ),
            Error::Protocol(_) | Error::InvalidArgument(_) => Self::new(
                "not_postgresql",
                "What answers does not speak PostgreSQL's protocol.",
                "Check host and port.",
            ),
        }
    }

    /// As [`Diagnosis::of`]; of a login that `pg_hba.conf` does not let in, what the server's message does not tell in
    /// every language is tried.
    pub(crate) async fn by_trying(error: &Error, options: &ConnectOptions) -> Self {
        match error {
            Error::Server(answer) if answer.code == hba::REFUSED => {
                if hba::is_about(answer) && tls::is_required(options).await {
                    return tls::required(options);
                }
                let from = dialled_from(options).await;
                hba::not_admitted(answer, options, Some(&options.database), from)
            }
            Error::Server(_)
            | Error::Connect { .. }
            | Error::NotAllowed { .. }
            | Error::NoPrimary { .. }
            | Error::TlsMissing { .. }
            | Error::Tls(_)
            | Error::Authentication(_)
            | Error::ConnectionLost(_)
            | Error::Protocol(_)
            | Error::Timeout { .. }
            | Error::InvalidArgument(_) => Self::of(error, options),
        }
    }

    /// `saw` begins with the name of the cause.
    pub(crate) fn finding(self, error: &Error) -> Finding {
        let saw = format!("{}: {error}", self.name);
        Finding::fail(saw, self.cause, self.repair)
    }
}

/// Our own address on the way to the server.
async fn dialled_from(options: &ConnectOptions) -> Option<IpAddr> {
    let addresses = transport::resolve(options).await.ok()?;
    let dialled = transport::dial(options, &addresses).await.ok()?;
    dialled.local().map(|address| address.ip())
}

fn of_network(cause: &io::Error, options: &ConnectOptions) -> Diagnosis {
    use io::ErrorKind as K;
    let ConnectOptions { host, port, .. } = options;
    let kind = cause.kind();
    if kind == K::ConnectionRefused {
        return Diagnosis::new(
            "refused",
            format!("Nothing listens on port {port} of {host}."),
            "Start PostgreSQL, or correct the port. Where it listens on localhost only, run this, then restart \
             PostgreSQL:\nALTER SYSTEM SET listen_addresses = '*';",
        );
    }
    if kind == K::TimedOut {
        return timed_out(options);
    }
    // What dialling answers comes with a code of the operating system; what resolving answers does
    // not.
    let is_dialled = cause.raw_os_error().is_some()
        || [
            K::HostUnreachable,
            K::NetworkUnreachable,
            K::PermissionDenied,
        ]
        .contains(&kind);
    if is_dialled {
        return Diagnosis::new(
            "unreachable",
            format!("There is no way from here to {host}."),
            "Check host and port, and routes and firewalls between Rowcast and the source.",
        );
    }
    Diagnosis::new(
        "host_not_found",
        format!("The name {host} does not resolve."),
        "Check the host name, and that the DNS which Rowcast uses knows it.",
    )
}

fn timed_out(options: &ConnectOptions) -> Diagnosis {
    Diagnosis::new(
        "timeout",
        format!("{}:{} does not answer.", options.host, options.port),
        format!(
            "Let TCP connections from Rowcast to port {} of {} through every firewall and security group before \
             the source.",
            options.port, options.host
        ),
    )
}

fn pooler(options: &ConnectOptions) -> Diagnosis {
    let ConnectOptions { host, port, .. } = options;
    Diagnosis::new(
        "pooler",
        format!(
            "On {host}:{port} stands a connection pooler as PgBouncer, and not PostgreSQL itself. It passes \
             on no connection that streams changes, nor its settings."
        ),
        "Give host and port of PostgreSQL itself; PgBouncer names them under [databases] in pgbouncer.ini.",
    )
}

/// By SQLSTATE (PostgreSQL docs, "PostgreSQL Error Codes").
fn of_answer(answer: &ServerError, options: &ConnectOptions) -> Diagnosis {
    let ConnectOptions { user, database, .. } = options;
    if answer.message.starts_with(POOLERS_REFUSAL) {
        return pooler(options);
    }
    match answer.code.as_str() {
        PASSWORD_WRONG => Diagnosis::new(
            "password_wrong",
            format!("The password of {user} is wrong, or there is no such role."),
            format!(
                "Correct the source's account and password.\nOr set the role's password, in psql:\n\\password {}",
                TableName::quote(user)
            ),
        ),
        hba::REFUSED => hba::not_admitted(answer, options, Some(database), None),
        "3D000" => Diagnosis::new(
            "database_missing",
            format!("There is no database {database}."),
            format!(
                "Correct the database's name; case counts.\nOr make it:\nCREATE DATABASE {};",
                TableName::quote(database)
            ),
        ),
        "42501" => Diagnosis::new(
            "connect_forbidden",
            format!("{user} may not connect to {database}."),
            format!(
                "GRANT CONNECT ON DATABASE {} TO {};",
                TableName::quote(database),
                TableName::quote(user)
            ),
        ),
        "53300" => used_up(answer, options),
        "57P03" => Diagnosis::new(
            "not_ready",
            "The server is starting up, shutting down or recovering.",
            "Wait until it accepts connections.",
        ),
        _ => Diagnosis::new(
            "server_refused",
            "The server answered the login with an error.",
            "Repair what the server reports.",
        ),
    }
}

/// Which limit is reached stands in the message alone, where that is English.
fn used_up(answer: &ServerError, options: &ConnectOptions) -> Diagnosis {
    let name = "too_many_connections";
    let (user, database) = (&options.user, &options.database);
    if answer.message.starts_with("too many connections for role") {
        return Diagnosis::new(
            name,
            format!("{user} has as many connections as its CONNECTION LIMIT lets it have."),
            format!("ALTER ROLE {} CONNECTION LIMIT -1;", TableName::quote(user)),
        );
    }
    if answer
        .message
        .starts_with("too many connections for database")
    {
        return Diagnosis::new(
            name,
            format!("{database} has as many connections as its CONNECTION LIMIT lets it have."),
            format!(
                "ALTER DATABASE {} CONNECTION LIMIT -1;",
                TableName::quote(database)
            ),
        );
    }
    Diagnosis::new(
        name,
        "All connections of the server, the database or the role are in use.",
        "Close idle connections, or raise max_connections or the CONNECTION LIMIT. See who has them: SELECT pid, \
         usename, datname, state FROM pg_stat_activity;",
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use rowcast_domain::Secret;
    use rowcast_pg::SslMode;
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    pub(crate) fn options() -> ConnectOptions {
        ConnectOptions {
            host: "db.example.com".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            user: "rowcast".to_owned(),
            password: Secret::new("hunter2"),
            ssl_mode: SslMode::VerifyFull,
            ssl_root_cert: None,
            client_certificate: None,
            networks: rowcast_pg::Networks::default(),
            application_name: String::new(),
            connect_timeout: std::time::Duration::from_secs(1),
        }
    }

    fn name_of(error: &Error) -> String {
        let finding = Diagnosis::of(error, &options()).finding(error);
        assert_eq!(finding.outcome, CheckOutcome::Fail);
        assert!(!finding.cause.is_empty() && !finding.repair.is_empty());
        assert!(!format!("{finding:?}").contains("hunter2"));
        finding.saw.split(':').next().unwrap().to_owned()
    }

    fn dialled(cause: io::Error) -> Error {
        Error::Connect {
            address: "db.example.com:5432".to_owned(),
            cause,
        }
    }

    pub(crate) fn answer(code: &str, message: &str) -> ServerError {
        ServerError {
            code: code.to_owned(),
            message: message.to_owned(),
            detail: None,
            hint: None,
        }
    }

    fn answered(code: &str) -> Error {
        answer(code, "no").into()
    }

    #[test]
    fn every_cause_has_its_name_and_repair() {
        let lookup = io::Error::other("failed to lookup address information");
        assert_eq!(name_of(&dialled(lookup)), "host_not_found");
        assert_eq!(
            name_of(&dialled(io::ErrorKind::ConnectionRefused.into())),
            "refused"
        );
        assert_eq!(name_of(&dialled(io::ErrorKind::TimedOut.into())), "timeout");
        assert_eq!(name_of(&Error::Tls("bad certificate".to_owned())), "tls");
        assert_eq!(name_of(&answered("28P01")), "password_wrong");
        assert_eq!(name_of(&answered("28000")), "login_forbidden");
        assert_eq!(name_of(&answered("3D000")), "database_missing");
        assert_eq!(name_of(&answered("42501")), "connect_forbidden");
        assert_eq!(name_of(&answered("XX000")), "server_refused");
    }
}
