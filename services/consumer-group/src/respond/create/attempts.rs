//! How often a change is sent, and what becomes of it then, as it is asked for.

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_proto::message::{self, RpcError};
use rowcast_proto::rest::{GroupMode, OnExhausted};

/// Attempts before a change is a dead letter, where a request names no number.
pub(super) const MAX_DELIVER: u32 = 10;

/// Most attempts that can be asked for.
const MOST_DELIVER: u32 = 1000;

pub(in crate::respond) fn check_max_deliver(number: Option<u32>) -> Result<Option<u32>, RpcError> {
    if number.is_none_or(|number| number <= MOST_DELIVER) {
        return Ok(number);
    }
    let detail = format!("a change may be tried at most {MOST_DELIVER} times");
    Err(refuse::invalid("max_deliver_malformed", detail)
        .field("max_deliver")
        .repair("give 1 to 1000, or 0 for no limit"))
}

/// What is asked for by its number; `None` where nothing is.
pub(in crate::respond) fn on_exhausted(number: i32) -> Result<Option<OnExhausted>, RpcError> {
    let asked = message::OnExhausted::try_from(number).map_err(|_unknown| {
        refuse::invalid(
            "on_exhausted_unknown",
            "this version does not know what is to become of an exhausted change",
        )
        .field("on_exhausted")
        .repair("choose block or dead_letter")
    })?;
    Ok(asked.named())
}

/// What becomes of a change in a group of this mode that sends it so often: `asked`, or `otherwise` where nothing is.
///
/// # Errors
/// It cannot be: in a shared group no change can wait for a person, and without a limit none is exhausted.
pub(in crate::respond) fn check_on_exhausted(
    asked: Option<OnExhausted>,
    otherwise: OnExhausted,
    mode: GroupMode,
    max_deliver: u32,
) -> Result<OnExhausted, RpcError> {
    let is_shared = mode == GroupMode::Shared;
    let wanted = asked.unwrap_or(otherwise);
    if is_shared && wanted == OnExhausted::Block {
        let detail =
            "in a shared group no change holds others up: what is exhausted is a dead letter";
        return Err(refuse::invalid("on_exhausted_shared", detail)
            .field("on_exhausted")
            .repair(
                "leave it out, or give max_deliver 0, so that a change is sent without limit",
            ));
    }
    // A shared group that says nothing of it may send without limit.
    let is_meant = asked.is_some() || !is_shared;
    if is_meant && wanted == OnExhausted::DeadLetter && max_deliver == 0 {
        let detail =
            "without a limit of attempts no change is exhausted, so none would be a dead letter";
        let field = if asked.is_some() {
            "on_exhausted"
        } else {
            "max_deliver"
        };
        return Err(refuse::invalid("on_exhausted_never", detail)
            .field(field)
            .repair("give max_deliver from 1 to 1000, or on_exhausted block"));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_is_refused() {
        let (block, dead_letter) = (OnExhausted::Block, OnExhausted::DeadLetter);
        let made = |asked, mode, most| {
            check_on_exhausted(asked, OnExhausted::of(mode), mode, most)
                .map_err(|error| (error.code, error.field))
        };
        let refused = |code: &str, field: &str| Err((code.to_owned(), field.to_owned()));
        for mode in [GroupMode::Ordered, GroupMode::Keyed] {
            assert_eq!(made(None, mode, 0), Ok(block));
            assert_eq!(made(Some(block), mode, 0), Ok(block));
            assert_eq!(made(Some(dead_letter), mode, 1), Ok(dead_letter));
            let never = refused("on_exhausted_never", "on_exhausted");
            assert_eq!(made(Some(dead_letter), mode, 0), never);
        }
        let shared = GroupMode::Shared;
        assert_eq!(made(None, shared, 0), Ok(dead_letter));
        assert_eq!(made(Some(dead_letter), shared, 10), Ok(dead_letter));
        let never = refused("on_exhausted_never", "on_exhausted");
        assert_eq!(made(Some(dead_letter), shared, 0), never);
        let unknown = refused("on_exhausted_shared", "on_exhausted");
        assert_eq!(made(Some(block), shared, 10), unknown);
    }

    #[test]
    fn a_group_that_puts_away_keeps_a_limit() {
        let kept = check_on_exhausted(None, OnExhausted::DeadLetter, GroupMode::Keyed, 0);
        assert_eq!(kept.unwrap_err().field, "max_deliver");
        assert!(on_exhausted(99).is_err());
        assert_eq!(on_exhausted(0).unwrap(), None);
    }
}
