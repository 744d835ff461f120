//! Which consumers a group has: the one place that knows.

use rowcast_proto::rest::GroupMode;
use rowcast_proto::stream::{group_consumer, partition_consumer};
use rowcast_proto::subject::partitions;

use crate::reads::Reads;
use crate::store::group::Group;

/// A consumer that a group is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnConsumer {
    /// Its name in the stream that the group reads.
    pub(crate) name: String,
    /// The partition that it reads, by the token in subjects; absent where it reads all.
    pub(crate) partition: Option<String>,
    /// What it reads.
    pub(crate) filter: String,
}

/// The consumers of a group: of a keyed one for each partition, of the others one.
pub(crate) fn of(group: &Group) -> Vec<OwnConsumer> {
    match group.mode {
        GroupMode::Ordered | GroupMode::Shared => vec![OwnConsumer {
            name: group_consumer(&group.id),
            partition: None,
            filter: Reads::of(group).all(),
        }],
        GroupMode::Keyed => partitions(group.partitions)
            .map(|partition| OwnConsumer {
                name: partition_consumer(&group.id, &partition),
                filter: Reads::of(group).partition(&partition),
                partition: Some(partition),
            })
            .collect(),
    }
}

/// Their names.
pub(crate) fn names(group: &Group) -> impl Iterator<Item = String> {
    of(group).into_iter().map(|consumer| consumer.name)
}
