//! `rowcast group skip`.

use rowcast_proto::rest::SkipChange;

use super::show;
use crate::api::Api;
use crate::args::group::Skip;
use crate::{confirm, find};

/// Puts the change away, and shows the group behind it.
pub(super) async fn run(api: &Api, wanted: Skip) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let group = find::group(api, &task, &wanted.group).await?;
    let deed = format!(
        "put the change {} away, cut off the members of group {}, and go on behind it",
        wanted.sequence, group.name
    );
    confirm::agreed(&deed, wanted.agreement.yes)?;
    let body = SkipChange {
        sequence: wanted.sequence,
        reason: wanted.reason,
    };
    let group = api.skip_change(&task.id, &group.id, &body).await?;
    show::one(&group, wanted.shown.output)
}
