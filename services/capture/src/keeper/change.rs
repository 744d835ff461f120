//! A change of the task's objects, or of the kinds of changes, step by step.
//!
//! ```text
//! widen the publication ─▶ wait for the transactions that began before ─▶ the pipeline takes it
//!                                                    between two transactions ─▶ narrow the publication
//! ```
//!
//! A transaction that was open while the publication was widened is decoded by both: its changes
//! before that moment would be missing. So the change takes effect only behind the last of them.
//!
//! Every step can be the last one of this process. What may be missing from the publication later is
//! announced in the record before it is taken away; the next session begins by narrowing.

use std::collections::BTreeSet;

use rowcast_domain::{Lsn, Selector};
use rowcast_pg::{catalog, publishable};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::{ChangeTypes, EtlPolicy, ObjectSelection};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;

use super::members::Widened;
use super::{Followed, Keeper, Tools};
use crate::error::{Error, StopReason};
use crate::pipeline::switch::Switch;

const TOPIC: &str = "objects";

/// How far a change has come.
pub(super) enum Change {
    /// There is none.
    None,
    /// The publication lists everything; transactions may be open that began before.
    Waiting {
        objects: ObjectSelection,
        change_types: ChangeTypes,
    },
    /// The pipeline is to write something down, and perhaps to take the change.
    Asked {
        taken: oneshot::Receiver<TrackedObjects>,
    },
    /// The publication may list too much, or is not written down.
    Narrowing,
}

impl Change {
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether new tables may join meanwhile.
    pub(super) const fn lets_follow(&self) -> bool {
        matches!(self, Self::None | Self::Waiting { .. })
    }
}

impl Keeper {
    /// One step on.
    pub(super) async fn bring_on(&mut self) -> Result<(), Error> {
        let is_asked = matches!(self.change, Change::Asked { .. });
        if !is_asked && self.etl_to_ask() != self.record.etl {
            // It needs nothing of the source, and waits for nothing there: what was under way begins again.
            let (objects, tables) = (self.record.objects.clone(), self.record.tables.clone());
            let publication = self.record.publication.clone();
            return self.send((objects, tables), publication, None).await;
        }
        let resting = Instant::now() < self.rest_until;
        let step = match &mut self.change {
            Change::None | Change::Narrowing | Change::Waiting { .. } if resting => return Ok(()),
            Change::None => self.begin_change().await,
            Change::Narrowing if !self.tools.publishes => {
                self.change = Change::None;
                Ok(())
            }
            Change::Narrowing => self.narrow().await,
            Change::Waiting {
                objects,
                change_types,
            } => {
                let (objects, change_types) = (objects.clone(), change_types.clone());
                self.wait(objects, change_types).await
            }
            Change::Asked { taken } => {
                match taken.try_recv() {
                    Ok(record) => {
                        if record.etl != self.record.etl {
                            tracing::info!(since = ?record.etl_since, "another ETL policy applies");
                        }
                        if record.since > self.record.since {
                            tracing::info!(since = %record.since, "the task's objects have changed");
                        }
                        self.record = record;
                        self.followed = Followed::default();
                        self.change = if std::mem::take(&mut self.altering) {
                            Change::None
                        } else {
                            Change::Narrowing
                        };
                    }
                    Err(TryRecvError::Empty) => self.links.received.ask(),
                    // The pipeline has ended; so does the session.
                    Err(TryRecvError::Closed) => {}
                }
                return Ok(());
            }
        };
        self.survive(TOPIC, step)
    }

    /// Begins a change where the user wants other objects, or other kinds of changes.
    async fn begin_change(&mut self) -> Result<(), Error> {
        let wanted = self.links.wanted.borrow().objects.clone();
        let types = self.links.wanted.borrow().change_types.clone();
        let same_types = self.record.change_types.as_ref() == Some(&types);
        if (wanted == self.record.objects && same_types) || !self.is_confirmed(self.record.since) {
            return Ok(());
        }
        let selector = Selector::from(&wanted);
        if !self.tools.publishes {
            let now = self.insert_lsn().await?;
            return self.ask(wanted, BTreeSet::new(), (types, now)).await;
        }
        self.verify().await?;
        if !same_types {
            return self.begin_types(types).await;
        }
        let view = self.view().await?;
        // A partition comes under its root's name as soon as the root is listed, and under its own
        // only once the root is not: meanwhile rather too much is told than too little.
        let bridges = view.bridges(&Selector::from(&self.record.objects), &selector);
        if !bridges.is_subset(&self.record.tables) {
            self.altering = true;
            return self.remember(&self.record.tables | &bridges).await;
        }
        let scope = view.scope(&selector);
        if scope.is_empty() && !selector.is_open() {
            return Err(StopReason::NothingToTrack.into());
        }
        if !self.record.publication.is_empty() {
            // Until it is in force the publication is altered more than once: a crash in between must
            // not look like the work of somebody else.
            self.altering = true;
            return self.announce().await;
        }
        if self.widen(&scope).await? == Widened::Yes {
            // Also where nothing was added just now: an earlier session may have done it.
            let last = catalog::current_transaction(&self.tools.session).await?;
            self.decoded_by_both = Some(last);
            self.change = Change::Waiting {
                objects: wanted,
                change_types: types,
            };
        }
        Ok(())
    }

    async fn wait(&mut self, objects: ObjectSelection, types: ChangeTypes) -> Result<(), Error> {
        if self.decoded_by_both.is_some() {
            self.tools.warnings.set(
                "waiting",
                ["the task's objects change once the transactions have ended that were open before"
                    .to_owned()],
            );
            return Ok(());
        }
        self.tools.warnings.clear("waiting");
        let now = self.insert_lsn().await?;
        let view = self.view().await?;
        let selector = Selector::from(&objects);
        let present = Selector::from(&self.record.objects);
        let bridges = view.bridges(&present, &selector);
        let renamed = view.renamed(&present, &(&self.record.tables - &bridges));
        let tables = &(&view.members(&selector) | &bridges) | &renamed;
        self.ask(objects, tables, (types, now)).await
    }

    /// What was changed last must be confirmed before the next change: only one earlier version is remembered.
    fn is_confirmed(&self, since: Lsn) -> bool {
        since.as_u64() <= self.links.confirmed.borrow().as_u64() + 1
    }

    /// What the user wants to be done with rows, or, while that cannot be changed yet, what is.
    fn etl_to_ask(&self) -> Option<EtlPolicy> {
        if self
            .record
            .etl_since
            .is_none_or(|since| self.is_confirmed(since))
        {
            self.links.wanted.borrow().etl.clone()
        } else {
            self.record.etl.clone()
        }
    }

    /// Writes down that the publication is about to lose something.
    pub(super) async fn announce(&mut self) -> Result<(), Error> {
        let (objects, tables) = (self.record.objects.clone(), self.record.tables.clone());
        self.send((objects, tables), String::new(), None).await
    }

    /// Writes other members of the same objects down.
    pub(super) async fn remember(&mut self, tables: BTreeSet<u32>) -> Result<(), Error> {
        let publication = self.present();
        let objects = self.record.objects.clone();
        self.send((objects, tables), publication, None).await
    }

    async fn ask(
        &mut self,
        objects: ObjectSelection,
        tables: BTreeSet<u32>,
        taken: (ChangeTypes, Lsn),
    ) -> Result<(), Error> {
        let publication = self.present();
        self.send((objects, tables), publication, Some(taken)).await
    }

    /// What the publication is, as it is written down.
    fn present(&self) -> String {
        let publication = self.expected.as_ref().map(ToString::to_string);
        publication.unwrap_or_default()
    }

    async fn send(
        &mut self,
        (objects, tables): (ObjectSelection, BTreeSet<u32>),
        publication: String,
        change: Option<(ChangeTypes, Lsn)>,
    ) -> Result<(), Error> {
        let (change_types, not_before) = change.unzip();
        let (taken, receiver) = oneshot::channel();
        let switch = Switch {
            objects,
            change_types: change_types.unwrap_or_default(),
            tables,
            publication,
            etl: self.etl_to_ask(),
            not_before,
            taken,
        };
        if self.links.switches.send(switch).await.is_ok() {
            self.links.received.ask();
            self.change = Change::Asked { taken: receiver };
        }
        Ok(())
    }

    /// Where the WAL ended within the last moments.
    pub(super) async fn recent_insert_lsn(&self) -> Result<Lsn, Error> {
        let Tools {
            server, wal_ends, ..
        } = &self.tools;
        wal_ends.recent(server, self.insert_lsn()).await
    }

    pub(super) async fn insert_lsn(&self) -> Result<Lsn, Error> {
        let version = self.tools.means.server_version;
        Ok(publishable::insert_lsn(&self.tools.session, version).await?)
    }
}
