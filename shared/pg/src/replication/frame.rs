//! What the server sends while it streams (PostgreSQL docs, "Streaming Replication Protocol" and
//! "Message Formats"): parsed where it lies, without a copy.

use rowcast_domain::Lsn;

use crate::Error;
use crate::error::ServerError;

/// One message of the stream, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Output of the plugin.
    XLogData {
        /// Where this piece of WAL starts.
        start: Lsn,
        /// End of the WAL on the server when it sent this.
        end: Lsn,
        /// The server's clock, microseconds since 2000-01-01 UTC.
        sent_at_us: i64,
        /// The plugin's bytes.
        data: &'a [u8],
    },
    /// The server is alive, and has decoded up to here.
    Keepalive {
        /// End of the WAL the server has sent or had nothing to send of.
        wal_end: Lsn,
        /// The server wants a status update now, and closes the connection without one.
        reply_requested: bool,
    },
    /// A notice or warning: PostgreSQL 18 reports a missing publication so and goes on.
    Notice {
        /// `WARNING`, `NOTICE`, …; not translated where the server is 9.6 or later.
        severity: &'a str,
        /// SQLSTATE.
        code: &'a str,
        /// The primary message.
        message: &'a str,
    },
}

/// Longest message, in bytes: PostgreSQL cannot build a string of 1 GiB, and the header comes on
/// top.
const MESSAGE_LIMIT: usize = (1 << 30) + (1 << 10);

/// A tag and a length that counts itself but not the tag.
const HEADER: usize = 5;

/// How much of the buffer the next message takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So many bytes are there.
    Whole(usize),
    /// So many bytes are missing, or at least one where the length itself is.
    Missing(usize),
}

/// Measures the message at the start of `buffer`.
pub(crate) fn extent(buffer: &[u8]) -> Result<Extent, Error> {
    let Some(([_tag, length @ ..], _)) = buffer.split_first_chunk::<HEADER>() else {
        return Ok(Extent::Missing(1));
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(4..=MESSAGE_LIMIT).contains(&length) {
        return Err(Error::Protocol(format!("a message of {length} bytes")));
    }
    let total = length + 1;
    Ok(match total.checked_sub(buffer.len()) {
        None | Some(0) => Extent::Whole(total),
        Some(missing) => Extent::Missing(missing),
    })
}

/// Whether the message says nothing that matters to a stream: `ParameterStatus`, which a
/// configuration reload sends, and `NotificationResponse`.
pub(crate) fn is_silent(message: &[u8]) -> bool {
    matches!(message.first(), Some(b'S' | b'A'))
}

/// Parses one whole message.
pub(crate) fn parse(message: &[u8]) -> Result<Frame<'_>, Error> {
    let Some(([tag, ..], body)) = message.split_first_chunk::<HEADER>() else {
        return Err(Error::Protocol("a message without a header".to_owned()));
    };
    match tag {
        b'd' => copy_data(body),
        b'N' => Ok(notice(body)),
        b'E' => Err(server_error(body).into()),
        // CopyDone, CommandComplete and ReadyForQuery: a walsender that shuts down says goodbye.
        b'c' | b'C' | b'Z' => Err(Error::closed("the server ended the stream")),
        other => Err(Error::Protocol(format!(
            "message {:?} in a stream",
            char::from(*other)
        ))),
    }
}

fn copy_data(body: &[u8]) -> Result<Frame<'_>, Error> {
    let frame = match body.split_first() {
        Some((b'w', body)) => xlog_data(body),
        Some((b'k', body)) => keepalive(body),
        _ => None,
    };
    frame.ok_or_else(|| Error::Protocol("an unknown or short piece of the stream".to_owned()))
}

fn xlog_data(body: &[u8]) -> Option<Frame<'_>> {
    let (start, body) = body.split_first_chunk()?;
    let (end, body) = body.split_first_chunk()?;
    let (sent_at, data) = body.split_first_chunk()?;
    Some(Frame::XLogData {
        start: Lsn::new(u64::from_be_bytes(*start)),
        end: Lsn::new(u64::from_be_bytes(*end)),
        sent_at_us: i64::from_be_bytes(*sent_at),
        data,
    })
}

fn keepalive(body: &[u8]) -> Option<Frame<'_>> {
    let (wal_end, body) = body.split_first_chunk()?;
    let (_sent_at, body) = body.split_first_chunk::<8>()?;
    let [reply_requested] = body else { return None };
    Some(Frame::Keepalive {
        wal_end: Lsn::new(u64::from_be_bytes(*wal_end)),
        reply_requested: *reply_requested != 0,
    })
}

/// Fields of `NoticeResponse` and `ErrorResponse`: a type byte and a text each.
fn fields(mut body: &[u8]) -> impl Iterator<Item = (u8, &str)> {
    std::iter::from_fn(move || {
        let (&kind, rest) = body.split_first().filter(|(kind, _)| **kind != 0)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (text, rest) = rest.split_at(end);
        body = rest.get(1..)?;
        // Valid UTF-8 by client_encoding, but for what the server could not convert itself.
        let text = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        Some((kind, text))
    })
}

fn notice(body: &[u8]) -> Frame<'_> {
    let (mut severity, mut translated, mut code, mut message) = ("", "", "", "");
    for (kind, text) in fields(body) {
        match kind {
            b'V' => severity = text,
            b'S' => translated = text,
            b'C' => code = text,
            b'M' => message = text,
            _ => {}
        }
    }
    Frame::Notice {
        severity: if severity.is_empty() {
            translated
        } else {
            severity
        },
        code,
        message,
    }
}

fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError {
        code: String::new(),
        message: String::new(),
        detail: None,
        hint: None,
    };
    for (kind, text) in fields(body) {
        match kind {
            b'C' => text.clone_into(&mut error.code),
            b'M' => text.clone_into(&mut error.message),
            b'D' => error.detail = Some(text.to_owned()),
            b'H' => error.hint = Some(text.to_owned()),
            _ => {}
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag], &length.to_be_bytes()[..], body].concat()
    }

    fn keepalive_message() -> Vec<u8> {
        let body = [&b"k"[..], &7_u64.to_be_bytes(), &9_i64.to_be_bytes(), &[1]].concat();
        message(b'd', &body)
    }

    #[test]
    fn every_piece_of_a_message_cut_short_is_refused_not_read_past() {
        let xlog = [&b"w"[..], &[0; 24]].concat();
        let keepalive = keepalive_message();
        for whole in [&xlog[..], &keepalive[HEADER..]] {
            for end in 0..whole.len() {
                let cut = message(b'd', &whole[..end]);
                assert!(parse(&cut).is_err(), "cut at {end}");
            }
            assert!(parse(&message(b'd', whole)).is_ok());
        }
    }

    #[test]
    fn lengths_no_server_can_mean_are_refused() {
        for length in [
            0_u32,
            3,
            u32::try_from(MESSAGE_LIMIT).unwrap() + 1,
            u32::MAX,
        ] {
            let header = [&b"d"[..], &length.to_be_bytes()].concat();
            assert!(extent(&header).is_err(), "{length}");
        }
        assert_eq!(extent(b"Z\0\0\0\x04").unwrap(), Extent::Whole(5));
        assert_eq!(extent(b"Z\0\0\0\x05").unwrap(), Extent::Missing(1));
        assert_eq!(extent(b"Z\0\0").unwrap(), Extent::Missing(1));
    }

    #[test]
    fn a_notice_tells_severity_code_and_message() {
        let body = b"SWARNUNG\0VWARNING\0C01000\0Mskipped\0\0";
        assert_eq!(
            parse(&message(b'N', body)).unwrap(),
            Frame::Notice {
                severity: "WARNING",
                code: "01000",
                message: "skipped"
            }
        );
        let cut = message(b'N', b"SWARNING\0Mhalf");
        assert_eq!(
            parse(&cut).unwrap(),
            Frame::Notice {
                severity: "WARNING",
                code: "",
                message: ""
            }
        );
    }

    #[test]
    fn an_error_keeps_its_sqlstate_and_the_end_of_the_stream_is_a_lost_connection() {
        let error = parse(&message(b'E', b"SERROR\0C55000\0Mgone\0Hlook\0\0")).unwrap_err();
        assert_eq!(error.sqlstate(), Some("55000"));
        for tag in [b'c', b'C', b'Z'] {
            let error = parse(&message(tag, b"")).unwrap_err();
            assert!(matches!(error, Error::ConnectionLost(_)), "{error}");
        }
    }
}
