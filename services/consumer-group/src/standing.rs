//! Where groups stand in their task's stream, by all consumers that each of them has.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rowcast_bus::async_nats::jetstream::consumer::Info;
use rowcast_domain::GroupId;
use rowcast_proto::stream::{GENERATION, is_consumer_of};
use rowcast_service::BoxError;

use crate::consumer::{self, Position};
use crate::held::{self, TaskStream};
use crate::reads::Reads;

/// A consumer as its server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The consumer's name.
    pub(crate) name: String,
    /// Stream sequence up to which everything is acknowledged.
    pub(crate) acknowledged: u64,
    /// Stream sequence before which nothing is left for it to read; of a consumer of a part, that may be far behind the
    /// last of its part that was acknowledged.
    pub(crate) read_up_to: u64,
    /// Stream sequence of the last one sent.
    pub(crate) delivered: u64,
    /// Number of messages sent since it was made or moved, repeats counted.
    pub(crate) deliveries: u64,
    /// Not sent.
    pub(crate) pending: u64,
    /// Sent and not acknowledged.
    pub(crate) in_flight: u64,
    /// Whether it reads all of the stream, and not a part.
    pub(crate) reads_all: bool,
    /// Number of the last move that it has gone through.
    pub(crate) generation: u64,
    /// How often the server sends a change; less than one for no limit.
    pub(crate) max_deliver: i64,
}

impl Standing {
    fn of(info: &Info, reads: &Reads) -> Self {
        let config = &info.config;
        let filters = &config.filter_subjects;
        Self {
            name: info.name.clone(),
            acknowledged: info.ack_floor.stream_sequence,
            read_up_to: info.ack_floor.stream_sequence,
            delivered: info.delivered.stream_sequence,
            deliveries: info.delivered.consumer_sequence,
            pending: info.num_pending,
            in_flight: u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX),
            reads_all: filters.is_empty()
                && (config.filter_subject.is_empty() || config.filter_subject == reads.all()),
            generation: config
                .metadata
                .get(GENERATION)
                .and_then(|number| number.parse().ok())
                .unwrap_or_default(),
            max_deliver: config.max_deliver,
        }
    }

    pub(crate) const fn unread(&self) -> u64 {
        self.pending.saturating_add(self.in_flight)
    }
}

/// Questions at a time.
const CONCURRENT: usize = 16;

/// All consumers of a task's stream, in one question for each 256 of them, and one more for each of a part that has
/// something to read; none where there is no stream.
pub(crate) async fn of_stream(
    of_task: &TaskStream,
    reads: &Reads,
) -> Result<Vec<Standing>, BoxError> {
    let listed: Result<Vec<Info>, _> = of_task.consumers().try_collect().await;
    match listed {
        Ok(infos) => {
            let looks = infos.into_iter().map(|info| look(of_task, reads, info));
            stream::iter(looks).buffered(CONCURRENT).try_collect().await
        }
        Err(error) if consumer::says_no_stream(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn look(of_task: &TaskStream, reads: &Reads, info: Info) -> Result<Standing, BoxError> {
    let mut standing = Standing::of(&info, reads);
    if !standing.reads_all && standing.unread() > 0 {
        let acknowledged = standing.acknowledged;
        let filter = &info.config.filter_subject;
        if let Some(first) = held::next_of(of_task, acknowledged + 1, filter).await? {
            standing.read_up_to = first.sequence.saturating_sub(1).max(acknowledged);
        }
    }
    Ok(standing)
}

/// Those of one group.
pub(crate) fn of_group<'a>(
    all: &'a [Standing],
    group: &GroupId,
) -> impl Iterator<Item = &'a Standing> + Clone {
    let group = group.clone();
    all.iter()
        .filter(move |one| is_consumer_of(&group, &one.name))
}

/// The group's position: the lowest of its consumers that have something unread, for a consumer of a part that has read
/// all of it stands wherever that part last had a change.
pub(crate) fn position<'a>(consumers: impl Iterator<Item = &'a Standing> + Clone) -> Position {
    let behind = consumers.clone().filter(|one| one.unread() > 0);
    let lowest = behind.map(|one| one.read_up_to).min();
    let highest = consumers.clone().map(|one| one.acknowledged).max();
    Position {
        acknowledged_sequence: lowest.or(highest).unwrap_or_default(),
        pending: consumers.clone().map(|one| one.pending).sum(),
        in_flight: consumers.map(|one| one.in_flight).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(name: &str, acknowledged: u64, pending: u64) -> Standing {
        Standing {
            name: name.to_owned(),
            acknowledged,
            read_up_to: acknowledged,
            delivered: acknowledged,
            deliveries: acknowledged,
            pending,
            in_flight: 0,
            reads_all: true,
            generation: 0,
            max_deliver: -1,
        }
    }

    #[test]
    fn a_group_stands_where_its_last_consumer_does() {
        let group: GroupId = "g111111111111".parse().unwrap();
        let all = [
            standing("g_g111111111111_00", 10, 0),
            standing("g_g111111111111_01", 40, 3),
            standing("g_g111111111111_02", 50, 1),
            standing("g_g222222222222", 1, 9),
        ];
        let mine = of_group(&all, &group);
        assert_eq!(mine.clone().count(), 3);
        let expected = Position {
            acknowledged_sequence: 40,
            pending: 4,
            in_flight: 0,
        };
        assert_eq!(position(mine), expected);
        let idle = [standing("a", 10, 0), standing("b", 50, 0)];
        assert_eq!(position(idle.iter()).acknowledged_sequence, 50);
        assert_eq!(position([].iter()), Position::default());
    }
}
