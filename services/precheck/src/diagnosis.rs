//! Why the way to a source ends, and what opens it.

use std::io;
use std::net::IpAddr;

use rowcast_domain::TableName;
use rowcast_pg::{ConnectOptions, Error, ServerError, SslMode};

use crate::finding::Finding;

/// Words that mean something else in `pg_hba.conf` than a name, unless quoted (PostgreSQL docs, "The
/// `pg_hba.conf` File").
const HBA_KEYWORDS: [&str; 4] = ["all", "sameuser", "samerole", "replication"];

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
            Error::Tls(_) => of_tls(options),
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

    /// `saw` begins with the name of the cause.
    pub(crate) fn finding(self, error: &Error) -> Finding {
        let saw = format!("{}: {error}", self.name);
        Finding::fail(saw, self.cause, self.repair)
    }
}

fn of_network(cause: &io::Error, options: &ConnectOptions) -> Diagnosis {
    use io::ErrorKind as K;
    let ConnectOptions { host, port, .. } = options;
    let kind = cause.kind();
    if kind == K::ConnectionRefused {
        return Diagnosis::new(
            "refused",
            format!("Nothing listens on port {port} of {host}."),
            "Start PostgreSQL, check the port, and let it listen on more than localhost: \
             ALTER SYSTEM SET listen_addresses = '*'; then restart it.",
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
        "Let connections from Rowcast through every firewall before the source.",
    )
}

fn of_tls(options: &ConnectOptions) -> Diagnosis {
    if options.client_certificate.is_some() {
        return Diagnosis::new(
            "tls",
            format!(
                "The connection does not reach what sslmode {} asks for, or the server does not take the \
                 client certificate.",
                options.ssl_mode
            ),
            format!(
                "Let the server trust the authority of the client certificate: ALTER SYSTEM SET ssl_ca_file = \
                 '…'; SELECT pg_reload_conf(); and issue it to {} as its common name (CN). Give the root \
                 certificate that signed the server's.",
                options.user
            ),
        );
    }
    Diagnosis::new(
        "tls",
        format!(
            "The connection does not reach what sslmode {} asks for.",
            options.ssl_mode
        ),
        "Switch TLS on at the server (ALTER SYSTEM SET ssl = on, with a certificate), give the root \
         certificate that signed the server's, or choose a weaker sslmode.",
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
        "28P01" => Diagnosis::new(
            "password_wrong",
            format!("The password of {user} is wrong, or there is no such role."),
            format!("Correct account and password, or set it: \\password {user}"),
        ),
        "28000" => not_admitted(answer, options, Some(database)),
        "3D000" => Diagnosis::new(
            "database_missing",
            format!("There is no database {database}."),
            "Correct the database's name; case counts.",
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
        "53300" => Diagnosis::new(
            "too_many_connections",
            "All connections of the server, the database or the role are in use.",
            "Close idle connections, or raise max_connections or the CONNECTION LIMIT.",
        ),
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

/// SQLSTATE 28000: `pg_hba.conf` has no line, or the role may not log in at all. The file's name is
/// in the message in every language. Without a database the connection is one that streams, which
/// before 10 takes a line of its own.
pub(crate) fn not_admitted(
    answer: &ServerError,
    options: &ConnectOptions,
    database: Option<&str>,
) -> Diagnosis {
    let user = &options.user;
    if !answer.message.contains("pg_hba.conf") {
        let role = TableName::quote(user);
        return Diagnosis::new(
            "login_forbidden",
            format!("The server has no role {user} that may log in."),
            format!(
                "ALTER ROLE {role} LOGIN; or, where there is none: CREATE ROLE {role} LOGIN REPLICATION \
                 PASSWORD '<password>';"
            ),
        );
    }
    Diagnosis::new(
        "login_forbidden",
        format!(
            "pg_hba.conf does not let {user} log in from here for {}.",
            database.unwrap_or("replication")
        ),
        format!(
            "Add to pg_hba.conf, above any line that rejects it: {}; then SELECT pg_reload_conf(); \
             (before PostgreSQL 10, md5 in place of scram-sha-256)",
            hba_line(answer, options, database)
        ),
    )
}

/// The line that admits this connection. The address is the one that the server saw, where it tells:
/// between us and the server it may have been translated.
fn hba_line(answer: &ServerError, options: &ConnectOptions, database: Option<&str>) -> String {
    let database = database.map_or_else(|| "replication".to_owned(), hba_name);
    let names = format!("{database} {}", hba_name(&options.user));
    if options.host.starts_with('/') {
        return format!("local {names} scram-sha-256");
    }
    let kind = match options.ssl_mode {
        SslMode::Disable | SslMode::Prefer => "host",
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => "hostssl",
    };
    let address = match address_in(&answer.message) {
        Some(address @ IpAddr::V4(_)) => format!("{address}/32"),
        Some(address @ IpAddr::V6(_)) => format!("{address}/128"),
        None => "<address of Rowcast>/32".to_owned(),
    };
    format!("{kind} {names} {address} scram-sha-256")
}

fn hba_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !HBA_KEYWORDS.contains(&name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The first word of a message that is an address, whatever its quotes.
fn address_in(message: &str) -> Option<IpAddr> {
    message
        .split(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':')
        .filter(|word| word.len() > 2)
        .find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use rowcast_domain::Secret;
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    fn options() -> ConnectOptions {
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

    fn answer(code: &str, message: &str) -> ServerError {
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

    fn repair(message: &str, change: impl FnOnce(&mut ConnectOptions)) -> String {
        let mut options = options();
        change(&mut options);
        Diagnosis::of(&answer("28000", message).into(), &options).repair
    }

    #[test]
    fn the_line_of_pg_hba_conf_has_the_address_that_the_server_saw() {
        let english =
            "no pg_hba.conf entry for host \"10.0.0.5\", user \"a\", database \"b\", no encryption";
        let line = "hostssl shop rowcast 10.0.0.5/32 scram-sha-256;";
        let found = repair(english, |_| {});
        assert!(found.contains(line), "{found}");
        let german = "kein pg_hba.conf-Eintrag für Host »fd00::5«, Benutzer »a«, Datenbank »b«";
        let found = repair(german, |options| options.ssl_mode = SslMode::Disable);
        let line = "host shop rowcast fd00::5/128 scram-sha-256;";
        assert!(found.contains(line), "{found}");
        let local = repair("no pg_hba.conf entry for host \"[local]\"", |options| {
            "/run/postgresql".clone_into(&mut options.host);
        });
        assert!(
            local.contains("local shop rowcast scram-sha-256;"),
            "{local}"
        );
    }

    #[test]
    fn names_that_the_file_would_read_otherwise_are_quoted() {
        let found = repair("pg_hba.conf rejects host \"10.0.0.5\"", |options| {
            "all".clone_into(&mut options.database);
            "Ada \"x\"".clone_into(&mut options.user);
        });
        let line = "hostssl \"all\" \"Ada \"\"x\"\"\" 10.0.0.5/32";
        assert!(found.contains(line), "{found}");
    }

    #[test]
    fn a_role_that_may_not_log_in_is_no_matter_of_pg_hba_conf() {
        let found = repair("role \"rowcast\" is not permitted to log in", |_| {});
        assert!(
            found.starts_with("ALTER ROLE \"rowcast\" LOGIN;"),
            "{found}"
        );
    }
}
