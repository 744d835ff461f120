//! Rules.

use rowcast_domain::RuleId;
use rowcast_proto::rest::{CreateRule, PatchRule, Rule, RuleList};

use super::Api;

impl Api {
    pub(crate) async fn rules(&self) -> anyhow::Result<RuleList> {
        self.get("/rules").await
    }

    pub(crate) async fn create_rule(&self, body: &CreateRule) -> anyhow::Result<Rule> {
        self.post("/rules", body).await
    }

    pub(crate) async fn rule(&self, id: &RuleId) -> anyhow::Result<Rule> {
        self.get(&format!("/rules/{id}")).await
    }

    pub(crate) async fn patch_rule(&self, id: &RuleId, patch: &PatchRule) -> anyhow::Result<Rule> {
        self.patch(&format!("/rules/{id}"), patch, None).await
    }

    pub(crate) async fn delete_rule(&self, id: &RuleId) -> anyhow::Result<()> {
        self.delete(&format!("/rules/{id}")).await
    }
}
