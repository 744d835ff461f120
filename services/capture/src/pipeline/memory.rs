//! How much memory the buffers of one task take.
//!
//! One process has many tasks and one heap, so a task's memory cannot be asked of the system. What grows with a task's
//! work is counted instead: what was read and not decoded, the transaction that is translated, what is being written,
//! what waits to be sent, and the buffer that it is sent from. Shapes of its tables, connections, and the process itself
//! are not in it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Pipeline;
use super::translate::Translation;

/// What the buffers hold, told by the pipeline and looked at by the report.
#[derive(Debug, Default)]
pub(crate) struct Held {
    now: AtomicU64,
    /// Between two looks the buffers fill and empty many times: the most of it is what counts.
    most: AtomicU64,
}

impl Held {
    /// So many bytes are held.
    pub(super) fn note(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.now.store(bytes, Ordering::Relaxed);
        self.most.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The most that was held at a time since the last look.
    pub(crate) fn look(&self) -> u64 {
        let now = self.now.load(Ordering::Relaxed);
        self.most.swap(now, Ordering::Relaxed)
    }
}

impl Pipeline {
    /// Counts the buffers; called where they are the fullest, before what is queued is sent.
    pub(super) fn count_memory(&self) {
        let translated = self.translation.as_ref();
        let bytes = self.source.frames.memory()
            + translated.map_or(0, Translation::memory)
            + self.stages.encoder.memory()
            + self.stages.publisher.memory();
        self.held.note(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_the_most_since_the_one_before() {
        let held = Held::default();
        assert_eq!(held.look(), 0);
        for bytes in [10, 500, 20] {
            held.note(bytes);
        }
        assert_eq!(held.look(), 500);
        assert_eq!(held.look(), 20, "nothing has come since");
        held.note(7);
        assert_eq!(held.look(), 20, "that was held at its beginning");
        assert_eq!(held.look(), 7);
    }
}
