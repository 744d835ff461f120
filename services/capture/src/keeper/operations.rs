//! Which operations the publication publishes, brought in step with the kinds of changes that are told.
//!
//! What is told more must be published before; what is told less is published until then. A table without a
//! replica identity is taken off before updates or deletes are published: PostgreSQL would refuse them to the
//! application.

use rowcast_domain::Selector;
use rowcast_pg::catalog;
use rowcast_pg::publication::{self, PublicationState};
use rowcast_proto::message::ChangeTypes;

use super::Keeper;
use super::change::Change;
use super::members::Altered;
use crate::error::Error;
use crate::scope::Scope;

/// Operations for which PostgreSQL needs to know which row it was.
const NEED_IDENTITY: [&str; 2] = ["update", "delete"];

impl Keeper {
    /// What must be published now: what is told, and what is to be told.
    pub(super) fn operations(&self) -> Vec<String> {
        let wanted = self.links.wanted.borrow();
        let told = self
            .record
            .change_types
            .iter()
            .flat_map(|types| &types.data);
        let mut operations: Vec<String> = told.chain(&wanted.change_types.data).cloned().collect();
        if wanted.is_in_force(&self.record) {
            operations.clone_from(&wanted.change_types.data);
        }
        operations.sort_unstable();
        operations.dedup();
        operations
    }

    /// Whether tables without an identity must be left out.
    pub(super) fn needs_identity(&self) -> bool {
        let operations = self.operations();
        operations
            .iter()
            .any(|name| NEED_IDENTITY.contains(&name.as_str()))
    }

    /// Begins a change of the kinds of changes.
    pub(super) async fn begin_types(&mut self, types: ChangeTypes) -> Result<(), Error> {
        let told = self.record.change_types.clone().unwrap_or_default();
        if types.data.iter().any(|name| !told.data.contains(name)) {
            if !self.record.publication.is_empty() {
                // A crash in between must not look like the work of somebody else.
                self.altering = true;
                return self.announce().await;
            }
            let (operations, version) = (self.operations(), self.tools.means.server_version);
            // Whoever looks at a publication will say where it is gone.
            let published = self.published().await?;
            if published.is_some_and(|found| !found.publishes_all(&operations, version)) {
                self.publish().await?;
            }
            // Also where it was published already: an earlier session may have done it.
            let last = catalog::current_transaction(&self.tools.session).await?;
            self.decoded_by_both = Some(last);
        }
        self.change = Change::Waiting {
            objects: self.record.objects.clone(),
            change_types: types,
        };
        Ok(())
    }

    /// Publishes nothing any more that is not told. Tells false where that must be announced first, which it is
    /// then.
    pub(super) async fn narrow_operations(&mut self) -> Result<bool, Error> {
        let (operations, version) = (self.operations(), self.tools.means.server_version);
        let published = self.published().await?;
        if published.is_none_or(|found| found.publishes_just(&operations, version)) {
            return Ok(true);
        }
        if !self.record.publication.is_empty() {
            self.announce().await?;
            return Ok(false);
        }
        self.publish().await?;
        Ok(true)
    }

    /// What the publication is; asked once, and again after we have altered it.
    async fn published(&mut self) -> Result<Option<&PublicationState>, Error> {
        if self.published.is_none() {
            self.published = publication::find(&self.tools.session, &self.tools.name).await?;
        }
        Ok(self.published.as_ref())
    }

    /// Alters the publication, in one transaction with the tables that have to leave it first.
    async fn publish(&mut self) -> Result<(), Error> {
        self.verify().await?;
        let selector = Selector::from(&self.record.objects);
        let view = self.view().await?;
        let operations = self.operations();
        let (session, name) = (&self.tools.session, &self.tools.name);
        let Some(present) = Scope::read(session, name).await? else {
            return Ok(());
        };
        if present.is_of_tables() || view.without_identity(&selector).is_empty() {
            let named: Vec<&str> = operations.iter().map(String::as_str).collect();
            let version = self.tools.means.server_version;
            publication::publish(session, name, &named, &view.must_leave(), version).await?;
            self.expect_present(Altered::Removed).await?;
        } else {
            // Of all tables, or of a schema, single ones cannot be taken off.
            let kept = view.names_of(&self.record.tables);
            self.replace(&view.scope(&selector).and(kept)).await?;
        }
        self.published = None;
        tracing::info!(
            publication = self.tools.name,
            operations = operations.join(", "),
            "operations published"
        );
        Ok(())
    }
}
