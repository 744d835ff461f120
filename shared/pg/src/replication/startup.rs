//! From the bare transport to a replication connection that takes commands.

use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{self, DataRowBody, Header, Message};
use postgres_protocol::message::frontend;
use rowcast_domain::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Error;
use crate::connect::{ConnectOptions, WITHOUT_TIME_LIMITS};
use crate::error::ServerError;
use crate::hosts;
use crate::replication::{Encoding, auth};
use crate::transport::{self, Stream, Transport};
use crate::{second_way, tls};

/// Session settings that decide how the server writes values, so that they do not depend on what
/// the role or the database has as defaults.
///
/// `search_path` makes `regclass` and its like print their schema. `lc_monetary` gives `money` one form
/// on every server: a point and two digits. `client_min_messages` keeps the warning that a publication is
/// missing from being filtered out. A walsender that waits for running transactions, to make a slot,
/// must not be timed out.
const OPTIONS: &str = "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC \
     -c extra_float_digits=3 -c bytea_output=hex -c search_path=pg_catalog \
     -c statement_timeout=0 -c lock_timeout=0 \
     -c quote_all_identifiers=off -c lc_monetary=C -c client_min_messages=warning";

/// The first major version whose walsenders take SQL.
const SQL_SINCE: u32 = 10;

/// Longest message before streaming starts, in bytes. Answers to commands are below a kilobyte;
/// errors can carry a context.
const MESSAGE_LIMIT: i32 = 1 << 20;

/// Initial size of the input buffer, in bytes: a whole login fits.
const INPUT_BUFFER: usize = 8 << 10;

/// `CopyBothResponse` (PostgreSQL docs, "Message Formats"), unknown to `postgres_protocol`.
const COPY_BOTH_RESPONSE: u8 = b'W';

/// One row of an answer, in text.
pub(crate) type Row = Vec<Option<String>>;

/// A connection before it streams: one command, one answer.
pub(crate) struct Startup {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    /// Major version; of versions before 10 the first number, 9.
    pub(crate) server_major: u32,
    /// Whether the login used channel binding.
    pub(crate) channel_bound: bool,
}

/// Connects, logs in, and waits until the server takes commands.
pub(crate) async fn login(options: &ConnectOptions, encoding: Encoding) -> Result<Startup, Error> {
    let options = &hosts::primary(options).await?;
    let transport = transport::open(options).await?;
    let other = second_way::after(options, &transport);
    let refusal = match login_once(options, transport, encoding).await {
        Ok(startup) => return Ok(startup),
        Err(refusal) => refusal,
    };
    let Some(other) = other.filter(|_other| second_way::may_help(&refusal)) else {
        return Err(refusal);
    };
    let again = async { login_once(&other, transport::open(&other).await?, encoding).await };
    Box::pin(again)
        .await
        .map_err(|second| second_way::telling(refusal, second))
}

async fn login_once(
    options: &ConnectOptions,
    transport: Transport,
    encoding: Encoding,
) -> Result<Startup, Error> {
    let mut startup = Startup {
        stream: transport.stream,
        input: BytesMut::with_capacity(INPUT_BUFFER),
        output: BytesMut::new(),
        server_major: 0,
        channel_bound: false,
    };
    let parameters = [
        ("user", options.user.as_str()),
        ("database", &options.database),
        ("replication", "database"),
        ("application_name", &options.application_name),
        ("client_encoding", encoding.as_str()),
        ("options", OPTIONS),
    ];
    frontend::startup_message(parameters, &mut startup.output)
        .map_err(|error| Error::InvalidArgument(error.to_string()))?;
    startup.send().await?;
    let credentials = Credentials {
        user: &options.user,
        password: &options.password,
        peer_is_known: transport.peer_is_known,
        channel_binding: transport.channel_binding,
    };
    startup.channel_bound = auth::authenticate(&mut startup, credentials).await?;
    startup.wait_until_ready().await?;
    if startup.server_major >= SQL_SINCE {
        startup.query(WITHOUT_TIME_LIMITS).await?;
    }
    Ok(startup)
}

/// What a login is made of.
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a Secret,
    /// Whether a password may be given to the server itself.
    pub(crate) peer_is_known: bool,
    /// What binds a SCRAM login to the TLS connection.
    pub(crate) channel_binding: Option<Vec<u8>>,
}

/// The connection ended before the login did.
fn lost(error: std::io::Error) -> Error {
    tls::refusal(&error).unwrap_or(Error::ConnectionLost(error))
}

impl Startup {
    /// The buffer for the next message to send.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Sends what was put into [`output`](Self::output).
    pub(crate) async fn send(&mut self) -> Result<(), Error> {
        self.stream
            .write_all_buf(&mut self.output)
            .await
            .map_err(lost)?;
        self.stream.flush().await.map_err(lost)
    }

    /// The next message that means something here. An error of the server ends the conversation.
    pub(crate) async fn receive(&mut self) -> Result<Message, Error> {
        loop {
            self.fill_one().await?;
            let message = Message::parse(&mut self.input)
                .map_err(|cause| Error::malformed(&cause))?
                .ok_or_else(|| Error::Protocol("a message shorter than its length".to_owned()))?;
            #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is non-exhaustive")]
            match message {
                Message::ErrorResponse(body) => {
                    return Err(ServerError::from_fields(body.fields())?.into());
                }
                Message::ParameterStatus(body) => {
                    if body.name().is_ok_and(|name| name == "server_version") {
                        self.server_major = body.value().map_or(0, major_version);
                    }
                }
                Message::NoticeResponse(_) | Message::NotificationResponse(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// Reads until the input starts with one whole message, and returns its tag.
    async fn fill_one(&mut self) -> Result<u8, Error> {
        loop {
            let header = Header::parse(&self.input).map_err(|cause| Error::malformed(&cause))?;
            if let Some(header) = header {
                if header.len() > MESSAGE_LIMIT {
                    return Err(Error::Protocol(format!(
                        "a message of {} bytes where a short one is due",
                        header.len()
                    )));
                }
                // The length counts itself but not the tag.
                if usize::try_from(header.len()).is_ok_and(|length| self.input.len() > length) {
                    return Ok(header.tag());
                }
            }
            let read = self.stream.read_buf(&mut self.input).await.map_err(lost)?;
            if read == 0 {
                return Err(Error::closed("the server closed the connection"));
            }
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        loop {
            #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is non-exhaustive")]
            match self.receive().await? {
                Message::ReadyForQuery(_) => return Ok(()),
                Message::BackendKeyData(_) => {}
                _ => return Err(unexpected("after the login")),
            }
        }
    }

    /// Runs a command by the simple query protocol and returns its rows.
    ///
    /// Not cancel safe: dropped half-way, the answer stays on the wire and the connection must not
    /// be used again.
    pub(crate) async fn query(&mut self, command: &str) -> Result<Vec<Row>, Error> {
        self.send_query(command).await?;
        let mut rows = Vec::new();
        loop {
            match self.receive().await {
                Ok(Message::DataRow(body)) => rows.push(text_row(&body)?),
                Ok(Message::RowDescription(_) | Message::CommandComplete(_)) => {}
                Ok(Message::ReadyForQuery(_)) => return Ok(rows),
                Ok(_) => return Err(unexpected("in an answer")),
                Err(error @ Error::Server(_)) => {
                    // The next command may follow only after ReadyForQuery. Where the error was
                    // fatal none comes, and the next command fails by itself.
                    if let Err(ended) = self.wait_until_ready().await {
                        tracing::debug!(error = %ended, "connection ended after an error");
                    }
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends `START_REPLICATION` and waits for the copy mode.
    pub(crate) async fn start_copy(&mut self, command: &str) -> Result<(), Error> {
        self.send_query(command).await?;
        loop {
            match self.fill_one().await? {
                COPY_BOTH_RESPONSE => {
                    let length = Header::parse(&self.input)
                        .ok()
                        .flatten()
                        .and_then(|header| usize::try_from(header.len()).ok())
                        .unwrap_or_default();
                    self.input.advance(length + 1);
                    return Ok(());
                }
                backend::NOTICE_RESPONSE_TAG | backend::PARAMETER_STATUS_TAG => {
                    Message::parse(&mut self.input)
                        .map(drop)
                        .map_err(|cause| Error::malformed(&cause))?;
                }
                // An ErrorResponse comes back as the error it is.
                _ => {
                    self.receive().await?;
                    return Err(unexpected("in place of the stream"));
                }
            }
        }
    }

    async fn send_query(&mut self, command: &str) -> Result<(), Error> {
        frontend::query(command, &mut self.output)
            .map_err(|error| Error::InvalidArgument(error.to_string()))?;
        self.send().await
    }

    /// The stream, and what was read from it but not used.
    pub(crate) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }
}

/// A message that the protocol does not have at this place.
pub(crate) fn unexpected(place: &str) -> Error {
    Error::Protocol(format!("an unexpected message {place}"))
}

/// `18.1 (Debian 18.1-1)` → 18, `9.6.24` → 9.
fn major_version(text: &str) -> u32 {
    text.split(|character: char| !character.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn text_row(body: &DataRowBody) -> Result<Row, Error> {
    body.ranges()
        .map(|range| {
            Ok(range.map(|range| {
                let bytes = body.buffer().get(range).unwrap_or_default();
                String::from_utf8_lossy(bytes).into_owned()
            }))
        })
        .collect()
        .map_err(|cause| Error::malformed(&cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number() {
        for (text, major) in [
            ("18.1 (Debian 18.1-1)", 18),
            ("9.6.24", 9),
            ("19devel", 19),
            ("", 0),
        ] {
            assert_eq!(major_version(text), major, "{text:?}");
        }
    }
}
