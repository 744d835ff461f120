//! Whether what a group has not read is still in the stream.
//!
//! Retention removes messages whether they were read or not, and JetStream tells nobody: the consumer goes on
//! with what is left, and within two minutes the server moves its acknowledged position over what is missing
//! (nats-server, `checkAckFloor`). So what a consumer looked like is kept, and compared.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::held::Held;
use crate::standing::Standing;
use crate::stuck::{self, Stands};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Level {
    /// All is there, and stays for now.
    #[default]
    Ok,
    /// Some will be removed soon.
    Warning,
    /// A change that holds others up was sent as often as the group allows.
    Blocked,
    /// Some was removed.
    Gap,
}

impl Level {
    const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Blocked, Self::Gap];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Blocked => "blocked",
            Self::Gap => "gap",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// What a consumer looked like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Stream sequence up to which everything was acknowledged.
    pub(crate) acknowledged: u64,
    /// Stream sequence of the last one sent.
    pub(crate) delivered: u64,
    /// Number of messages sent, repeats counted.
    pub(crate) deliveries: u64,
    /// Of a consumer of a part, the first that it had not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_unread: Option<u64>,
    /// Number of the last move that it had gone through.
    pub(crate) generation: u64,
    /// What was removed unread and is not gone beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<Missing>,
    /// How it stood when it was first seen at this acknowledged position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stands: Option<Stands>,
}

/// Messages that were removed unread, both ends included. Some of them may be of no concern to a consumer of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missing {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// What is to be remembered of a consumer. `held` was read before `now`, so that what was acknowledged in between is
/// not taken for removed.
pub(crate) fn look(before: Option<&Seen>, now: &Standing, held: &Held) -> Seen {
    // A consumer that stands before where it stood was made anew, with its stream or alone.
    let before = before.filter(|before| {
        before.generation == now.generation && before.acknowledged <= now.acknowledged
    });
    // Nobody acknowledges what was never sent: the server has moved it.
    let was_moved_on = now.acknowledged > now.delivered;
    // What lies between two messages of a part is nothing to its consumer.
    let lost_of_part = before
        .and_then(|before| before.first_unread)
        .filter(|first| *first < held.first && (now.acknowledged < *first || was_moved_on));
    let is_lost = if now.reads_all {
        let is_behind = now.acknowledged + 1 < held.first;
        is_behind || was_moved_on || before.is_some_and(|before| skips(before, now, held))
    } else {
        lost_of_part.is_some()
    };
    let known = before.and_then(|before| before.missing);
    let stood = before.map_or(now.acknowledged.min(now.delivered), |before| {
        before.acknowledged
    });
    let missing = if is_lost {
        let from = lost_of_part.unwrap_or(stood + 1);
        Some(Missing {
            from: known.map_or(from, |known| known.from),
            until: held.first.saturating_sub(1).max(from),
        })
    } else {
        known.filter(|known| !is_beyond(known, now, held))
    };
    Seen {
        acknowledged: now.acknowledged,
        delivered: now.delivered,
        deliveries: now.deliveries,
        first_unread: (!now.reads_all && now.unread() > 0).then_some(now.read_up_to + 1),
        generation: now.generation,
        missing,
        stands: stuck::stands(before, now),
    }
}

/// Whether a consumer of the whole stream has gone further than it was sent messages, over what is gone: so it does
/// after what it was to be sent next was removed, or purged.
const fn skips(before: &Seen, now: &Standing, held: &Held) -> bool {
    let went = now.delivered.saturating_sub(before.delivered);
    let was_sent = now.deliveries.saturating_sub(before.deliveries);
    held.first > before.delivered + 1 && went > was_sent
}

/// Whether the group has acknowledged something that was still there behind what is missing, or has nothing of its part
/// left to read.
fn is_beyond(missing: &Missing, now: &Standing, held: &Held) -> bool {
    let acknowledged = now.acknowledged > missing.until
        && now.acknowledged >= held.first
        && now.acknowledged <= now.delivered;
    acknowledged || (!now.reads_all && now.unread() == 0)
}

/// Where what a consumer has not read begins; `None` where it has read all.
pub(crate) fn oldest_unread(now: &Standing, held: &Held) -> Option<u64> {
    (now.unread() > 0).then(|| held.first.max(now.read_up_to + 1))
}

/// The part of its limits from which on a group is warned.
const NEAR: f64 = 0.8;

/// Whether anything in the stream is so old, or the stream so full, that a group can be near its end.
pub(crate) fn can_be_near(held: &Held, now: DateTime<Utc>) -> bool {
    held.messages > 0 && (is_old(held, held.first_stored_at, now) || is_full(held, held.first))
}

fn is_old(held: &Held, stored_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let limit = held
        .max_age
        .and_then(|age| TimeDelta::from_std(age.mul_f64(NEAR)).ok());
    limit.is_some_and(|limit| now - stored_at > limit)
}

/// By the mean size of what is held: JetStream does not tell what a part of a stream takes.
fn is_full(held: &Held, unread_from: u64) -> bool {
    held.max_bytes
        .is_some_and(|limit| bytes_from(held, unread_from) > as_f64(limit) * NEAR)
}

fn bytes_from(held: &Held, sequence: u64) -> f64 {
    let span = |from: u64| as_f64((held.last + 1).saturating_sub(from));
    as_f64(held.bytes) * span(sequence) / span(held.first).max(1.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of a limit, compared with 80 %"
)]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

/// The oldest message that a group has not read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oldest {
    pub(crate) sequence: u64,
    pub(crate) stored_at: DateTime<Utc>,
}

/// Whose limit it is. That of an own stream counts what stands there, in the group's format and by its policy.
const fn keeper(held: &Held) -> &'static str {
    if held.is_own {
        "the group's own stream"
    } else {
        "the task"
    }
}

/// Why the group will lose something soon; `None` where it will not.
pub(crate) fn warning(held: &Held, oldest: Oldest, now: DateTime<Utc>) -> Option<String> {
    let keeper = keeper(held);
    if is_old(held, oldest.stored_at, now) {
        let seconds = held.max_age.unwrap_or_default().as_secs();
        let age = (now - oldest.stored_at).num_seconds();
        return Some(format!(
            "The oldest change that the group has not read was stored {age} s ago; {keeper} keeps changes for {seconds} s."
        ));
    }
    is_full(held, oldest.sequence).then(|| {
        format!(
            "The changes that the group has not read take about {:.0} bytes of the {} that {keeper} keeps.",
            bytes_from(held, oldest.sequence),
            held.max_bytes.unwrap_or_default()
        )
    })
}

/// What is said of messages that were removed unread. `first` tells of the first one that is still there.
pub(crate) fn sentence(missing: Missing, held: &Held, first: Option<&str>) -> String {
    let Missing { from, until } = missing;
    let retention = if held.is_own {
        "Retention of the group's own stream"
    } else {
        "Retention"
    };
    let lost = if from >= until {
        format!("the message {from}, which the group had not read")
    } else {
        format!("messages from {from} to {until} that the group had not read")
    };
    match first {
        Some(first) if held.messages > 0 => format!(
            "{retention} has removed {lost}; the first one that is still there is {}, {first}.",
            held.first
        ),
        Some(_) | None if held.messages > 0 => format!(
            "{retention} has removed {lost}; the first one that is still there is {}.",
            held.first
        ),
        Some(_) | None => format!("{retention} has removed {lost}; nothing is there any more."),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn held(first: u64, last: u64) -> Held {
        Held {
            is_own: false,
            messages: (last + 1).saturating_sub(first),
            bytes: 1000,
            first,
            last,
            first_stored_at: DateTime::UNIX_EPOCH,
            max_age: Some(Duration::from_secs(100)),
            max_bytes: Some(1100),
        }
    }

    fn standing(acknowledged: u64, delivered: u64, unread: u64) -> Standing {
        Standing {
            name: "g".to_owned(),
            acknowledged,
            read_up_to: acknowledged,
            delivered,
            deliveries: delivered,
            pending: unread,
            in_flight: 0,
            reads_all: true,
            generation: 0,
            max_deliver: -1,
        }
    }

    #[test]
    fn what_retention_removes_unread_is_missing_until_the_group_is_beyond_it() {
        let seen = look(None, &standing(10, 10, 20), &held(1, 30));
        assert_eq!(seen.missing, None);
        let gap = look(Some(&seen), &standing(10, 10, 6), &held(25, 30));
        let missing = Missing {
            from: 11,
            until: 24,
        };
        assert_eq!(gap.missing, Some(missing));
        // The server goes past what is missing; the group has acknowledged nothing.
        let moved_on = look(Some(&gap), &standing(24, 10, 6), &held(25, 30));
        assert_eq!(moved_on.missing, Some(missing));
        let sent = look(Some(&moved_on), &standing(24, 28, 6), &held(25, 30));
        assert_eq!(sent.missing, Some(missing));
        let beyond = look(Some(&sent), &standing(25, 28, 5), &held(25, 30));
        assert_eq!(beyond.missing, None);
    }

    #[test]
    fn a_gap_that_the_server_went_past_before_anybody_looked_is_seen() {
        let seen = look(None, &standing(10, 10, 20), &held(1, 30));
        let gap = look(Some(&seen), &standing(24, 10, 6), &held(25, 30));
        assert_eq!(
            gap.missing,
            Some(Missing {
                from: 11,
                until: 24
            })
        );
    }

    #[test]
    fn what_a_reader_went_over_is_told_even_if_it_has_gone_on() {
        let seen = look(None, &standing(10, 10, 20), &held(1, 30));
        let went_on = Standing {
            deliveries: 15,
            ..standing(30, 30, 0)
        };
        let gap = look(Some(&seen), &went_on, &held(25, 30));
        assert_eq!(
            gap.missing,
            Some(Missing {
                from: 11,
                until: 24
            })
        );
        let later = look(Some(&gap), &went_on, &held(25, 30));
        assert_eq!(later.missing, None);
        let purged = Standing {
            deliveries: 10,
            ..standing(30, 30, 0)
        };
        let gap = look(Some(&seen), &purged, &held(31, 30));
        assert_eq!(
            gap.missing,
            Some(Missing {
                from: 11,
                until: 30
            })
        );
    }

    #[test]
    fn what_was_read_is_not_missing() {
        let all_read = look(None, &standing(30, 30, 0), &held(31, 30));
        assert_eq!(all_read.missing, None, "an empty stream");
        let next = look(Some(&all_read), &standing(30, 30, 5), &held(31, 35));
        assert_eq!(next.missing, None);
        let new_group = look(None, &standing(24, 24, 6), &held(25, 30));
        assert_eq!(
            new_group.missing, None,
            "a group that begins behind what is gone"
        );
        let read_on = look(Some(&new_group), &standing(50, 60, 10), &held(45, 60));
        assert_eq!(read_on.missing, None);
    }

    #[test]
    fn a_stream_made_anew_and_a_moved_position_begin_anew() {
        let gap = look(None, &standing(10, 10, 6), &held(25, 30));
        assert!(gap.missing.is_some());
        let anew = look(Some(&gap), &standing(0, 0, 3), &held(1, 3));
        assert_eq!(anew.missing, None);
        let moved = Standing {
            generation: 1,
            ..standing(24, 24, 6)
        };
        assert_eq!(look(Some(&gap), &moved, &held(25, 30)).missing, None);
    }

    #[test]
    fn a_part_that_had_nothing_for_long_misses_nothing() {
        let of_part = |acknowledged, first_unread: Option<u64>| Standing {
            reads_all: false,
            read_up_to: first_unread.map_or(acknowledged, |first| first - 1),
            ..standing(
                acknowledged,
                acknowledged,
                u64::from(first_unread.is_some()),
            )
        };
        let seen = look(None, &of_part(10, None), &held(1, 30));
        let idle = look(Some(&seen), &of_part(10, None), &held(25, 60));
        assert_eq!(idle.missing, None);
        // One that has come stays unread for long, far behind what was acknowledged.
        let mut behind = look(Some(&idle), &of_part(10, Some(55)), &held(25, 60));
        for first in 26..=55 {
            behind = look(Some(&behind), &of_part(10, Some(55)), &held(first, 60));
            assert_eq!(behind.missing, None);
        }
        let lost = look(Some(&behind), &of_part(10, Some(70)), &held(58, 80));
        let missing = Missing {
            from: 55,
            until: 57,
        };
        assert_eq!(lost.missing, Some(missing));
        let all_lost = look(Some(&behind), &of_part(10, None), &held(58, 80));
        assert_eq!(all_lost.missing, Some(missing));
        let over = look(Some(&lost), &of_part(75, None), &held(59, 80));
        assert_eq!(over.missing, None);
    }

    #[test]
    fn a_group_is_warned_by_age_and_by_bytes() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(81);
        let oldest = |sequence, seconds| Oldest {
            sequence,
            stored_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
        };
        let held = held(1, 100);
        assert!(can_be_near(&held, now));
        let old = warning(&held, oldest(1, 0), now).unwrap();
        assert!(old.contains("81 s ago") && old.contains("100 s"), "{old}");
        assert_eq!(warning(&held, oldest(50, 40), now), None);
        let full = warning(&held, oldest(5, 40), now).unwrap();
        assert!(full.contains("about 960 bytes of the 1100"), "{full}");
        let own = Held {
            is_own: true,
            ..held.clone()
        };
        let full = warning(&own, oldest(5, 40), now).unwrap();
        assert!(
            full.contains("of the 1100 that the group's own stream keeps"),
            "{full}"
        );
        let missing = Missing { from: 3, until: 4 };
        let lost = sentence(missing, &own, None);
        assert!(
            lost.starts_with(
                "Retention of the group's own stream has removed messages from 3 to 4"
            ),
            "{lost}"
        );
        let unlimited = Held {
            max_age: None,
            max_bytes: None,
            ..held
        };
        assert!(!can_be_near(&unlimited, now));
    }
}
