//! Whether a task may go on where it stopped: a table, not a hope. Pure.
//!
//! `START_REPLICATION` moves forward silently to where the slot stands, so everything is compared
//! before it.

use rowcast_domain::Lsn;
use rowcast_pg::replication::{SystemIdentity, TimelineEnd};
use rowcast_pg::slot::SlotState;
use rowcast_proto::change::Checkpoint;

use crate::error::StopReason;
use crate::pipeline::progress::Durable;
use crate::pipeline::publish::tail::Tail;
use crate::prepare::settle::TEST_DECODING;

/// What is found before a task starts.
#[derive(Debug)]
pub(crate) struct Observation<'a> {
    /// The server that answers.
    pub(crate) server: &'a SystemIdentity,
    /// Where its earlier timelines ended.
    pub(crate) history: &'a [TimelineEnd],
    /// The task's slot, if it is there.
    pub(crate) slot: Option<&'a SlotState>,
    /// What the task left behind; `None` where it never ran.
    pub(crate) checkpoint: Option<&'a Checkpoint>,
    /// The end of the task's stream; `None` where there is no stream.
    pub(crate) tail: Option<Tail>,
}

/// How the task may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// For the first time: publication and slot are to be made.
    Fresh,
    /// Where it stopped.
    Resume(Durable),
}

/// Decides.
///
/// # Errors
/// What does not fit, by its name.
pub(crate) fn decide(seen: &Observation<'_>) -> Result<Start, StopReason> {
    let tail = seen.tail.unwrap_or_default();
    let Some(checkpoint) = seen.checkpoint else {
        if tail.sequence > 0 {
            return Err(StopReason::BrokerDataLoss(
                "the task's checkpoint is gone".to_owned(),
            ));
        }
        return Ok(Start::Fresh);
    };
    same_history(seen.server, checkpoint)?;
    stream_is_whole(seen.tail, checkpoint)?;
    let position = match (tail.last, checkpoint.acknowledged) {
        (Some(last), _) => last.position,
        // Retention has emptied the stream since.
        (None, Some(last)) if last.sequence == tail.sequence => last.position,
        (None, _) => checkpoint.position,
    };
    same_branch(seen, checkpoint, position.commit_lsn)?;
    let confirmed = slot_position(seen.slot, checkpoint, position.commit_lsn)?;
    let behind = seen.server.flush_lsn < confirmed || seen.server.flush_lsn < position.commit_lsn;
    if behind {
        return Err(StopReason::HistoryDiverged(format!(
            "the server's WAL ends at {}, before what was read from it ({})",
            seen.server.flush_lsn,
            confirmed.max(position.commit_lsn)
        )));
    }
    Ok(Start::Resume(Durable {
        lsn: confirmed,
        position,
        sequence: tail.sequence,
        bytes: 0,
        committed_at: None,
    }))
}

fn same_history(server: &SystemIdentity, checkpoint: &Checkpoint) -> Result<(), StopReason> {
    if server.system_id != checkpoint.system_id {
        return Err(StopReason::SourceReplaced {
            found: server.system_id.clone(),
            expected: checkpoint.system_id.clone(),
        });
    }
    if server.timeline < checkpoint.timeline {
        return Err(StopReason::HistoryDiverged(format!(
            "the server is on timeline {}, the task has read timeline {}",
            server.timeline, checkpoint.timeline
        )));
    }
    Ok(())
}

/// A promoted standby may have lacked what the old primary had sent already: what was read must lie
/// before the point where the server left the timeline that it was read from.
fn same_branch(
    seen: &Observation<'_>,
    checkpoint: &Checkpoint,
    tail: Lsn,
) -> Result<(), StopReason> {
    let read = checkpoint.reported_lsn.max(tail);
    let left = seen
        .history
        .iter()
        .find(|past| past.timeline == checkpoint.timeline);
    match left {
        Some(past) if past.end < read => Err(StopReason::HistoryDiverged(format!(
            "the server left timeline {} at {}, before {read}, which was read from it",
            past.timeline, past.end
        ))),
        Some(_) | None => Ok(()),
    }
}

fn stream_is_whole(tail: Option<Tail>, checkpoint: &Checkpoint) -> Result<(), StopReason> {
    let Some(tail) = tail else {
        return Err(StopReason::BrokerDataLoss(
            "the task's stream is gone".to_owned(),
        ));
    };
    if tail.sequence < checkpoint.sequence {
        return Err(StopReason::BrokerDataLoss(format!(
            "the stream ends with sequence {}, sequence {} was acknowledged",
            tail.sequence, checkpoint.sequence
        )));
    }
    Ok(())
}

/// Where the slot stands, if it may be read from there.
fn slot_position(
    slot: Option<&SlotState>,
    checkpoint: &Checkpoint,
    tail: Lsn,
) -> Result<Lsn, StopReason> {
    let from = checkpoint.reported_lsn.max(tail);
    let gap = |cause: &str| {
        Err(StopReason::Gap {
            from,
            cause: cause.to_owned(),
        })
    };
    let Some(slot) = slot else {
        return gap("the replication slot is gone");
    };
    if slot.is_lost() {
        // Before 17 the server gives no reason: that too little WAL was kept is the only one then.
        let reason = slot.invalidation_reason.as_deref();
        let reason = reason.or(slot.wal_status.as_deref()).unwrap_or("lost");
        return gap(&format!(
            "the server has invalidated the replication slot: {reason}"
        ));
    }
    let confirmed = match slot.confirmed_flush_lsn {
        Some(confirmed) => confirmed,
        // Before 9.6 a slot tells only from where on it keeps WAL; what was read stays behind that.
        None if slot.plugin.as_deref() == Some(TEST_DECODING) => {
            slot.restart_lsn.map_or(checkpoint.reported_lsn, |oldest| {
                oldest.max(checkpoint.reported_lsn)
            })
        }
        None => return gap("the replication slot has no position"),
    };
    // A server that crashed may have forgotten the last confirmations, so behind is well; ahead is
    // not, for nobody but us may confirm.
    if confirmed > from {
        return gap(&format!(
            "the replication slot was moved to {confirmed} by someone else, beyond {from}"
        ));
    }
    Ok(confirmed)
}

#[cfg(test)]
mod tests {
    use rowcast_domain::Position;
    use rowcast_proto::subject::Op;

    use super::*;
    use crate::pipeline::publish::tail::Last;

    fn server() -> SystemIdentity {
        SystemIdentity {
            system_id: "7".to_owned(),
            timeline: 1,
            flush_lsn: Lsn::new(1000),
            database: "shop".to_owned(),
        }
    }

    fn slot(confirmed: u64) -> SlotState {
        SlotState {
            plugin: Some("pgoutput".to_owned()),
            database: Some("shop".to_owned()),
            active: false,
            active_pid: None,
            restart_lsn: Some(Lsn::new(1)),
            confirmed_flush_lsn: Some(Lsn::new(confirmed)),
            wal_status: Some("reserved".to_owned()),
            safe_wal_size: None,
            invalidation_reason: None,
            temporary: false,
            failover: false,
            synced: false,
        }
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            system_id: "7".to_owned(),
            timeline: 1,
            position: Position::new(Lsn::new(480), 2),
            sequence: 40,
            reported_lsn: Lsn::new(500),
            acknowledged: None,
        }
    }

    fn tail(sequence: u64, lsn: u64) -> Tail {
        let position = Position::new(Lsn::new(lsn), 1);
        Tail {
            sequence,
            last: Some(Last {
                position,
                op: Op::Insert,
                half: None,
                committed_at: None,
            }),
        }
    }

    fn decide_with(
        server: &SystemIdentity,
        slot: Option<&SlotState>,
        checkpoint: Option<&Checkpoint>,
        tail: Option<Tail>,
    ) -> Result<Start, StopReason> {
        decide_on(server, &[], slot, checkpoint, tail)
    }

    fn decide_on(
        server: &SystemIdentity,
        history: &[TimelineEnd],
        slot: Option<&SlotState>,
        checkpoint: Option<&Checkpoint>,
        tail: Option<Tail>,
    ) -> Result<Start, StopReason> {
        decide(&Observation {
            server,
            history,
            slot,
            checkpoint,
            tail,
        })
    }

    #[test]
    fn a_task_that_never_ran_starts_fresh() {
        assert_eq!(decide_with(&server(), None, None, None), Ok(Start::Fresh));
        // A crash between slot and checkpoint: nothing was streamed yet.
        let empty = Some(Tail::default());
        assert_eq!(
            decide_with(&server(), Some(&slot(500)), None, empty),
            Ok(Start::Fresh)
        );
    }

    #[test]
    fn a_task_goes_on_behind_its_tail() {
        let expected = Durable {
            lsn: Lsn::new(450),
            position: Position::new(Lsn::new(600), 1),
            sequence: 50,
            bytes: 0,
            committed_at: None,
        };
        assert_eq!(
            decide_with(
                &server(),
                Some(&slot(450)),
                Some(&checkpoint()),
                Some(tail(50, 600))
            ),
            Ok(Start::Resume(expected))
        );
    }

    #[test]
    fn where_retention_emptied_the_stream_the_checkpoint_stands_in() {
        let emptied = Tail {
            sequence: 40,
            last: None,
        };
        let start = decide_with(
            &server(),
            Some(&slot(500)),
            Some(&checkpoint()),
            Some(emptied),
        );
        let Ok(Start::Resume(durable)) = start else {
            panic!("{start:?}")
        };
        assert_eq!(durable.position, checkpoint().position);
    }

    #[test]
    fn a_promoted_server_must_have_had_what_was_read() {
        let promoted = SystemIdentity {
            timeline: 2,
            flush_lsn: Lsn::new(9000),
            ..server()
        };
        let left_at = |end| {
            [TimelineEnd {
                timeline: 1,
                end: Lsn::new(end),
            }]
        };
        let decided = |end| {
            decide_on(
                &promoted,
                &left_at(end),
                Some(&slot(450)),
                Some(&checkpoint()),
                Some(tail(50, 600)),
            )
        };
        assert!(matches!(decided(700), Ok(Start::Resume(_))));
        assert_eq!(decided(599).unwrap_err().code(), "HistoryDiverged");
    }

    #[test]
    fn the_loss_of_a_slot_is_told_in_the_servers_words() {
        let lost = SlotState {
            wal_status: Some("lost".to_owned()),
            ..slot(500)
        };
        let since_17 = SlotState {
            invalidation_reason: Some("idle_timeout".to_owned()),
            ..lost.clone()
        };
        for (slot, word) in [(lost, "lost"), (since_17, "idle_timeout")] {
            let stop = decide_with(
                &server(),
                Some(&slot),
                Some(&checkpoint()),
                Some(tail(50, 600)),
            );
            let told = stop.unwrap_err().to_string();
            assert!(told.ends_with(&format!("slot: {word}")), "{told}");
        }
    }

    #[test]
    fn everything_that_does_not_fit_stops_with_its_name() {
        let (good_slot, kept, whole) = (slot(500), checkpoint(), Some(tail(50, 600)));
        let other = SystemIdentity {
            system_id: "8".to_owned(),
            ..server()
        };
        let restored = SystemIdentity {
            flush_lsn: Lsn::new(550),
            ..server()
        };
        let older = Checkpoint {
            timeline: 2,
            ..checkpoint()
        };
        let lost = SlotState {
            wal_status: Some("lost".to_owned()),
            ..slot(500)
        };
        let moved = slot(601);
        let server = server();
        for (outcome, expected) in [
            (
                decide_with(&other, Some(&good_slot), Some(&kept), whole),
                "SourceReplaced",
            ),
            (
                decide_with(&restored, Some(&good_slot), Some(&kept), whole),
                "HistoryDiverged",
            ),
            (
                decide_with(&server, Some(&good_slot), Some(&older), whole),
                "HistoryDiverged",
            ),
            (decide_with(&server, None, Some(&kept), whole), "Gap"),
            (decide_with(&server, Some(&lost), Some(&kept), whole), "Gap"),
            (
                decide_with(&server, Some(&moved), Some(&kept), whole),
                "Gap",
            ),
            (
                decide_with(&server, Some(&good_slot), Some(&kept), None),
                "BrokerDataLoss",
            ),
            (
                decide_with(&server, Some(&good_slot), Some(&kept), Some(tail(39, 470))),
                "BrokerDataLoss",
            ),
            (
                decide_with(&server, Some(&good_slot), None, whole),
                "BrokerDataLoss",
            ),
        ] {
            assert_eq!(outcome.unwrap_err().code(), expected);
        }
    }
}
