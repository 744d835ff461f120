//! A replication connection (PostgreSQL docs, "Streaming Replication Protocol").
//!
//! ```text
//! connect ─▶ ReplicationConnection ── identify_system, create_logical_slot, drop_slot
//!                    │ start_logical
//!                    ├─▶ FrameReader    what the server sends: WAL data, keepalives, notices
//!                    └─▶ StatusWriter   what the server may forget: standby status updates
//! ```
//!
//! Reader and writer are apart so that a status update never waits for a reader that is held up.

use std::io;

use rowcast_domain::Lsn;

use crate::Error;
use crate::connect::ConnectOptions;
use crate::pace::{self, Gathering};
use crate::transport::Stream;

mod startup;
mod auth;
mod frame;
mod reader;
mod status;

pub use frame::Frame;
pub use reader::FrameReader;
pub use status::{Status, StatusWriter};

use startup::{Row, Startup};

/// The longest name PostgreSQL keeps: `NAMEDATALEN` - 1.
const NAME_LIMIT: usize = 63;
/// The first major version that knows `NOEXPORT_SNAPSHOT`.
const NOEXPORT_SNAPSHOT_SINCE: u32 = 10;
/// The first major version whose standbys can keep copies of slots.
const FAILOVER_SINCE: u32 = 17;

/// In which encoding the server sends texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Converted to UTF-8.
    Utf8,
    /// As they are stored: of a database whose encoding is `SQL_ASCII`, for which the server refuses to
    /// send what is no UTF-8 (PostgreSQL docs, "Character Set Support").
    AsStored,
}

impl Encoding {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF8",
            Self::AsStored => "SQL_ASCII",
        }
    }
}

/// A logged-in replication connection that does not stream yet.
pub struct ReplicationConnection {
    startup: Startup,
}

/// The answer to `IDENTIFY_SYSTEM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemIdentity {
    /// Identifies the cluster; every physical copy of it shares it.
    pub system_id: String,
    /// The current timeline.
    pub timeline: u32,
    /// The end of the WAL that is flushed.
    pub flush_lsn: Lsn,
    /// The database connected to.
    pub database: String,
}

/// Where a timeline of the server's past ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineEnd {
    /// The timeline.
    pub timeline: u32,
    /// WAL up to here belongs to it; the next timeline begins here.
    pub end: Lsn,
}

impl ReplicationConnection {
    /// Connects and logs in.
    ///
    /// A password goes in clear or as MD5 only to a server that is known to be the right one: on
    /// this machine, or under a verified certificate.
    pub async fn connect(options: &ConnectOptions, encoding: Encoding) -> Result<Self, Error> {
        let limit = options.connect_timeout;
        let startup = tokio::time::timeout(limit, startup::login(options, encoding))
            .await
            .unwrap_or(Err(Error::Timeout {
                step: "connecting for replication",
                limit,
            }))?;
        Ok(Self { startup })
    }

    /// Whether the login was bound to the TLS connection (SCRAM-SHA-256-PLUS), which no relay can
    /// fake.
    #[must_use]
    pub fn channel_bound(&self) -> bool {
        self.startup.channel_bound
    }

    /// Asks the server who it is.
    pub async fn identify_system(&mut self) -> Result<SystemIdentity, Error> {
        let row = self.one_row("IDENTIFY_SYSTEM").await?;
        Ok(SystemIdentity {
            system_id: column(&row, 0)?.to_owned(),
            timeline: parse(column(&row, 1)?)?,
            flush_lsn: parse(column(&row, 2)?)?,
            database: column(&row, 3)?.to_owned(),
        })
    }

    /// Where the timelines before `timeline` ended; the first has none (PostgreSQL docs, "Streaming
    /// Replication Protocol", `TIMELINE_HISTORY`).
    pub async fn timeline_history(&mut self, timeline: u32) -> Result<Vec<TimelineEnd>, Error> {
        if timeline <= 1 {
            return Ok(Vec::new());
        }
        let row = self
            .one_row(&format!("TIMELINE_HISTORY {timeline}"))
            .await?;
        column(&row, 1)?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let mut fields = line.split_ascii_whitespace();
                let mut next = || fields.next().unwrap_or_default();
                Ok(TimelineEnd {
                    timeline: parse(next())?,
                    end: parse(next())?,
                })
            })
            .collect()
    }

    /// Creates a permanent logical slot and returns its consistent point: every transaction that
    /// commits after it will be streamed.
    ///
    /// The server waits for the transactions that run at the moment, so this can take as long as
    /// the longest of them. Dropping the future closes the connection, but the server goes on
    /// waiting, and the slot is seen meanwhile: active and without a position.
    ///
    /// With `failover`, standbys of the server may keep a copy of the slot (PostgreSQL docs,
    /// "Replication Slot Synchronization"); a server before 17 makes a slot without. A standby
    /// refuses it, with SQLSTATE 0A000: ask `pg_is_in_recovery()` first.
    pub async fn create_logical_slot(
        &mut self,
        name: &str,
        plugin: &str,
        failover: bool,
    ) -> Result<Lsn, Error> {
        let slot = quoted_name(name)?;
        let plugin = quoted_name(plugin)?;
        let major = self.startup.server_major;
        let options = if failover && major >= FAILOVER_SINCE {
            " (FAILOVER true, SNAPSHOT 'nothing')"
        } else if major >= NOEXPORT_SNAPSHOT_SINCE {
            " NOEXPORT_SNAPSHOT"
        } else {
            ""
        };
        let row = self
            .one_row(&format!(
                "CREATE_REPLICATION_SLOT {slot} LOGICAL {plugin}{options}"
            ))
            .await?;
        parse(column(&row, 1)?)
    }

    /// Drops a slot. An active one is refused with SQLSTATE 55006, a missing one with 42704.
    pub async fn drop_slot(&mut self, name: &str) -> Result<(), Error> {
        let slot = quoted_name(name)?;
        self.startup
            .query(&format!("DROP_REPLICATION_SLOT {slot}"))
            .await?;
        Ok(())
    }

    /// Starts streaming `slot`; `options` go to its output plugin.
    ///
    /// The server begins at `start` or at the slot's confirmed position, whichever is later, and
    /// says nothing about which it took.
    pub async fn start_logical(
        mut self,
        slot: &str,
        start: Lsn,
        options: &[(&str, &str)],
    ) -> Result<(FrameReader, StatusWriter), Error> {
        let mut command = format!(
            "START_REPLICATION SLOT {} LOGICAL {start}",
            quoted_name(slot)?
        );
        for (index, (name, value)) in options.iter().enumerate() {
            let separator = if index == 0 { " (" } else { ", " };
            command.push_str(&format!(
                "{separator}{} '{}'",
                quoted_name(name)?,
                value.replace('\'', "''")
            ));
        }
        if !options.is_empty() {
            command.push(')');
        }
        self.startup.start_copy(&command).await?;
        let (stream, buffered) = self.startup.into_parts();
        let (read, write) = halves(stream).map_err(Error::ConnectionLost)?;
        Ok((FrameReader::new(read, &buffered), StatusWriter::new(write)))
    }

    async fn one_row(&mut self, command: &str) -> Result<Row, Error> {
        self.startup
            .query(command)
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| Error::Protocol(format!("no row answers {command}")))
    }
}

/// The two halves of a stream, of which the first reads in large pieces where much comes and the socket holds them.
fn halves(stream: Stream) -> io::Result<(reader::Incoming, status::Outgoing)> {
    let halves: (reader::Incoming, status::Outgoing) = match stream {
        Stream::Tcp(socket) => {
            let (read, write) = pace::halves(socket.into_std()?);
            (Box::new(read), Box::new(write))
        }
        // It holds too few frames for a reader to stay away.
        Stream::Unix(socket) => {
            let (read, write) = tokio::io::split(socket);
            (Box::new(read), Box::new(write))
        }
        Stream::Tls(mut stream) => {
            stream.get_mut().0.pace()?;
            let (read, write) = tokio::io::split(stream);
            (Box::new(Gathering::new(read)), Box::new(write))
        }
    };
    Ok(halves)
}

/// Quotes a name of a slot, plugin or plugin option.
///
/// Replication commands take no bind parameters. The characters are those PostgreSQL allows in slot
/// names, and `-`, which options of `test_decoding` have.
fn quoted_name(name: &str) -> Result<String, Error> {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    };
    if (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(plain) {
        Ok(format!("\"{name}\""))
    } else {
        Err(Error::InvalidArgument(format!(
            "{name:?} is no name of a slot, plugin or plugin option"
        )))
    }
}

fn column(row: &Row, index: usize) -> Result<&str, Error> {
    row.get(index)
        .and_then(Option::as_deref)
        .ok_or_else(|| Error::Protocol(format!("column {index} of an answer is missing")))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|error: T::Err| Error::Protocol(format!("{text:?} in an answer: {error}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_over_a_socket_file_is_read_at_once_however_much_it_is() {
        let (mut server, client) = UnixStream::pair().unwrap();
        let (mut incoming, _outgoing) = halves(Stream::Unix(client)).unwrap();
        let (sent, mut received) = (vec![7; 16 << 10], vec![0; 16 << 10]);
        let (step, began) = (Duration::from_millis(5), Instant::now());
        for _ in 0..10 {
            for _ in 0..2 {
                server.write_all(&sent).await.unwrap();
                incoming.read_exact(&mut received).await.unwrap();
            }
            tokio::time::advance(step).await;
        }
        assert_eq!(began.elapsed(), 10 * step, "the reader stayed away");
    }

    #[test]
    fn names_that_could_end_the_quotes_are_refused() {
        assert_eq!(quoted_name("rc_orders_1").unwrap(), "\"rc_orders_1\"");
        assert_eq!(quoted_name("include-xids").unwrap(), "\"include-xids\"");
        let long = "a".repeat(NAME_LIMIT + 1);
        for name in ["", "a\"b", "a b", "Ab", "ä", "a;b", "a\0b", long.as_str()] {
            assert!(quoted_name(name).is_err(), "{name:?}");
        }
    }
}
