//! What is bought, and what it costs.

use reqwest::Method;
use rowcast_domain::TaskId;
use rowcast_proto::rest::{Instance, PatchInstance, Prices, PurchaseTask, RenewTask, UsageList};

use super::Api;

impl Api {
    pub(crate) async fn prices(&self) -> anyhow::Result<Prices> {
        self.get("/prices").await
    }

    /// Bought once, however often it is asked for: without a key of ours the task is the order.
    pub(crate) async fn purchase(
        &self,
        id: &TaskId,
        order: &PurchaseTask,
    ) -> anyhow::Result<Instance> {
        self.post(&format!("/tasks/{id}/purchase"), order).await
    }

    /// Renewed once for each key; without one, each time.
    pub(crate) async fn renew(
        &self,
        id: &TaskId,
        order: &RenewTask,
        key: Option<&str>,
    ) -> anyhow::Result<Instance> {
        let path = format!("/tasks/{id}/renew");
        let mut request = self.request(Method::POST, &path).json(order);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.send(request, &path).await
    }

    pub(crate) async fn instance(&self, id: &TaskId) -> anyhow::Result<Instance> {
        self.get(&format!("/tasks/{id}/instance")).await
    }

    pub(crate) async fn patch_instance(
        &self,
        id: &TaskId,
        change: &PatchInstance,
    ) -> anyhow::Result<Instance> {
        self.patch(&format!("/tasks/{id}/instance"), change, None)
            .await
    }

    pub(crate) async fn usage(&self, id: &TaskId) -> anyhow::Result<UsageList> {
        self.get(&format!("/tasks/{id}/usage")).await
    }
}
