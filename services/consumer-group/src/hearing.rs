//! Since when this copy of the service hears the members of groups.
//!
//! A member that could not ask, because the service was away, has done nothing wrong: its lease is not over before
//! it had the time of one to ask again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rowcast_bus::async_nats::Client;
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
}

impl Hearing {
    /// From now on.
    pub(crate) fn begin(client: &Client) -> Self {
        Self(Arc::new(Mutex::new(Since {
            connects: connects(client),
            at: Instant::now(),
        })))
    }

    /// Begins anew: a question could not be answered.
    pub(crate) fn interrupted(&self) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.at = Instant::now();
    }

    /// Whether who was not heard for the time of a lease has not asked.
    pub(crate) fn is_sure(&self, client: &Client) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connects = connects(client);
        if since.connects != connects {
            *since = Since {
                connects,
                at: Instant::now(),
            };
        }
        since.at.elapsed() > LEASE
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}
