//! Everything before the first frame: the source's identity, publication, slot and stream, and
//! whether they fit together.

pub(crate) mod durability;
pub(crate) mod objects;
pub(crate) mod resume;
pub(crate) mod stream;

use std::sync::Arc;

use rowcast_domain::{Lsn, TaskId};
use rowcast_pg::replication::{FrameReader, StatusWriter, SystemIdentity};
use rowcast_pg::settings::{self, Settings};
use rowcast_pg::{ReplicationConnection, Session, slot};
use rowcast_proto::message::{
    ChangeTypes, ObjectSelection, SourceConnection, TaskSpec, TraceContext,
};
use rowcast_proto::stream::source_object;
use tokio::sync::watch;
use tokio::time::Instant;

use self::resume::{Observation, Start};
use crate::checkpoint::{self, Checkpoints};
use crate::connection;
use crate::error::{Error, StopReason};
use crate::pipeline::Pipeline;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::decode::Decoder;
use crate::pipeline::encode::Encoder;
use crate::pipeline::progress::{Durable, Progress};
use crate::pipeline::publish::Publisher;
use crate::pipeline::publish::tail::{Last, Stored, Tail};
use crate::pipeline::source::{Confirmer, Received, Source, Watched};
use crate::worker::Platform;

/// First version with pgoutput.
const PGOUTPUT_SINCE: u32 = 100_000;

/// Room in a message for the subject and the batch's headers, in bytes.
const HEADER_ROOM: usize = 4 * 1024;

/// A task that is ready to run.
pub(crate) struct Prepared {
    /// Its stages.
    pub(crate) pipeline: Pipeline,
    /// Its confirmations, to be run beside them.
    pub(crate) confirmer: Confirmer,
    /// How far it has come.
    pub(crate) watched: Watched,
}

/// Prepares a task. `started_by` is the trace that its first batch belongs to.
///
/// # Errors
/// Where a side does not answer, or what is found does not fit.
pub(crate) async fn prepare(
    platform: &Platform,
    task: &TaskId,
    spec: &TaskSpec,
    started_by: TraceContext,
) -> Result<Prepared, Error> {
    if !durability::is_durable(&platform.nats_monitor_url).await? {
        return Err(StopReason::BrokerNotDurable.into());
    }
    let wish = Wish::read(task, spec)?;
    let options = connection::options(wish.source, &platform.keyring)?;
    let session = rowcast_pg::connect(&options).await?;
    let settings = settings::read(&session).await?;
    if settings.server_version < PGOUTPUT_SINCE {
        return Err(StopReason::UnsupportedVersion(settings.server_version / 10_000).into());
    }
    let mut replication = ReplicationConnection::connect(&options).await?;
    let server = replication.identify_system().await?;
    let checkpoints = Checkpoints::new(
        platform.checkpoints.clone(),
        task.clone(),
        server.system_id.clone(),
        server.timeline,
    );
    let preparation = Preparation {
        platform,
        wish: &wish,
        session: &session,
        settings: &settings,
        server: &server,
    };
    let (durable, tail) = preparation.settle(&mut replication, &checkpoints).await?;
    let (frames, writer) = start(replication, &source_object(task)).await?;
    let publisher = Publisher::open(&platform.data, tail.sequence, started_by).await?;

    let received = Received::new(durable.lsn);
    let (durable_sender, durable_receiver) = watch::channel(durable);
    let (confirmed_sender, confirmed) = watch::channel(durable.lsn);
    let pipeline = Pipeline {
        source: Source {
            frames,
            received: Arc::clone(&received),
        },
        decoder: Decoder::default(),
        catalog: Catalog::new(session, platform.schemas.clone(), task.clone()),
        encoder: wish.encoder(platform),
        publisher,
        progress: Progress::new(durable),
        stored: Stored::up_to(tail.last),
        durable: durable_sender,
        last_heartbeat: Instant::now(),
    };
    let watched = Watched {
        durable: durable_receiver,
        confirmed,
        received,
    };
    let confirmer = Confirmer::new(
        writer,
        checkpoints,
        &watched,
        confirmed_sender,
        settings.wal_sender_timeout,
    );
    Ok(Prepared {
        pipeline,
        confirmer,
        watched,
    })
}

/// Starts the stream where the slot stands; slot and publication have one name.
async fn start(
    replication: ReplicationConnection,
    name: &str,
) -> Result<(FrameReader, StatusWriter), Error> {
    let publication = format!("\"{name}\"");
    let options = [
        ("proto_version", "1"),
        ("publication_names", publication.as_str()),
    ];
    Ok(replication
        .start_logical(name, Lsn::INVALID, &options)
        .await?)
}

/// What the task asks for.
struct Wish<'a> {
    task: &'a TaskId,
    spec: &'a TaskSpec,
    source: &'a SourceConnection,
    objects: &'a ObjectSelection,
    change_types: &'a ChangeTypes,
}

impl<'a> Wish<'a> {
    fn read(task: &'a TaskId, spec: &'a TaskSpec) -> Result<Self, Error> {
        let missing = |what: &str| Error::MalformedSpec(format!("{what} is missing"));
        Ok(Self {
            task,
            spec,
            source: spec.source.as_ref().ok_or_else(|| missing("source"))?,
            objects: spec.objects.as_ref().ok_or_else(|| missing("objects"))?,
            change_types: spec
                .change_types
                .as_ref()
                .ok_or_else(|| missing("change_types"))?,
        })
    }

    fn encoder(&self, platform: &Platform) -> Encoder {
        let max_payload = platform.data.client().server_info().max_payload;
        Encoder::new(
            self.task.clone(),
            &self.source.database,
            self.spec.partitions,
            self.spec.transactions,
            max_payload.saturating_sub(HEADER_ROOM),
        )
    }
}

struct Preparation<'a> {
    platform: &'a Platform,
    wish: &'a Wish<'a>,
    session: &'a Session,
    settings: &'a Settings,
    server: &'a SystemIdentity,
}

impl Preparation<'_> {
    /// Makes what is missing on a first start, else checks what is there.
    async fn settle(
        &self,
        replication: &mut ReplicationConnection,
        checkpoints: &Checkpoints,
    ) -> Result<(Durable, Tail), Error> {
        let task = self.wish.task;
        let slot = slot::find(self.session, &source_object(task)).await?;
        let checkpoint = checkpoint::read(&self.platform.checkpoints, task).await?;
        let tail = match stream::open(&self.platform.data, task).await? {
            Some(stream) => Some(Tail::read(&stream).await?),
            None => None,
        };
        let history = match &checkpoint {
            Some(before) if before.timeline != self.server.timeline => {
                replication.timeline_history(self.server.timeline).await?
            }
            Some(_) | None => Vec::new(),
        };
        let seen = Observation {
            server: self.server,
            history: &history,
            slot: slot.as_ref(),
            checkpoint: checkpoint.as_ref(),
            tail,
        };
        match resume::decide(&seen)? {
            Start::Fresh => {
                let durable = self.begin(replication, tail.is_some()).await?;
                checkpoints.write(durable).await?;
                Ok((durable, Tail::default()))
            }
            Start::Resume(durable) => {
                objects::check_publication(self.session, task, self.wish.objects).await?;
                let mut tail = tail.unwrap_or_default();
                // Where retention has emptied the stream, the checkpoint says what was in it.
                tail.last.get_or_insert(Last::at(durable.position));
                Ok((durable, tail))
            }
        }
    }

    /// Publication, slot, stream, in this order.
    async fn begin(
        &self,
        replication: &mut ReplicationConnection,
        has_stream: bool,
    ) -> Result<Durable, Error> {
        let privileges = settings::privileges(self.session).await?;
        objects::ensure_publication(
            self.session,
            self.wish.task,
            self.wish.objects,
            self.wish.change_types,
            self.settings.server_version,
            &privileges,
        )
        .await?;
        let consistent_point =
            objects::ensure_slot(self.session, replication, self.wish.task).await?;
        if !has_stream {
            let retention = self.wish.spec.retention.unwrap_or_default();
            stream::create(&self.platform.data, self.wish.task, &retention).await?;
        }
        Ok(Durable {
            lsn: consistent_point,
            ..Durable::default()
        })
    }
}
