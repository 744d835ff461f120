//! What a running task cannot see though it should, and what may soon stop it.

use std::collections::BTreeMap;
use std::time::Duration;

use rowcast_bus::async_nats::datetime::DateTime;
use rowcast_bus::async_nats::jetstream::stream::State;
use rowcast_pg::ddl_trigger::{self, TriggerState};
use rowcast_pg::slot;
use rowcast_proto::message::{HeldRange, Timestamp};
use tokio::time::Instant;

use super::Tools;
use crate::error::{Error, StopReason};
use crate::pipeline::progress::Durable;
use crate::prepare::stream;

/// Warnings shown of one topic; more are counted.
const SHOWN: usize = 10;

/// A slot whose remaining WAL is less than this part of the limit may soon be lost.
const SCARCE: u64 = 4;

/// Warnings by topic.
#[derive(Debug)]
pub(crate) struct Warnings {
    topics: BTreeMap<&'static str, Vec<String>>,
    /// The task wants schema changes, which need the trigger.
    watches_trigger: bool,
    /// The server's `max_slot_wal_keep_size` in bytes.
    wal_limit: Option<u64>,
}

impl Warnings {
    /// None yet. `wal_limit` is the server's `max_slot_wal_keep_size` in bytes.
    /// `hold_back` is how long the broker may lose what it has acknowledged.
    pub(crate) fn new(watches_trigger: bool, wal_limit: Option<u64>, hold_back: Duration) -> Self {
        let mut warnings = Self {
            watches_trigger,
            wal_limit,
            topics: BTreeMap::new(),
        };
        let seconds = 2 * hold_back.as_secs();
        let lazy = (seconds > 0).then(|| {
            format!("a NATS server acknowledges before it syncs to disk: the source keeps its WAL {seconds} s longer, in case that has to be read again (jetstream sync_interval)")
        });
        warnings.set("sync", lazy);
        warnings
    }

    /// Replaces the warnings of a topic.
    pub(super) fn set(&mut self, topic: &'static str, texts: impl IntoIterator<Item = String>) {
        let mut texts: Vec<String> = texts.into_iter().collect();
        if texts.is_empty() {
            return self.clear(topic);
        }
        if texts.len() > SHOWN {
            let more = texts.len() - SHOWN;
            texts.truncate(SHOWN);
            texts.push(format!("and {more} more"));
        }
        if self.topics.get(topic) != Some(&texts) {
            tracing::warn!(topic, warning = texts.join("; "), "a task has a warning");
            self.topics.insert(topic, texts);
        }
    }

    /// There is nothing to warn of any more.
    pub(super) fn clear(&mut self, topic: &'static str) {
        self.topics.remove(topic);
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<String> {
        self.topics.values().flatten().cloned().collect()
    }
}

/// What a stream in this state holds.
fn held(state: &State) -> Option<HeldRange> {
    let time = |at: DateTime| {
        let nanos = i32::try_from(at.nanosecond()).unwrap_or_default();
        let seconds = at.unix_timestamp();
        Timestamp { seconds, nanos }
    };
    (state.messages > 0).then(|| HeldRange {
        first_sequence: state.first_sequence,
        last_sequence: state.last_sequence,
        first_at: Some(time(state.first_timestamp)),
        last_at: Some(time(state.last_timestamp)),
        messages: state.messages,
        bytes: state.bytes,
    })
}

impl Tools {
    /// Whether the task's stream still holds what it has acknowledged. A broker that does not answer is
    /// the publisher's affair.
    pub(super) async fn look_at_stream(&mut self, durable: Durable) -> Result<(), Error> {
        let lost = |what: String| Err(StopReason::BrokerDataLoss(what).into());
        let found = match stream::open(&self.bus, &self.task).await {
            Ok(Some(found)) => found,
            Ok(None) => return lost("the task's stream is gone".to_owned()),
            Err(_silent) => return Ok(()),
        };
        let (config, state) = (&found.cached_info().config, &found.cached_info().state);
        self.held = held(state);
        if state.last_sequence < durable.sequence {
            let what = format!(
                "the stream ends with sequence {}, sequence {} was acknowledged",
                state.last_sequence, durable.sequence
            );
            if self.syncs_at_once {
                return lost(what);
            }
            // Lost with the machine: the source still has it, and the next session reads it again.
            return Err(Error::broker(what));
        }
        let acknowledged = durable.sequence;
        let now = Instant::now();
        if self.stream.is_purged(config, state, acknowledged, now) {
            return lost(format!(
                "the stream was purged up to sequence {}, which its limits do not ask for",
                state.first_sequence.saturating_sub(1)
            ));
        }
        let differences = stream::differences(config, self.stream.wanted());
        self.warnings.set("stream", differences);
        Ok(())
    }

    /// Looks at slot and trigger.
    pub(super) async fn look_at_source(&mut self) -> Result<(), Error> {
        if let (Some(limit), Some(found)) = (
            self.warnings.wal_limit,
            slot::find(&self.session, &self.name).await?,
        ) {
            let left = found
                .safe_wal_size
                .and_then(|left| u64::try_from(left.max(0)).ok());
            let scarce = left.filter(|&left| left < limit / SCARCE);
            self.warnings.set(
                "slot",
                scarce.map(|left| format!("the slot may be lost: {left} of {limit} bytes of max_slot_wal_keep_size are left")),
            );
        }
        if self.warnings.watches_trigger {
            let version = self.means.server_version;
            let state = ddl_trigger::state(&self.session, version).await?;
            let problem = match state {
                TriggerState::Installed => None,
                TriggerState::Missing => Some("is missing"),
                TriggerState::Outdated => Some("is not the one that this version needs"),
                TriggerState::Disabled => Some("is disabled"),
            };
            let warning = problem.map(|problem| {
                let sql = ddl_trigger::install_sql(version);
                format!("commands that change the schema are not told, only the columns that they change: the event trigger {problem}. Run as a superuser: {sql}")
            });
            self.warnings.set("trigger", warning);
        }
        Ok(())
    }
}
