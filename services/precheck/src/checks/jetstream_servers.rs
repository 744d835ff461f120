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
            Some((answer.url.clone(), error))
        });
        let silent: Vec<_> = silent.collect();
        let answers = silent
            .iter()
            .map(|(url, error)| format!("; {url}: {error}"));
        return Finding::fail(
            format!("{saw}{}", answers.collect::<String>()),
            "The task's stream cannot be made, or not be kept.",
            repair(broker, silent.into_iter().map(|(url, _)| url)),
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

/// What lets enough servers keep streams.
fn repair(broker: &Broker, silent: impl Iterator<Item = String>) -> String {
    let mut repairs = Vec::new();
    let silent = name_some(silent);
    if !silent.is_empty() {
        repairs.push(format!(
            "Start the NATS servers that do not answer: {silent}."
        ));
    }
    let without = broker.servers.iter().filter_map(|answer| {
        let server = answer.said.as_ref().ok()?;
        (!server.has_jetstream()).then(|| server.name.clone())
    });
    let without = name_some(without);
    if !without.is_empty() {
        repairs.push(format!(
            "Give these a section jetstream {{ }} in their configuration, and restart them: {without}."
        ));
    }
    if broker.servers.len() < broker.replicas {
        repairs.push(format!(
            "Run {} NATS servers as a cluster and name all of them in ROWCAST_NATS_MONITOR_URL; or set \
             ROWCAST_NATS_REPLICAS = 1 for every service.",
            broker.replicas
        ));
    }
    if repairs.is_empty() {
        repairs.push("Name the NATS servers in ROWCAST_NATS_MONITOR_URL.".to_owned());
    }
    repairs.join(" ")
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
        assert!(
            found
                .repair
                .starts_with("Start the NATS servers that do not answer: http://n1:8222."),
            "{}",
            found.repair
        );
        let without = check(&broker(&[json!({})], 1));
        assert_eq!(without.outcome, CheckOutcome::Fail);
        assert!(
            without.repair.ends_with("restart them: n0."),
            "{}",
            without.repair
        );
        let too_few = check(&broker(&[on()], 3));
        assert!(
            too_few.repair.starts_with("Run 3 NATS servers"),
            "{}",
            too_few.repair
        );
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
