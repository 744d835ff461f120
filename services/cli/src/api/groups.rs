//! Consumer groups.

use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::rest::{
    CreateGroup, DeadLetter, DeadLetterList, DeadLettersDone, Group, GroupConnection, GroupHistory,
    GroupList, MoveGroup, PatchGroup, SkipChange,
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

    /// Answered once the group is behind the change.
    pub(crate) async fn skip_change(
        &self,
        task: &TaskId,
        group: &GroupId,
        body: &SkipChange,
    ) -> anyhow::Result<Group> {
        self.post(&format!("/tasks/{task}/groups/{group}/skip"), body)
            .await
    }

    pub(crate) async fn dead_letters(
        &self,
        task: &TaskId,
        group: &GroupId,
        query: &Query,
    ) -> anyhow::Result<DeadLetterList> {
        self.get_where(&format!("/tasks/{task}/groups/{group}/dead-letters"), query)
            .await
    }

    pub(crate) async fn dead_letter(
        &self,
        task: &TaskId,
        group: &GroupId,
        letter: u64,
    ) -> anyhow::Result<DeadLetter> {
        let path = format!("/tasks/{task}/groups/{group}/dead-letters/{letter}");
        self.get(&path).await
    }

    pub(crate) async fn redrive_dead_letter(
        &self,
        task: &TaskId,
        group: &GroupId,
        letter: u64,
    ) -> anyhow::Result<DeadLettersDone> {
        let path = format!("/tasks/{task}/groups/{group}/dead-letters/{letter}/redrive");
        self.command(&path).await
    }

    /// The oldest 500.
    pub(crate) async fn redrive_dead_letters(
        &self,
        task: &TaskId,
        group: &GroupId,
    ) -> anyhow::Result<DeadLettersDone> {
        let path = format!("/tasks/{task}/groups/{group}/dead-letters/redrive");
        self.command(&path).await
    }

    pub(crate) async fn discard_dead_letter(
        &self,
        task: &TaskId,
        group: &GroupId,
        letter: u64,
    ) -> anyhow::Result<()> {
        let path = format!("/tasks/{task}/groups/{group}/dead-letters/{letter}");
        self.delete(&path).await
    }

    /// The oldest 500.
    pub(crate) async fn discard_dead_letters(
        &self,
        task: &TaskId,
        group: &GroupId,
    ) -> anyhow::Result<DeadLettersDone> {
        let path = format!("/tasks/{task}/groups/{group}/dead-letters/discard");
        self.command(&path).await
    }
}
