//! Can the source be reached and logged in to?

use std::io;

use rowcast_pg::{ConnectOptions, Error, Session, connect};

use super::Rule;
use crate::finding::Finding;

pub(super) const RULE: Rule = Rule {
    code: "connectivity",
    title: "The source can be reached",
    ran: "Resolve the host, connect, agree on TLS, log in",
};

/// Logs in; the session is for the checks that follow.
pub(super) async fn check(options: &ConnectOptions) -> (Finding, Option<Session>) {
    match connect(options).await {
        Ok(session) => {
            let saw = format!(
                "logged in to {} on {}:{} as {}",
                options.database, options.host, options.port, options.user
            );
            (Finding::pass(saw), Some(session))
        }
        Err(error) => (judge(&error, options), None),
    }
}

/// `saw` begins with a stable name of the cause, as `password_wrong`.
fn judge(error: &Error, options: &ConnectOptions) -> Finding {
    let Diagnosis {
        name,
        cause,
        repair,
    } = match error {
        Error::Connect { cause, .. } => of_network(cause, options),
        Error::Tls(_) => of_tls(options),
        Error::Server(answer) => of_answer(&answer.code, options),
        Error::Timeout { .. } => timed_out(options),
        Error::Authentication(_) => Diagnosis::new(
            "login_refused",
            "The two sides cannot agree on how to log in.",
            "Give the account a SCRAM password (password_encryption = 'scram-sha-256', then set the \
             password again), or use sslmode verify-full so that the password is safe to send.",
        ),
        Error::ConnectionLost(_) => Diagnosis::new(
            "connection_lost",
            "The connection was closed before the login was finished.",
            format!(
                "See PostgreSQL's log, and whether a firewall or proxy stands before port {}.",
                options.port
            ),
        ),
        Error::Protocol(_) | Error::InvalidArgument(_) => Diagnosis::new(
            "not_postgresql",
            "What answers does not speak PostgreSQL's protocol.",
            "Check host and port.",
        ),
    };
    Finding::fail(format!("{name}: {error}"), cause, repair)
}

struct Diagnosis {
    name: &'static str,
    cause: String,
    repair: String,
}

impl Diagnosis {
    fn new(name: &'static str, cause: impl Into<String>, repair: impl Into<String>) -> Self {
        Self {
            name,
            cause: cause.into(),
            repair: repair.into(),
        }
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

/// By SQLSTATE (PostgreSQL docs, "PostgreSQL Error Codes").
fn of_answer(code: &str, options: &ConnectOptions) -> Diagnosis {
    let ConnectOptions { user, database, .. } = options;
    match code {
        "28P01" => Diagnosis::new(
            "password_wrong",
            format!("The password of {user} is wrong, or there is no such role."),
            format!("Correct account and password, or set it: \\password {user}"),
        ),
        "28000" => Diagnosis::new(
            "login_forbidden",
            format!("The server does not let {user} log in to {database} from here."),
            format!(
                "Add to pg_hba.conf: hostssl {database} {user} <address of Rowcast>/32 scram-sha-256; \
                 then SELECT pg_reload_conf(); The role must exist and may log in: \
                 ALTER ROLE {} LOGIN;",
                rowcast_domain::TableName::quote(user)
            ),
        ),
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
                rowcast_domain::TableName::quote(database),
                rowcast_domain::TableName::quote(user)
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

#[cfg(test)]
mod tests {
    use rowcast_domain::Secret;
    use rowcast_pg::{ServerError, SslMode};
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    fn name_of(error: &Error) -> String {
        let options = ConnectOptions {
            host: "db.example.com".to_owned(),
            port: 5432,
            database: "shop".to_owned(),
            user: "rowcast".to_owned(),
            password: Secret::new("hunter2"),
            ssl_mode: SslMode::VerifyFull,
            ssl_root_cert: None,
            application_name: String::new(),
            connect_timeout: std::time::Duration::from_secs(1),
        };
        let finding = judge(error, &options);
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

    fn answered(code: &str) -> Error {
        Error::Server(Box::new(ServerError {
            code: code.to_owned(),
            message: "no".to_owned(),
            detail: None,
            hint: None,
        }))
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
