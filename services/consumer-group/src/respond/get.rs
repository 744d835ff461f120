//! One group.

use rowcast_proto::message::{Group, GroupRequest, RpcError};

use super::{find_live, shown};
use crate::state::State;

pub(super) async fn answer(state: State, question: GroupRequest) -> Result<Group, RpcError> {
    let group = find_live(&state, &question).await?;
    shown(&state, &group).await
}
