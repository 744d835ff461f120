//! The group as which changes are read.

use rowcast_client::GroupCredentials;
use rowcast_domain::{GroupId, Secret, TaskId};
use rowcast_proto::rest::{CreateGroup, Task};

use crate::api::Api;
use crate::args::task::Tail;
use crate::failure::{Exit, Failure};
use crate::{find, output};

/// Account of groups that are made for one reading; their names begin with it.
const TEMPORARY: &str = "tail";

/// A group, and what is to be done with it at the end.
#[derive(Debug)]
pub(super) struct Reader {
    /// Its name.
    pub(super) group: String,
    pub(super) credentials: GroupCredentials,
    /// Stream sequence up to which nothing is printed; 0 prints everything.
    pub(super) passed_over: u64,
    task: TaskId,
    /// To be deleted at the end.
    temporary: Option<GroupId>,
}

impl Reader {
    /// The named group, or one for this once.
    pub(super) async fn open(api: &Api, task: &Task, wanted: &Tail) -> anyhow::Result<Self> {
        match &wanted.group {
            Some(name) => Self::of_group(api, task, name, wanted).await,
            None => Self::for_once(api, task, wanted.from_start).await,
        }
    }

    async fn of_group(api: &Api, task: &Task, name: &str, wanted: &Tail) -> anyhow::Result<Self> {
        let group = find::group(api, task, name).await?;
        let password = wanted.password.read(&format!("the group {}", group.name))?;
        let connection = api.connection(&task.id, &group.id).await?;
        Ok(Self {
            group: group.name,
            credentials: GroupCredentials::new(connection, password),
            passed_over: 0,
            task: task.id.clone(),
            temporary: None,
        })
    }

    async fn for_once(api: &Api, task: &Task, from_start: bool) -> anyhow::Result<Self> {
        // Hexadecimal behind a capital letter: two classes, of at most 32 characters.
        let password = Secret::new(format!(
            "P{:016x}{:08x}",
            rand::random::<u64>(),
            rand::random::<u32>()
        ));
        let body = CreateGroup {
            name: format!("{TEMPORARY}-{:08x}", rand::random::<u32>()),
            account: TEMPORARY.to_owned(),
            password: password.expose().to_owned(),
            mode: None,
            etl: None,
            format: None,
            max_deliver: None,
            on_exhausted: None,
            delivery: None,
        };
        let group = api.create_group(&task.id, &body).await?;
        let opened = async {
            let passed_over = if from_start {
                0
            } else {
                stored(api, task, &group.id).await?
            };
            let connection = api.connection(&task.id, &group.id).await?;
            Ok(Self {
                group: group.name.clone(),
                credentials: GroupCredentials::new(connection, password),
                passed_over,
                task: task.id.clone(),
                temporary: Some(group.id.clone()),
            })
        };
        match opened.await {
            Ok(reader) => Ok(reader),
            Err(error) => {
                if let Err(left) = api.delete_group(&task.id, &group.id).await {
                    output::trouble(format_args!("group {} is left: {left:#}", group.name));
                }
                Err(error)
            }
        }
    }

    /// Deletes a group that was made for this once.
    pub(super) async fn close(&self, api: &Api) -> anyhow::Result<()> {
        match &self.temporary {
            Some(group) => api.delete_group(&self.task, group).await,
            None => Ok(()),
        }
    }

    /// Why a second signal ended the process before the group was deleted.
    pub(super) fn left_behind(&self) -> anyhow::Error {
        let sentence = format!(
            "the group is left: `rowcast group delete {} {}` removes it",
            self.task, self.group
        );
        Failure::of(Exit::Failed, sentence)
    }
}

/// Stream sequence of the last change that was there before the group.
///
/// A new group begins with the oldest change that is kept, and counts all from there as pending.
async fn stored(api: &Api, task: &Task, group: &GroupId) -> anyhow::Result<u64> {
    let groups = api.groups(&task.id).await?.groups;
    let group = groups.into_iter().find(|known| known.id == *group);
    Ok(group.map_or(0, |group| group.acknowledged_sequence + group.pending))
}
