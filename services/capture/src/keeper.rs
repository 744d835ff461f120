//! Beside the pipeline: keeps what a running task has on the source and on the broker in step with
//! its wish, and looks that nobody else has changed it.
//!
//! Nothing is confirmed to PostgreSQL before the publication was found unchanged: what is published
//! while a table is missing from it is skipped by the server without a word.

mod change;
mod members;
mod operations;
pub(crate) mod stream_watch;
pub(crate) mod wal_end;
pub(crate) mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rowcast_bus::{Bus, beat};
use rowcast_domain::{Lsn, TableName, TaskId};
use rowcast_pg::publication::{self, Memberships, PublicationState};
use rowcast_pg::{Session, catalog};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::{
    ChangeTypes, EtlPolicy, HeldRange, ObjectSelection, TaskSpec, TraceContext,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use self::change::Change;
use self::stream_watch::StreamWatch;
use self::wal_end::{Server, WalEnds};
use self::warnings::Warnings;
use crate::error::{Error, StopReason};
use crate::pipeline::progress::Durable;
use crate::pipeline::source::Received;
use crate::pipeline::switch::Switch;
use crate::scope::{Means, View};

/// How often new tables are looked for, at least.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// A look that takes long leaves the source this many times as long in peace.
const REST: u32 = 20;

/// The longest such rest: a source that was slow for once must not miss its new tables for minutes.
const LONGEST_REST: Duration = Duration::from_secs(20);

/// How often the stream, the slot and the trigger are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often where nothing has come into the stream since.
const LOOK_AT_REST_EVERY: Duration = Duration::from_secs(20);

/// How long nothing is altered after the source has refused it, or somebody held a lock.
const REST_AFTER_REFUSAL: Duration = Duration::from_secs(5);

/// How often a change of the objects is brought on.
const STEP_EVERY: Duration = Duration::from_millis(200);

/// What the user wants of a running task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Version of the wish.
    pub(crate) generation: u64,
    /// The request that it came from.
    pub(crate) trace: Option<TraceContext>,
    /// What is to be tracked.
    pub(crate) objects: ObjectSelection,
    /// Which changes of it.
    pub(crate) change_types: ChangeTypes,
    /// What is to be done with each row.
    pub(crate) etl: Option<EtlPolicy>,
}

impl Wanted {
    /// Whether that is what is done.
    fn is_in_force(&self, record: &TrackedObjects) -> bool {
        self.objects == record.objects
            && Some(&self.change_types) == record.change_types.as_ref()
            && self.etl == record.etl
    }
}

impl From<&TaskSpec> for Wanted {
    fn from(spec: &TaskSpec) -> Self {
        Self {
            generation: spec.generation,
            trace: spec.trace.clone(),
            objects: spec.objects.clone().unwrap_or_default(),
            change_types: spec.change_types.clone().unwrap_or_default(),
            etl: spec.etl.clone(),
        }
    }
}

/// What is told of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tracking {
    /// Version of the wish whose objects and policy are in force.
    pub(crate) generation: u64,
    /// Where they begin to apply.
    pub(crate) since: Lsn,
    /// Where the source's WAL ended when it was last asked for; what is read says only how far that was sent.
    pub(crate) source_end: Lsn,
    /// What the task cannot see though it should.
    pub(crate) warnings: Vec<String>,
    /// What the stream held when it was last looked at.
    pub(crate) held: Option<HeldRange>,
}

/// Asks whether the publication is still right, as of now.
pub(crate) type Verification = oneshot::Sender<()>;

/// What the keeper works with.
pub(crate) struct Tools {
    pub(crate) session: Arc<Session>,
    /// Where the session leads to.
    pub(crate) server: Server,
    /// Shared with all tasks.
    pub(crate) wal_ends: Arc<WalEnds>,
    /// The broker that has the task's stream.
    pub(crate) bus: Bus,
    pub(crate) stream: StreamWatch,
    pub(crate) task: TaskId,
    /// Name of slot and publication.
    pub(crate) name: String,
    pub(crate) means: Means,
    /// Before 10 there are no publications.
    pub(crate) publishes: bool,
    pub(crate) warnings: Warnings,
    /// The broker syncs to disk before it acknowledges.
    pub(crate) syncs_at_once: bool,
    /// What the stream held when it was last looked at.
    pub(crate) held: Option<HeldRange>,
}

/// How the keeper is reached, and whom it reaches.
pub(crate) struct Links {
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) switches: mpsc::Sender<Switch>,
    pub(crate) verifications: mpsc::Receiver<Verification>,
    pub(crate) received: Arc<Received>,
    pub(crate) durable: watch::Receiver<Durable>,
    pub(crate) confirmed: watch::Receiver<Lsn>,
    pub(crate) tracking: watch::Sender<Tracking>,
}

/// With the same again there is still nothing to do.
#[derive(Default)]
struct Followed {
    /// Where the WAL ended before, of which every change of the catalog takes a part.
    written: Option<Lsn>,
    /// The database, and the publication in short.
    seen: Option<(View, String)>,
}

/// Keeps one running task.
pub(crate) struct Keeper {
    tools: Tools,
    links: Links,
    record: TrackedObjects,
    /// What the publication was when it was last right.
    expected: Option<Memberships>,
    /// The same in short, where it is known.
    fingerprint: Option<String>,
    change: Change,
    /// The publication, once what it publishes was asked for.
    published: Option<PublicationState>,
    /// Transactions up to this one were open when the publication was last widened: what they do is
    /// decoded by both.
    decoded_by_both: Option<i64>,
    /// What the decoder was last told to look up again.
    roots: BTreeMap<u32, TableName>,
    /// The publication was altered, and what it is now could not be read: nothing may be confirmed.
    lost_track: bool,
    /// It is being announced that the publication is altered, and that is what comes next.
    altering: bool,
    follow_at: Instant,
    /// What was found when the tables were last looked at, and left nothing to do.
    followed: Followed,
    /// Where the source's WAL ended when it was last asked for.
    source_end: Lsn,
    /// The last look, and where the stream ended then.
    looked: Option<(Instant, u64)>,
    rest_until: Instant,
}

impl Keeper {
    /// `record` says what is tracked; `expected` what the publication is.
    pub(crate) fn new(
        tools: Tools,
        links: Links,
        record: TrackedObjects,
        expected: Option<Memberships>,
    ) -> Self {
        let now = Instant::now();
        Self {
            tools,
            links,
            record,
            expected,
            fingerprint: None,
            // An earlier session may have ended in the middle.
            change: Change::Narrowing,
            published: None,
            decoded_by_both: None,
            roots: BTreeMap::new(),
            lost_track: false,
            altering: false,
            follow_at: now,
            followed: Followed::default(),
            source_end: Lsn::INVALID,
            looked: None,
            rest_until: now,
        }
    }

    /// Keeps until dropped.
    ///
    /// # Errors
    /// What the task must stop for, or a lost connection.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                Some(asked) = self.links.verifications.recv() => {
                    self.verify().await?;
                    // Who has asked may be gone: nobody waits then.
                    let _gone = asked.send(());
                    continue;
                }
                Ok(()) = self.links.wanted.changed() => {}
                () = sleep_until(next) => {}
            }
            self.step().await?;
            self.tell();
            next = self.next_step();
        }
    }

    /// When there is something to do: soon where a change is under way, otherwise when it is time to look.
    fn next_step(&self) -> Instant {
        let now = Instant::now();
        let at_rest = self.change.is_none()
            && self.decoded_by_both.is_none()
            && self.links.wanted.borrow().is_in_force(&self.record);
        if !at_rest {
            return now + STEP_EVERY;
        }
        if self.tools.publishes {
            self.follow_at.max(now)
        } else {
            beat::next(FOLLOW_EVERY)
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let durable = *self.links.durable.borrow();
        if is_time_to_look(self.looked, durable.sequence, now) {
            self.looked = Some((now, durable.sequence));
            self.look(durable).await?;
        }
        if self.tools.publishes {
            let cleared = self.clear_widening().await;
            self.survive("publication", cleared)?;
        }
        self.bring_on().await?;
        if self.tools.publishes && self.change.lets_follow() && now >= self.follow_at {
            self.follow_news().await?;
            let rest = (now.elapsed() * REST).min(LONGEST_REST);
            self.follow_at = beat::next(FOLLOW_EVERY).max(now + rest);
        }
        if !self.tools.publishes {
            self.source_end = self.recent_insert_lsn().await?;
        }
        Ok(())
    }

    /// Looks for new tables and at the publication, with as few questions as can be: hundreds of tasks may
    /// have sources where nothing happens that concerns them.
    async fn follow_news(&mut self) -> Result<(), Error> {
        let written = self.recent_insert_lsn().await?;
        self.source_end = written;
        if self.followed.written == Some(written) {
            return Ok(());
        }
        // Behind the WAL's end and before the catalog: a commit up to there may not be seen yet.
        let all_seen = catalog::nothing_in_progress(&self.tools.session).await?;
        self.verify().await?;
        let follow = self.follow().await;
        // What it has begun must be looked at again.
        let done = follow.is_ok() && self.change.is_none() && all_seen;
        self.followed.written = done.then_some(written);
        self.survive("tables", follow)
    }

    /// Whether the publication has been right all the time up to now.
    async fn verify(&mut self) -> Result<(), Error> {
        let Some(expected) = &self.expected else {
            return Ok(());
        };
        let Tools {
            session,
            name,
            means,
            ..
        } = &self.tools;
        let version = means.server_version;
        let fingerprint = publication::fingerprint(session, name, version).await?;
        if fingerprint.is_some() && fingerprint == self.fingerprint {
            return Ok(());
        }
        let found = publication::memberships(session, name, version).await?;
        let gone = || StopReason::PublicationMissing(format!("{name} does not exist"));
        let found = found.ok_or_else(gone)?;
        let existing = publication::existing(session, expected).await?;
        expected
            .kept(&found, &existing)
            .map_err(|changed| StopReason::PublicationMissing(changed.to_string()))?;
        // Right, though not the same: a table was dropped, or somebody has added one. What is asked
        // later is asked anew, so the fingerprint may be the older of the two.
        self.fingerprint = fingerprint;
        Ok(())
    }

    /// Looks at what others could take away.
    async fn look(&mut self, durable: Durable) -> Result<(), Error> {
        self.tools.look_at_stream(durable).await?;
        let looked = self.tools.look_at_source().await;
        self.survive("source", looked)
    }

    /// A refusal of the source, or a lock that somebody holds, is told and tried again; a lost
    /// connection ends the session.
    fn survive(&mut self, topic: &'static str, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Err(Error::Source(error)) if !self.lost_track && !self.tools.session.is_closed() => {
                self.rest_until = Instant::now() + REST_AFTER_REFUSAL;
                let warning = format!("the publication cannot be kept in step: {error}");
                self.tools.warnings.set(topic, [warning]);
                Ok(())
            }
            Ok(()) => {
                self.tools.warnings.clear(topic);
                Ok(())
            }
            other => other,
        }
    }

    fn tell(&self) {
        let wanted = self.links.wanted.borrow();
        let in_force = wanted.is_in_force(&self.record);
        let tracking = Tracking {
            generation: if in_force { wanted.generation } else { 0 },
            since: self.record.since,
            source_end: self.source_end,
            warnings: self.tools.warnings.all(),
            held: self.tools.held,
        };
        drop(wanted);
        self.links.tracking.send_if_modified(|told| {
            let news = *told != tracking;
            if news {
                *told = tracking;
            }
            news
        });
    }
}

/// Whether the stream is to be looked at again, which ends with this sequence now.
fn is_time_to_look(looked: Option<(Instant, u64)>, sequence: u64, now: Instant) -> bool {
    looked.is_none_or(|(before, then)| {
        let patience = if then == sequence {
            LOOK_AT_REST_EVERY
        } else {
            LOOK_EVERY
        };
        now.duration_since(before) >= patience
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_grows_is_looked_at_more_often() {
        let begin = Instant::now();
        let after = |seconds, sequence| {
            let now = begin + Duration::from_secs(seconds);
            is_time_to_look(Some((begin, 7)), sequence, now)
        };
        assert!(is_time_to_look(None, 7, begin));
        assert_eq!((after(4, 8), after(5, 8)), (false, true));
        assert_eq!((after(19, 7), after(20, 7)), (false, true));
    }
}
