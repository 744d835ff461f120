//! Shapes of tables that the task's stream told before the session began.

use rowcast_proto::change::TableSchema;
use rowcast_proto::derived::Made;
use rowcast_proto::subject;
use rowcast_service::BoxError;

use super::Session;
use crate::derive::change::Stop;
use crate::derive::failure::Failure;
use crate::derive::message::Message;

impl Session<'_> {
    /// Fits the policy to the shapes that a message needs.
    pub(super) async fn define(&mut self, message: &Message) -> Result<(), Failure> {
        for id in self.deriver.wants(message) {
            let definition = self.shape(&id).await?;
            self.deriver.tables.define(definition, &message.database);
            if self.deriver.introduces() && !self.untold.contains(&id) {
                self.untold.push(id);
            }
        }
        Ok(())
    }

    /// Tells those that a message needs and that were not told under this policy, before what is made of it. In every session
    /// anew, for the stream does not say which it has.
    pub(super) fn introduce(&mut self, message: &Message, made: Made) -> Result<(), Stop> {
        let needs = |id: &String| {
            let mut all = std::iter::once(message).chain(&message.pack);
            all.any(|one| one.schema_id.as_ref() == Some(id))
        };
        let (needed, rest): (Vec<String>, Vec<String>) = std::mem::take(&mut self.untold)
            .into_iter()
            .partition(needs);
        self.untold = rest;
        let at = self.outbox.last().position;
        for id in needed {
            let Some(out) = self.deriver.introduced(&id, at, message) else {
                continue;
            };
            let rendered = self.renderer.render(&out, &self.deriver.tables);
            let rendered = rendered.map_err(|error| Stop(error.to_string()))?;
            self.outbox.push_before(rendered, made);
        }
        Ok(())
    }

    async fn shape(&self, id: &str) -> Result<TableSchema, Failure> {
        let key = format!("{}.{}", self.group.task_id, subject::escape(id));
        let found = self
            .deriving
            .schemas
            .get(key)
            .await
            .map_err(BoxError::from)?;
        let found = found.ok_or_else(|| BoxError::from(format!("the shape {id} is not known")))?;
        Ok(serde_json::from_slice(&found).map_err(BoxError::from)?)
    }
}
