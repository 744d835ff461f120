//! Questions that cannot be answered.

use rowcast_bus::refuse::{self, Refusal as _};
use rowcast_domain::ParseIdError;
use rowcast_pg::ParseSslModeError;
use rowcast_proto::message::RpcError;
use rowcast_service::keyring::KeyringError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The task's id is none.
    #[error(transparent)]
    TaskId(#[from] ParseIdError),
    /// The question lacks a part.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The port is none.
    #[error("{0} is not a port between 1 and 65535")]
    Port(u32),
    /// The TLS mode is none of ours.
    #[error(transparent)]
    SslMode(#[from] ParseSslModeError),
    /// The password cannot be opened.
    #[error("the stored password of the source cannot be opened: {0}")]
    Password(#[from] KeyringError),
    /// There is no such schema to be tracked.
    #[error("the database has no schema {0} that can be tracked")]
    NoSchema(String),
    /// No page ended there.
    #[error("no page ends where this one is to begin")]
    After,
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] rowcast_pg::Error),
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::TaskId(_) => refuse::invalid("malformed_id", detail).field("task_id"),
            Error::Missing(field) => refuse::invalid("missing_field", detail)
                .field(field)
                .repair(format!("Give {field}.")),
            Error::Port(_) => refuse::invalid("malformed_port", detail)
                .field("source.port")
                .repair("Give the port that PostgreSQL listens on; its default is 5432."),
            Error::SslMode(_) => {
                refuse::invalid("malformed_sslmode", detail).field("source.sslmode")
            }
            Error::Password(_) => refuse::invalid("password_unreadable", detail)
                .field("source.password")
                .repair("Enter the source's password again."),
            Error::NoSchema(_) => refuse::not_found("schema_not_found", detail)
                .field("schema")
                .repair("List the schemas (level=schemas) to see their names; case counts."),
            Error::After => refuse::invalid("malformed_cursor", detail)
                .field("cursor")
                .repair(
                    "Give next_cursor of the page before, with the same level, or leave it out.",
                ),
            Error::Source(_) => refuse::conflict("source_unreadable", detail),
        }
    }
}
