//! What can go wrong with a customer's PostgreSQL, and whether trying again can help.

use std::io;
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use crate::connect::SslMode;

/// A failed conversation with PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: the name does not resolve, nobody listens, or the network refuses.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// Host and port, or socket path, as dialled.
        address: String,
        /// The operating system's answer.
        cause: io::Error,
    },
    /// The settings let no source be there.
    #[error("{host} is at {address}, where the settings let no source be")]
    NotAllowed {
        /// As the user named it.
        host: String,
        /// What the name leads to.
        address: String,
    },
    /// Of several hosts none takes writes: a failover may be under way.
    #[error("none of the hosts takes writes: {hosts}")]
    NoPrimary {
        /// What each of them is.
        hosts: String,
    },
    /// The server has no TLS, and the mode asks for it.
    #[error("TLS: the server does not support TLS, but sslmode is {ssl_mode}")]
    TlsMissing {
        /// What was asked for.
        ssl_mode: SslMode,
    },
    /// TLS is refused, or the server's certificate is not the one asked for.
    #[error("TLS: {0}")]
    Tls(String),
    /// The login did not come to an end that both sides can trust.
    #[error("authentication: {0}")]
    Authentication(String),
    /// An established connection ended.
    #[error("connection lost: {0}")]
    ConnectionLost(io::Error),
    /// The server answered with an error.
    #[error(transparent)]
    Server(Box<ServerError>),
    /// The server sent what the protocol does not allow, or what this client does not know.
    #[error("protocol: {0}")]
    Protocol(String),
    /// A bounded step took too long.
    #[error("{step} did not finish within {limit:?}")]
    Timeout {
        /// What was being done.
        step: &'static str,
        /// The bound.
        limit: Duration,
    },
    /// The caller's value cannot be sent to the server.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
}

/// An `ErrorResponse` (PostgreSQL docs, "Error and Notice Message Fields").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct ServerError {
    /// SQLSTATE, five characters (PostgreSQL docs, "PostgreSQL Error Codes").
    pub code: String,
    /// The primary message.
    pub message: String,
    /// The detail, where the server gives one.
    pub detail: Option<String>,
    /// The hint, where the server gives one.
    pub hint: Option<String>,
}

/// Whether the same call can succeed later without anybody changing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Waiting helps: the network, a restart, a limit that others use up at the moment.
    Transient,
    /// Somebody has to change something first.
    Definite,
}

impl Error {
    /// Whether trying again can help.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. }
            | Self::NoPrimary { .. }
            | Self::ConnectionLost(_)
            | Self::Timeout { .. } => ErrorClass::Transient,
            Self::Server(error) => error.class(),
            Self::NotAllowed { .. }
            | Self::TlsMissing { .. }
            | Self::Tls(_)
            | Self::Authentication(_)
            | Self::Protocol(_)
            | Self::InvalidArgument(_) => ErrorClass::Definite,
        }
    }

    /// The SQLSTATE, where the server answered with one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            Self::Connect { .. }
            | Self::NotAllowed { .. }
            | Self::NoPrimary { .. }
            | Self::TlsMissing { .. }
            | Self::Tls(_)
            | Self::Authentication(_)
            | Self::ConnectionLost(_)
            | Self::Protocol(_)
            | Self::Timeout { .. }
            | Self::InvalidArgument(_) => None,
        }
    }

    /// The peer closed its side where an answer was due.
    pub(crate) fn closed(context: &'static str) -> Self {
        Self::ConnectionLost(io::Error::new(io::ErrorKind::UnexpectedEof, context))
    }

    /// A message body that does not parse.
    pub(crate) fn malformed(cause: &io::Error) -> Self {
        Self::Protocol(cause.to_string())
    }
}

impl ServerError {
    /// Whether trying again can help, by SQLSTATE.
    ///
    /// 53400 (all slots in use) is definite although its class is "insufficient resources": slots
    /// do not free themselves.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        let transient = matches!(
            self.code.as_str(),
            // operator intervention that passes: shutdown, crash, starting up, timeouts
            "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "25P03" | "25P04"
            // memory, disk, connections
            | "53000" | "53100" | "53200" | "53300"
            // serialization failure, deadlock, object in use, lock not available
            | "40001" | "40P01" | "55006" | "55P03"
            // I/O error of the server
            | "58030"
        ) || self.code.starts_with("08");
        if transient {
            ErrorClass::Transient
        } else {
            ErrorClass::Definite
        }
    }

    /// Reads the fields of an `ErrorResponse`.
    pub(crate) fn from_fields(mut fields: ErrorFields<'_>) -> Result<Self, Error> {
        let mut error = Self {
            code: String::new(),
            message: String::new(),
            detail: None,
            hint: None,
        };
        while let Some(field) = fields.next().map_err(|cause| Error::malformed(&cause))? {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        Ok(error)
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        Self {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return ServerError::from(answer).into();
        }
        if error.is_closed() {
            return Self::closed("the connection is closed");
        }
        let text = full_text(&error);
        let cause = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<io::Error>())
            .map(io::Error::kind);
        match cause {
            // tokio-postgres reports a message it cannot parse as an I/O error of these kinds.
            None | Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                Self::Protocol(text)
            }
            Some(kind) => Self::ConnectionLost(io::Error::new(kind, text)),
        }
    }
}

/// The error with its causes, which `Display` of `tokio_postgres::Error` leaves out.
fn full_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(code: &str) -> ErrorClass {
        ServerError {
            code: code.to_owned(),
            message: String::new(),
            detail: None,
            hint: None,
        }
        .class()
    }

    #[test]
    fn sqlstate_decides_whether_waiting_helps() {
        for code in [
            "08006", "57P01", "57P02", "57P03", "53300", "40001", "55006",
        ] {
            assert_eq!(class_of(code), ErrorClass::Transient, "{code}");
        }
        for code in [
            "28P01", "28000", "3D000", "42704", "55000", "58P01", "53400", "XX000", "",
        ] {
            assert_eq!(class_of(code), ErrorClass::Definite, "{code}");
        }
    }
}
