//! Readiness as ownership: ready when every latch is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Knows what the process still waits for. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// Something the process waits for; drop it when it is there.
#[derive(Debug)]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Takes a latch. The process is not ready until it is dropped.
    #[must_use]
    pub fn latch(&self, name: &'static str) -> Latch {
        *self.lock().entry(name).or_default() += 1;
        Latch {
            name,
            readiness: self.clone(),
        }
    }

    /// What the process waits for; empty when it is ready.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let mut waiting = self.readiness.lock();
        if let Some(count) = waiting.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_latch_is_dropped() {
        let readiness = Readiness::default();
        let first = readiness.latch("nats");
        let second = readiness.latch("nats");
        drop(first);
        assert_eq!(readiness.waiting_for(), ["nats"]);
        drop(second);
        assert!(readiness.waiting_for().is_empty());
    }
}
