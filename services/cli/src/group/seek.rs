//! `rowcast group seek`.

use rowcast_proto::rest::MoveGroup;

use super::show;
use crate::api::Api;
use crate::args::group::{Place, Seek};
use crate::find;

/// Moves the position, and shows the group where it is then.
pub(super) async fn run(api: &Api, wanted: Seek) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let group = find::group(api, &task, &wanted.group).await?;
    let Place {
        to_time,
        to_lsn,
        to_transaction,
        to_sequence,
        earliest,
        latest,
    } = wanted.place;
    let body = MoveGroup {
        time: to_time,
        lsn: to_lsn,
        transaction: to_transaction,
        sequence: to_sequence,
        earliest,
        latest,
        force: wanted.force,
    };
    let moved = api.move_group(&task.id, &group.id, &body).await?;
    show::one(&moved, wanted.shown.output)
}
