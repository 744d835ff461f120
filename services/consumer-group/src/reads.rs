//! Which stream a group reads: its task's, or one of its own.

use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::{stream, subject};

use crate::store::group::Group;

/// A stream that groups read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reads {
    /// That of the task, as all groups without a policy or a format of their own.
    Task(TaskId),
    /// That of this group alone.
    Own(GroupId),
}

impl Reads {
    /// What a group reads.
    pub(crate) fn of(group: &Group) -> Self {
        match group.derived {
            None => Self::Task(group.task_id.clone()),
            Some(_) => Self::Own(group.id.clone()),
        }
    }

    /// The stream's name.
    pub(crate) fn stream(&self) -> String {
        match self {
            Self::Task(task) => stream::task_stream(task),
            Self::Own(group) => stream::group_stream(group),
        }
    }

    /// The subjects of all that is in it.
    pub(crate) fn all(&self) -> String {
        match self {
            Self::Task(task) => subject::task_changes(task),
            Self::Own(group) => subject::group_changes(group),
        }
    }

    /// The subjects of a partition of it.
    pub(crate) fn partition(&self, partition: &str) -> String {
        match self {
            Self::Task(task) => subject::partition_changes(task, partition),
            Self::Own(group) => subject::group_partition_changes(group, partition),
        }
    }
}

/// Groups in the order of what they read.
pub(crate) fn sort(groups: &mut [Group]) {
    groups.sort_by_cached_key(|group| (group.task_id.clone(), Reads::of(group), group.id.clone()));
}

/// Whether two groups read the same.
pub(crate) fn same(one: &Group, other: &Group) -> bool {
    Reads::of(one) == Reads::of(other)
}
