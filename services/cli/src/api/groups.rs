//! Consumer groups.

use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::rest::{
    CreateGroup, Group, GroupConnection, GroupHistory, GroupList, MoveGroup, PatchGroup,
};

use super::{Api, Query};

impl Api {
    pub(crate) async fn groups(&self, task: &TaskId) -> anyhow::Result<GroupList> {
        self.get(&format!("/tasks/{task}/groups")).await
    }

    pub(crate) async fn group(&self, task: &TaskId, group: &GroupId) -> anyhow::Result<Group> {
        self.get(&format!("/tasks/{task}/groups/{group}")).await
    }

    pub(crate) async fn create_group(
        &self,
        task: &TaskId,
        body: &CreateGroup,
    ) -> anyhow::Result<Group> {
        self.post(&format!("/tasks/{task}/groups"), body).await
    }

    pub(crate) async fn connection(
        &self,
        task: &TaskId,
        group: &GroupId,
    ) -> anyhow::Result<GroupConnection> {
        self.get(&format!("/tasks/{task}/groups/{group}/connection"))
            .await
    }

    pub(crate) async fn patch_group(
        &self,
        task: &TaskId,
        group: &GroupId,
        body: &PatchGroup,
    ) -> anyhow::Result<Group> {
        self.patch(&format!("/tasks/{task}/groups/{group}"), body, None)
            .await
    }

    pub(crate) async fn delete_group(&self, task: &TaskId, group: &GroupId) -> anyhow::Result<()> {
        self.delete(&format!("/tasks/{task}/groups/{group}")).await
    }

    /// Answered once the group is there.
    pub(crate) async fn move_group(
        &self,
        task: &TaskId,
        group: &GroupId,
        body: &MoveGroup,
    ) -> anyhow::Result<Group> {
        self.post(&format!("/tasks/{task}/groups/{group}/position"), body)
            .await
    }

    pub(crate) async fn group_history(
        &self,
        task: &TaskId,
        group: &GroupId,
        query: &Query,
    ) -> anyhow::Result<GroupHistory> {
        self.get_where(&format!("/tasks/{task}/groups/{group}/history"), query)
            .await
    }
}
