//! The same of a stream whose messages are protobuf.

use prost::Message as _;
use rowcast_domain::Position;
use rowcast_proto::change::protobuf::{Change, Operation, Part};
use rowcast_proto::subject::Op;

use super::{Half, Last};
use crate::server_time;

/// Reads a message; `None` where it is not ours.
pub(super) fn last(payload: &[u8]) -> Option<Last> {
    let change = Change::decode(payload).ok()?;
    let committed_at = Some(server_time::since_2000(change.committed_at));
    let position = change.position();
    let Some(part) = change.part else {
        return Some(Last {
            position,
            op: op(change.op)?,
            half: None,
            committed_at,
        });
    };
    let half = half(position, &part)?;
    Some(Last::behind(half, committed_at))
}

fn half(position: Position, part: &Part) -> Option<Half> {
    Some(Half {
        position,
        op: op(part.op)?,
        end: part.offset.checked_add(part.data.len() as u64)?,
        bytes: part.bytes,
        sha256: part.sha256.as_ref().try_into().ok()?,
    })
}

/// Of a piece, its message's position and where it begins in that.
pub(super) fn offset(payload: &[u8]) -> Option<(Position, u64)> {
    let change = Change::decode(payload).ok()?;
    Some((change.position(), change.part?.offset))
}

fn op(number: i32) -> Option<Op> {
    let mut all = Op::ALL.into_iter();
    all.find(|&op| Operation::from(op) as i32 == number)
}
