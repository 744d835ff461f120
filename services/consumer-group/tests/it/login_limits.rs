//! Logins end, have their places, and are not kept out by those of others.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use rowcast_bus::async_nats::connection::State;
use rowcast_bus::async_nats::{Client, ConnectOptions};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::LoginSeen;
use rowcast_proto::rpc::DeleteGroup;
use rowcast_testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::fixture::{CUT, LIMIT, Member, PASSWORD, QUIET, Service, bodies, connects, named, read};
use crate::permission::pull;

/// Within this the server has let in whoever is right.
const IN_TIME: Duration = Duration::from_secs(2);

/// Where others come from.
const OTHER_HOST: [u8; 4] = [127, 0, 0, 2];

async fn member_of(service: &Service) -> anyhow::Result<Member> {
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.group(&task, "orders").await
}

/// A stock client reads on over several ends of its login.
#[tokio::test]
async fn a_login_ends_and_its_client_comes_back_and_reads_on() -> anyhow::Result<()> {
    let service = Service::start_with(&[("ROWCAST_LOGIN_LIFETIME_SECONDS", "4")]).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let (client, mut errors) = member.connect_and_hear().await?;
    for number in 1..=4_u64 {
        eventually("the client is connected again", LIMIT, async || {
            connects(&client) >= number && client.connection_state() == State::Connected
        })
        .await;
        let body = number.to_string();
        service.change(&task, &body).await?;
        let consumer = member.consumer(&client).await?;
        let changes = read(&consumer, 1).await?;
        assert_eq!(bodies(&changes), [body.as_str()]);
        changes[0]
            .double_ack()
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        let told = tokio::time::timeout(LIMIT, errors.recv()).await?.unwrap();
        assert!(
            told.to_lowercase().contains("authentication expired"),
            "{told}"
        );
    }
    Ok(())
}

/// What the server answers to a member's lines, until it closes the connection. A library would not send what is too much.
async fn answered(service: &Service, member: &Member, lines: &str) -> anyhow::Result<String> {
    let address = service.nats.url().trim_start_matches("nats://");
    let mut connection = TcpStream::connect(address).await?;
    let connect = serde_json::json!({
        "verbose": false, "pedantic": false, "protocol": 1, "lang": "test", "version": "1",
        "user": member.connection.login, "pass": PASSWORD,
    });
    let told = format!("CONNECT {connect}\r\n{lines}");
    // It may close before it has read all.
    drop(connection.write_all(told.as_bytes()).await);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) = tokio::time::timeout(QUIET * 4, connection.read(&mut buffer)).await {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    Ok(String::from_utf8_lossy(&answer).to_lowercase())
}

#[tokio::test]
async fn a_member_sends_and_subscribes_to_no_more_than_members_do() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = member_of(&service).await?;
    let publish = |length: usize| {
        let (subject, body) = (pull(&member), " ".repeat(length));
        format!("PUB {subject} {length}\r\n{body}\r\nPING\r\n")
    };
    let answer = answered(&service, &member, &publish(65_536)).await?;
    assert!(
        answer.contains("pong") && !answer.contains("-err"),
        "{answer}"
    );
    let answer = answered(&service, &member, &publish(65_537)).await?;
    assert!(answer.contains("maximum payload violation"), "{answer}");

    let prefix = &member.connection.inbox_prefix;
    let subscribe = |number: u32| {
        let lines = (1..=number).map(|id| format!("SUB {prefix}.{id} {id}\r\n"));
        lines.collect::<String>() + "PING\r\n"
    };
    let answer = answered(&service, &member, &subscribe(2048)).await?;
    assert!(
        answer.contains("pong") && !answer.contains("-err"),
        "{answer}"
    );
    let answer = answered(&service, &member, &subscribe(2049)).await?;
    assert!(
        answer.contains("maximum subscriptions exceeded"),
        "{answer}"
    );
    Ok(())
}

#[tokio::test]
async fn a_login_has_as_many_connections_as_it_may_have() -> anyhow::Result<()> {
    let service = Service::start_with(&[("ROWCAST_LOGIN_CONNECTIONS", "3")]).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let (member, other) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let login = member.connection.login.as_str();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(member.connect().await?);
    }
    assert!(!service.lets_in(login, PASSWORD).await);
    assert!(!service.lets_in(login, PASSWORD).await);
    assert!(service.lets_in(&other.connection.login, PASSWORD).await);
    assert!(clients.iter().all(|client| connects(client) == 1));

    if let Some(client) = clients.pop() {
        client.drain().await?;
    }
    eventually("there is room again", LIMIT, async || {
        service.lets_in(login, PASSWORD).await
    })
    .await;
    assert!(clients.iter().all(|client| connects(client) == 1));
    Ok(())
}

/// One host tries logins without end, each another password: right ones, and some that nobody has.
async fn flood(service: &Service, login: &str) {
    stream::iter(0_u64..)
        .map(|number| async move {
            let unknown = format!("reader-{}", GroupId::random());
            let login = if number % 2 == 0 { login } else { &unknown };
            let password = format!("Wrong-{number}");
            let options = ConnectOptions::with_user_and_password(login.to_owned(), password);
            // Refused, or given up by the server: either is right.
            options.connect(service.nats.url()).await.is_ok()
        })
        .buffer_unordered(400)
        .for_each(|is_in| async move { assert!(!is_in, "a wrong password is let in") })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_logins_keeps_no_right_one_out() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let (attacked, other) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let right_ones = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Neither was ever let in before. The one's login is what the flood tries.
        for login in [&attacked.connection.login, &other.connection.login] {
            for _ in 0..3 {
                let began = Instant::now();
                let is_in = service.lets_in_from(OTHER_HOST, login, PASSWORD).await;
                assert!(is_in, "{login} is kept out");
                let took = began.elapsed();
                assert!(took < IN_TIME, "{login} is let in after {took:?}");
            }
        }
    };
    tokio::select! {
        () = flood(&service, &attacked.connection.login) => anyhow::bail!("the flood has ended"),
        () = right_ones => {}
    }
    // Whoever is remembered is let in from the host of the flood too.
    assert!(service.lets_in(&other.connection.login, PASSWORD).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_members_are_back_within_seconds_after_a_restart_of_the_broker()
-> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let mut clients: Vec<Client> = Vec::new();
    for name in ["one", "two", "three"] {
        let member = service.group(&task, name).await?;
        for _ in 0..90 {
            clients.push(member.connect().await?);
        }
    }
    service.nats.restart().await?;
    let what = format!("all {} are back", clients.len());
    eventually(&what, Duration::from_secs(15), async || {
        clients
            .iter()
            .all(|client| connects(client) > 1 && client.connection_state() == State::Connected)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn logins_are_told_of_with_their_number_and_never_their_password() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = member_of(&service).await?;
    let login = member.connection.login.clone();
    let _client = member
        .options()
        .name("shop\u{1b}[31m")
        .connect(&member.connection.urls)
        .await?;
    for _ in 0..3 {
        assert!(!service.lets_in(&login, "hunter2B").await);
    }
    let unknown = format!("reader-{}", GroupId::random());
    assert!(!service.lets_in(&unknown, PASSWORD).await);

    eventually("all are told", LIMIT, async || {
        let facts = service.facts::<LoginSeen>().await.unwrap();
        let told = |refusal: &str, times| {
            let mut of = facts.iter().filter(|fact| fact.refusal == refusal);
            of.any(|fact| fact.times >= times)
        };
        told("", 1) && told("wrong_password", 3) && told("no_such_group", 1)
    })
    .await;
    let facts = service.facts::<LoginSeen>().await?;
    for fact in &facts {
        assert_eq!(fact.host, "127.0.0.1");
        let text = serde_json::to_string(fact)?;
        assert!(
            !text.contains(PASSWORD) && !text.contains("hunter2B"),
            "{text}"
        );
        match fact.refusal.as_str() {
            "no_such_group" => {
                assert_eq!((&fact.login, fact.group_id.as_str()), (&unknown, ""));
            }
            _ => {
                assert_eq!(fact.login, login);
                assert_eq!(fact.group_id, member.group.id);
                assert_eq!(fact.task_id, member.group.task_id);
            }
        }
    }
    let good = facts.iter().find(|fact| fact.refusal.is_empty()).unwrap();
    assert_eq!(good.client_name, "shop\u{fffd}[31m");
    // However often they are told, they are the same.
    let ids: std::collections::BTreeSet<&str> = facts.iter().map(|fact| fact.id.as_str()).collect();
    assert_eq!(ids.len(), 3, "{facts:?}");
    Ok(())
}

async fn copies(service: &Service) -> usize {
    let client = service.bus.client();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    let ping = client.publish_with_reply("$SRV.PING", inbox, "".into());
    ping.await.unwrap();
    let mut found = 0;
    while let Ok(Some(answer)) = tokio::time::timeout(QUIET, answers.next()).await {
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        found += usize::from(answer["name"] == "consumer-group");
    }
    found
}

#[tokio::test]
async fn twenty_logins_are_let_in_by_two_copies_and_twenty_by_the_one_that_is_left()
-> anyhow::Result<()> {
    let mut service = Service::start_with(&[]).await?;
    let task = TaskId::random();
    let mut members = Vec::new();
    service.make_stream(&task).await?;
    for number in 0..20 {
        members.push(service.group(&task, &format!("group {number}")).await?);
    }
    let _copy = service.copy()?;
    eventually("there are two copies", LIMIT, async || {
        copies(&service).await == 2
    })
    .await;
    for round in 0..2 {
        for member in &members {
            let began = Instant::now();
            assert!(service.lets_in(&member.connection.login, PASSWORD).await);
            let took = began.elapsed();
            assert!(took < IN_TIME, "{took:?} with {} copies", 2 - round);
        }
        if round == 0 {
            service.stop().await?;
        }
    }
    Ok(())
}

/// More than a server tells at a time are closed too.
#[tokio::test(flavor = "multi_thread")]
async fn all_connections_of_a_login_are_closed_however_many() -> anyhow::Result<()> {
    let service = Service::start_with(&[("ROWCAST_LOGIN_CONNECTIONS", "2000")]).await?;
    let member = member_of(&service).await?;
    let clients: Vec<Client> = stream::iter(0..1100)
        .map(|_number| async { member.connect().await.unwrap() })
        .buffer_unordered(50)
        .collect()
        .await;
    service.ask::<DeleteGroup>(&named(&member.group)).await?;
    eventually("all are closed", CUT, async || {
        clients
            .iter()
            .all(|client| client.connection_state() != State::Connected)
    })
    .await;
    Ok(())
}
