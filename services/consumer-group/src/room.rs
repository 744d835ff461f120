//! How much of the stream of dead letters a group may have, so that there is room for those of the others.
//!
//! JetStream does not tell what some subjects of a stream take. While all letters together are fewer than one group may have,
//! there is room for any; otherwise those of the group are counted, without their bodies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::Message;
use rowcast_bus::async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use rowcast_domain::GroupId;
use rowcast_proto::subject;
use rowcast_service::BoxError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::held::TaskStream;

/// How long what was counted is good for: who discards letters makes room.
const FRESH: Duration = Duration::from_secs(5);

/// How long a group is not tried again whose change could not be put away: others are not to wait for it each time.
const LEFT_FOR: Duration = Duration::from_secs(10);

/// How long a consumer that counts lives on where it could not be removed.
const COUNTED_WITHIN: Duration = Duration::from_secs(60);

/// Letters counted at a time.
const AT_A_TIME: usize = 1000;

/// Header of a message that is told without its body: how long that is (nats-server, `headers_only`).
const BODY_BYTES: &str = "Nats-Msg-Size";

/// Most that a group may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) letters: u64,
    pub(crate) bytes: u64,
}

/// What groups have, as it was counted last. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    share: Share,
    known: Arc<Mutex<HashMap<GroupId, Known>>>,
}

#[derive(Debug, Default)]
struct Known {
    used: Option<Used>,
    left_until: Option<Instant>,
}

/// What a group has.
#[derive(Debug, Clone, Copy)]
struct Used {
    letters: u64,
    bytes: u64,
    /// Whether it is not what all groups have.
    is_exact: bool,
    counted_at: Instant,
}

impl Rooms {
    pub(crate) fn new(share: Share) -> Self {
        Self {
            share,
            known: Arc::default(),
        }
    }

    /// Most bytes that a group may have.
    pub(crate) const fn bytes(&self) -> u64 {
        self.share.bytes
    }

    /// Whether the group may have so many letters more, of so many bytes together; they are counted then.
    pub(crate) async fn take(
        &self,
        shelf: &TaskStream,
        group: &GroupId,
        (letters, bytes): (u64, u64),
    ) -> Result<bool, BoxError> {
        if let Some(is_taken) = self.take_known(group, (letters, bytes)).await {
            return Ok(is_taken);
        }
        // The others are not kept waiting while one is counted.
        let all = of_all(shelf).await?;
        let used = if all.has_room(self.share, (letters, bytes)) {
            all
        } else {
            of_group(shelf, group, self.share).await?
        };
        self.known
            .lock()
            .await
            .entry(group.clone())
            .or_default()
            .used = Some(used);
        let is_taken = self.take_known(group, (letters, bytes)).await;
        Ok(is_taken.unwrap_or(false))
    }

    /// `None` where it has to be counted.
    async fn take_known(&self, group: &GroupId, (letters, bytes): (u64, u64)) -> Option<bool> {
        let mut known = self.known.lock().await;
        let used = known.get_mut(group)?.used.as_mut()?;
        if used.counted_at.elapsed() >= FRESH {
            return None;
        }
        if used.has_room(self.share, (letters, bytes)) {
            used.letters = used.letters.saturating_add(letters);
            used.bytes = used.bytes.saturating_add(bytes);
            return Some(true);
        }
        used.is_exact.then_some(false)
    }

    /// Notes that a change of the group could not be put away.
    pub(crate) async fn leave(&self, group: &GroupId) {
        let until = Instant::now() + LEFT_FOR;
        let mut known = self.known.lock().await;
        known.entry(group.clone()).or_default().left_until = Some(until);
    }

    /// Whether the group is not to be tried now.
    pub(crate) async fn is_left(&self, group: &GroupId) -> bool {
        let known = self.known.lock().await;
        let until = known.get(group).and_then(|known| known.left_until);
        until.is_some_and(|until| Instant::now() < until)
    }
}

impl Used {
    /// Where there is nothing yet, one message is never too large: it would wait for ever.
    const fn has_room(&self, share: Share, (letters, bytes): (u64, u64)) -> bool {
        (self.letters == 0 && letters == 1)
            || (self.letters.saturating_add(letters) <= share.letters
                && self.bytes.saturating_add(bytes) <= share.bytes)
    }
}

/// What all groups have, which is at least what each has.
async fn of_all(shelf: &TaskStream) -> Result<Used, BoxError> {
    let state = shelf.get_info().await?.state;
    Ok(Used {
        letters: state.messages,
        bytes: state.bytes,
        is_exact: false,
        counted_at: Instant::now(),
    })
}

async fn of_group(shelf: &TaskStream, group: &GroupId, share: Share) -> Result<Used, BoxError> {
    let config = pull::Config {
        description: Some(format!("counts the dead letters of group {group}")),
        // What is redriven stays there until it is acknowledged.
        filter_subjects: vec![subject::dead_letters(group), subject::redriven_of(group)],
        ack_policy: AckPolicy::None,
        headers_only: true,
        inactive_threshold: COUNTED_WITHIN,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    };
    let mut consumer = shelf.create_consumer(config).await?;
    let info = consumer.info().await?;
    let (name, letters) = (info.name.clone(), info.num_pending);
    let counted = if letters < share.letters {
        bytes_of(&consumer, letters).await
    } else {
        Ok(share.bytes)
    };
    if let Err(error) = shelf.delete_consumer(&name).await {
        tracing::debug!(%group, %error, "the consumer that has counted dead letters ends by itself");
    }
    Ok(Used {
        letters,
        bytes: counted?,
        is_exact: true,
        counted_at: Instant::now(),
    })
}

/// What so many letters take.
async fn bytes_of(consumer: &PullConsumer, letters: u64) -> Result<u64, BoxError> {
    let mut left = usize::try_from(letters).unwrap_or(usize::MAX);
    let mut bytes = 0_u64;
    while left > 0 {
        let asked = left.min(AT_A_TIME);
        let mut batch = consumer.fetch().max_messages(asked).messages().await?;
        let mut came = 0;
        while let Some(message) = batch.next().await {
            let letter = message?;
            bytes = bytes.saturating_add(size(&letter));
            came += 1;
        }
        if came == 0 {
            // Discarded meanwhile.
            break;
        }
        left = left.saturating_sub(came);
    }
    Ok(bytes)
}

/// What a letter takes that came without its body.
fn size(message: &Message) -> u64 {
    let body = message.headers.as_ref().and_then(|all| all.get(BODY_BYTES));
    let body = body.and_then(|number| number.as_str().parse().ok());
    let headers = u64::try_from(message.length).unwrap_or(u64::MAX);
    headers.saturating_add(body.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_has_room_for_what_it_may_have_and_always_for_one() {
        let share = Share {
            letters: 3,
            bytes: 100,
        };
        let used = |letters, bytes, is_exact| Used {
            letters,
            bytes,
            is_exact,
            counted_at: Instant::now(),
        };
        assert!(used(0, 0, true).has_room(share, (1, 1000)));
        assert!(!used(0, 0, true).has_room(share, (2, 1000)));
        assert!(used(2, 60, true).has_room(share, (1, 40)));
        assert!(!used(2, 60, true).has_room(share, (1, 41)));
        assert!(!used(2, 60, true).has_room(share, (2, 1)));
        assert!(!used(3, 60, true).has_room(share, (1, 1)));

        let rooms = Rooms::new(share);
        let group = GroupId::random();
        let one = (1, 1);
        assert_eq!(rooms.take_known(&group, one).await, None, "never counted");
        for (is_exact, full) in [(true, Some(false)), (false, None)] {
            let known = Known {
                used: Some(used(1, 10, is_exact)),
                left_until: None,
            };
            rooms.known.lock().await.insert(group.clone(), known);
            for _letter in 0..2 {
                assert_eq!(rooms.take_known(&group, one).await, Some(true));
            }
            // What all groups have says nothing of one once it is too much.
            assert_eq!(rooms.take_known(&group, one).await, full);
        }
    }
}
