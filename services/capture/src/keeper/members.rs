//! What the publication lists, brought in step with what the task tracks.

use std::collections::BTreeSet;

use rowcast_domain::Selector;
use rowcast_pg::publication::{self, Selection};
use rowcast_pg::{Error as SourceError, catalog};

use super::change::Change;
use super::{Keeper, Tools};
use crate::error::{Error, StopReason};
use crate::scope::{Means, Scope, View};

/// SQLSTATE of what our role may not do: a table that is not its own.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// What became of a publication that was to be widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Widened {
    /// It lists everything.
    Yes,
    /// It will be tried again.
    NotYet,
}

impl Keeper {
    /// Lets tables join that were created or have got an identity since.
    pub(super) async fn follow(&mut self) -> Result<(), Error> {
        let selector = Selector::from(&self.record.objects);
        // As of now: it was asked for just before.
        let publication = self.fingerprint.clone();
        let view = self.view().await?;
        if let (Some(publication), Some((seen, then))) = (&publication, &self.followed.seen)
            && (publication, &view) == (then, seen)
        {
            return Ok(());
        }
        self.followed.seen = None;
        let keyless = view.without_identity(&selector);
        self.tools.warnings.set(
            "identity",
            keyless.iter().map(|table| {
                format!("{table} is not tracked: it has no primary key and no replica identity, and PostgreSQL would refuse to update and delete its rows if it were published")
            }),
        );
        let missing = view.missing(&selector);
        self.tools.warnings.set(
            "missing",
            missing
                .iter()
                .map(|table| format!("{table} does not exist; it joins once it is created")),
        );
        let keyless = keyless.is_empty();
        let roots = view.remembered_roots();
        if self.roots != roots {
            self.roots = roots;
            self.decoded_by_both = Some(catalog::current_transaction(&self.tools.session).await?);
        }
        let widened = self.widen(&view.scope(&selector)).await?;
        let text = self.expected.as_ref().map(ToString::to_string);
        let written = text.is_none_or(|text| text == self.record.publication);
        if self.change.is_none() && (!written || !keyless) {
            // Writes down what has joined; takes out what must not be published any more.
            self.change = Change::Narrowing;
        } else if widened == Widened::Yes && self.fingerprint == publication {
            self.followed.seen = publication.map(|publication| (view, publication));
        }
        Ok(())
    }

    pub(super) async fn view(&self) -> Result<View, Error> {
        let means = Means {
            needs_identity: self.needs_identity(),
            ..self.tools.means
        };
        Ok(View::read(&self.tools.session, &self.tools.name, means).await?)
    }

    /// Adds to the publication what it lacks of `wanted`.
    pub(super) async fn widen(&mut self, wanted: &Scope) -> Result<Widened, Error> {
        let Some(present) = Scope::read(&self.tools.session, &self.tools.name).await? else {
            return Ok(Widened::NotYet);
        };
        let Some(missing) = present.missing(wanted) else {
            return Ok(Widened::Yes);
        };
        if missing == Scope::Everything {
            if !self.record.publication.is_empty() {
                self.announce().await?;
                self.altering = true;
                return Ok(Widened::NotYet);
            }
            self.replace(wanted).await?;
        } else if !self.add(&missing).await? {
            return Ok(Widened::NotYet);
        }
        tracing::info!(publication = self.tools.name, added = ?missing, "publication widened");
        Ok(Widened::Yes)
    }

    /// Adds; what our role does not own is named and left out. Tells whether all was added.
    async fn add(&mut self, missing: &Scope) -> Result<bool, Error> {
        let Tools { session, name, .. } = &self.tools;
        let added = publication::add(session, name, &missing.selection()).await;
        let mut refused = Vec::new();
        match added {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => {
                let Scope::Objects { schemas, tables } = missing else {
                    return Err(error.into());
                };
                if !schemas.is_empty() {
                    return Err(error.into());
                }
                for table in tables {
                    let one = Selection::Tables(vec![table.clone()]);
                    match publication::add(session, name, &one).await {
                        Ok(()) => {}
                        Err(error) if is_refusal(&error) => refused.push(table),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        let all = refused.is_empty();
        self.tools.warnings.set(
            "owner",
            refused.into_iter().map(|table| {
                format!("{table} is not tracked: only its owner may add it to the publication")
            }),
        );
        self.expect_present(Altered::Added).await?;
        Ok(all)
    }

    /// Makes the publication anew, in one transaction: whoever decodes finds one or the other.
    pub(super) async fn replace(&mut self, scope: &Scope) -> Result<(), Error> {
        self.verify().await?;
        let operations = self.operations();
        let publish: Vec<&str> = operations.iter().map(String::as_str).collect();
        publication::replace(
            &self.tools.session,
            &self.tools.name,
            &scope.selection(),
            &publish,
            self.tools.means.server_version,
        )
        .await?;
        self.expect_present(Altered::Removed).await
    }

    /// From now on the publication is right as it is: we have just altered it ourselves. What it had
    /// before must still be there, unless we took it away.
    pub(super) async fn expect_present(&mut self, altered: Altered) -> Result<(), Error> {
        // Until it is read, whatever is there must not be taken for right.
        self.lost_track = true;
        let Tools {
            session,
            name,
            means,
            ..
        } = &self.tools;
        let found = publication::memberships(session, name, means.server_version).await?;
        if let (Altered::Added, Some(before), Some(found)) = (altered, &self.expected, &found) {
            let existing = publication::existing(session, before).await?;
            before
                .kept(found, &existing)
                .map_err(|changed| StopReason::PublicationMissing(changed.to_string()))?;
        }
        self.expected = found;
        self.fingerprint = None;
        self.decoded_by_both = Some(catalog::current_transaction(session).await?);
        self.lost_track = false;
        Ok(())
    }

    /// Once the transactions have ended that were open while the publication was altered, lets the
    /// decoder read it again: older servers may have kept what a table was to such a transaction.
    pub(super) async fn clear_widening(&mut self) -> Result<(), Error> {
        let Some(last) = self.decoded_by_both else {
            return Ok(());
        };
        if catalog::transaction_horizon(&self.tools.session).await? <= last {
            return Ok(());
        }
        if !self.record.publication.is_empty() {
            // A crash between the two would look like the work of somebody else.
            if self.change.is_none() {
                self.announce().await?;
                self.altering = true;
            }
            return Ok(());
        }
        self.verify().await?;
        let Tools {
            session,
            name,
            means,
            ..
        } = &self.tools;
        self.lost_track = true;
        publication::touch(session, name).await?;
        self.expected = publication::memberships(session, name, means.server_version).await?;
        self.fingerprint = None;
        self.lost_track = false;
        self.decoded_by_both = None;
        if self.change.is_none() {
            self.change = Change::Narrowing;
        }
        Ok(())
    }

    /// Takes out of the publication what nobody wants any more, and writes down what it is.
    pub(super) async fn narrow(&mut self) -> Result<(), Error> {
        let selector = Selector::from(&self.record.objects);
        let view = self.view().await?;
        let wanted = view.scope(&selector);
        self.widen(&wanted).await?;
        if !matches!(self.change, Change::Narrowing) {
            // Announced: it is tried again then.
            return Ok(());
        }
        if !self.narrow_operations().await? {
            return Ok(());
        }
        let Some(present) = Scope::read(&self.tools.session, &self.tools.name).await? else {
            return Ok(());
        };
        let before = self.record.before.as_ref().map(Selector::from);
        let bridges = before.map(|before| view.bridges(&before, &selector));
        let known = &self.record.tables - &bridges.unwrap_or_default();
        let kept = view.renamed(&selector, &known);
        let replaced = present == Scope::Everything && wanted != Scope::Everything;
        let unwanted = present.without(&wanted, view.unwanted(&selector, &kept));
        if replaced || unwanted.is_some() {
            if !self.record.publication.is_empty() {
                return self.announce().await;
            }
            if replaced {
                self.replace(&wanted).await?;
            } else if let Some(unwanted) = &unwanted {
                self.verify().await?;
                let Tools { session, name, .. } = &self.tools;
                publication::remove(session, name, &unwanted.selection()).await?;
                self.expect_present(Altered::Removed).await?;
            }
            tracing::info!(
                publication = self.tools.name,
                ?unwanted,
                replaced,
                "publication narrowed"
            );
        }
        self.write_down(&selector, &known).await
    }

    /// `known` are the tables that were taken by name so far. What they are called now is looked at together with
    /// who has a name that is wanted: one that is renamed between two looks would be in neither.
    async fn write_down(
        &mut self,
        selector: &Selector,
        known: &BTreeSet<u32>,
    ) -> Result<(), Error> {
        let view = self.view().await?;
        let tables = &view.members(selector) | &view.renamed(selector, known);
        let text = self.expected.as_ref().map(ToString::to_string);
        if tables == self.record.tables && text.as_deref() == Some(&self.record.publication) {
            self.change = Change::None;
            return Ok(());
        }
        self.remember(tables).await
    }
}

/// How we have altered the publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Altered {
    /// It lists more.
    Added,
    /// It may list less.
    Removed,
}

fn is_refusal(error: &SourceError) -> bool {
    error.sqlstate() == Some(INSUFFICIENT_PRIVILEGE)
}
