//! What members have dealt with, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

/// One dealing with one version of a key.
#[derive(Debug, Clone)]
struct Entry {
    member: u64,
    key: u64,
    version: u64,
    begun: Instant,
    /// When it was dealt with, or its member was killed.
    ended: Option<Instant>,
    is_done: bool,
    /// When the server had stored the acknowledgement.
    acknowledged: Option<Instant>,
}

/// Shared by all members.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Entry>>>);

/// A dealing that goes on. Dropped before its end, its member was killed.
pub(super) struct Dealing {
    log: Log,
    index: usize,
}

impl Dealing {
    pub(super) fn done(&self) {
        let mut entries = self.log.entries();
        entries[self.index].ended = Some(Instant::now());
        entries[self.index].is_done = true;
    }

    /// With everything of the same partition before it that this member has dealt with.
    pub(super) fn acknowledged(&self) {
        self.log.entries()[self.index].acknowledged = Some(Instant::now());
    }
}

impl Drop for Dealing {
    fn drop(&mut self) {
        self.log.entries()[self.index]
            .ended
            .get_or_insert_with(Instant::now);
    }
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap()
    }

    pub(super) fn begin(&self, member: u64, key: u64, version: u64) -> Dealing {
        let mut entries = self.entries();
        entries.push(Entry {
            member,
            key,
            version,
            begun: Instant::now(),
            ended: None,
            is_done: false,
            acknowledged: None,
        });
        Dealing {
            log: self.clone(),
            index: entries.len() - 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }

    pub(super) fn is_begun(&self, version: u64) -> bool {
        self.entries().iter().any(|entry| entry.version == version)
    }

    pub(super) fn is_complete(&self, keys: u64, versions: u64) -> bool {
        let entries = self.entries();
        let done = entries.iter().filter(|entry| entry.is_done);
        let seen: BTreeSet<(u64, u64)> = done.map(|entry| (entry.key, entry.version)).collect();
        (1..=keys).all(|key| (1..=versions).all(|version| seen.contains(&(key, version))))
    }

    /// How many members have dealt with this version.
    pub(super) fn members_of(&self, version: u64) -> usize {
        let entries = self.entries();
        let of = entries.iter().filter(|entry| entry.version == version);
        of.map(|entry| entry.member).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn members(&self) -> usize {
        let entries = self.entries();
        entries
            .iter()
            .map(|entry| entry.member)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Of each key: no two members at one time; no version before the ones before it were dealt with; nothing
    /// again that was acknowledged.
    pub(super) fn check_keys(&self) {
        let mut of_keys: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        for entry in self.entries().iter() {
            of_keys.entry(entry.key).or_default().push(entry.clone());
        }
        for (key, entries) in of_keys {
            check_alone(key, &entries);
            check_in_order(key, &entries);
        }
    }

    /// As [`Self::check_keys`], of everything as if it had one key: the whole is in order.
    pub(super) fn check_order(&self) {
        self.check_keys();
        let mut newest: HashMap<u64, u64> = HashMap::new();
        for entry in self.entries().iter() {
            // A version is a transaction: within a member nothing of an older one comes after a newer one.
            let newest = newest.entry(entry.member).or_default();
            assert!(
                entry.version >= *newest,
                "{entry:?} behind version {newest}"
            );
            *newest = entry.version;
        }
    }
}

fn check_alone(key: u64, entries: &[Entry]) {
    for pair in entries.windows(2) {
        let (earlier, later) = (&pair[0], &pair[1]);
        let ended = earlier.ended.is_some_and(|ended| ended <= later.begun);
        assert!(ended, "key {key}: two at a time: {earlier:?} {later:?}");
    }
}

fn check_in_order(key: u64, entries: &[Entry]) {
    let (mut done, mut acknowledged): (u64, Option<&Entry>) = (0, None);
    for entry in entries {
        let version = entry.version;
        assert!(version <= done + 1, "key {key}: {entry:?} after {done}");
        if let Some(before) = acknowledged {
            assert!(
                version > before.version,
                "key {key}: {entry:?} after {before:?}"
            );
        }
        if entry.is_done {
            done = done.max(version);
        }
        if entry.acknowledged.is_some() {
            acknowledged = Some(entry);
        }
    }
}
