//! Is there room for the task's stream?

use rowcast_bus::monitor::ServerState;

use super::Rule;
use crate::broker::{Broker, size};
use crate::finding::{Finding, name_some};

pub(super) const RULE: Rule = Rule {
    code: "jetstream_space",
    title: "NATS has room for the changes",
    ran: "GET /varz of every NATS server: jetstream.config.max_storage, jetstream.stats",
};

/// A server that is fuller than this many percent soon takes no more.
const FULL_PERCENT: u128 = 80;

pub(super) fn check(broker: &Broker) -> Finding {
    let saw = name_some(broker.storing().map(describe));
    let wanted = broker
        .retention
        .as_ref()
        .map_or(0, |retention| retention.bytes);
    if broker.storing().count() < broker.replicas {
        return Finding::skipped("Too few NATS servers keep streams.");
    }
    let with_room = broker
        .storing()
        .filter(|server| room(server) >= wanted)
        .count();
    if with_room < broker.replicas {
        let repair = broker
            .storing()
            .map(|server| server.reserved_storage().saturating_add(wanted))
            .max()
            .unwrap_or(wanted);
        return Finding::fail(
            saw,
            format!(
                "The task's stream may come to {}, which {} of {} NATS servers can promise to keep.",
                size(wanted),
                with_room,
                broker.replicas
            ),
            format!(
                "Let the task keep less (retention.max_bytes), or give NATS more: jetstream {{ \
                 max_file_store: {repair} }} in its configuration, then restart it."
            ),
        );
    }
    let full = broker.storing().filter(|server| {
        u128::from(server.used_storage()) * 100 >= u128::from(server.most_storage()) * FULL_PERCENT
    });
    let full = name_some(full.map(|server| server.name.clone()));
    if !full.is_empty() {
        return Finding::alert(
            saw,
            format!(
                "{full}: more than {FULL_PERCENT} % of the room is taken. Without room the task waits, and \
                 the source keeps its WAL."
            ),
            "Give NATS more room (max_file_store), or let the tasks keep less.",
        );
    }
    Finding::pass(saw)
}

/// What the server lets another stream promise to need (`nats-server`, error 10047 where it is more).
fn room(server: &ServerState) -> u64 {
    server
        .most_storage()
        .saturating_sub(server.reserved_storage())
}

fn describe(server: &ServerState) -> String {
    format!(
        "{}: {} of {} used, {} promised to streams",
        server.name,
        size(server.used_storage()),
        size(server.most_storage()),
        size(server.reserved_storage())
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::{CheckOutcome, Retention};
    use serde_json::{Value, json};

    use super::*;
    use crate::broker::tests::broker;

    fn server(most: u64, used: u64, reserved: u64) -> Value {
        json!({
            "config": {"max_storage": most},
            "stats": {"storage": used, "reserved_storage": reserved},
        })
    }

    fn found(servers: &[Value], replicas: usize, bytes: u64) -> Finding {
        let mut broker = broker(servers, replicas);
        broker.retention = Some(Retention {
            age_seconds: 0,
            bytes,
        });
        check(&broker)
    }

    #[test]
    fn what_streams_promise_to_need_must_fit() {
        let half = server(1000, 0, 500);
        assert_eq!(
            found(std::slice::from_ref(&half), 1, 500).outcome,
            CheckOutcome::Pass
        );
        let none = found(std::slice::from_ref(&half), 1, 501);
        assert_eq!(none.outcome, CheckOutcome::Fail);
        assert!(
            none.repair.contains("max_file_store: 1001 "),
            "{}",
            none.repair
        );
        let three = [half.clone(), half, server(1000, 0, 900)];
        assert_eq!(found(&three, 1, 400).outcome, CheckOutcome::Pass);
        assert_eq!(found(&three, 3, 400).outcome, CheckOutcome::Fail);
    }

    #[test]
    fn a_server_that_is_nearly_full_is_worth_knowing() {
        assert_eq!(
            found(&[server(1000, 799, 0)], 1, 0).outcome,
            CheckOutcome::Pass
        );
        let full = found(&[server(1000, 800, 0)], 1, 0);
        assert_eq!(full.outcome, CheckOutcome::Alert);
        assert!(full.cause.starts_with("n0: "), "{}", full.cause);
    }
}
