//! `rowcast task clone`.

use rowcast_proto::rest::CloneTask;

use super::show;
use crate::api::Api;
use crate::args::Shown;
use crate::find;

pub(super) async fn run(api: &Api, task: &str, name: String, shown: &Shown) -> anyhow::Result<()> {
    let task = find::task(api, task).await?;
    let clone = api.clone_task(&task.id, &CloneTask { name }).await?;
    show::one(&clone, shown.output)
}
