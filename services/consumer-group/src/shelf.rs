//! The stream of dead letters, in account DATA.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream::ErrorCode;
use rowcast_bus::async_nats::jetstream::context::PublishErrorKind;
use rowcast_bus::async_nats::jetstream::message::{PublishMessage, StreamMessage};
use rowcast_bus::async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind};
use rowcast_domain::GroupId;
use rowcast_proto::stream::DEAD;
use rowcast_proto::subject;
use rowcast_service::BoxError;

use crate::held::TaskStream;
use crate::letter::Letter;

/// A letter that is there.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Its number: its sequence in the stream.
    pub(crate) id: u64,
    /// When it was put away.
    pub(crate) at: DateTime<Utc>,
    pub(crate) letter: Letter,
}

/// The stream, without a question whether it is there.
pub(crate) async fn stream(data: &Bus) -> Result<TaskStream, BoxError> {
    Ok(data.jetstream().get_stream_no_info(DEAD.name).await?)
}

/// Puts a letter away, and waits until it is stored. One of the same change that is there already stays as it is. What
/// has the same `source` within two minutes is the same, whatever became of the letter.
pub(crate) async fn put(data: &Bus, letter: &Letter, source: Option<&str>) -> Result<(), BoxError> {
    let Letter {
        group,
        sequence,
        stored_at,
        ..
    } = letter;
    let message = PublishMessage::build().headers(letter.headers());
    let subject = subject::dead_letter(group, *sequence, *stored_at);
    let message = match source {
        Some(source) => message.message_id(source),
        None => message,
    };
    store(data, subject, letter, message).await
}

/// Puts a letter on its way to its group, and waits until that is stored. Done twice it is the same.
pub(crate) async fn send(data: &Bus, kept: &Kept) -> Result<(), BoxError> {
    let subject = subject::redriven(&kept.letter.group, kept.id);
    let message = PublishMessage::build().headers(kept.letter.headers());
    store(data, subject, &kept.letter, message).await
}

/// Stores what its subject does not have yet.
async fn store(
    data: &Bus,
    subject: String,
    letter: &Letter,
    message: PublishMessage,
) -> Result<(), BoxError> {
    let message = message
        .payload(letter.body.clone().unwrap_or_default())
        .expected_stream(DEAD.name)
        .expected_last_subject_sequence(0);
    let sent = data.jetstream().send_publish(subject, message).await?;
    match sent.await {
        Ok(_stored) => Ok(()),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The letter of a group with this number.
pub(crate) async fn get(
    shelf: &TaskStream,
    group: &GroupId,
    id: u64,
) -> Result<Option<Kept>, BoxError> {
    let found = found(shelf.get_raw_message(id).await)?;
    Ok(found.and_then(|message| kept(group, &message)))
}

/// The next letter of a group behind this number.
pub(crate) async fn next(
    shelf: &TaskStream,
    group: &GroupId,
    after: u64,
) -> Result<Option<Kept>, BoxError> {
    let question = shelf
        .raw_message_builder()
        .sequence(after.saturating_add(1));
    let letters = subject::dead_letters(group);
    let found = found(question.next_by_subject(letters).send().await)?;
    Ok(found.and_then(|message| kept(group, &message)))
}

/// How many letters a group has.
pub(crate) async fn count(shelf: &TaskStream, group: &GroupId) -> Result<u64, BoxError> {
    let subjects = shelf
        .info_with_subjects(subject::dead_letters(group))
        .await?;
    let counted = subjects.try_fold(0_u64, |sum, (_subject, count)| async move {
        Ok(sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)))
    });
    Ok(counted.await?)
}

/// How many letters each group has that has some.
pub(crate) async fn counts(shelf: &TaskStream) -> Result<HashMap<GroupId, u64>, BoxError> {
    let mut subjects = shelf.info_with_subjects(subject::DEAD_LETTERS).await?;
    let mut counts = HashMap::new();
    while let Some((letter, count)) = subjects.try_next().await? {
        if let Some(group) = subject::group_of_letter(&letter) {
            let of_group: &mut u64 = counts.entry(group).or_default();
            *of_group = of_group.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
    Ok(counts)
}

/// Removes a letter, if it is still there; not one that the same change has become since.
pub(crate) async fn remove(shelf: &TaskStream, kept: &Kept) -> Result<(), BoxError> {
    let letter = &kept.letter;
    let subject = subject::dead_letter(&letter.group, letter.sequence, letter.stored_at);
    // The server keeps the one that is named.
    let purge = shelf.purge().filter(subject);
    purge.sequence(kept.id.saturating_add(1)).await?;
    Ok(())
}

fn kept(group: &GroupId, message: &StreamMessage) -> Option<Kept> {
    let of_group = subject::dead_letters(group);
    let of_group = of_group.strip_suffix('*')?;
    if !message.subject.starts_with(of_group) {
        return None;
    }
    let nanoseconds = i64::try_from(message.time.unix_timestamp_nanos()).ok()?;
    Some(Kept {
        id: message.sequence,
        at: DateTime::from_timestamp_nanos(nanoseconds),
        letter: Letter::read(group.clone(), message)?,
    })
}

/// What is found, where something is.
pub(crate) fn found(
    answer: Result<StreamMessage, RawMessageError>,
) -> Result<Option<StreamMessage>, BoxError> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            RawMessageErrorKind::JetStream(_)
            | RawMessageErrorKind::InvalidSubject
            | RawMessageErrorKind::Other => Err(error.into()),
        },
    }
}
