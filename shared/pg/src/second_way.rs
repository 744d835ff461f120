//! The second way to log in that `sslmode` has: `allow` tries without TLS and then with, `prefer` the other way round
//! (PostgreSQL docs, "SSL Support", "Protection Provided in Different Modes").
//!
//! As libpq, which begins anew where the server has refused the first login: what the server lets in is known only then,
//! for lines of `pg_hba.conf` may be for connections with TLS alone (`hostssl`), or for those without (`hostnossl`).

use crate::Error;
use crate::connect::{ConnectOptions, SslMode};
use crate::transport::Transport;

/// SQLSTATE of a login that `pg_hba.conf` does not let in.
const NOT_ADMITTED: &str = "28000";

/// The class of SQLSTATE of a login that is refused (PostgreSQL docs, "PostgreSQL Error Codes").
const LOGIN_REFUSED: &str = "28";

/// What to try where the server refuses the login on this connection.
pub(crate) fn after(options: &ConnectOptions, first: &Transport) -> Option<ConnectOptions> {
    let has_tls = first.tls_version().is_some();
    let ssl_mode = match options.ssl_mode {
        SslMode::Allow if !has_tls && !first.is_socket() => SslMode::Require,
        SslMode::Prefer if has_tls => SslMode::Disable,
        SslMode::Disable
        | SslMode::Allow
        | SslMode::Prefer
        | SslMode::Require
        | SslMode::VerifyCa
        | SslMode::VerifyFull => return None,
    };
    Some(ConnectOptions {
        ssl_mode,
        // Neither mode looks who the server is.
        ssl_root_cert: None,
        ..options.clone()
    })
}

/// Whether the server may answer otherwise to a login with TLS than to one without.
pub(crate) fn may_help(refusal: &Error) -> bool {
    refusal
        .sqlstate()
        .is_some_and(|code| code.starts_with(LOGIN_REFUSED))
}

/// The refusal that says more: that of the way which the server lets in, or else of the first.
pub(crate) fn telling(first: Error, second: Error) -> Error {
    match second.sqlstate() {
        Some(code) if code != NOT_ADMITTED && first.sqlstate() == Some(NOT_ADMITTED) => second,
        Some(_) | None => first,
    }
}
