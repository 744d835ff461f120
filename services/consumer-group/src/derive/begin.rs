//! Where a worker goes on.
//!
//! | the own stream | goes on |
//! |---|---|
//! | has nothing yet | with the first message that the task's stream holds |
//! | ends with a message | behind what that was made of; where more was made of it, with the rest of that |
//! | ends with that, and the table says that all up to a later message was left out | behind that one |
//! | ends with a part of a change or of a pack that another policy has made | with that change anew, from its first piece; with the rest of that pack |
//! | was emptied by retention | where the table says, without as many messages as were stored since; where the policy was ever changed, with those too |
//!
//! | the task's stream | then |
//! |---|---|
//! | no longer has the next message | the reader finds out, and a gap is told |
//! | has lost its end, and may get it again in another way | everything is read, and dropped up to the position of the own end |

use rowcast_bus::async_nats::HeaderValue;
use rowcast_bus::async_nats::jetstream::message::StreamMessage;
use rowcast_bus::async_nats::jetstream::stream::{Info, RawMessageErrorKind};
use rowcast_domain::{Lsn, Position};
use rowcast_proto::derived::{self, Made};
use rowcast_proto::stream::{group_stream, task_stream};
use rowcast_service::BoxError;

use super::change::Stop;
use super::failure::Failure;
use crate::head::Head;
use crate::state::State;
use crate::store::derivation::Mark;
use crate::store::group::Group;
use crate::{own_stream, store};

/// Where it goes on.
#[derive(Debug, Default)]
pub(super) struct Begin {
    /// Up to where the own stream was made.
    pub(super) mark: Mark,
    /// Sequence of the first message to read.
    pub(super) next: u64,
    /// So many messages of what is made first are stored already: the stream ends as far behind the mark.
    pub(super) stored: u64,
    /// Of the first message to read, what it tells up to the mark's position is stored already.
    pub(super) is_in_part: bool,
    /// Everything is read anew, and what it tells up to the mark's position is stored already.
    pub(super) is_anew: bool,
    /// A message that was read, by sequence and position: where it is another one by now, the stream has lost its end.
    read: Option<(u64, Position)>,
}

/// Both streams, as they are now.
struct Streams<'a> {
    state: &'a State,
    group: &'a Group,
    source: Info,
    own: Info,
}

/// Looks where to go on under this policy; `None` where there is nothing to read, or nobody to read it for.
pub(super) async fn find(
    state: &State,
    group: &Group,
    policy: u64,
) -> Result<Option<Begin>, Failure> {
    let Some(source) = own_stream::look(&state.data, &task_stream(&group.task_id)).await? else {
        return Ok(None);
    };
    let Some(own) = own_stream::ensure(state, group, &source).await? else {
        return Ok(None);
    };
    let streams = Streams {
        state,
        group,
        source,
        own,
    };
    let mut begin = streams.of_own(policy).await?;
    begin.mark.policy = policy;
    streams.of_source(&mut begin).await?;
    Ok(Some(begin))
}

impl Streams<'_> {
    /// What the end of the own stream and the table say.
    async fn of_own(&self, policy: u64) -> Result<Begin, Failure> {
        let (first, end) = (
            self.source.state.first_sequence.max(1),
            self.own.state.last_sequence,
        );
        let fresh = Mark {
            source_made: own_stream::made(&self.source),
            own_made: own_stream::made(&self.own),
            own_sequence: end,
            source_sequence: first - 1,
            policy,
            ..Mark::default()
        };
        let known = self.known(&fresh).await?;
        if end == 0 {
            // What was left out since the stream was made need not be read again.
            let mark = known
                .filter(|known| known.own_sequence == 0)
                .unwrap_or(fresh);
            return Ok(behind_mark(mark));
        }
        let group_stream = group_stream(&self.group.id);
        let Some(tail) = self.message(&group_stream, end).await? else {
            return emptied(known, end, policy);
        };
        let header = |name: &str| tail.headers.get(name).map(HeaderValue::as_str);
        let made: Option<Made> = header(derived::MADE_OF).and_then(|text| text.parse().ok());
        let position: Option<Position> = header(derived::ID).and_then(|text| text.parse().ok());
        let (Some(made), Some(position)) = (made, position) else {
            return Err(Stop(format!(
                "the group's stream {group_stream} ends with a message that was not made for it"
            ))
            .into());
        };
        Ok(behind(made, position, fresh, known))
    }

    /// What the table says of these two streams.
    async fn known(&self, fresh: &Mark) -> Result<Option<Mark>, Failure> {
        let id = self.group.id.to_string();
        let mut known = store::derivation::of(&self.state.pool, vec![id.clone()]).await?;
        let mark = known.remove(&id).map(|known| known.mark);
        Ok(mark.filter(|mark| {
            mark.source_made == fresh.source_made && mark.own_made == fresh.own_made
        }))
    }

    /// Compares with what the task's stream holds.
    async fn of_source(&self, begin: &mut Begin) -> Result<(), Failure> {
        let (first, last) = (
            self.source.state.first_sequence.max(1),
            self.source.state.last_sequence,
        );
        let Some((read, position)) = begin.read else {
            return Ok(());
        };
        let stream = task_stream(&self.group.task_id);
        let is_lost = if read > last {
            true
        } else if read >= first {
            let there = self.message(&stream, read).await?;
            // What was removed from the middle tells nothing.
            there.is_some_and(|there| {
                Head::read(&there.payload).is_none_or(|there| there.position != position)
            })
        } else {
            // It was removed, and positions never go back: behind it nothing can stand up to its own. But where the end
            // comes again in more messages, or a session that read it anew was cut off, something does.
            let there = self.message(&stream, first).await?;
            let there = there.and_then(|there| Head::read(&there.payload));
            // A shape has the position of the change before it, and a begin may have that of a heartbeat.
            there.is_some_and(|there| {
                let may_share = there.is_begin || there.is_shape;
                there.position < position || (there.position == position && !may_share)
            })
        };
        if is_lost {
            tracing::warn!(group = %self.group.id, task = %self.group.task_id, read, last,
                "the task's stream has lost its end, it is read anew");
            begin.is_anew = true;
            begin.is_in_part = false;
            // What was removed shows as a gap, which is told unless all before it was told already.
            begin.next = first.saturating_sub(1).max(1);
            begin.mark.left_out = 0;
            begin.mark.transaction = Lsn::INVALID;
        }
        Ok(())
    }

    /// A message of a stream, from its leader.
    async fn message(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<StreamMessage>, BoxError> {
        let stream = self
            .state
            .data
            .jetstream()
            .get_stream_no_info(stream)
            .await?;
        match stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Behind the last message of the own stream, which has this position.
fn behind(made: Made, position: Position, fresh: Mark, known: Option<Mark>) -> Begin {
    let later = known.filter(|known| {
        // Of what one policy has told in part, another one may have left out the rest.
        (made.is_last() || known.policy != made.policy)
            && known.own_sequence == fresh.own_sequence
            && known.source_sequence >= made.last
    });
    if let Some(mark) = later {
        return behind_mark(mark);
    }
    let next = if made.is_last() {
        made.last + 1
    } else {
        made.first
    };
    // Of a change that is not whole, the pieces that are stored are made once more, and passed over. Those of another policy
    // are pieces of something else: the first of the new ones voids them.
    let pieces = made.pieces.min(fresh.own_sequence);
    let stored = if made.policy == fresh.policy {
        pieces
    } else {
        0
    };
    let whole = match (made.is_last(), pieces) {
        (true, _) => made.at,
        (false, 0) => position,
        (false, _) => made.before,
    };
    Begin {
        mark: Mark {
            source_sequence: next - 1,
            own_sequence: fresh.own_sequence - stored,
            left_out: made.left_out,
            transaction: made.transaction,
            position: whole,
            ..fresh
        },
        next,
        stored,
        is_in_part: !made.is_last(),
        is_anew: false,
        read: Some((made.last, made.at)),
    }
}

/// Behind what the table says.
fn behind_mark(mark: Mark) -> Begin {
    let has_read = mark.position != Position::default();
    Begin {
        next: mark.source_sequence + 1,
        is_in_part: true,
        read: has_read.then_some((mark.source_sequence, mark.position)),
        mark,
        ..Begin::default()
    }
}

/// Where retention has removed all of the own stream, which ends with this sequence.
fn emptied(known: Option<Mark>, end: u64, policy: u64) -> Result<Begin, Failure> {
    match known {
        Some(mark) if mark.own_sequence <= end => {
            // Counting needs that the same is made again. Where policies were changed it may not be, and what is told twice
            // is better than what is told never.
            let own_sequence = if policy == 0 { mark.own_sequence } else { end };
            Ok(Begin {
                stored: end - own_sequence,
                ..behind_mark(Mark {
                    own_sequence,
                    ..mark
                })
            })
        }
        Some(_) | None => Err(Stop(
            "the group's stream was emptied, and nothing says what it was made of: make another group"
                .to_owned(),
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(source_sequence: u64, own_sequence: u64) -> Mark {
        Mark {
            source_sequence,
            own_sequence,
            ..Mark::default()
        }
    }

    fn made(number: u64) -> Made {
        Made {
            first: 17,
            last: 19,
            number,
            of: 2,
            left_out: 3,
            transaction: Lsn::new(9),
            at: at(7),
            before: at(4),
            pieces: 0,
            policy: 0,
        }
    }

    fn at(ordinal: u64) -> Position {
        Position::new(Lsn::new(9), ordinal)
    }

    #[test]
    fn it_goes_on_behind_what_the_last_message_was_made_of() {
        let begin = behind(made(2), Position::default(), mark(0, 7), None);
        assert_eq!((begin.next, begin.stored), (20, 0));
        assert_eq!((begin.mark.left_out, begin.mark.own_sequence), (3, 7));
    }

    #[test]
    fn it_makes_the_rest_of_what_is_stored_in_part() {
        let known = Some(mark(30, 7));
        let begin = behind(made(1), at(5), mark(0, 7), known);
        assert_eq!((begin.next, begin.stored), (17, 0));
        assert!(begin.is_in_part);
        assert_eq!((begin.mark.own_sequence, begin.mark.position), (7, at(5)));
    }

    #[test]
    fn it_makes_the_rest_of_a_change_that_is_stored_in_part() {
        let in_pieces = Made {
            pieces: 2,
            number: 3,
            of: 9,
            ..made(0)
        };
        let begin = behind(in_pieces, at(7), mark(0, 7), None);
        assert_eq!((begin.next, begin.stored), (17, 2));
        assert_eq!((begin.mark.own_sequence, begin.mark.position), (5, at(4)));
    }

    #[test]
    fn what_another_policy_has_made_in_pieces_is_made_anew_from_the_first() {
        let in_pieces = Made {
            pieces: 2,
            number: 3,
            of: 9,
            policy: 1,
            ..made(0)
        };
        let changed = |policy| Mark {
            policy,
            ..mark(0, 7)
        };
        let same = behind(in_pieces, at(7), changed(1), None);
        assert_eq!((same.next, same.stored), (17, 2));
        for policy in [0, 2] {
            let other = behind(in_pieces, at(7), changed(policy), None);
            assert_eq!((other.next, other.stored), (17, 0));
            assert!(other.is_in_part);
            // The pieces stay in the stream, and what was whole before them is not told again.
            assert_eq!((other.mark.own_sequence, other.mark.position), (7, at(4)));
        }
    }

    #[test]
    fn of_a_pack_that_another_policy_has_told_in_part_the_rest_is_made() {
        let changed = |policy, source_sequence| Mark {
            policy,
            ..mark(source_sequence, 7)
        };
        let begin = behind(made(1), at(5), changed(1, 0), None);
        assert_eq!((begin.next, begin.stored), (17, 0));
        assert!(begin.is_in_part);
        assert_eq!((begin.mark.own_sequence, begin.mark.position), (7, at(5)));
        // It was taken by then, and all of the rest was left out.
        let taken = behind(made(1), at(5), changed(1, 0), Some(changed(1, 30)));
        assert_eq!((taken.next, taken.stored), (31, 0));
        let not_yet = behind(made(1), at(5), changed(1, 0), Some(changed(1, 16)));
        assert_eq!(not_yet.next, 17);
    }

    #[test]
    fn what_was_left_out_since_is_not_read_again() {
        let begin = behind(made(2), Position::default(), mark(0, 7), Some(mark(30, 7)));
        assert_eq!((begin.next, begin.stored), (31, 0));
        let old = behind(made(2), Position::default(), mark(0, 7), Some(mark(30, 6)));
        assert_eq!((old.next, old.stored), (20, 0));
    }

    #[test]
    fn an_emptied_stream_is_continued_by_count() {
        let begin = emptied(Some(mark(30, 5)), 7, 0).unwrap();
        assert_eq!(
            (begin.next, begin.stored, begin.mark.own_sequence),
            (31, 2, 5)
        );
        let changed = emptied(Some(mark(30, 5)), 7, 1).unwrap();
        assert_eq!(
            (changed.next, changed.stored, changed.mark.own_sequence),
            (31, 0, 7)
        );
        assert!(emptied(Some(mark(30, 8)), 7, 0).is_err() && emptied(None, 7, 0).is_err());
    }
}
