//! A running precheck, check by check.

use futures::{Stream, StreamExt as _};
use rowcast_domain::TaskState;
use rowcast_proto::rest::{CheckItem, CheckOutcome};

use crate::api::PrecheckEvent;
use crate::checks;
use crate::task::wait::Watch;

/// Shows a run until its report is there; an API that stops to tell of it shows no more.
pub(super) async fn show(events: impl Stream<Item = anyhow::Result<PrecheckEvent>>, watch: &Watch) {
    let mut events = std::pin::pin!(events);
    let bar = watch.bar();
    let (mut done, mut all) = (0, 0);
    while let Some(Ok(event)) = events.next().await {
        match event {
            PrecheckEvent::Begin(begun) => {
                watch.tell(TaskState::Prechecking, None);
                (done, all) = (0, begun.checks.len());
                bar.count(all);
            }
            PrecheckEvent::Item(item) => {
                done += 1;
                bar.step();
                bar.say(item.code.as_str());
                if bar.is_hidden() || deserves_a_line(&item) {
                    watch.line(format_args!("{done:>2}/{all} {}", in_a_line(&item)));
                }
            }
            PrecheckEvent::End => return,
            PrecheckEvent::Unknown => {}
        }
    }
}

/// What passed is seen in the bar.
const fn deserves_a_line(item: &CheckItem) -> bool {
    match item.outcome {
        CheckOutcome::Alert | CheckOutcome::Fail => true,
        CheckOutcome::Pass | CheckOutcome::Skipped => false,
    }
}

fn in_a_line(item: &CheckItem) -> String {
    format!("{} {}", checks::word(item.outcome), item.code)
}
