//! A change of the task's objects, step by step.
//!
//! ```text
//! widen the publication ─▶ wait for the transactions that began before ─▶ the pipeline takes it
//!                                                    between two transactions ─▶ narrow the publication
//! ```
//!
//! A transaction that was open while the publication was widened is decoded by both: its changes
//! before that moment would be missing. So the change takes effect only behind the last of them.

use std::collections::BTreeSet;

use rowcast_domain::{Lsn, Selector};
use rowcast_pg::{catalog, publication, publishable};
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::ObjectSelection;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Keeper, Tools, Widened};
use crate::error::{Error, StopReason};
use crate::pipeline::switch::Switch;
use crate::scope::Scope;

const TOPIC: &str = "objects";

/// How far a change has come.
pub(super) enum Change {
    /// There is none.
    None,
    /// Transactions that began before this one may still be open.
    Waiting {
        objects: ObjectSelection,
        horizon: i64,
    },
    /// The pipeline is to take it; `objects` changed, or only what belongs to them.
    Asked {
        taken: oneshot::Receiver<TrackedObjects>,
        narrow: bool,
    },
}

impl Change {
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The publication is narrowed once the pipeline has taken it.
    fn then_narrow(&mut self) -> Self {
        match std::mem::replace(self, Self::None) {
            Self::Asked { taken, .. } => Self::Asked {
                taken,
                narrow: true,
            },
            none @ (Self::None | Self::Waiting { .. }) => none,
        }
    }
}

impl Keeper {
    /// One step on.
    pub(super) async fn bring_on(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.change, Change::None) {
            Change::None => {
                let begun = self.begin_change().await;
                self.survive(TOPIC, begun)
            }
            Change::Waiting { objects, horizon } => self.wait(objects, horizon).await,
            Change::Asked { mut taken, narrow } => match taken.try_recv() {
                Ok(record) => {
                    self.record = record;
                    if !narrow {
                        return Ok(());
                    }
                    tracing::info!(since = %self.record.since, "the task's objects have changed");
                    let narrowed = self.narrow().await;
                    self.survive(TOPIC, narrowed)
                }
                Err(TryRecvError::Empty) => {
                    self.links.received.ask();
                    self.change = Change::Asked { taken, narrow };
                    Ok(())
                }
                // The pipeline has ended; so does the session.
                Err(TryRecvError::Closed) => Ok(()),
            },
        }
    }

    /// Begins a change where the user wants other objects.
    async fn begin_change(&mut self) -> Result<(), Error> {
        let wanted = self.links.wanted.borrow().objects.clone();
        // What was changed last must be confirmed: only one earlier version is remembered.
        let settled = *self.links.confirmed.borrow() >= self.record.since;
        if wanted == self.record.objects || !settled {
            return Ok(());
        }
        let selector = Selector::from(&wanted);
        if !self.tools.publishes {
            let now = self.insert_lsn().await?;
            return self.ask(wanted, BTreeSet::new(), Some(now)).await;
        }
        self.verify().await?;
        let scope = self.view().await?.scope(&selector);
        if scope.is_empty() && !selector.is_open() {
            return Err(StopReason::NothingToTrack.into());
        }
        match self.widen(&scope).await? {
            Widened::NotYet => return Ok(()),
            Widened::Already => {}
            Widened::Yes => {
                let horizon = catalog::current_transaction(&self.tools.session).await?;
                self.change = Change::Waiting {
                    objects: wanted,
                    horizon,
                };
                return Ok(());
            }
        }
        let now = self.insert_lsn().await?;
        let tables = self.members(&selector).await?;
        self.ask(wanted, tables, Some(now)).await
    }

    async fn wait(&mut self, objects: ObjectSelection, horizon: i64) -> Result<(), Error> {
        let oldest = catalog::transaction_horizon(&self.tools.session).await?;
        if oldest <= horizon {
            self.tools.warnings.set(
                TOPIC,
                ["the task's objects change once the transactions have ended that were open before".to_owned()],
            );
            self.change = Change::Waiting { objects, horizon };
            return Ok(());
        }
        self.tools.warnings.clear(TOPIC);
        let now = self.insert_lsn().await?;
        let tables = self.members(&Selector::from(&objects)).await?;
        self.ask(objects, tables, Some(now)).await
    }

    /// OIDs of the listed tables that a selection takes.
    async fn members(&self, selector: &Selector) -> Result<BTreeSet<u32>, Error> {
        Ok(self.view().await?.members(selector))
    }

    /// Writes down that the publication is about to lose something.
    pub(super) async fn announce(&mut self) -> Result<(), Error> {
        let (objects, tables) = (self.record.objects.clone(), self.record.tables.clone());
        self.send(objects, tables, String::new(), None).await
    }

    /// Writes other members of the same objects down.
    pub(super) async fn remember(&mut self, tables: BTreeSet<u32>) -> Result<(), Error> {
        self.ask(self.record.objects.clone(), tables, None).await
    }

    async fn ask(
        &mut self,
        objects: ObjectSelection,
        tables: BTreeSet<u32>,
        not_before: Option<Lsn>,
    ) -> Result<(), Error> {
        let publication = self.expected.as_ref().map(ToString::to_string);
        self.send(objects, tables, publication.unwrap_or_default(), not_before)
            .await
    }

    async fn send(
        &mut self,
        objects: ObjectSelection,
        tables: BTreeSet<u32>,
        publication: String,
        not_before: Option<Lsn>,
    ) -> Result<(), Error> {
        let (taken, receiver) = oneshot::channel();
        let switch = Switch {
            objects,
            tables,
            publication,
            not_before,
            taken,
        };
        let narrow = not_before.is_some();
        if self.links.switches.send(switch).await.is_ok() {
            self.links.received.ask();
            self.change = Change::Asked {
                taken: receiver,
                narrow,
            };
        }
        Ok(())
    }

    /// Takes out of the publication what nobody wants any more.
    async fn narrow(&mut self) -> Result<(), Error> {
        if !self.tools.publishes {
            return Ok(());
        }
        let selector = Selector::from(&self.record.objects);
        let view = self.view().await?;
        let wanted = view.scope(&selector);
        let Some(present) = Scope::read(&self.tools.session, &self.tools.name).await? else {
            return Ok(());
        };
        let replaced = present == Scope::Everything && wanted != Scope::Everything;
        let tables = view.unwanted(&selector, &self.record.tables);
        let unwanted = present.without(&wanted, tables);
        if !replaced && unwanted.is_none() {
            return Ok(());
        }
        if !self.record.publication.is_empty() {
            self.announce().await?;
            self.change = self.change.then_narrow();
            return Ok(());
        }
        if replaced {
            self.replace(&wanted).await?;
        } else if let Some(unwanted) = &unwanted {
            let Tools { session, name, .. } = &self.tools;
            publication::remove(session, name, &unwanted.selection()).await?;
            self.expect_present().await?;
        }
        tracing::info!(
            publication = self.tools.name,
            ?unwanted,
            replaced,
            "publication narrowed"
        );
        let tables = self.members(&selector).await?;
        self.remember(tables).await
    }

    async fn insert_lsn(&self) -> Result<Lsn, Error> {
        let version = self.tools.means.server_version;
        Ok(publishable::insert_lsn(&self.tools.session, version).await?)
    }
}
