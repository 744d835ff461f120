//! How many connections a login has: nats-server knows no limit for that.
//!
//! It is an approximation. What the servers last told, and what this copy has let in since, is counted at no cost; where that
//! reaches the limit the servers are asked, for much of it may be gone. What another copy lets in meanwhile is seen then, so
//! that with several copies there may be that many times the limit for a moment. Where no server answers, all are let in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rowcast_bus::Bus;

use crate::members::{ByLogin, Members};

/// How long the servers may take: the login waits for it, and is given up after two seconds.
const LOOK: Duration = Duration::from_secs(1);

/// Counts connections by login.
#[derive(Debug)]
pub(crate) struct Seats {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    told: Arc<ByLogin>,
    /// Let in since that was told, by login.
    since: HashMap<String, usize>,
}

impl Seats {
    /// So many for each login.
    pub(crate) fn new(most: NonZeroU32) -> Self {
        Self {
            most: usize::try_from(most.get()).unwrap_or(usize::MAX),
            taken: Mutex::default(),
        }
    }

    /// Takes one for a connection that is let in; `false` where the login has all that it may have.
    pub(crate) async fn take(&self, members: &Members, system: &Bus, login: &str) -> bool {
        if self.take_counted(login) {
            return true;
        }
        let Ok(Some(told)) = tokio::time::timeout(LOOK, members.look(system)).await else {
            return true;
        };
        self.hear(told);
        self.take_counted(login)
    }

    fn take_counted(&self, login: &str) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let told = taken.told.get(login).map_or(0, Vec::len);
        let since = taken.since.entry(login.to_owned()).or_default();
        let is_free = told.saturating_add(*since) < self.most;
        if is_free {
            *since += 1;
        }
        is_free
    }

    fn hear(&self, told: Arc<ByLogin>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&taken.told, &told) {
            *taken = Taken {
                told,
                since: HashMap::new(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::GroupMember;

    use super::*;

    fn told(connections: usize) -> Arc<ByLogin> {
        let members = vec![GroupMember::default(); connections];
        Arc::new([("reader-g1".to_owned(), members)].into())
    }

    #[test]
    fn what_was_told_and_what_was_let_in_since_is_counted() {
        let seats = Seats::new(NonZeroU32::MIN.saturating_add(2));
        for is_free in [true, true, true, false] {
            assert_eq!(seats.take_counted("reader-g1"), is_free);
        }
        assert!(seats.take_counted("reader-g2"));
        // Two of the three have gone.
        let one = told(1);
        seats.hear(Arc::clone(&one));
        for is_free in [true, true, false] {
            assert_eq!(seats.take_counted("reader-g1"), is_free);
        }
        // The same again tells nothing new.
        seats.hear(one);
        assert!(!seats.take_counted("reader-g1"));
        seats.hear(told(3));
        assert!(!seats.take_counted("reader-g1"));
    }
}
