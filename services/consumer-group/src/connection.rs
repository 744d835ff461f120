//! What a client of a group must know, and the login that it shows.

use rowcast_domain::GroupId;
use rowcast_proto::message::{self, GroupConnection, PartitionConsumer};
use rowcast_proto::rest::GroupMode;
use rowcast_proto::stream::{DEAD, group_consumer, redrive_consumer};
use rowcast_proto::subject::group_inbox;

use crate::own_consumers;
use crate::reads::Reads;
use crate::store::group::Group;

/// The account of NATS that members of groups land in.
pub(crate) const CLIENTS_ACCOUNT: &str = "CLIENTS";

/// The login of a group's members.
pub(crate) fn login(account: &str, group: &GroupId) -> String {
    format!("{account}-{group}")
}

/// The account and the group that a login names.
pub(crate) fn parse_login(login: &str) -> Option<(&str, GroupId)> {
    let (account, group) = login.rsplit_once('-')?;
    Some((account, group.parse().ok()?))
}

/// Everything a client needs but the password.
pub(crate) fn describe(group: &Group, urls: &[String]) -> GroupConnection {
    GroupConnection {
        urls: urls.to_vec(),
        login: login(&group.account, &group.id),
        stream: Reads::of(group).stream(),
        consumer: match group.mode {
            GroupMode::Ordered | GroupMode::Shared => group_consumer(&group.id),
            GroupMode::Keyed => String::new(),
        },
        mode: message::GroupMode::from(group.mode).into(),
        consumers: own_consumers::of(group)
            .into_iter()
            .filter_map(|own| {
                Some(PartitionConsumer {
                    partition: own.partition?,
                    consumer: own.name,
                    deliver_subject: own.deliver_subject.unwrap_or_default(),
                })
            })
            .collect(),
        redrive_stream: DEAD.name.to_owned(),
        redrive_consumer: redrive_consumer(&group.id),
        delivery: message::GroupDelivery::from(group.delivery()).into(),
        deliver_subject: own_consumers::of(group)
            .into_iter()
            .filter(|own| own.partition.is_none())
            .find_map(|own| own.deliver_subject)
            .unwrap_or_default(),
        deliver_group: own_consumers::deliver_group(group).unwrap_or_default(),
        format: group.format().into(),
        inbox_prefix: group_inbox(&group.id),
        group_id: group.id.to_string(),
        task_id: group.task_id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_names_its_account_and_group() {
        let group = GroupId::random();
        let login = login("reader_1", &group);
        assert_eq!(parse_login(&login), Some(("reader_1", group)));
    }

    #[test]
    fn what_is_no_login_names_nothing() {
        for text in [
            "",
            "-",
            "reader",
            "reader-",
            "reader-t000000000000",
            "g000000000000",
        ] {
            assert_eq!(parse_login(text), None, "{text:?}");
        }
    }
}
