//! Finds out where a task stands, makes what is missing on a first start, and goes on past a stop
//! that the user has accepted.

use std::collections::BTreeSet;

use rowcast_domain::{Lsn, Position, Selector};
use rowcast_pg::publication::{self, Memberships};
use rowcast_pg::replication::{SystemIdentity, TimelineEnd};
use rowcast_pg::slot::SlotState;
use rowcast_pg::{ReplicationConnection, Session, publishable, settings, slot};
use rowcast_proto::change::{Checkpoint, Gap, TrackedObjects};
use rowcast_proto::subject::Op;
use tokio::sync::watch;

use super::resume::{self, Observation, Start};
use super::step::StartStep;
use super::{Wish, objects, stream};
use crate::checkpoint::Checkpoints;
use crate::error::{Error, StopReason};
use crate::kept::Kept;
use crate::pipeline::encode::Encoder;
use crate::pipeline::progress::Durable;
use crate::pipeline::publish::Publisher;
use crate::pipeline::publish::tail::{Last, Tail};
use crate::scope::{Means, View};
use crate::server_time;
use crate::worker::Platform;

/// The plugin of servers before 10.
pub(crate) const TEST_DECODING: &str = "test_decoding";

const PGOUTPUT: &str = "pgoutput";

/// What is needed to find out.
pub(crate) struct Settlement<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) wish: &'a Wish<'a>,
    pub(crate) session: &'a Session,
    pub(crate) means: Means,
    /// Told how far the start has come.
    pub(crate) steps: &'a watch::Sender<StartStep>,
}

/// Where a task stands.
pub(crate) struct Settled {
    pub(crate) durable: Durable,
    pub(crate) tail: Tail,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) kept: Kept<TrackedObjects>,
    pub(crate) record: TrackedObjects,
    /// What the publication is.
    pub(crate) expected: Option<Memberships>,
    /// The publication of the log of schema changes, where it can be read.
    pub(crate) log: Option<String>,
    /// A stop was accepted; with what is missing, if anything is.
    accepted: Option<Option<Gap>>,
}

/// What was made on the source, or found there.
struct Made {
    lsn: Lsn,
    expected: Option<Memberships>,
    record: TrackedObjects,
    log: Option<String>,
}

/// What is found on both sides.
#[derive(Clone)]
struct Found {
    server: SystemIdentity,
    history: Vec<TimelineEnd>,
    slot: Option<SlotState>,
    checkpoint: Option<Checkpoint>,
    tail: Option<Tail>,
    record: Option<TrackedObjects>,
}

impl Found {
    /// Everything that committed before is known to be in the stream.
    fn missing_from(&self, stop: &StopReason) -> Lsn {
        let reported = self.checkpoint.as_ref().map(|c| c.reported_lsn);
        let tail = self.tail.and_then(|tail| tail.last);
        let tail = tail.map(|last| last.position.commit_lsn);
        let from = match stop {
            // What came after the last look may lack what was not published any more.
            StopReason::PublicationMissing(_) => reported,
            // What was acknowledged behind the tail is gone.
            StopReason::BrokerDataLoss(_) => tail,
            StopReason::Gap { .. }
            | StopReason::SourceReplaced { .. }
            | StopReason::HistoryDiverged(_)
            | StopReason::TableMissing(_)
            | StopReason::NothingToTrack
            | StopReason::NotRemoved { .. }
            | StopReason::EtlFailed(_)
            | StopReason::ParkingFull(_)
            | StopReason::UnsupportedVersion(_) => reported.max(tail),
        };
        from.unwrap_or(Lsn::INVALID)
    }
}

impl Settlement<'_> {
    /// # Errors
    /// Where a side does not answer, or what is found does not fit.
    pub(crate) async fn settle(
        &self,
        replication: &mut ReplicationConnection,
    ) -> Result<Settled, Error> {
        let task = self.wish.task;
        let (checkpoint_kept, checkpoint) =
            Kept::open(self.platform.checkpoints.clone(), task.as_str()).await?;
        let (kept, record) = Kept::open(self.platform.tracked.clone(), task.as_str()).await?;
        let checkpoint: Option<Checkpoint> = checkpoint;
        let tail = match stream::open(&self.platform.data, task).await? {
            Some(stream) => Some(Tail::read(&stream).await?),
            None => None,
        };
        // Only now: whoever had the task before may be writing yet, and its WAL must not seem to end before
        // what was read of it.
        let server = replication.identify_system().await?;
        let history = match &checkpoint {
            Some(before) if before.timeline != server.timeline => {
                replication.timeline_history(server.timeline).await?
            }
            Some(_) | None => Vec::new(),
        };
        let slot = slot::find(self.session, &self.wish.name).await?;
        if slot.as_ref().is_some_and(|slot| slot.synced)
            && settings::in_recovery(self.session).await?
        {
            return Err(Error::StandbySlot);
        }
        if !self.means.translated {
            publication::settle(self.session, &self.wish.name).await?;
        }
        let found = Found {
            slot,
            checkpoint,
            record,
            tail,
            history,
            server,
        };
        let checkpoints = Checkpoints::new(
            checkpoint_kept,
            found.checkpoint.as_ref(),
            found.server.system_id.clone(),
            found.server.timeline,
        );
        match self.decide(&found).await {
            Ok(Start::Fresh) => Box::pin(self.begin(replication, &found, checkpoints, kept)).await,
            Ok(Start::Resume(durable)) => self.resume(found, durable, checkpoints, kept).await,
            Err(Error::Stop(stop)) if self.is_accepted(&stop, &found) => {
                Box::pin(self.go_on(replication, found, &stop, checkpoints, kept)).await
            }
            Err(error) => Err(error),
        }
    }

    async fn decide(&self, found: &Found) -> Result<Start, Error> {
        let seen = Observation {
            server: &found.server,
            history: &found.history,
            slot: found.slot.as_ref(),
            checkpoint: found.checkpoint.as_ref(),
            tail: found.tail,
        };
        let start = resume::decide(&seen)?;
        if let Start::Resume(_) = start {
            self.publication_is_whole(found.record.as_ref()).await?;
        }
        Ok(start)
    }

    /// Whether the publication has been right since it was last looked at.
    async fn publication_is_whole(&self, record: Option<&TrackedObjects>) -> Result<(), Error> {
        if self.means.translated {
            return Ok(());
        }
        let name = &self.wish.name;
        let Some(found) = self.memberships().await? else {
            return Err(StopReason::PublicationMissing(format!("{name} does not exist")).into());
        };
        let expected = record.map(|record| record.publication.parse::<Memberships>());
        let Some(Ok(expected)) = expected else {
            return Ok(());
        };
        let existing = publication::existing(self.session, &expected).await?;
        expected
            .kept(&found, &existing)
            .map_err(|changed| StopReason::PublicationMissing(changed.to_string()).into())
    }

    /// One decision of the user is for one stop.
    fn is_accepted(&self, stop: &StopReason, found: &Found) -> bool {
        let spec = self.wish.spec;
        let record = found.record.as_ref();
        let (acting, accepted) = record.map_or((0, 0), |record| (record.acting, record.accepted));
        let decided = spec.accepted_stop == stop.code() && spec.generation > accepted;
        // What was begun is brought to its end, whatever it looks like in the middle.
        stop.can_be_accepted() && (decided || acting > accepted)
    }

    /// Publication, slot, stream, in this order.
    async fn begin(
        &self,
        replication: &mut ReplicationConnection,
        found: &Found,
        mut checkpoints: Checkpoints,
        mut kept: Kept<TrackedObjects>,
    ) -> Result<Settled, Error> {
        let made = self.make_on_source(replication).await?;
        if found.tail.is_none() {
            self.make_stream().await?;
        }
        let durable = Durable {
            lsn: made.lsn,
            ..Durable::default()
        };
        kept.write(&made.record).await?;
        checkpoints.write(durable, durable).await?;
        Ok(Settled {
            durable,
            tail: Tail::default(),
            checkpoints,
            kept,
            record: made.record,
            expected: made.expected,
            log: made.log,
            accepted: None,
        })
    }

    async fn resume(
        &self,
        found: Found,
        durable: Durable,
        mut checkpoints: Checkpoints,
        mut kept: Kept<TrackedObjects>,
    ) -> Result<Settled, Error> {
        // What is read from here on is of the server's timeline: after a crash before the first
        // confirmation it would else seem to have been read from the one before.
        let before = found.checkpoint.as_ref();
        if before.is_some_and(|before| before.timeline != found.server.timeline) {
            checkpoints.write(checkpoints.safe(), durable).await?;
        }
        let mut tail = found.tail.unwrap_or_default();
        // Where retention has emptied the stream, the checkpoint says what was in it.
        tail.last.get_or_insert(Last::at(durable.position));
        let expected = self.memberships().await?;
        let log = self.log_publication().await?;
        let mut record = match &found.record {
            Some(record) => record.clone(),
            None => self.record(expected.as_ref()).await?,
        };
        record.log_since = match (&log, record.log_since) {
            (None, _) => None,
            (Some(_), Some(since)) => Some(since),
            (Some(_), None) => Some(self.insert_lsn().await?),
        };
        let record = self.wish.with_wish(record);
        if found.record.as_ref() != Some(&record) {
            kept.write(&record).await?;
        }
        Ok(Settled {
            // What was written before the publication was there is decoded without it.
            log: log.filter(|_| record.log_since.is_some_and(|since| since <= durable.lsn)),
            durable,
            tail,
            checkpoints,
            kept,
            record,
            expected,
            accepted: None,
        })
    }

    /// Goes on past what is missing. The readers are told by [`Settled::tell_gap`].
    async fn go_on(
        &self,
        replication: &mut ReplicationConnection,
        found: Found,
        stop: &StopReason,
        checkpoints: Checkpoints,
        mut kept: Kept<TrackedObjects>,
    ) -> Result<Settled, Error> {
        let before = found.record.clone().unwrap_or_default();
        let acting = if before.acting > before.accepted {
            before.acting
        } else {
            self.wish.spec.generation
        };
        // From here on every step is repeated until the last one is done.
        let announced = TrackedObjects {
            publication: String::new(),
            acting,
            ..before.clone()
        };
        kept.write(&announced).await?;
        let slot_stands = self.slot_stands(&found, stop).await?;
        let made = match slot_stands {
            Some(lsn) => Made {
                lsn,
                expected: self.memberships().await?,
                record: self.wish.with_wish(before),
                log: None,
            },
            None => {
                slot::drop(self.session, &self.wish.name).await?;
                if !self.means.translated {
                    publication::drop(self.session, &self.wish.name).await?;
                }
                self.make_on_source(replication).await?
            }
        };
        if found.tail.is_none() {
            self.make_stream().await?;
        }
        let tail = found.tail.unwrap_or_default();
        let (from, to) = (found.missing_from(stop), made.lsn);
        tracing::warn!(task = %self.wish.task, code = stop.code(), %from, %to, "going on past a stop that was accepted");
        // What the slot sends again is not missing.
        let gap = (from < to || slot_stands.is_none()).then(|| gap(stop, from, to));
        let position = match (&gap, tail.last) {
            (None, Some(last)) => last.position,
            (Some(_), _) | (None, None) => Position::new(to, 0),
        };
        Ok(Settled {
            durable: Durable {
                lsn: to,
                position,
                sequence: tail.sequence,
                bytes: 0,
                committed_at: None,
            },
            tail,
            checkpoints,
            kept,
            record: TrackedObjects {
                acting,
                accepted: acting,
                ..made.record
            },
            expected: made.expected,
            log: made.log,
            accepted: Some(gap),
        })
    }

    /// Where the slot goes on, if only the broker has lost something: then everything else must fit.
    async fn slot_stands(&self, found: &Found, stop: &StopReason) -> Result<Option<Lsn>, Error> {
        let (StopReason::BrokerDataLoss(_), Some(checkpoint)) = (stop, &found.checkpoint) else {
            return Ok(None);
        };
        let mut whole = found.clone();
        whole.tail = Some(Tail {
            sequence: checkpoint.sequence,
            last: found.tail.and_then(|tail| tail.last),
        });
        match self.decide(&whole).await {
            Ok(Start::Resume(durable)) => Ok(Some(durable.lsn)),
            Ok(Start::Fresh) => Ok(None),
            Err(Error::Stop(other)) if other.can_be_accepted() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Publication, trigger and slot, in this order.
    async fn make_on_source(&self, replication: &mut ReplicationConnection) -> Result<Made, Error> {
        let Wish {
            name,
            objects,
            change_types,
            ..
        } = self.wish;
        let selector = Selector::from(*objects);
        self.steps.send_replace(StartStep::Publication);
        let plugin = if self.means.translated {
            objects::check_tables(self.session, &selector).await?;
            TEST_DECODING
        } else {
            objects::ensure_publication(self.session, name, &selector, change_types, self.means)
                .await?;
            PGOUTPUT
        };
        let log = self.log_publication().await?;
        self.steps.send_replace(StartStep::Slot);
        let lsn = objects::ensure_slot(self.session, replication, name, plugin).await?;
        let expected = self.memberships().await?;
        let mut record = self.record(expected.as_ref()).await?;
        record.log_since = log.is_some().then_some(lsn);
        Ok(Made {
            lsn,
            expected,
            record,
            log,
        })
    }

    /// Makes the trigger where schema changes are wished; before 14, tells the publication of its log.
    async fn log_publication(&self) -> Result<Option<String>, Error> {
        if !self.wish.change_types.schema {
            return Ok(None);
        }
        let version = self.means.server_version;
        let log = objects::ensure_trigger(self.session, version).await?;
        Ok(log.filter(|_| !self.means.translated))
    }

    async fn insert_lsn(&self) -> Result<Lsn, Error> {
        let version = self.means.server_version;
        Ok(publishable::insert_lsn(self.session, version).await?)
    }

    async fn record(&self, expected: Option<&Memberships>) -> Result<TrackedObjects, Error> {
        let wish = self.wish;
        let mut tables = BTreeSet::new();
        if !self.means.translated {
            let view = View::read(self.session, &wish.name, self.means).await?;
            tables = view.members(&Selector::from(wish.objects));
        }
        Ok(TrackedObjects {
            objects: wish.objects.clone(),
            tables,
            publication: expected.map(ToString::to_string).unwrap_or_default(),
            change_types: Some(wish.change_types.clone()),
            etl: wish.spec.etl.clone(),
            ..TrackedObjects::default()
        })
    }

    /// `None` where there is no publication.
    async fn memberships(&self) -> Result<Option<Memberships>, Error> {
        if self.means.translated {
            return Ok(None);
        }
        let version = self.means.server_version;
        Ok(publication::memberships(self.session, &self.wish.name, version).await?)
    }

    async fn make_stream(&self) -> Result<(), Error> {
        self.steps.send_replace(StartStep::Stream);
        let retention = self.wish.spec.retention.unwrap_or_default();
        stream::create(&self.platform.data, self.wish.task, &retention).await?;
        Ok(())
    }
}

fn gap(stop: &StopReason, from: Lsn, to: Lsn) -> Gap {
    Gap {
        code: stop.code().to_owned(),
        cause: stop.to_string(),
        from,
        to,
    }
}

impl Settled {
    /// Puts the gap into the stream, before anything behind it, and only then remembers that the
    /// decision was acted on.
    ///
    /// # Errors
    /// Where it is not known to be stored.
    pub(crate) async fn tell_gap(
        &mut self,
        encoder: &mut Encoder,
        publisher: &mut Publisher,
    ) -> Result<(), Error> {
        let Some(gap) = self.accepted.take() else {
            return Ok(());
        };
        if let Some(gap) = gap {
            publisher.push(encoder.gap(&gap, server_time::now())?);
            publisher.end_transaction();
            publisher.flush().await?;
            let acked = publisher.acked().await?;
            self.durable.sequence = acked.sequence;
            self.tail = Tail {
                sequence: acked.sequence,
                last: Some(Last {
                    position: acked.position,
                    op: Op::Gap,
                    half: None,
                    committed_at: None,
                }),
            };
        }
        self.checkpoints.write(self.durable, self.durable).await?;
        self.kept.write(&self.record).await
    }
}
