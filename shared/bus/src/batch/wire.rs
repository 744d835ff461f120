//! A connection to NATS that does nothing but publish and take replies (NATS docs, "Client Protocol").
//!
//! The general client costs four times as much for each message: a command through a channel, a map of
//! headers. Here a batch is written as bytes into one buffer. It does not reconnect: whoever publishes
//! batches must read the stream's tail first.

use std::io;
use std::time::Duration;

use async_nats::ServerAddr;
use bytes::{Buf as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::socket::{self, Socket};
use crate::connect::BusConfig;

/// How long a connection may take, the login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Room for what the server says, in bytes: replies are small.
const INPUT: usize = 8 * 1024;

/// Room for what is written that is kept while nothing is, in bytes: a usual batch fits.
const OUTPUT: usize = 1024 * 1024;

/// A line of the server that is longer is none: `INFO` lists the servers of a cluster.
const LONGEST_LINE: usize = 64 * 1024;

/// A connection cannot be made, or is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The network failed.
    #[error("the connection to NATS is lost")]
    Lost(#[source] io::Error),
    /// Nobody answers in time.
    #[error("NATS at {0} does not answer")]
    Silent(String),
    /// The server refuses.
    #[error("NATS refuses: {0}")]
    Refused(String),
    /// TLS cannot be had.
    #[error("no TLS with NATS: {0}")]
    Tls(String),
    /// What the server says is not the protocol.
    #[error("NATS said something that is not its protocol: {0}")]
    Protocol(String),
    /// The setting cannot be read.
    #[error("{0:?} is no URL of a NATS server")]
    Url(String),
}

/// What came to the inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Status of the header, as 503 where nobody listens (NATS ADR-4).
    pub(super) status: Option<u16>,
    pub(super) payload: Bytes,
}

/// The connection.
pub(super) struct Wire {
    socket: Socket,
    input: BytesMut,
    /// What is still to be written. Whatever is begun is finished first, so no call but the first
    /// write of a message can tear one.
    output: Vec<u8>,
    written: usize,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    tls_required: bool,
    #[serde(default)]
    headers: bool,
}

/// What the server says.
enum Operation {
    Info(Info),
    Reply(Reply),
    Ping,
    Pong,
    Refusal(String),
    Nothing,
}

impl Wire {
    /// Logs in to the first server that answers, and listens on `inbox`.
    pub(super) async fn open(config: &BusConfig, inbox: &str) -> Result<Self, WireError> {
        let mut last = WireError::Url(config.url.clone());
        for url in config.url.split(',').map(str::trim) {
            let address: ServerAddr = url
                .parse()
                .map_err(|_malformed| WireError::Url(url.to_owned()))?;
            let opened =
                tokio::time::timeout(CONNECT_TIMEOUT, Self::log_in(&address, config, inbox));
            match opened.await {
                Ok(Ok(wire)) => return Ok(wire),
                Ok(Err(error)) => last = error,
                Err(_elapsed) => last = WireError::Silent(url.to_owned()),
            }
        }
        Err(last)
    }

    async fn log_in(
        address: &ServerAddr,
        config: &BusConfig,
        inbox: &str,
    ) -> Result<Self, WireError> {
        let socket = socket::dial(address.host(), address.port())
            .await
            .map_err(WireError::Lost)?;
        let mut wire = Self {
            socket,
            input: BytesMut::with_capacity(INPUT),
            output: Vec::new(),
            written: 0,
        };
        let Operation::Info(info) = wire.operation().await? else {
            return Err(WireError::Protocol("no INFO at first".to_owned()));
        };
        if !info.headers {
            return Err(WireError::Refused("the server takes no headers".to_owned()));
        }
        if info.tls_required || address.tls_required() {
            wire.socket = socket::encrypted(wire.socket, address.host()).await?;
        }
        let connect = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1,
            "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "name": format!("{} batches", config.name),
            "user": config.user, "pass": config.password.expose(), "tls_required": info.tls_required,
        });
        let hello = format!("CONNECT {connect}\r\nSUB {inbox} 1\r\nPING\r\n");
        wire.output.extend_from_slice(hello.as_bytes());
        wire.flush().await?;
        loop {
            match wire.operation().await? {
                Operation::Pong => return Ok(wire),
                Operation::Refusal(reason) => return Err(WireError::Refused(reason)),
                Operation::Ping => wire.output.extend_from_slice(b"PONG\r\n"),
                Operation::Info(_) | Operation::Reply(_) | Operation::Nothing => {}
            }
        }
    }

    /// Where messages are written, to be sent by [`flush`](Self::flush).
    pub(super) const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes of the buffers.
    pub(super) fn memory(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Writes what is in the output. Cancel safe: what is not written yet is written by the next call.
    pub(super) async fn flush(&mut self) -> Result<(), WireError> {
        while self.written < self.output.len() {
            let rest = self.output.get(self.written..).unwrap_or_default();
            self.written += match self.socket.write(rest).await {
                Ok(0) => return Err(WireError::Lost(io::ErrorKind::WriteZero.into())),
                Ok(written) => written,
                Err(error) => return Err(WireError::Lost(error)),
            };
        }
        self.output.clear();
        self.written = 0;
        self.socket.flush().await.map_err(WireError::Lost)
    }

    /// Gives back memory that only large batches need: nothing is to be written for now.
    pub(super) fn rest(&mut self) {
        self.output.shrink_to(OUTPUT);
    }

    /// The next reply. Cancel safe.
    pub(super) async fn reply(&mut self) -> Result<Reply, WireError> {
        loop {
            if !self.output.is_empty() {
                self.flush().await?;
            }
            match self.operation().await? {
                Operation::Reply(reply) => return Ok(reply),
                Operation::Ping => self.output.extend_from_slice(b"PONG\r\n"),
                Operation::Refusal(reason) => return Err(WireError::Refused(reason)),
                Operation::Info(_) | Operation::Pong | Operation::Nothing => {}
            }
        }
    }

    /// The next thing that the server says. Cancel safe.
    async fn operation(&mut self) -> Result<Operation, WireError> {
        loop {
            if let Some(operation) = parse(&mut self.input)? {
                return Ok(operation);
            }
            self.input.reserve(INPUT);
            match self.socket.read_buf(&mut self.input).await {
                Ok(0) => return Err(WireError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_read) => {}
                Err(error) => return Err(WireError::Lost(error)),
            }
        }
    }
}

/// Takes what is whole from the front of `input`.
fn parse(input: &mut BytesMut) -> Result<Option<Operation>, WireError> {
    let Some(end) = input.windows(2).position(|two| two == b"\r\n") else {
        let protocol = || WireError::Protocol("a line without end".to_owned());
        return if input.len() > LONGEST_LINE {
            Err(protocol())
        } else {
            Ok(None)
        };
    };
    let line = String::from_utf8_lossy(input.get(..end).unwrap_or_default()).into_owned();
    let malformed = || WireError::Protocol(line.clone());
    let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let operation = match word.to_ascii_uppercase().as_str() {
        "INFO" => Operation::Info(serde_json::from_str(rest).map_err(|_malformed| malformed())?),
        "PING" => Operation::Ping,
        "PONG" => Operation::Pong,
        "+OK" => Operation::Nothing,
        "-ERR" => Operation::Refusal(rest.trim_matches(['\'', ' ']).to_owned()),
        "MSG" | "HMSG" => {
            // MSG <subject> <sid> [reply] <bytes>; HMSG … <header bytes> <total bytes>
            let mut sizes = rest.rsplit(' ').map(str::parse::<usize>);
            let mut size = || sizes.next().and_then(Result::ok).ok_or_else(malformed);
            let total = size()?;
            let head = if word.eq_ignore_ascii_case("HMSG") {
                size()?
            } else {
                0
            };
            if head > total {
                return Err(malformed());
            }
            if input.len() < end + 2 + total + 2 {
                return Ok(None);
            }
            input.advance(end + 2);
            let mut payload = input.split_to(total).freeze();
            input.advance(2);
            let header = payload.split_to(head);
            let status = header
                .strip_prefix(b"NATS/1.0 ")
                .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
            return Ok(Some(Operation::Reply(Reply { status, payload })));
        }
        _other => return Err(malformed()),
    };
    input.advance(end + 2);
    Ok(Some(operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(wire: &[u8]) -> (Vec<Reply>, usize) {
        let mut input = BytesMut::from(wire);
        let (mut replies, mut others) = (Vec::new(), 0);
        while let Some(operation) = parse(&mut input).unwrap() {
            if let Operation::Reply(reply) = operation {
                replies.push(reply);
            } else {
                others += 1;
            }
        }
        (replies, others)
    }

    #[test]
    fn replies_are_read_wherever_the_bytes_are_cut() {
        let wire = b"INFO {\"headers\":true}\r\nPING\r\nMSG in 1 7\r\n{\"a\":1}\r\n+OK\r\nHMSG in 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nPONG\r\n";
        let expected = [
            Reply {
                status: None,
                payload: Bytes::from_static(b"{\"a\":1}"),
            },
            Reply {
                status: Some(503),
                payload: Bytes::new(),
            },
        ];
        let (replies, others) = parsed(wire);
        assert_eq!((replies.as_slice(), others), (expected.as_slice(), 4));
        for cut in 0..wire.len() {
            let (head, tail) = wire.split_at(cut);
            let mut input = BytesMut::from(head);
            let mut seen = 0;
            while parse(&mut input).unwrap().is_some() {
                seen += 1;
            }
            input.extend_from_slice(tail);
            while parse(&mut input).unwrap().is_some() {
                seen += 1;
            }
            assert_eq!((seen, input.len()), (6, 0), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn memory_of_large_batches_is_given_back_and_nothing_that_is_unsent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = socket::dial("127.0.0.1", address.port()).await.unwrap();
        let mut wire = Wire {
            socket,
            input: BytesMut::new(),
            output: vec![7; 3 * OUTPUT],
            written: 0,
        };
        wire.rest();
        assert!(wire.output == vec![7; 3 * OUTPUT]);
        assert!(wire.memory() >= 3 * OUTPUT);
        wire.output.clear();
        wire.rest();
        assert!(wire.memory() < 2 * OUTPUT);
    }

    #[test]
    fn what_is_no_protocol_is_refused() {
        for wire in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG in 1 many\r\n",
            b"HMSG in 1 9 3\r\n",
            b"INFO x\r\n",
        ] {
            assert!(parse(&mut BytesMut::from(wire)).is_err(), "{wire:?}");
        }
        assert!(parse(&mut BytesMut::from(vec![b'x'; LONGEST_LINE + 1].as_slice())).is_err());
    }
}
