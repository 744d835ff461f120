//! Whose question is decided now.
//!
//! A group's decisions come one after the other anyway, by a lock in the database. Here too, so that one whose lock is held for
//! long keeps no more than one of the few turns from the others.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use rowcast_domain::GroupId;
use tokio::sync::{AcquireError, Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

/// The turns of this copy of the service.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    groups: std::sync::Mutex<HashMap<GroupId, Arc<Mutex<()>>>>,
}

/// Over once it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _all: SemaphorePermit<'a>,
    _group: OwnedMutexGuard<()>,
}

impl Turns {
    /// So many at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            all: Semaphore::new(most),
            groups: std::sync::Mutex::default(),
        }
    }

    /// Waits for one of the group's.
    ///
    /// # Errors
    /// Never: nobody ends them.
    pub(crate) async fn take(&self, group: &GroupId) -> Result<Turn<'_>, AcquireError> {
        let of_group = {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.retain(|_group, turn| Arc::strong_count(turn) > 1);
            Arc::clone(groups.entry(group.clone()).or_default())
        };
        let of_group = of_group.lock_owned().await;
        Ok(Turn {
            _all: self.all.acquire().await?,
            _group: of_group,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_group_has_one_turn_at_a_time_and_takes_none_from_others() {
        let (one, two) = (GroupId::random(), GroupId::random());
        let turns = Turns::new(2);
        let of_one = turns.take(&one).await.unwrap();
        assert!(turns.take(&one).now_or_never().is_none());
        let of_two = turns.take(&two).await.unwrap();
        assert!(turns.take(&GroupId::random()).now_or_never().is_none());
        drop(of_one);
        assert!(turns.take(&two).now_or_never().is_none());
        assert!(turns.take(&one).now_or_never().is_some());
        drop(of_two);
        drop(turns.take(&GroupId::random()).await);
        assert!(turns.groups.lock().unwrap().len() <= 1, "nothing grows");
    }
}
