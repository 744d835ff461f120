//! Puts a running task together: who tells whom.

use std::sync::Arc;
use std::time::Duration;

use rowcast_domain::Lsn;
use rowcast_pg::Session;
use rowcast_pg::replication::{FrameReader, StatusWriter};
use rowcast_pg::settings::Settings;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::settle::Settled;
use super::{Prepared, Wish, stream};
use crate::keeper::stream_watch::StreamWatch;
use crate::keeper::warnings::Warnings;
use crate::keeper::{Keeper, Links, Tools, Tracking, Verification, Wanted};
use crate::pipeline::Pipeline;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::decode::Decoder;
use crate::pipeline::encode::Encoder;
use crate::pipeline::filter::Filter;
use crate::pipeline::history::Awaited;
use crate::pipeline::progress::{Durable, Progress};
use crate::pipeline::publish::Publisher;
use crate::pipeline::publish::tail::Stored;
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::source::{self, Confirmer, Received, Source, Told, Watched};
use crate::pipeline::stages::Stages;
use crate::pipeline::switch::{Switch, Switches};
use crate::pipeline::transform::Transform;
use crate::pipeline::translate::Translation;
use crate::scope::Means;
use crate::worker::Platform;

/// What the running task is made of.
pub(super) struct Parts<'a> {
    pub(super) wish: &'a Wish<'a>,
    pub(super) platform: &'a Platform,
    pub(super) session: Arc<Session>,
    pub(super) settings: &'a Settings,
    pub(super) means: Means,
    /// How long the broker may still lose what it has acknowledged.
    pub(super) hold_back: Duration,
}

/// The ends of what is told, for those who tell.
struct Tellers {
    durable: watch::Sender<Durable>,
    confirmed: watch::Sender<Lsn>,
    tracking: watch::Sender<Tracking>,
}

/// Keeper to pipeline, confirmer to keeper.
struct Requests {
    switches: (mpsc::Sender<Switch>, mpsc::Receiver<Switch>),
    verifications: (mpsc::Sender<Verification>, mpsc::Receiver<Verification>),
}

impl Parts<'_> {
    pub(super) fn join(
        self,
        settled: Settled,
        (frames, writer): (FrameReader, StatusWriter),
        (encoder, publisher): (Encoder, Publisher),
        wanted: watch::Receiver<Wanted>,
    ) -> Prepared {
        let awaited = self.awaited(&settled);
        let (quarantine, quarantined) =
            Quarantine::new(self.platform.control.clone(), self.wish.task.clone());
        let (tellers, watched) = channels(settled.durable, quarantined, self.hold_back);
        let requests = Requests {
            switches: mpsc::channel(1),
            verifications: mpsc::channel(1),
        };
        let links = Links {
            wanted,
            switches: requests.switches.0,
            verifications: requests.verifications.1,
            received: Arc::clone(&watched.received),
            durable: watched.durable.clone(),
            confirmed: watched.confirmed.clone(),
            tracking: tellers.tracking,
        };
        let keeper = Keeper::new(
            self.tools(settled.tail.sequence),
            links,
            settled.record.clone(),
            settled.expected,
        );
        let told = Told {
            confirmed: tellers.confirmed,
            verifications: requests.verifications.0,
        };
        let timeout = self.settings.wal_sender_timeout;
        let confirmer = Confirmer::new(writer, settled.checkpoints, &watched, told, timeout);
        let filter = Filter::new(&settled.record);
        let stages = Stages {
            decoder: Decoder::new(filter),
            transform: Transform::new(&settled.record, &self.wish.source.database),
            encoder,
            publisher,
            progress: Progress::new(settled.durable),
            stored: Stored::up_to(settled.tail.last),
            left_out: 0,
            awaited,
            durable: tellers.durable,
        };
        let pipeline = Pipeline {
            source: Source {
                frames,
                received: Arc::clone(&watched.received),
                patience: source::patience(timeout),
            },
            translation: self.translation(),
            catalog: self.catalog(),
            stages,
            switches: Switches::new(requests.switches.1, settled.kept, settled.record),
            quarantine,
            last_heartbeat: Instant::now(),
            held: Arc::clone(&watched.held),
        };
        Prepared {
            pipeline,
            confirmer,
            keeper,
            watched,
        }
    }

    fn awaited(&self, settled: &Settled) -> Awaited {
        if self.means.translated {
            // Such a transaction stands where it ends, which is not where the server counts from.
            return Awaited::default();
        }
        let (slot, since) = (settled.durable.lsn, settled.record.since);
        Awaited::behind(slot, settled.tail.last, since)
    }

    fn tools(&self, sequence: u64) -> Tools {
        let retention = self.wish.spec.retention.unwrap_or_default();
        let stream = stream::config(&self.platform.data, self.wish.task, &retention);
        let wal_limit = self.settings.max_slot_wal_keep_bytes;
        Tools {
            session: Arc::clone(&self.session),
            server: (self.wish.source.host.clone(), self.wish.source.port),
            wal_ends: Arc::clone(&self.platform.wal_ends),
            bus: self.platform.data.clone(),
            stream: StreamWatch::new(stream, sequence),
            task: self.wish.task.clone(),
            name: self.wish.name.clone(),
            means: self.means,
            publishes: !self.means.translated,
            warnings: Warnings::new(self.wish.change_types.schema, wal_limit, self.hold_back),
            syncs_at_once: self.hold_back.is_zero(),
            held: None,
        }
    }

    fn catalog(&self) -> Catalog {
        Catalog::new(
            Arc::clone(&self.session),
            self.platform.schemas.clone(),
            self.wish.task.clone(),
            self.means.server_version,
        )
    }

    fn translation(&self) -> Option<Translation> {
        let translated = self.means.translated;
        translated.then(|| Translation::new(Arc::clone(&self.session), std::env::temp_dir()))
    }
}

fn channels(
    durable: Durable,
    quarantined: watch::Receiver<Option<String>>,
    hold_back: Duration,
) -> (Tellers, Watched) {
    let (durable_sender, durable_receiver) = watch::channel(durable);
    let (confirmed_sender, confirmed) = watch::channel(durable.lsn);
    let (tracking_sender, tracking) = watch::channel(Tracking::default());
    let tellers = Tellers {
        durable: durable_sender,
        confirmed: confirmed_sender,
        tracking: tracking_sender,
    };
    let watched = Watched {
        durable: durable_receiver,
        confirmed,
        received: Received::new(durable.lsn),
        held: Arc::default(),
        quarantined,
        tracking,
        hold_back,
    };
    (tellers, watched)
}
