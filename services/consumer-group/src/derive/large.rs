//! Large changes: how much memory they take at a time, over all groups of this process, and who waits for them.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A message from this many bytes on is large. Work on a smaller one takes milliseconds.
pub(super) const LARGE: usize = 1 << 20;

/// How many times a large change lies in memory while it is worked on: as it came, as it was read, as the policy and the
/// format make it, and in the pieces that wait to be sent.
const TIMES: usize = 6;

/// Memory that large changes take at a time, in KiB. A change that takes more on its own is worked on alone.
const ROOM_KIB: u32 = 1 << 20;

/// Memory for large changes. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    kib: u32,
}

/// Waits for a part of it.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Taken> + Send + Sync>>;

impl Default for Room {
    fn default() -> Self {
        Self::of(ROOM_KIB)
    }
}

/// A part of it, free again once this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _permit: OwnedSemaphorePermit,
}

impl Room {
    fn of(kib: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(usize::try_from(kib).unwrap_or(usize::MAX))),
            kib,
        }
    }

    /// Waits for the memory that a change of so many bytes takes. Who waits longest is next.
    pub(super) fn take(&self, bytes: usize) -> Waiting {
        let wanted = bytes.saturating_mul(TIMES).div_ceil(1024);
        let wanted = u32::try_from(wanted).unwrap_or(self.kib).min(self.kib);
        let free = Arc::clone(&self.free);
        Box::pin(async move {
            match free.acquire_many_owned(wanted).await {
                Ok(permit) => Taken { _permit: permit },
                // It is never closed.
                Err(_closed) => std::future::pending().await,
            }
        })
    }
}

/// Does work on so many bytes; on many of them without holding up what else runs in this thread, as leases that must be
/// renewed meanwhile.
pub(super) fn work<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < LARGE {
        work()
    } else {
        tokio::task::block_in_place(work)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn large_changes_wait_for_each_other_in_order() {
        let room = Room::of(60);
        let first = room.take(5 << 10).now_or_never().unwrap();
        let mut second = room.take(6 << 10);
        assert!((&mut second).now_or_never().is_none(), "30 + 36 KiB");
        let mut third = room.take(1 << 10);
        assert!((&mut third).now_or_never().is_none(), "it came later");
        drop(first);
        let second = second.now_or_never().unwrap();
        drop(third.now_or_never().unwrap());
        drop(second);
        let alone = room.take(1 << 30).now_or_never();
        assert!(alone.is_some(), "more than there is: alone");
    }
}
