//! Do enough NATS servers answer, and are they new enough?

use super::Rule;
use crate::broker::Broker;
use crate::finding::{Finding, name_some};

pub(super) const RULE: Rule = Rule {
    code: "jetstream_servers",
    title: "Enough NATS servers keep streams",
    ran: "GET /varz of every NATS server",
};

/// Batches that are stored whole and synced once (NATS ADR-50) work as we need them from here on.
const SINCE: (u32, u32) = (2, 15);

/// So many servers can keep every change three times.
const CLUSTER: usize = 3;

pub(super) fn check(broker: &Broker) -> Finding {
    let (asked, replicas) = (broker.servers.len(), broker.replicas);
    let storing = broker.storing().count();
    let saw = format!("{storing} of {asked} NATS servers keep streams, copies wanted: {replicas}");
    // Of those that do not answer nobody knows what they have.
    if storing < replicas.max(asked / 2 + 1) {
        let silent = broker.servers.iter().filter_map(|answer| {
            let error = answer.said.as_ref().err()?;
            Some(format!("{}: {error}", answer.url))
        });
        let silent = name_some(silent);
        return Finding::fail(
            format!("{saw}{}{silent}", if silent.is_empty() { "" } else { "; " }),
            "The task's stream cannot be made, or not be kept.",
            "Start the NATS servers that do not answer, each with jetstream { } in its configuration. \
             The addresses are those of ROWCAST_NATS_MONITOR_URL.",
        );
    }
    let old = broker
        .storing()
        .filter(|server| version(&server.version) < Some(SINCE));
    let old = name_some(old.map(|server| format!("{} is {}", server.name, server.version)));
    if !old.is_empty() {
        return Finding::fail(
            format!("{saw}; {old}"),
            "An older NATS server does not store the changes of a transaction as a whole.",
            "Install nats-server 2.15 or newer on every server, one after the other.",
        );
    }
    if replicas == 1 && asked >= CLUSTER {
        return Finding::alert(
            saw,
            "Every change is kept by one server only, though there are others: where its disk is lost, \
             so are the changes.",
            "Set ROWCAST_NATS_REPLICAS = 3 for every service before the task starts.",
        );
    }
    Finding::pass(saw)
}

/// Major and minor.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;
    use serde_json::json;

    use super::*;
    use crate::broker::tests::broker;

    fn outcome(broker: &Broker) -> CheckOutcome {
        check(broker).outcome
    }

    #[test]
    fn as_many_as_keep_a_copy_must_answer() {
        let on = || json!({"config": {}});
        assert_eq!(outcome(&broker(&[on()], 1)), CheckOutcome::Pass);
        assert_eq!(outcome(&broker(&[on(), on(), on()], 3)), CheckOutcome::Pass);
        assert_eq!(
            outcome(&broker(&[on(), on(), on()], 1)),
            CheckOutcome::Alert
        );
        let mut one_down = broker(&[on(), on(), on()], 3);
        one_down.servers[1].said = Err("refused".to_owned());
        let found = check(&one_down);
        assert_eq!(found.outcome, CheckOutcome::Fail);
        assert!(
            found.saw.ends_with("; http://n1:8222: refused"),
            "{}",
            found.saw
        );
        assert_eq!(outcome(&broker(&[json!({})], 1)), CheckOutcome::Fail);
        assert_eq!(outcome(&broker(&[], 1)), CheckOutcome::Fail);
    }

    #[test]
    fn an_old_server_is_named() {
        let mut old = broker(&[json!({"config": {}})], 1);
        if let Ok(server) = &mut old.servers[0].said {
            server.version = "2.12.3".to_owned();
        }
        let found = check(&old);
        assert_eq!(found.outcome, CheckOutcome::Fail);
        assert!(found.saw.contains("n0 is 2.12.3"), "{}", found.saw);
        assert_eq!(version("3.0.0-beta"), Some((3, 0)));
        assert_eq!(version("new"), None);
    }
}
