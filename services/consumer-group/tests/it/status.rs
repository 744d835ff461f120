//! How it is with groups, as others are told.

use std::time::Duration;

use rowcast_bus::async_nats::Client;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::ListGroups;
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Member, Service, change, committed_at};

async fn named_client(member: &Member, name: &str) -> anyhow::Result<Client> {
    let options = member.options().name(name);
    Ok(options.connect(&member.connection.urls).await?)
}

async fn status(service: &Service, member: &Member) -> m::GroupStatus {
    service.seen(&member.group).await.status.unwrap()
}

fn time(position: Option<&m::StreamPosition>) -> String {
    let at = position.unwrap().committed_at.unwrap();
    let at: chrono::DateTime<chrono::Utc> = at.try_into().unwrap();
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[tokio::test]
async fn a_group_shows_its_place_its_delay_and_who_is_connected() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    service.transactions(&task, 1..=3).await?;

    let alone = status(&service, &member).await;
    assert_eq!((alone.delay_seconds, alone.unconsumed), (-1, -1));
    assert_eq!(alone.members_unknown, "");
    assert!(alone.members.is_empty() && alone.position.is_none());
    assert_eq!(service.seen(&member.group).await.pending, 6);

    let client = named_client(&member, "warehouse 1").await?;
    member.reads(&client, 3).await?;
    eventually("the member is seen", LIMIT, async || {
        !status(&service, &member).await.members.is_empty()
    })
    .await;
    let group = service.seen(&member.group).await;
    let shown = group.status.clone().unwrap();
    assert_eq!(group.acknowledged_sequence, 3);
    let position = shown.position.as_ref().unwrap();
    assert_eq!((position.sequence, position.ordinal), (3, 1));
    assert_eq!(position.lsn, "0/200");
    assert_eq!(time(Some(position)), committed_at(2));
    assert_eq!((shown.delay_seconds, shown.unconsumed), (60, 3));
    assert_eq!(shown.state(), m::GroupState::Ok);
    let range = shown.range.unwrap();
    assert_eq!(
        (range.messages, range.first_sequence, range.last_sequence),
        (6, 1, 6)
    );
    assert_eq!(time(range.first.as_ref()), committed_at(1));
    assert_eq!(range.last.as_ref().unwrap().lsn, "0/300");

    let [seen] = shown.members.as_slice() else {
        panic!("{:?}", shown.members)
    };
    assert_eq!(
        (seen.name.as_str(), seen.language.as_str()),
        ("warehouse 1", "rust")
    );
    assert!(seen.address.starts_with("127.0.0.1:"), "{}", seen.address);
    assert_eq!(seen.server, "rowcast");
    assert!(seen.connected_at.is_some() && !seen.version.is_empty());

    member.reads(&client, 3).await?;
    eventually("nothing is unread", LIMIT, async || {
        let shown = status(&service, &member).await;
        (shown.delay_seconds, shown.unconsumed) == (0, 0)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_pack_and_what_cannot_be_read_have_a_place_too() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let rows = format!("[{},{}]", change(1, 4), change(1, 5));
    let pack = format!(
        r#"{{"id":"0/100.5","op":"pack","database":"shop","lsn":"0/100","ordinal":5,"xid":701,
            "committed_at":"{}","pack":{rows}}}"#,
        committed_at(1)
    );
    service.change(&task, &pack).await?;
    service.change(&task, "no change").await?;
    let client = member.connect().await?;
    member.reads(&client, 1).await?;
    let shown = status(&service, &member).await;
    let position = shown.position.unwrap();
    assert_eq!((position.lsn.as_str(), position.ordinal), ("0/100", 5));
    let last = shown.range.unwrap().last.unwrap();
    assert_eq!((last.sequence, last.lsn.as_str()), (2, ""));
    assert!(last.committed_at.is_some());
    Ok(())
}

#[tokio::test]
async fn a_list_asks_the_servers_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let mut clients = Vec::new();
    for name in ["1", "2", "3"] {
        let member = service.group(&task, name).await?;
        clients.push(named_client(&member, name).await?);
    }
    let question = m::ListGroupsRequest {
        task_id: task.to_string(),
    };
    eventually("all members are seen", LIMIT, async || {
        let list = service.ask::<ListGroups>(&question).await.unwrap();
        let members = list.groups.iter().filter_map(|group| group.status.as_ref());
        members.filter(|status| status.members.len() == 1).count() == 3
    })
    .await;
    // What was found is good for a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let system = service.nats.client("sys").await?;
    let mut asked = system.subscribe("$SYS.REQ.SERVER.PING.CONNZ").await?;
    system.flush().await?;
    let list = service.ask::<ListGroups>(&question).await?;
    for group in &list.groups {
        let members = &group.status.as_ref().unwrap().members;
        assert_eq!(members.len(), 1, "{members:?}");
        assert_eq!(members[0].name, group.name);
    }
    system.flush().await?;
    let mut questions = 0;
    while futures::FutureExt::now_or_never(futures::StreamExt::next(&mut asked)).is_some() {
        questions += 1;
    }
    // The watch may have asked at the same time.
    assert!((1..=2).contains(&questions), "{questions}");
    Ok(())
}
