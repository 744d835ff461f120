//! A login that the server does not let in: `pg_hba.conf` has no line for it, or the role may not log in at all.

use std::net::IpAddr;

use rowcast_domain::TableName;
use rowcast_pg::{ConnectOptions, ServerError, SslMode};

use super::Diagnosis;

/// SQLSTATE of a login that is not let in.
pub(super) const REFUSED: &str = "28000";

/// Words that mean something else in `pg_hba.conf` than a name, unless quoted (PostgreSQL docs, "The
/// `pg_hba.conf` File").
const HBA_KEYWORDS: [&str; 4] = ["all", "sameuser", "samerole", "replication"];

/// Whether it is `pg_hba.conf` that lets nobody in: its name is in the message in every language.
pub(super) fn is_about(answer: &ServerError) -> bool {
    answer.code == REFUSED && answer.message.contains("pg_hba.conf")
}

/// The diagnosis of SQLSTATE 28000. `from` is the address that we dialled from. Without a database the connection is one that streams, which before 10 takes a
/// line of its own.
pub(crate) fn not_admitted(
    answer: &ServerError,
    options: &ConnectOptions,
    database: Option<&str>,
    from: Option<IpAddr>,
) -> Diagnosis {
    let user = &options.user;
    let role = TableName::quote(user);
    if is_about(answer) {
        return Diagnosis::new(
            "login_forbidden",
            format!(
                "pg_hba.conf does not let {user} log in from here for {}.",
                database.unwrap_or("replication")
            ),
            with_line(answer, options, database, from),
        );
    }
    // The rest is told apart by words; in another language it is taken for the last.
    if answer.message.contains("valid client certificate") {
        return Diagnosis::new(
            "certificate_required",
            format!("pg_hba.conf lets {user} in with a client certificate only."),
            "Give the source sslcert and sslkey: a certificate that an authority of the server's ssl_ca_file has signed.",
        );
    }
    if answer.message.contains("authentication failed for user") {
        return Diagnosis::new(
            "login_forbidden",
            format!(
                "pg_hba.conf asks {user} for something else than a password, and gets no answer that will do."
            ),
            with_line(answer, options, database, from),
        );
    }
    let repair = if answer.message.contains("does not exist") {
        format!(
            "CREATE ROLE {role} LOGIN REPLICATION;\nThen set its password, in psql:\n\\password {role}"
        )
    } else {
        format!("ALTER ROLE {role} LOGIN;")
    };
    Diagnosis::new(
        "login_forbidden",
        format!("The server has no role {user} that may log in."),
        repair,
    )
}

fn with_line(
    answer: &ServerError,
    options: &ConnectOptions,
    database: Option<&str>,
    from: Option<IpAddr>,
) -> String {
    // Who streams without a database is of a server before 10, and there nobody has a SCRAM password.
    let (method, before_10) = match database {
        Some(_) => (
            "scram-sha-256",
            " (before PostgreSQL 10, md5 in place of scram-sha-256)",
        ),
        None => ("md5", ""),
    };
    format!(
        "Add to pg_hba.conf, above any line that rejects it{before_10}:\n{} {method}\nThen run:\nSELECT \
         pg_reload_conf();",
        line(answer, options, database, from)
    )
}

/// The line that admits this connection, but for its method. The address is the one that the server saw, where it tells:
/// between us and the server it may have been translated.
fn line(
    answer: &ServerError,
    options: &ConnectOptions,
    database: Option<&str>,
    from: Option<IpAddr>,
) -> String {
    let database = database.map_or_else(|| "replication".to_owned(), quoted);
    let names = format!("{database} {}", quoted(&options.user));
    if options.host.starts_with('/') {
        return format!("local {names}");
    }
    let kind = match options.ssl_mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => "host",
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => "hostssl",
    };
    let address = match address_in(&answer.message).or(from) {
        Some(address @ IpAddr::V4(_)) => format!("{address}/32"),
        Some(address @ IpAddr::V6(_)) => format!("{address}/128"),
        None => "<address of Rowcast>/32".to_owned(),
    };
    format!("{kind} {names} {address}")
}

fn quoted(name: &str) -> String {
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
    use super::super::tests::{answer, options};
    use super::*;

    fn repair(message: &str, change: impl FnOnce(&mut ConnectOptions)) -> String {
        let mut options = options();
        change(&mut options);
        Diagnosis::of(&answer("28000", message).into(), &options).repair
    }

    #[test]
    fn the_line_of_pg_hba_conf_has_the_address_that_the_server_saw() {
        let english =
            "no pg_hba.conf entry for host \"10.0.0.5\", user \"a\", database \"b\", no encryption";
        let line = "\nhostssl shop rowcast 10.0.0.5/32 scram-sha-256\n";
        let found = repair(english, |_| {});
        assert!(found.contains(line), "{found}");
        let german = "kein pg_hba.conf-Eintrag für Host »fd00::5«, Benutzer »a«, Datenbank »b«";
        let found = repair(german, |options| options.ssl_mode = SslMode::Disable);
        let line = "\nhost shop rowcast fd00::5/128 scram-sha-256\n";
        assert!(found.contains(line), "{found}");
        let local = repair("no pg_hba.conf entry for host \"[local]\"", |options| {
            "/run/postgresql".clone_into(&mut options.host);
        });
        assert!(
            local.contains("\nlocal shop rowcast scram-sha-256\n"),
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

    #[test]
    fn each_other_refusal_has_its_own_repair() {
        let found = repair("role \"rowcast\" does not exist", |_| {});
        assert!(found.starts_with("CREATE ROLE \"rowcast\" LOGIN REPLICATION;\n"));
        let found = repair("connection requires a valid client certificate", |_| {});
        assert!(found.contains("sslcert and sslkey"), "{found}");
        let found = repair("Ident authentication failed for user \"rowcast\"", |_| {});
        assert!(found.contains("pg_hba.conf"), "{found}");
    }
}
