//! What the members of a group may do on NATS: read their own consumer, and nothing else.

use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::{stream, subject};
use serde::Serialize;

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

/// The permissions of a group's members.
///
/// They publish pulls, questions after the consumer's position, and acks, all of their own consumer.
/// They subscribe to their own inboxes, so that no member sees the answers to another group.
pub(crate) fn of_group(task: &TaskId, group: &GroupId) -> Permissions {
    let (stream, consumer) = (stream::task_stream(task), stream::group_consumer(group));
    Permissions {
        publish: Subjects {
            allow: subject::group_publish(&stream, &consumer),
        },
        subscribe: Subjects {
            allow: vec![
                format!("{}.>", subject::group_inbox(group)),
                subject::group_delivery(group),
            ],
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_reaches_its_own_consumer_and_inbox_only() {
        let task = "t000000000000".parse().unwrap();
        let group = "g111111111111".parse().unwrap();
        let permissions = serde_json::to_value(of_group(&task, &group)).unwrap();
        assert_eq!(
            permissions,
            json!({
                "pub": { "allow": [
                    "$JS.API.CONSUMER.MSG.NEXT.RC_t000000000000.g_g111111111111",
                    "$JS.API.CONSUMER.INFO.RC_t000000000000.g_g111111111111",
                    "$JS.ACK.RC_t000000000000.g_g111111111111.*.*.*.*.*",
                    "$JS.ACK.*.*.RC_t000000000000.g_g111111111111.*.*.*.*.>",
                ] },
                "sub": { "allow": [
                    "_INBOX_g111111111111.>",
                    "rowcast.deliver.g111111111111.>",
                ] },
            })
        );
    }
}
