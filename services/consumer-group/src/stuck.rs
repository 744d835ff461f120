//! How often the change was sent that a group must acknowledge before all behind it.
//!
//! An ordered group, and each partition of a keyed one, waits for it. The server counts the deliveries of each message but
//! tells only those of all together, so they are compared: as long as nothing is acknowledged, what was sent more often than
//! there are messages in flight was sent again, and the server sends all of them again before one of them a third time.
//! So this is a lower bound, for clients of any kind.

use serde::{Deserialize, Serialize};

use crate::gap::Seen;
use crate::standing::Standing;

/// How a consumer stood when it was first seen at an acknowledged position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stands {
    /// Messages that it was sent, repeats counted.
    pub(crate) deliveries: u64,
    /// Messages that were in flight.
    pub(crate) in_flight: u64,
}

/// What is to be remembered; `None` where nothing is in flight.
pub(crate) fn stands(before: Option<&Seen>, now: &Standing) -> Option<Stands> {
    if now.in_flight == 0 {
        return None;
    }
    let since = before.filter(|before| {
        before.generation == now.generation
            && before.acknowledged == now.acknowledged
            && before.deliveries <= now.deliveries
    });
    let stood = since.and_then(|before| before.stands);
    Some(stood.unwrap_or(Stands {
        deliveries: now.deliveries,
        in_flight: now.in_flight,
    }))
}

/// How often the first message in flight was sent, at least; 0 where nothing is in flight.
pub(crate) fn attempts(seen: Option<&Seen>, now: &Standing) -> u64 {
    let Some(stands) = stands(seen, now) else {
        return 0;
    };
    let sent = now.deliveries.saturating_sub(stands.deliveries);
    let sent_first = now.in_flight.saturating_sub(stands.in_flight);
    1 + sent.saturating_sub(sent_first) / now.in_flight
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::gap::look;
    use crate::held::Held;

    fn standing(acknowledged: u64, deliveries: u64, in_flight: u64) -> Standing {
        Standing {
            name: "g".to_owned(),
            acknowledged,
            read_up_to: acknowledged,
            delivered: acknowledged + in_flight,
            deliveries,
            pending: 0,
            in_flight,
            reads_all: true,
            generation: 0,
            max_deliver: -1,
        }
    }

    /// What is counted after each of these looks.
    fn counted(looks: &[Standing]) -> Vec<u64> {
        let held = Held {
            is_own: false,
            messages: 100,
            bytes: 1000,
            first: 1,
            last: 100,
            first_stored_at: DateTime::UNIX_EPOCH,
            max_age: None,
            max_bytes: None,
        };
        let mut seen = None;
        let mut counted = Vec::new();
        for now in looks {
            counted.push(attempts(seen.as_ref(), now));
            seen = Some(look(seen.as_ref(), now, &held));
        }
        counted
    }

    #[test]
    fn what_is_sent_again_is_counted_and_what_is_new_is_not() {
        let looks = [
            standing(4, 5, 1),
            // Nine more come, each for the first time.
            standing(4, 14, 10),
            // All of them again, and once more.
            standing(4, 24, 10),
            standing(4, 34, 10),
            // Half of a round.
            standing(4, 39, 10),
        ];
        assert_eq!(counted(&looks), [1, 1, 2, 3, 3]);
    }

    #[test]
    fn an_acknowledgement_begins_the_count_anew() {
        let looks = [
            standing(4, 5, 1),
            standing(4, 8, 1),
            standing(5, 9, 1),
            standing(5, 10, 1),
            standing(6, 10, 0),
        ];
        assert_eq!(counted(&looks), [1, 4, 1, 2, 0]);
    }
}
