//! Since when this copy of the service hears the members of groups.
//!
//! A member that could not ask, because the service was away, has done nothing wrong: its lease is not over before
//! it had the time of one to ask again.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rowcast_bus::async_nats::Client;
use rowcast_domain::GroupId;
use tokio::time::Instant;

/// How long a member holds what it was given, from when it asked last.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

/// Since when nothing that a member has asked can have been lost here. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hearing(Arc<Mutex<Since>>);

#[derive(Debug)]
struct Since {
    /// Connections that the client has had: another one means that questions may be lost.
    connects: u64,
    at: Instant,
    /// Groups of which a question could not be answered, and when. What is older than a lease is forgotten.
    undecided: HashMap<GroupId, Instant>,
}

impl Hearing {
    /// From now on.
    pub(crate) fn begin(client: &Client) -> Self {
        Self(Arc::new(Mutex::new(Since {
            connects: connects(client),
            at: Instant::now(),
            undecided: HashMap::new(),
        })))
    }

    /// Begins anew: a question of this group could not be answered; of any group where it is not known which.
    pub(crate) fn interrupted(&self, group: Option<&GroupId>) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.interrupted(group, Instant::now());
    }

    /// Whether who of the group was not heard for the time of a lease has not asked.
    pub(crate) fn is_sure(&self, client: &Client, group: &GroupId) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connects = connects(client);
        if since.connects != connects {
            since.connects = connects;
            since.at = Instant::now();
        }
        since.is_sure(group, Instant::now())
    }
}

impl Since {
    fn interrupted(&mut self, group: Option<&GroupId>, now: Instant) {
        match group {
            Some(group) => {
                self.undecided
                    .retain(|_group, at| now.duration_since(*at) <= LEASE);
                self.undecided.insert(group.clone(), now);
            }
            None => self.at = now,
        }
    }

    fn is_sure(&self, group: &GroupId, now: Instant) -> bool {
        let last = self.undecided.get(group).copied();
        let last = last.map_or(self.at, |at| at.max(self.at));
        now.duration_since(last) > LEASE
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_decided_of_one_group_keeps_nothing_of_another() {
        let (one, two) = (GroupId::random(), GroupId::random());
        let begun = Instant::now();
        let mut since = Since {
            connects: 1,
            at: begun,
            undecided: HashMap::new(),
        };
        let second = Duration::from_secs(1);
        assert!(!since.is_sure(&one, begun + LEASE));
        assert!(since.is_sure(&one, begun + LEASE + second));
        since.interrupted(Some(&one), begun + 2 * second);
        assert!(!since.is_sure(&one, begun + LEASE + second));
        assert!(since.is_sure(&two, begun + LEASE + second));
        assert!(since.is_sure(&one, begun + LEASE + 3 * second));
        since.interrupted(None, begun + LEASE);
        assert!(!since.is_sure(&two, begun + LEASE + second));
        since.interrupted(Some(&two), begun + 3 * LEASE);
        assert_eq!(since.undecided.len(), 1);
    }
}
