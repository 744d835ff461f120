//! How far the own streams of groups are, as others see it.

use rowcast_domain::TaskId;
use rowcast_proto::message::Derivation;
use rowcast_service::BoxError;

use crate::reads::Reads;
use crate::state::State;
use crate::status::Shown;
use crate::store::group::Group;
use crate::{held, store};

/// Tells it of those of a task's groups that have one; `shown` is of the same groups in the same order.
pub(crate) async fn show(
    state: &State,
    task: &TaskId,
    groups: &[Group],
    shown: &mut [Shown],
) -> Result<(), BoxError> {
    let derived = groups.iter().filter(|group| group.derived.is_some());
    let ids: Vec<String> = derived.map(|group| group.id.to_string()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let known = store::derivation::of(&state.pool, ids).await?;
    let source = held::look(&state.data, &Reads::Task(task.clone())).await?;
    for (group, shown) in groups.iter().zip(shown) {
        if group.derived.is_none() {
            continue;
        }
        let mut derivation = Derivation::default();
        if let Some(known) = known.get(group.id.as_str()) {
            derivation = Derivation {
                state: known.state.into(),
                reason: known.reason.clone(),
                source_sequence: known.mark.source_sequence,
                behind: 0,
                parked: known.parked,
            };
        }
        if let Some(source) = &source {
            let next = derivation.source_sequence.max(source.first - 1);
            derivation.behind = source.last.saturating_sub(next);
        }
        shown.status.derivation = Some(derivation);
    }
    Ok(())
}
