//! What the members of a group may do on NATS: read their own consumer, and nothing else.

use rowcast_proto::{stream, subject};
use serde::Serialize;

use crate::own_consumers;
use crate::reads::Reads;
use crate::store::group::Group;

/// The permissions of a user, as a NATS JWT holds them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Permissions {
    #[serde(rename = "pub")]
    publish: Subjects,
    #[serde(rename = "sub")]
    subscribe: Subjects,
}

/// With a list of what is allowed, everything else is denied.
#[derive(Debug, Default, Serialize)]
struct Subjects {
    allow: Vec<String>,
}

/// Subscriptions of a connection beside those for its consumers: a client makes one for what it asks, and some one for
/// each pull.
const SUBSCRIPTIONS: i64 = 64;

/// The same for each consumer.
const SUBSCRIPTIONS_OF_A_CONSUMER: i64 = 4;

/// Most subscriptions of a member's connection: what it needs, with room.
pub(crate) fn subscriptions(group: &Group) -> i64 {
    own_consumers::names(group).fold(SUBSCRIPTIONS, |sum, _name| {
        sum + SUBSCRIPTIONS_OF_A_CONSUMER
    })
}

/// The permissions of a group's members.
///
/// They publish pulls, questions after a consumer's position, and acks, all of their group's own consumers and of that of
/// its redriven dead letters, and ask what they may read.
/// They subscribe to their own inboxes, so that no member sees the answers to another group.
pub(crate) fn of_group(group: &Group) -> Permissions {
    let stream = Reads::of(group).stream();
    let consumers = own_consumers::names(group);
    let mut publish: Vec<String> = consumers
        .flat_map(|consumer| subject::group_publish(&stream, &consumer))
        .collect();
    let redriven = stream::redrive_consumer(&group.id);
    publish.extend(subject::group_publish(stream::DEAD.name, &redriven));
    if group.has_shares() {
        publish.push(subject::group_member(&group.id));
    }
    let mut subscribe = vec![format!("{}.>", subject::group_inbox(&group.id))];
    // Exactly what brings changes: who subscribes to something else is told so, instead of waiting for ever.
    let delivered = own_consumers::of(group).into_iter();
    let queue = own_consumers::deliver_group(group);
    subscribe.extend(
        delivered
            .filter_map(|own| own.deliver_subject)
            .map(|subject| match &queue {
                Some(queue) => format!("{subject} {queue}"),
                None => subject,
            }),
    );
    Permissions {
        publish: Subjects { allow: publish },
        subscribe: Subjects { allow: subscribe },
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rowcast_proto::rest::{GroupMode, OnExhausted};
    use serde_json::json;

    use super::*;

    fn group(mode: GroupMode) -> Group {
        Group {
            id: "g111111111111".parse().unwrap(),
            task_id: "t000000000000".parse().unwrap(),
            name: "orders".to_owned(),
            account: "reader".to_owned(),
            password_hash: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
            mode,
            partitions: 2,
            derived: None,
            max_deliver: 10,
            on_exhausted: OnExhausted::of(mode),
            deliver_token: None,
        }
    }

    fn publishes(mode: GroupMode) -> Vec<String> {
        of_group(&group(mode)).publish.allow
    }

    #[test]
    fn a_keyed_group_reaches_the_consumers_of_its_partitions_and_a_shared_one_asks_nothing() {
        let keyed = publishes(GroupMode::Keyed);
        assert_eq!(keyed.len(), 3 * 4 + 4 + 1);
        for partition in ["000", "001", "tx"] {
            let pull =
                format!("$JS.API.CONSUMER.MSG.NEXT.RC_t000000000000.g_g111111111111_{partition}");
            assert!(keyed.contains(&pull), "{pull}");
        }
        assert_eq!(keyed.last().unwrap(), "rowcast.member.g111111111111");
        let ordered = publishes(GroupMode::Ordered);
        assert_eq!(publishes(GroupMode::Shared), ordered[..8]);
    }

    #[test]
    fn a_member_reaches_its_own_consumer_and_inbox_only() {
        let permissions = serde_json::to_value(of_group(&group(GroupMode::Ordered))).unwrap();
        assert_eq!(
            permissions,
            json!({
                "pub": { "allow": [
                    "$JS.API.CONSUMER.MSG.NEXT.RC_t000000000000.g_g111111111111",
                    "$JS.API.CONSUMER.INFO.RC_t000000000000.g_g111111111111",
                    "$JS.ACK.RC_t000000000000.g_g111111111111.*.*.*.*.*",
                    "$JS.ACK.*.*.RC_t000000000000.g_g111111111111.*.*.*.*.>",
                    "$JS.API.CONSUMER.MSG.NEXT.ROWCAST_DEAD.d_g111111111111",
                    "$JS.API.CONSUMER.INFO.ROWCAST_DEAD.d_g111111111111",
                    "$JS.ACK.ROWCAST_DEAD.d_g111111111111.*.*.*.*.*",
                    "$JS.ACK.*.*.ROWCAST_DEAD.d_g111111111111.*.*.*.*.>",
                    "rowcast.member.g111111111111",
                ] },
                "sub": { "allow": [
                    "_INBOX_g111111111111.>",
                ] },
            })
        );
    }

    #[test]
    fn a_member_may_subscribe_for_each_consumer() {
        assert_eq!(subscriptions(&group(GroupMode::Ordered)), 68);
        // Of two partitions, and of `tx`.
        assert_eq!(subscriptions(&group(GroupMode::Keyed)), 76);
    }

    #[test]
    fn a_member_of_a_push_group_subscribes_to_what_is_sent_and_asks_nothing() {
        let of = |mode| {
            let group = Group {
                deliver_token: Some("x".to_owned()),
                ..group(mode)
            };
            let Permissions { publish, subscribe } = of_group(&group);
            assert!(
                !publish
                    .allow
                    .iter()
                    .any(|subject| subject.contains("member"))
            );
            subscribe.allow
        };
        let inbox = "_INBOX_g111111111111.>";
        let ordered = of(GroupMode::Ordered);
        assert_eq!(ordered, [inbox, "rowcast.deliver.g111111111111.x.changes"]);
        let shared = of(GroupMode::Shared);
        let queue = "rowcast.deliver.g111111111111.x.changes g111111111111";
        assert_eq!(shared, [inbox, queue]);
        let keyed = of(GroupMode::Keyed);
        assert_eq!(keyed.len(), 4);
        assert_eq!(keyed[3], "rowcast.deliver.g111111111111.x.tx");
    }
}
