//! Several NATS servers: a login is good on each of them, and what is closed is closed on all.

use std::collections::BTreeSet;
use std::time::Duration;

use rowcast_bus::async_nats::Client;
use rowcast_bus::async_nats::connection::State;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::{DeleteGroup, UpdateGroup};
use rowcast_testkit::{NatsCluster, eventually};

use crate::fixture::{CUT, LIMIT, Member, PASSWORD, Service, bodies, connects, named, read};
use crate::membership::Asker;
use crate::update::update;

/// Connections of a login to each server.
const OF_EACH: usize = 3;

/// Within this somebody else has what a member had whose server died: a lease, and another where consumer-group was connected
/// to it too.
const TAKEN_OVER: Duration = Duration::from_secs(20);

/// The URLs of the servers; each has clients that know no other.
fn urls(service: &Service<NatsCluster>) -> Vec<String> {
    let urls = service.nats.urls();
    urls.split(',').map(str::to_owned).collect()
}

async fn connect(member: &Member, url: &str) -> anyhow::Result<Client> {
    let options = member.options().ignore_discovered_servers();
    Ok(options.connect(url).await?)
}

async fn connect_everywhere(
    service: &Service<NatsCluster>,
    member: &Member,
) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for url in urls(service) {
        for _ in 0..OF_EACH {
            clients.push(connect(member, &url).await?);
        }
    }
    Ok(clients)
}

fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// A server that the group can do without.
async fn without_stream(service: &Service<NatsCluster>, member: &Member) -> usize {
    let client = service.capture.client();
    let stream = &member.connection.stream;
    let leader = service.nats.leader(client, stream).await.unwrap();
    (leader + 1) % service.nats.size()
}

/// From now on the group has another password.
async fn change_password(service: &Service<NatsCluster>, task: &TaskId, group: &m::Group) {
    let wish = m::UpdateGroupRequest {
        password: Some(service.seal(task, "Another-horse-9")),
        ..update(group)
    };
    service.ask::<UpdateGroup>(&wish).await.unwrap();
}

/// Where the group's members are connected, as the service tells.
async fn servers_of(service: &Service<NatsCluster>, group: &m::Group) -> Vec<String> {
    let seen = service.seen(group).await;
    let members = seen.status.unwrap().members.into_iter();
    members.map(|member| member.server).collect()
}

#[tokio::test]
async fn members_of_all_servers_read_are_seen_and_are_cut_off() -> anyhow::Result<()> {
    let service = Service::start_on(NatsCluster::start().await?, &[]).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let (changed, deleted, other) = (
        service.group(&task, "changed").await?,
        service.group(&task, "deleted").await?,
        service.group(&task, "other").await?,
    );
    let clients = connect_everywhere(&service, &changed).await?;
    let of_deleted = connect_everywhere(&service, &deleted).await?;
    let of_other = connect_everywhere(&service, &other).await?;
    let servers = servers_of(&service, &changed.group).await;
    assert_eq!(servers.len(), service.nats.size() * OF_EACH);
    let servers: BTreeSet<String> = servers.into_iter().collect();
    assert_eq!(servers.len(), service.nats.size());
    for (number, client) in (1..).zip(&of_other) {
        let body = number.to_string();
        service.change(&task, &body).await?;
        let changes = read(&other.consumer(client).await?, 1).await?;
        assert_eq!(bodies(&changes), [body.as_str()]);
        let acknowledged = changes[0].double_ack().await;
        acknowledged.map_err(|error| anyhow::anyhow!(error))?;
    }

    change_password(&service, &task, &changed.group).await;
    eventually("all with the old password are cut off", CUT, async || {
        !clients.iter().any(is_connected)
    })
    .await;
    for url in urls(&service) {
        assert!(connect(&changed, &url).await.is_err(), "{url}");
    }
    service.ask::<DeleteGroup>(&named(&deleted.group)).await?;
    eventually("all of the deleted group are cut off", CUT, async || {
        !of_deleted.iter().any(is_connected)
    })
    .await;
    assert!(of_other.iter().all(|client| connects(client) == 1));
    Ok(())
}

#[tokio::test]
async fn a_server_that_has_died_keeps_nobody_from_being_cut_off_on_the_others() -> anyhow::Result<()>
{
    let mut service = Service::start_on(NatsCluster::start().await?, &[]).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let dead = without_stream(&service, &member).await;
    service.nats.kill(dead).await?;
    let alive: Vec<String> = urls(&service)
        .into_iter()
        .enumerate()
        .filter_map(|(number, url)| (number != dead).then_some(url))
        .collect();
    let mut clients = Vec::new();
    for url in &alive {
        // Whoever was asked about logins may have been connected to the one that died.
        eventually("logins are good", LIMIT, async || {
            connect(&member, url).await.is_ok()
        })
        .await;
        clients.push(connect(&member, url).await?);
    }
    change_password(&service, &task, &member.group).await;
    eventually("all are cut off", CUT, async || {
        !clients.iter().any(is_connected)
    })
    .await;
    service.nats.restart(dead).await?;
    service.nats.settled().await;
    for url in urls(&service) {
        assert!(connect(&member, &url).await.is_err(), "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn the_connections_of_a_login_are_counted_over_all_servers() -> anyhow::Result<()> {
    let settings = [("ROWCAST_LOGIN_CONNECTIONS", "3")];
    let service = Service::start_on(NatsCluster::start().await?, &settings).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let mut clients = Vec::new();
    for url in urls(&service) {
        clients.push(connect(&member, &url).await?);
    }
    assert!(!service.lets_in(&member.connection.login, PASSWORD).await);
    assert!(clients.iter().all(is_connected));
    Ok(())
}

#[tokio::test]
async fn whose_server_has_died_is_replaced_although_that_server_tells_nothing() -> anyhow::Result<()>
{
    let mut service = Service::start_on(NatsCluster::start().await?, &[]).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let dead = without_stream(&service, &member).await;
    let (theirs, others): (Vec<_>, Vec<_>) = urls(&service)
        .into_iter()
        .enumerate()
        .partition(|(number, _url)| *number == dead);
    let only =
        |urls: Vec<(usize, String)>| urls.into_iter().map(|(_, url)| url).collect::<Vec<_>>();
    let one = Asker::join_at(&member, 1, &only(theirs)).await?;
    let two = Asker::join_at(&member, 2, &only(others)).await?;
    assert_eq!(one.ask().await.held.len(), 1);
    assert!(two.ask().await.held.is_empty());
    service.nats.kill(dead).await?;
    eventually("the other has it", TAKEN_OVER, async || {
        two.try_ask()
            .await
            .is_some_and(|reply| reply.held.len() == 1)
    })
    .await;
    Ok(())
}
