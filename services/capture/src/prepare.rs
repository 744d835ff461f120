//! Everything before the first frame: the source's identity, publication, slot and stream, and
//! whether they fit together.

pub(crate) mod objects;
mod parts;
pub(crate) mod resume;
pub(crate) mod step;
pub(crate) mod settle;
pub(crate) mod retention;
pub(crate) mod stream;

use std::sync::Arc;

use rowcast_bus::trace_context;
use rowcast_domain::{Lsn, TaskId};
use rowcast_pg::replication::{FrameReader, StatusWriter};
use rowcast_pg::settings::{self, Settings};
use rowcast_pg::{ReplicationConnection, Session, hosts, slot};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message as m;
use rowcast_proto::message::{ChangeTypes, ObjectSelection, Packing, SourceConnection, TaskSpec};
use rowcast_proto::stream::source_object;
use tokio::sync::watch;

use self::parts::Parts;
use self::settle::Settlement;
use self::step::StartStep;
use crate::connection;
use crate::error::{Error, StopReason};
use crate::keeper::{Keeper, Wanted};
use crate::pipeline::Pipeline;
use crate::pipeline::encode::{Encoder, Format};
use crate::pipeline::publish::Publisher;
use crate::pipeline::source::{Confirmer, Watched};
use crate::scope::Means;
use crate::worker::Platform;

/// First version with logical decoding.
const DECODING_SINCE: u32 = 90_400;

/// First version with pgoutput.
pub(crate) const PGOUTPUT_SINCE: u32 = 100_000;

/// First version whose pgoutput sends logical messages.
pub(crate) const MESSAGES_SINCE: u32 = 140_000;

/// Room in a message for the subject and the batch's headers, in bytes.
const HEADER_ROOM: usize = 4 * 1024;

/// A task that is ready to run.
pub(crate) struct Prepared {
    /// Its stages.
    pub(crate) pipeline: Pipeline,
    /// Its confirmations, to be run beside them.
    pub(crate) confirmer: Confirmer,
    /// Keeps source and broker in step, beside them.
    pub(crate) keeper: Keeper,
    /// How far it has come.
    pub(crate) watched: Watched,
}

/// Prepares a task, whose first batch belongs to the present trace. `wanted` tells when the user wants other
/// objects; `steps` is told how far the start has come.
///
/// # Errors
/// Where a side does not answer, or what is found does not fit.
pub(crate) async fn prepare(
    platform: &Platform,
    task: &TaskId,
    spec: &TaskSpec,
    wanted: watch::Receiver<Wanted>,
    steps: &watch::Sender<StartStep>,
) -> Result<Prepared, Error> {
    let started_by = trace_context::current();
    let hold_back = platform
        .nats_monitors
        .hold_back()
        .await
        .map_err(Error::broker)?;
    let wish = Wish::read(task, spec)?;
    let options = connection::options(wish.source, platform)?;
    // Of several hosts one, for all of this session.
    let options = hosts::primary(&options).await?;
    let session = Arc::new(rowcast_pg::connect(&options).await?);
    let settings = settings::read(&session).await?;
    if settings.server_version < DECODING_SINCE {
        return Err(StopReason::UnsupportedVersion(settings.server_version).into());
    }
    let mut replication = ReplicationConnection::connect(&options, settings.encoding()).await?;
    let means = wish.means(&session, &settings).await?;
    steps.send_replace(StartStep::Compare);
    let settlement = Settlement {
        platform,
        wish: &wish,
        session: &session,
        means,
        steps,
    };
    let mut settled = Box::pin(settlement.settle(&mut replication)).await?;
    let keeps = spec.retention.unwrap_or_default();
    retention::keep(&platform.data, task, &keeps).await?;
    steps.send_replace(StartStep::Replicate);
    let frames = start(replication, &wish.name, settled.log.take(), means).await?;
    let storing = stream::storing(&platform.data, task, hold_back).await?;
    let mut publisher = Publisher::open(
        &platform.data,
        task,
        settled.tail.sequence,
        storing,
        started_by,
    );
    let mut encoder = wish.encoder(platform).behind(settled.tail.last);
    settled.tell_gap(&mut encoder, &mut publisher).await?;
    let parts = Parts {
        wish: &wish,
        platform,
        session,
        settings: &settings,
        means,
        hold_back,
    };
    Ok(parts.join(settled, frames, (encoder, publisher), wanted))
}

/// Starts the stream where the slot stands; slot and publication have one name.
async fn start(
    replication: ReplicationConnection,
    name: &str,
    log: Option<String>,
    means: Means,
) -> Result<(FrameReader, StatusWriter), Error> {
    if means.translated {
        let options = [("include-xids", "1"), ("include-timestamp", "1")];
        return Ok(replication
            .start_logical(name, Lsn::INVALID, &options)
            .await?);
    }
    let mut publications = format!("\"{name}\"");
    if let Some(log) = log {
        publications.push_str(&format!(",\"{log}\""));
    }
    let mut options = vec![
        ("proto_version", "1"),
        ("publication_names", publications.as_str()),
    ];
    if means.server_version >= MESSAGES_SINCE {
        options.push(("messages", "true"));
    }
    Ok(replication
        .start_logical(name, Lsn::INVALID, &options)
        .await?)
}

/// What the task asks for.
pub(crate) struct Wish<'a> {
    pub(crate) task: &'a TaskId,
    /// Name of slot and publication.
    pub(crate) name: String,
    pub(crate) spec: &'a TaskSpec,
    pub(crate) source: &'a SourceConnection,
    pub(crate) objects: &'a ObjectSelection,
    pub(crate) change_types: &'a ChangeTypes,
}

impl<'a> Wish<'a> {
    fn read(task: &'a TaskId, spec: &'a TaskSpec) -> Result<Self, Error> {
        let missing = |what: &str| Error::MalformedSpec(format!("{what} is missing"));
        Ok(Self {
            task,
            name: source_object(task),
            spec,
            source: spec.source.as_ref().ok_or_else(|| missing("source"))?,
            objects: spec.objects.as_ref().ok_or_else(|| missing("objects"))?,
            change_types: spec
                .change_types
                .as_ref()
                .ok_or_else(|| missing("change_types"))?,
        })
    }

    /// A policy that was changed while nothing ran applies to all that is read from here on: it may be the repair of
    /// what the task has stopped for.
    pub(crate) fn with_wish(&self, mut record: TrackedObjects) -> TrackedObjects {
        // Up to the version that writes it down, it could not change.
        let types = &mut record.change_types;
        types.get_or_insert_with(|| self.change_types.clone());
        if record.etl == self.spec.etl {
            return record;
        }
        TrackedObjects {
            etl: self.spec.etl.clone(),
            etl_since: None,
            etl_before: None,
            ..record
        }
    }

    fn encoder(&self, platform: &Platform) -> Encoder {
        let max_payload = platform.data.client().server_info().max_payload;
        let format = match self.spec.format() {
            m::Format::Protobuf => Format::Protobuf,
            m::Format::Unspecified | m::Format::Json => Format::Json,
        };
        let encoder = Encoder::new(
            self.task.clone(),
            &self.source.database,
            self.spec.partitions,
            self.spec.transactions,
            max_payload.saturating_sub(HEADER_ROOM),
        );
        let encoder = encoder.writing(format, &self.source.database);
        match self.spec.packing() {
            Packing::Transaction => encoder.packing(),
            Packing::Unspecified | Packing::Row => encoder,
        }
    }

    async fn means(&self, session: &Session, settings: &Settings) -> Result<Means, Error> {
        let needs_identity = |operation: &String| operation == "update" || operation == "delete";
        // A slot is read by the plugin that it was made for.
        let plugin = slot::find(session, &self.name)
            .await?
            .and_then(|slot| slot.plugin);
        let server_version = settings.server_version;
        Ok(Means {
            server_version,
            translated: plugin.map_or(server_version < PGOUTPUT_SINCE, |plugin| {
                plugin == settle::TEST_DECODING
            }),
            superuser: settings::privileges(session).await?.superuser,
            needs_identity: self.change_types.data.iter().any(needs_identity),
        })
    }
}
