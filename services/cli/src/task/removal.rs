//! A release, item by item of what its dry run lists.
//!
//! Stream, slot, publication and trigger are reported by capture, all at once when the last of them is gone; each group is
//! gone once it is not listed any more. That the instance has ended is not told by a list, so it is not counted.

use rowcast_proto::rest::{ReleasePlan, ReleasedItem, ReleasedKind, Task};

use super::step::word;
use super::wait::{self, Watch};
use crate::api::Api;

/// Waits until everything is removed, and tells each item.
pub(super) async fn follow(
    api: &Api,
    released: &Task,
    plan: &ReleasePlan,
    watch: &Watch,
) -> anyhow::Result<Task> {
    let (groups, rest): (Vec<&ReleasedItem>, Vec<&ReleasedItem>) = plan
        .items
        .iter()
        .filter(|item| item.kind != ReleasedKind::Instance)
        .partition(|item| item.kind == ReleasedKind::Group);
    let mut items = Items {
        watch,
        done: 0,
        all: groups.len() + rest.len(),
    };
    watch.bar().count(items.all);
    let task = watch.until(api, &released.id, wait::is_gone).await?;
    for item in rest {
        items.removed(item);
    }
    let mut left = groups;
    while !left.is_empty() {
        let listed = api.groups(&task.id).await?.groups;
        let is_listed = |item: &ReleasedItem| listed.iter().any(|group| group.name == item.name);
        let (still, gone): (Vec<_>, Vec<_>) = left.into_iter().partition(|item| is_listed(item));
        for item in gone {
            items.removed(item);
        }
        left = still;
        if !left.is_empty() {
            watch.look_again(task.state).await?;
        }
    }
    Ok(task)
}

/// What is told of items, and how many.
struct Items<'a> {
    watch: &'a Watch,
    done: usize,
    all: usize,
}

impl Items<'_> {
    fn removed(&mut self, item: &ReleasedItem) {
        self.done += 1;
        self.watch.bar().step();
        let (done, all) = (self.done, self.all);
        let (word, name) = (word(item.kind), &item.name);
        self.watch
            .line(format_args!("{done}/{all} removed: {word} {name}"));
    }
}
