//! Dead letters, as consumer-group tells them.

use data_encoding::BASE64;
use rowcast_proto::change::{Change, is_json};
use rowcast_proto::message as m;
use rowcast_proto::rest;
use serde_json::Value;

use super::group::{given, position};
use super::{id, time};
use crate::error::ApiError;

pub(crate) fn dead_letter(letter: m::DeadLetter) -> Result<rest::DeadLetter, ApiError> {
    let cause = letter.cause().into();
    let change = read(&letter.payload);
    let payload =
        (change.is_none() && !letter.payload.is_empty()).then(|| BASE64.encode(&letter.payload));
    let m::DeadLetter {
        id: number,
        group_id,
        subject,
        position: place,
        cause: _,
        attempts,
        last_error,
        at,
        bytes,
        payload: _,
        is_without_body,
        redriven,
    } = letter;
    Ok(rest::DeadLetter {
        id: number,
        group_id: id("group_id", &group_id)?,
        subject,
        position: position(place.unwrap_or_default())?,
        cause,
        attempts,
        last_error: given(last_error),
        at: time("at", at)?,
        redriven,
        bytes,
        is_without_body,
        change,
        payload,
    })
}

/// The change as JSON, whichever format the task has; `None` where it cannot be read.
fn read(payload: &[u8]) -> Option<Value> {
    if payload.is_empty() {
        None
    } else if is_json(payload) {
        serde_json::from_slice(payload).ok()
    } else {
        serde_json::to_value(Change::read(payload).ok()?).ok()
    }
}

pub(crate) fn dead_letter_list(
    list: m::ListDeadLettersReply,
) -> Result<rest::DeadLetterList, ApiError> {
    let letters = list.letters.into_iter().map(dead_letter);
    Ok(rest::DeadLetterList {
        letters: letters.collect::<Result<_, _>>()?,
        next_after: Some(list.next_after).filter(|after| *after > 0),
        total: list.total,
    })
}

pub(crate) const fn dead_letters_done(done: m::DeadLettersReply) -> rest::DeadLettersDone {
    rest::DeadLettersDone {
        done: done.done,
        left: done.left,
    }
}
