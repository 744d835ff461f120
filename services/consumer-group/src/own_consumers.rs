//! Which consumers a group has: the one place that knows.

use rowcast_proto::rest::GroupMode;
use rowcast_proto::stream::{group_consumer, partition_consumer};
use rowcast_proto::subject::{group_delivery, partitions};

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
    /// Where it sends, where the group's clients do not ask for what it has.
    pub(crate) deliver_subject: Option<String>,
}

/// The consumers of a group: of a keyed one for each partition, of the others one.
pub(crate) fn of(group: &Group) -> Vec<OwnConsumer> {
    match group.mode {
        GroupMode::Ordered | GroupMode::Shared => vec![OwnConsumer {
            name: group_consumer(&group.id),
            partition: None,
            filter: Reads::of(group).all(),
            deliver_subject: deliver_subject(group, None),
        }],
        GroupMode::Keyed => partitions(group.partitions)
            .map(|partition| OwnConsumer {
                name: partition_consumer(&group.id, &partition),
                filter: Reads::of(group).partition(&partition),
                deliver_subject: deliver_subject(group, Some(&partition)),
                partition: Some(partition),
            })
            .collect(),
    }
}

fn deliver_subject(group: &Group, partition: Option<&str>) -> Option<String> {
    let token = group.deliver_token.as_deref()?;
    Some(group_delivery(&group.id, token, partition))
}

/// The queue group whose members share what a push group is sent.
pub(crate) fn deliver_group(group: &Group) -> Option<String> {
    let is_shared = group.mode == GroupMode::Shared && group.deliver_token.is_some();
    is_shared.then(|| group.id.to_string())
}

/// Their names.
pub(crate) fn names(group: &Group) -> impl Iterator<Item = String> {
    of(group).into_iter().map(|consumer| consumer.name)
}
