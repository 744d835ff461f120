//! What is told where messages of the task's stream are gone before the own stream was made of them.

use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::{Gap, Operation};
use rowcast_proto::derived::Made;
use rowcast_proto::subject;

use super::{OVERTAKEN, Passed, Session};
use crate::derivation::lost_sentence;
use crate::derive::change::{Out, Stop};
use crate::derive::failure::Failure;
use crate::derive::message::{Message, bare};
use crate::derive::reader::Lost;
use crate::store::derivation::{self, Mark};

impl Session<'_> {
    /// Tells that messages of the task's stream are missing, before the first that is there.
    pub(super) async fn tell_gap(&mut self, lost: &Lost) -> Result<(), Failure> {
        let Lost { first, last, next } = lost;
        let position = next.id;
        let before = self.before(next);
        let mark = Mark {
            source_sequence: *last,
            left_out: 0,
            transaction: Lsn::INVALID,
            position: before,
            ..self.outbox.last().clone()
        };
        self.deriver.left_out = 0;
        self.deriver.transaction = Lsn::INVALID;
        let made = Made {
            first: *first,
            last: *last,
            number: 1,
            of: 1,
            left_out: 0,
            transaction: Lsn::INVALID,
            at: before,
            before,
            pieces: 0,
            policy: self.deriver.policy,
        };
        if let Passed::UpTo(told) = self.passed
            && position <= told
        {
            // All that is missing was told, for it stood before this.
            let mark = Mark {
                position: told,
                ..mark
            };
            self.outbox.push(Vec::new(), 0, (made, made), mark, None);
            return Ok(());
        }
        self.passed = match self.passed {
            Passed::UpTo(told) => Passed::UpTo(told),
            Passed::InPart(_) | Passed::Nothing => Passed::Nothing,
        };
        let sentence = lost_sentence(*first, *last);
        tracing::warn!(group = %self.group.id, task = %self.group.task_id, first, last, "messages of the task's stream are gone, which is told");
        // What is stored behind the mark was made of what will not be made again.
        let end = self.outbox.last().own_sequence + std::mem::take(&mut self.stored);
        self.outbox.pass_over(end);
        let gap = derivation::Gap {
            own_sequence: end + 1,
            sentence: sentence.clone(),
        };
        let pool = &self.deriving.state.pool;
        if !derivation::lost(pool, &self.group.id, self.number, &gap).await? {
            return Err(OVERTAKEN.into());
        }
        let out = self.gap_before(next, sentence);
        let rendered = self.renderer.render(&out, &self.deriver.tables);
        let rendered = rendered.map_err(|error| Stop(error.to_string()))?;
        self.outbox.push(rendered, 0, (made, made), mark, None);
        Ok(())
    }

    /// Where it is told that something is missing before a message: behind all that was told.
    fn before(&self, next: &Message) -> Position {
        let Position {
            commit_lsn,
            ordinal,
        } = next.id;
        let before = Position::new(commit_lsn, ordinal.saturating_sub(1));
        before.max(self.outbox.last().position)
    }

    /// What stands in the place of what is missing before a message.
    fn gap_before(&self, next: &Message, sentence: String) -> Out {
        let position = next.id;
        let before = self.before(next);
        let gap = Gap {
            code: "Gap".to_owned(),
            cause: sentence,
            from: self.outbox.last().position.commit_lsn,
            to: position.commit_lsn,
        };
        Out {
            subject: subject::derived_gap(&self.group.id, None),
            message: Message {
                id: before,
                ordinal: before.ordinal,
                schema: None,
                table: None,
                xid: None,
                gap: Some(gap),
                ..bare(next, Operation::Gap)
            },
            as_it_came: None,
        }
    }
}
