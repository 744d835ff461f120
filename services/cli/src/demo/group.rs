//! Consumer groups of the demo.

use rowcast_client::GroupCredentials;
use rowcast_domain::TaskId;
use rowcast_local::State;
use rowcast_proto::rest::CreateGroup;

use crate::api::Api;
use crate::platform_file::GroupEntry;

/// Finds the group or makes it. `name` is its account too.
pub(super) async fn open(
    api: &Api,
    state: &State,
    task: &TaskId,
    name: &str,
) -> anyhow::Result<(GroupEntry, GroupCredentials)> {
    let password = state.credentials().group_password(name)?;
    let known = api.groups(task).await?.groups;
    let group = match known.into_iter().find(|group| group.name == name) {
        Some(group) => group,
        None => {
            let wanted = CreateGroup {
                name: name.to_owned(),
                account: name.to_owned(),
                password: password.expose().to_owned(),
                mode: None,
                etl: None,
                format: None,
                max_deliver: None,
                on_exhausted: None,
                delivery: None,
            };
            api.create_group(task, &wanted).await?
        }
    };
    let connection = api.connection(task, &group.id).await?;
    let credentials = GroupCredentials::new(connection, password);
    let entry = GroupEntry {
        name: name.to_owned(),
        login: credentials.login.clone(),
        password_file: state.credentials().group_password_file(name)?,
        stream: credentials.stream.clone(),
        consumer: credentials.consumer.clone(),
        inbox_prefix: credentials.inbox_prefix.clone(),
    };
    Ok((entry, credentials))
}
