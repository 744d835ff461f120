//! Does NATS sync to disk before it acknowledges?

use std::time::Duration;

use super::Rule;
use crate::broker::Broker;
use crate::finding::{Finding, name_some};

pub(super) const RULE: Rule = Rule {
    code: "jetstream_sync",
    title: "NATS syncs changes to disk before it acknowledges them",
    ran: "GET /varz of every NATS server: jetstream.config.sync_always, sync_interval",
};

pub(super) fn check(broker: &Broker) -> Finding {
    let late: Vec<(&str, Duration)> = broker
        .storing()
        .map(|server| (server.name.as_str(), server.hold_back()))
        .filter(|(_, held)| !held.is_zero())
        .collect();
    let Some(longest) = late.iter().map(|(_, held)| held.as_secs()).max() else {
        return Finding::pass("sync_interval: always");
    };
    Finding::alert(
        name_some(
            late.iter()
                .map(|(name, held)| format!("{name} syncs within {} s", held.as_secs())),
        ),
        format!(
            "The source keeps its WAL {longest} s longer, for a change may be lost with the machine until \
             it is synced; then it is read again."
        ),
        "For the least WAL set jetstream { sync_interval: always } in the configuration of every NATS \
         server and restart it.",
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;
    use serde_json::json;

    use super::*;
    use crate::broker::tests::broker;

    #[test]
    fn the_one_that_syncs_latest_says_how_long() {
        let always = || json!({"config": {"sync_always": true}});
        assert_eq!(
            check(&broker(&[always(), always()], 1)).outcome,
            CheckOutcome::Pass
        );
        let late = json!({"config": {"sync_interval": 10_000_000_000_u64}});
        let found = check(&broker(&[always(), late], 1));
        assert_eq!(found.outcome, CheckOutcome::Alert);
        assert_eq!(found.saw, "n1 syncs within 20 s");
        assert!(found.cause.contains(" 20 s longer"), "{}", found.cause);
    }
}
