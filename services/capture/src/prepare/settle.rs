//! Finds out where a task stands, makes what is missing on a first start, and goes on past a stop
//! that the user has accepted.

use std::collections::BTreeSet;

use rowcast_domain::{Lsn, Position, Selector};
use rowcast_pg::publication::{self, Memberships};
use rowcast_pg::replication::{SystemIdentity, TimelineEnd};
use rowcast_pg::slot::SlotState;
use rowcast_pg::{ReplicationConnection, Session, slot};
use rowcast_proto::change::{Checkpoint, Gap, TrackedObjects};
use rowcast_proto::subject::Op;

use super::resume::{self, Observation, Start};
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
    gap: Option<Gap>,
}

/// What is found on both sides.
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
    fn from(&self) -> Lsn {
        let reported = self.checkpoint.as_ref().map(|c| c.reported_lsn);
        let tail = self.tail.and_then(|tail| tail.last);
        let tail = tail.map(|last| last.position.commit_lsn);
        reported.max(tail).unwrap_or(Lsn::INVALID)
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
        let server = replication.identify_system().await?;
        let (checkpoint_kept, checkpoint) =
            Kept::open(self.platform.checkpoints.clone(), task.as_str()).await?;
        let (kept, record) = Kept::open(self.platform.tracked.clone(), task.as_str()).await?;
        let checkpoint: Option<Checkpoint> = checkpoint;
        let history = match &checkpoint {
            Some(before) if before.timeline != server.timeline => {
                replication.timeline_history(server.timeline).await?
            }
            Some(_) | None => Vec::new(),
        };
        let tail = match stream::open(&self.platform.data, task).await? {
            Some(stream) => Some(Tail::read(&stream).await?),
            None => None,
        };
        let found = Found {
            slot: slot::find(self.session, &self.wish.name).await?,
            checkpoint,
            record,
            tail,
            history,
            server,
        };
        let checkpoints = Checkpoints::new(
            checkpoint_kept,
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
        let acted_on = found.record.as_ref().map_or(0, |record| record.accepted);
        stop.can_be_accepted() && spec.accepted_stop == stop.code() && spec.generation > acted_on
    }

    /// Publication, slot, stream, in this order.
    async fn begin(
        &self,
        replication: &mut ReplicationConnection,
        found: &Found,
        mut checkpoints: Checkpoints,
        mut kept: Kept<TrackedObjects>,
    ) -> Result<Settled, Error> {
        let (lsn, expected, record) = self.make_on_source(replication).await?;
        if found.tail.is_none() {
            self.make_stream().await?;
        }
        let durable = Durable {
            lsn,
            ..Durable::default()
        };
        kept.write(&record).await?;
        checkpoints.write(durable).await?;
        Ok(Settled {
            durable,
            tail: Tail::default(),
            checkpoints,
            kept,
            record,
            expected,
            gap: None,
        })
    }

    async fn resume(
        &self,
        found: Found,
        durable: Durable,
        checkpoints: Checkpoints,
        kept: Kept<TrackedObjects>,
    ) -> Result<Settled, Error> {
        let mut tail = found.tail.unwrap_or_default();
        // Where retention has emptied the stream, the checkpoint says what was in it.
        tail.last.get_or_insert(Last::at(durable.position));
        let expected = self.memberships().await?;
        let record = match found.record {
            Some(record) => record,
            None => self.record(self.wish, expected.as_ref()).await?,
        };
        Ok(Settled {
            durable,
            tail,
            checkpoints,
            kept,
            record,
            expected,
            gap: None,
        })
    }

    /// Goes on past what is missing. The readers are told by [`Settled::tell_gap`].
    async fn go_on(
        &self,
        replication: &mut ReplicationConnection,
        found: Found,
        stop: &StopReason,
        checkpoints: Checkpoints,
        kept: Kept<TrackedObjects>,
    ) -> Result<Settled, Error> {
        let from = found.from();
        let confirmed = found.slot.as_ref().filter(|slot| !slot.is_lost());
        let confirmed = confirmed.and_then(|slot| slot.confirmed_flush_lsn);
        let (to, expected, made) = match (stop, confirmed, &found.record) {
            // Only the broker has lost something: the slot goes on where it stands.
            (StopReason::BrokerDataLoss(_), Some(confirmed), Some(record)) => {
                let expected = self.memberships().await?;
                (confirmed, expected, record.clone())
            }
            _ => {
                slot::drop(self.session, &self.wish.name).await?;
                if !self.means.translated {
                    publication::drop(self.session, &self.wish.name).await?;
                }
                self.make_on_source(replication).await?
            }
        };
        let tail = match found.tail {
            Some(tail) => tail,
            None => {
                self.make_stream().await?;
                Tail::default()
            }
        };
        tracing::warn!(task = %self.wish.task, code = stop.code(), %from, %to, "going on past a stop that was accepted");
        Ok(Settled {
            durable: Durable {
                lsn: to,
                position: Position::new(to, 0),
                sequence: tail.sequence,
                committed_at: None,
            },
            tail,
            checkpoints,
            kept,
            record: TrackedObjects {
                accepted: self.wish.spec.generation,
                ..made
            },
            expected,
            gap: Some(Gap {
                code: stop.code().to_owned(),
                cause: stop.to_string(),
                from,
                to,
            }),
        })
    }

    async fn make_on_source(
        &self,
        replication: &mut ReplicationConnection,
    ) -> Result<(Lsn, Option<Memberships>, TrackedObjects), Error> {
        let Wish {
            name,
            objects,
            change_types,
            ..
        } = self.wish;
        let selector = Selector::from(*objects);
        let plugin = if self.means.translated {
            objects::check_tables(self.session, &selector).await?;
            TEST_DECODING
        } else {
            objects::ensure_publication(self.session, name, &selector, change_types, self.means)
                .await?;
            PGOUTPUT
        };
        let lsn = objects::ensure_slot(self.session, replication, name, plugin).await?;
        let expected = self.memberships().await?;
        let record = self.record(self.wish, expected.as_ref()).await?;
        Ok((lsn, expected, record))
    }

    async fn record(
        &self,
        wish: &Wish<'_>,
        expected: Option<&Memberships>,
    ) -> Result<TrackedObjects, Error> {
        let mut tables = BTreeSet::new();
        if !self.means.translated {
            let view = View::read(self.session, &wish.name, self.means).await?;
            tables = view.members(&Selector::from(wish.objects));
        }
        Ok(TrackedObjects {
            objects: wish.objects.clone(),
            tables,
            publication: expected.map(ToString::to_string).unwrap_or_default(),
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
        let retention = self.wish.spec.retention.unwrap_or_default();
        stream::create(&self.platform.data, self.wish.task, &retention).await?;
        Ok(())
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
        let Some(gap) = self.gap.take() else {
            return Ok(());
        };
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
            }),
        };
        self.checkpoints.write(self.durable).await?;
        self.kept.write(&self.record).await
    }
}
