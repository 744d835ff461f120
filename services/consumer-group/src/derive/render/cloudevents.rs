//! The attributes of a `CloudEvents` event as headers: binary content mode of its NATS protocol binding (`CloudEvents` 1.0.2).

use rowcast_domain::TaskId;
use rowcast_proto::change::Operation;

use super::name;
use crate::derive::message::Message;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Gives each header to `header`.
pub(super) fn headers(task: &TaskId, message: &Message, header: &mut impl FnMut(&str, &str)) {
    let op = name(message.op);
    header("ce-specversion", "1.0");
    header("ce-id", &id(message, op));
    header("ce-source", &format!("/rowcast/tasks/{task}"));
    header("ce-type", &format!("rowcast.change.{op}"));
    header("ce-time", &message.committed_at);
    if let (Some(schema), Some(table)) = (&message.schema, &message.table) {
        header("ce-subject", &encoded(&format!("{schema}.{table}")));
    }
    header("ce-datacontenttype", "application/json");
}

/// Unique in the task: the position, and of what is no row, what it is.
fn id(message: &Message, op: &str) -> String {
    let position = message.id;
    match (message.op, &message.part, &message.schema_id) {
        (Operation::Insert | Operation::Update | Operation::Delete, _, _) => position.to_string(),
        (_, Some(part), _) => format!("{position}/part/{}", part.offset),
        (Operation::Schema, _, Some(shape)) => format!("{position}/schema/{}", encoded(shape)),
        (_, _, _) => format!("{position}/{op}"),
    }
}

/// What a header must not hold is written as `%` and two digits (NATS protocol binding, section 3.1.3.2).
fn encoded(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"%".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push('%');
            written.push(char::from(HEX[usize::from(byte >> 4)]));
            written.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_must_not_hold_is_encoded() {
        assert_eq!(encoded("public.orders"), "public.orders");
        assert_eq!(
            encoded("a \"b\".\u{e9}\r\n%"),
            "a%20%22b%22.%C3%A9%0D%0A%25"
        );
    }
}
