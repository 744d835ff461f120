//! Where the WAL of a server ends: asked by one task, known to all that have their source there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rowcast_domain::Lsn;
use tokio::time::Instant;

/// What was found so long ago is still good enough.
const RECENT: Duration = Duration::from_secs(1);

/// Host and port of a server.
pub(crate) type Server = (String, u32);

/// What was found, and when it was asked for.
#[derive(Debug, Default)]
pub(crate) struct WalEnds(Mutex<HashMap<Server, (Instant, Lsn)>>);

impl WalEnds {
    /// What any task has found just now. It may be older than what the server would say, never newer.
    pub(crate) fn recent(&self, server: &Server, now: Instant) -> Option<Lsn> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let &(asked_at, lsn) = found.get(server)?;
        (now.duration_since(asked_at) < RECENT).then_some(lsn)
    }

    /// Tells the others; forgets the servers that nobody asks any more.
    pub(crate) fn tell(&self, server: &Server, asked_at: Instant, lsn: Lsn) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.retain(|_, (other, _)| asked_at.duration_since(*other) < 60 * RECENT);
        found.insert(server.clone(), (asked_at, lsn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_later_it_must_be_asked_again() {
        let ends = WalEnds::default();
        let server = |port| ("db".to_owned(), port);
        let begin = Instant::now();
        ends.tell(&server(1), begin, Lsn::new(7));
        let found = |port, later: u32| ends.recent(&server(port), begin + later * RECENT / 2);
        assert_eq!(found(1, 1), Some(Lsn::new(7)));
        assert_eq!((found(1, 2), found(2, 1)), (None, None));
        ends.tell(&server(2), begin + 61 * RECENT, Lsn::new(9));
        assert_eq!(ends.0.lock().unwrap().len(), 1, "the first is forgotten");
    }
}
