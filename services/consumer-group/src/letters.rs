//! How many dead letters groups have, with those that wait to be put away.

use std::collections::HashMap;

use rowcast_domain::GroupId;
use rowcast_service::BoxError;

use crate::state::State;
use crate::{own_stream, shelf, store};

/// What was counted last: as long as the stream is as it was, it is not counted again.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    seen: Option<Seen>,
    put_away: HashMap<GroupId, u64>,
}

/// What is another one where anything was put away or taken since.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    made: String,
    messages: u64,
    last_sequence: u64,
}

impl Letters {
    /// Counts those of all groups at once; `None` where NATS or the database does not tell.
    pub(crate) async fn look(&mut self, state: &State) -> Option<HashMap<GroupId, u64>> {
        match self.count(state).await {
            Ok(counts) => Some(counts),
            Err(error) => {
                tracing::warn!(%error, "dead letters are not counted for now");
                None
            }
        }
    }

    async fn count(&mut self, state: &State) -> Result<HashMap<GroupId, u64>, BoxError> {
        let shelf = shelf::stream(&state.data).await?;
        let info = shelf.get_info().await?;
        let seen = Seen {
            made: own_stream::made(&info),
            messages: info.state.messages,
            last_sequence: info.state.last_sequence,
        };
        if self.seen.as_ref() != Some(&seen) {
            self.put_away = shelf::counts(&shelf).await?;
            self.seen = Some(seen);
        }
        let mut counts = self.put_away.clone();
        for (group, number) in store::waiting::counts(&state.pool).await? {
            let of_group = counts.entry(group.parse()?).or_default();
            *of_group = of_group.saturating_add(number.unsigned_abs());
        }
        Ok(counts)
    }
}
