//! Consumer groups, as consumer-group tells them.

use rowcast_proto::message as m;
use rowcast_proto::rest;

use super::{id, time};
use crate::error::ApiError;

pub(crate) fn group(group: m::Group) -> Result<rest::Group, ApiError> {
    Ok(rest::Group {
        id: id("group", &group.id)?,
        task_id: id("task_id", &group.task_id)?,
        mode: group.mode().into(),
        format: group.format().named(),
        on_exhausted: group.on_exhausted().named(),
        delivery: group.delivery().into(),
        etl: group.etl.map(etl),
        name: group.name,
        account: group.account,
        acknowledged_sequence: group.acknowledged_sequence,
        pending: group.pending,
        in_flight: group.in_flight,
        max_deliver: Some(group.max_deliver),
        created_at: time("created_at", group.created_at)?,
        status: group.status.map(status).transpose()?,
    })
}

fn status(status: m::GroupStatus) -> Result<rest::GroupStatus, ApiError> {
    let state = match status.state() {
        m::GroupState::Ok | m::GroupState::Unspecified => rest::GroupState::Ok,
        m::GroupState::Warning => rest::GroupState::Warning,
        m::GroupState::Gap => rest::GroupState::Gap,
        m::GroupState::Blocked => rest::GroupState::Blocked,
    };
    let m::GroupStatus {
        state: _,
        reason,
        position: place,
        delay_seconds,
        unconsumed,
        range: held,
        members,
        members_unknown,
        generation,
        derivation: of_own,
        stuck: held_up,
        dead_letters,
        dead_letters_waiting,
    } = status;
    Ok(rest::GroupStatus {
        state,
        reason: given(reason),
        position: place.map(position).transpose()?,
        delay_seconds,
        unconsumed,
        range: held.map(range).transpose()?,
        members: members.into_iter().map(member).collect::<Result<_, _>>()?,
        members_unknown: given(members_unknown),
        generation,
        derivation: of_own.map(derivation),
        stuck: held_up.into_iter().map(stuck).collect::<Result<_, _>>()?,
        dead_letters,
        dead_letters_waiting: Some(dead_letters_waiting).filter(|number| *number > 0),
    })
}

fn derivation(derivation: m::Derivation) -> rest::Derivation {
    rest::Derivation {
        state: match derivation.state() {
            m::DerivationState::Unspecified => rest::DerivationState::Waiting,
            m::DerivationState::Running => rest::DerivationState::Running,
            m::DerivationState::Retrying => rest::DerivationState::Retrying,
            m::DerivationState::Stopped => rest::DerivationState::Stopped,
        },
        reason: given(derivation.reason),
        source_sequence: derivation.source_sequence,
        behind: derivation.behind,
        parked: derivation.parked,
    }
}

fn etl(etl: m::EtlPolicy) -> rest::Etl {
    rest::Etl {
        on_error: match etl.on_error() {
            m::RowErrorAction::Unspecified | m::RowErrorAction::Park => rest::OnRowError::Park,
            m::RowErrorAction::Drop => rest::OnRowError::Drop,
            m::RowErrorAction::Stop => rest::OnRowError::Stop,
        },
        script: etl.script,
    }
}

fn stuck(stuck: m::StuckChange) -> Result<rest::StuckChange, ApiError> {
    Ok(rest::StuckChange {
        consumer: stuck.consumer,
        position: position(stuck.position.unwrap_or_default())?,
        attempts: stuck.attempts,
    })
}

pub(super) fn position(position: m::StreamPosition) -> Result<rest::StreamPosition, ApiError> {
    let lsn = given(position.lsn)
        .map(|lsn| {
            lsn.parse()
                .map_err(|_no_lsn| ApiError::Unreadable(format!("the LSN {lsn:?}")))
        })
        .transpose()?;
    Ok(rest::StreamPosition {
        sequence: position.sequence,
        lsn,
        ordinal: position.ordinal,
        committed_at: time("committed_at", position.committed_at)?,
    })
}

fn range(range: m::StreamRange) -> Result<rest::StreamRange, ApiError> {
    Ok(rest::StreamRange {
        messages: range.messages,
        first_sequence: range.first_sequence,
        last_sequence: range.last_sequence,
        first: range.first.map(position).transpose()?,
        last: range.last.map(position).transpose()?,
    })
}

fn member(member: m::GroupMember) -> Result<rest::GroupMember, ApiError> {
    Ok(rest::GroupMember {
        address: member.address,
        name: given(member.name),
        language: given(member.language),
        version: given(member.version),
        connected_at: time("connected_at", member.connected_at)?,
        server: member.server,
    })
}

pub(crate) fn group_sample(sample: m::GroupSample) -> Result<rest::GroupSample, ApiError> {
    Ok(rest::GroupSample {
        at: time("at", sample.at)?,
        acknowledged_sequence: sample.acknowledged_sequence,
        unread: sample.unread,
        in_flight: sample.in_flight,
        delay_seconds: sample.delay_seconds,
        // -1 where they were not known.
        members: u64::try_from(sample.members).ok(),
    })
}

/// Nothing is said where nothing was asked for.
pub(crate) fn on_exhausted(asked: Option<rest::OnExhausted>) -> m::OnExhausted {
    asked.map_or(m::OnExhausted::Unspecified, Into::into)
}

pub(super) fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
