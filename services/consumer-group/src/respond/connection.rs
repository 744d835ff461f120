//! What a client of a group needs to know.

use rowcast_proto::message::{GroupConnection, GroupRequest, RpcError};

use super::find_live;
use crate::connection;
use crate::state::State;

pub(super) async fn answer(
    state: State,
    question: GroupRequest,
) -> Result<GroupConnection, RpcError> {
    let group = find_live(&state, &question).await?;
    Ok(connection::describe(&group, &state.client_urls))
}
