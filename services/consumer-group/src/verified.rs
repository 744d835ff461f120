//! Which passwords were right and which were wrong, for some minutes: the same one again costs no second hash.
//!
//! Hundreds of members of a group that come back at once are let in as fast as they ask, and a client that tries an old
//! password for ever costs next to nothing. What is kept is a keyed digest of login, stored hash and password, so another
//! password, or another stored hash, is another entry; the key is made anew by each process and never leaves it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use rowcast_domain::{GroupId, Secret};
use tokio::time::Instant;

/// For so long.
const KEPT: Duration = Duration::from_mins(10);

/// Most wrong ones, some 1 MB; beyond, all are forgotten.
const WRONG_MAX: usize = 10_000;

/// A login with a password, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Attempt(Vec<u8>);

/// What is remembered.
#[derive(Debug)]
pub(crate) struct Verified {
    key: hmac::Key,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Of each group the one that was right.
    right: HashMap<GroupId, (Attempt, Instant)>,
    wrong: HashMap<Attempt, Instant>,
}

impl Verified {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()),
            known: Mutex::default(),
        }
    }

    /// A try of `password` against what is stored for the login; `None` where there is no group.
    pub(crate) fn attempt(&self, login: &str, stored: Option<&str>, password: &Secret) -> Attempt {
        let mut digest = hmac::Context::with_key(&self.key);
        for part in [login, stored.unwrap_or_default(), password.expose()] {
            digest.update(part.as_bytes());
            digest.update(&[0]);
        }
        Attempt(digest.sign().as_ref().to_vec())
    }

    /// Whether it was right, or was wrong; `None` where that is not known.
    pub(crate) fn verdict(&self, group: &GroupId, attempt: &Attempt) -> Option<bool> {
        let known = self.known();
        let right = known.right.get(group);
        if right.is_some_and(|(right, at)| right == attempt && at.elapsed() < KEPT) {
            return Some(true);
        }
        let wrong = known.wrong.get(attempt);
        wrong.is_some_and(|at| at.elapsed() < KEPT).then_some(false)
    }

    /// Whether some password of the group was right.
    pub(crate) fn has_right(&self, group: &GroupId) -> bool {
        self.known().right.contains_key(group)
    }

    /// Remembers what came of it.
    pub(crate) fn note(&self, group: &GroupId, attempt: Attempt, is_right: bool) {
        let now = Instant::now();
        let mut known = self.known();
        if is_right {
            known.right.insert(group.clone(), (attempt, now));
        } else {
            if known.wrong.len() >= WRONG_MAX {
                known.wrong.clear();
            }
            known.wrong.insert(attempt, now);
        }
    }

    /// Forgets what is old.
    pub(crate) fn forget(&self) {
        let mut known = self.known();
        known
            .right
            .retain(|_group, (_attempt, at)| at.elapsed() < KEPT);
        known.wrong.retain(|_attempt, at| at.elapsed() < KEPT);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_password_is_remembered_for_its_login_and_hash_alone_and_not_for_ever() {
        let verified = Verified::new();
        let group = GroupId::random();
        let (right, wrong) = (Secret::new("hunter2A"), Secret::new("hunter2B"));
        let attempt = verified.attempt("reader-g1", Some("hash"), &right);
        assert_eq!(verified.verdict(&group, &attempt), None);
        verified.note(&group, attempt.clone(), true);
        assert_eq!(verified.verdict(&group, &attempt), Some(true));
        let other = verified.attempt("reader-g1", Some("hash"), &wrong);
        assert_eq!(verified.verdict(&group, &other), None);
        verified.note(&group, other.clone(), false);
        assert_eq!(verified.verdict(&group, &other), Some(false));
        // The right one stays so, and a changed password makes all anew.
        assert_eq!(verified.verdict(&group, &attempt), Some(true));
        let changed = verified.attempt("reader-g1", Some("other hash"), &right);
        assert_eq!(verified.verdict(&group, &changed), None);
        assert_eq!(verified.verdict(&GroupId::random(), &attempt), None);

        tokio::time::advance(KEPT).await;
        assert_eq!(verified.verdict(&group, &attempt), None);
        assert_eq!(verified.verdict(&group, &other), None);
        assert!(verified.has_right(&group));
        verified.forget();
        assert!(!verified.has_right(&group));
    }
}
