//! A running consumer-group service, those who ask it, and members of its groups.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::consumer::{PullConsumer, pull};
use rowcast_bus::async_nats::jetstream::{self, stream};
use rowcast_bus::async_nats::{Client, ConnectErrorKind, ConnectOptions};
use rowcast_bus::request::{AskError, ask};
use rowcast_bus::{Bus, provision};
use rowcast_domain::{Secret, TaskId};
use rowcast_proto::event::Event;
use rowcast_proto::message as m;
use rowcast_proto::rpc::{CreateGroup, GetGroup, GetGroupConnection, ListGroups, Rpc};
use rowcast_proto::stream::{EVENTS, task_stream, task_stream_subjects};
use rowcast_proto::subject::{Op, change_into, object};
use rowcast_service::keyring::{self, Keyring};
use rowcast_testkit::{Nats, Postgres, eventually};
use sqlx::PgPool;
use tokio::process::Child;

use crate::broker::{Broker, bus, spawn};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Within this nobody reads any more who may not.
pub(crate) const CUT: Duration = Duration::from_secs(5);

/// How long something that must not come is waited for.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

pub(crate) const PASSWORD: &str = "hunter2A";

/// Key partitions of every task.
pub(crate) const PARTITIONS: u32 = 3;

pub(crate) struct Service<B = Nats> {
    pub(crate) nats: B,
    /// The service's own tables.
    pub(crate) pool: PgPool,
    /// A connection as task-api.
    pub(crate) bus: Bus,
    /// A connection as capture, which owns the streams.
    pub(crate) capture: Bus,
    keyring: Keyring,
    database_url: String,
    key: String,
    settings: Vec<(&'static str, &'static str)>,
    process: Child,
    // Last, so that the server outlives what is connected to it.
    _postgres: Postgres,
}

impl Service {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[("ROWCAST_GROUPS_PER_TASK", "3")]).await
    }

    /// With these settings beside those that it must have.
    pub(crate) async fn start_with(
        settings: &[(&'static str, &'static str)],
    ) -> anyhow::Result<Self> {
        Self::start_on(Nats::start().await?, settings).await
    }
}

impl<B: Broker> Service<B> {
    /// As [`Service::start_with`], with this broker.
    pub(crate) async fn start_on(
        nats: B,
        settings: &[(&'static str, &'static str)],
    ) -> anyhow::Result<Self> {
        let postgres = Postgres::start().await?;
        let database_url = postgres.service_database("consumer_group").await?;
        let pool = PgPool::connect(&database_url).await?;
        let (bus, capture) = (
            bus(&nats, "task-api").await?,
            bus(&nats, "capture-data").await?,
        );
        provision::stream(&bus, &EVENTS).await?;
        let key = "ab".repeat(32);
        let process = spawn(&nats, &database_url, &key, settings)?;
        let service = Self {
            nats,
            pool,
            bus,
            capture,
            keyring: Keyring::from_secret(&Secret::new(key.clone()))?,
            database_url,
            key,
            settings: settings.to_vec(),
            process,
            _postgres: postgres,
        };
        service.answers().await;
        Ok(service)
    }

    async fn answers(&self) {
        let question = m::ListGroupsRequest {
            task_id: TaskId::random().to_string(),
        };
        eventually("consumer-group answers", LIMIT, async || {
            self.ask::<ListGroups>(&question).await.is_ok()
        })
        .await;
    }

    /// Kills the process.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// One more copy of the process.
    pub(crate) fn copy(&self) -> anyhow::Result<Child> {
        spawn(&self.nats, &self.database_url, &self.key, &self.settings)
    }

    /// Starts it again.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = self.copy()?;
        self.answers().await;
        Ok(())
    }

    pub(crate) async fn ask<R: Rpc>(&self, question: &R::Request) -> Result<R::Reply, AskError> {
        ask::<R>(&self.bus, question, Duration::from_secs(10)).await
    }

    /// What the service answers when it refuses.
    pub(crate) async fn refusal<R>(&self, question: &R::Request) -> m::RpcError
    where
        R: Rpc<Reply: std::fmt::Debug>,
    {
        match self.ask::<R>(question).await {
            Err(AskError::Refused(error)) => error,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A good wish for a group.
    pub(crate) fn wish(&self, task: &TaskId, name: &str) -> m::CreateGroupRequest {
        m::CreateGroupRequest {
            task_id: task.to_string(),
            name: name.to_owned(),
            account: "reader".to_owned(),
            password: Some(self.seal(task, PASSWORD)),
            request_key: String::new(),
            actor: "user:test".to_owned(),
            mode: m::GroupMode::Ordered.into(),
            partitions: PARTITIONS,
            etl: None,
            format: m::GroupFormat::Unspecified.into(),
            max_deliver: None,
            on_exhausted: m::OnExhausted::Unspecified.into(),
            delivery: m::GroupDelivery::Pull.into(),
        }
    }

    pub(crate) fn seal(&self, task: &TaskId, password: &str) -> m::SealedSecret {
        let sealed = self
            .keyring
            .seal(
                &Secret::new(password),
                &keyring::group_password(task.as_str()),
            )
            .unwrap();
        m::SealedSecret {
            key_id: sealed.key_id,
            nonce: sealed.nonce,
            ciphertext: sealed.ciphertext,
        }
    }

    /// Makes a group and waits until its consumer is there.
    pub(crate) async fn group(&self, task: &TaskId, name: &str) -> anyhow::Result<Member> {
        self.group_of(task, name, m::GroupMode::Ordered).await
    }

    /// As [`Self::group`], of this mode.
    pub(crate) async fn group_of(
        &self,
        task: &TaskId,
        name: &str,
        mode: m::GroupMode,
    ) -> anyhow::Result<Member> {
        let wish = m::CreateGroupRequest {
            mode: mode.into(),
            ..self.wish(task, name)
        };
        self.make(wish).await
    }

    /// As [`Self::group_of`], whose changes are sent to subscribers.
    pub(crate) async fn push_group(
        &self,
        task: &TaskId,
        name: &str,
        mode: m::GroupMode,
    ) -> anyhow::Result<Member> {
        let wish = m::CreateGroupRequest {
            mode: mode.into(),
            delivery: m::GroupDelivery::Push.into(),
            ..self.wish(task, name)
        };
        self.make(wish).await
    }

    /// Makes the wished group and waits until its consumer is there.
    pub(crate) async fn make(&self, wish: m::CreateGroupRequest) -> anyhow::Result<Member> {
        let group = self.ask::<CreateGroup>(&wish).await?;
        let connection = self.ask::<GetGroupConnection>(&named(&group)).await?;
        eventually("the consumer is there", LIMIT, async || {
            self.consumer_exists(&connection).await
        })
        .await;
        Ok(Member { group, connection })
    }

    pub(crate) async fn consumer_exists(&self, connection: &m::GroupConnection) -> bool {
        let stream = self
            .capture
            .jetstream()
            .get_stream_no_info(&connection.stream)
            .await
            .unwrap();
        for consumer in consumers(connection) {
            if stream.consumer_info(consumer).await.is_err() {
                return false;
            }
        }
        true
    }

    /// What capture does when a task starts.
    pub(crate) async fn make_stream(&self, task: &TaskId) -> anyhow::Result<()> {
        let config = stream::Config {
            name: task_stream(task),
            subjects: task_stream_subjects(task),
            ..stream::Config::default()
        };
        self.capture.jetstream().create_stream(config).await?;
        Ok(())
    }

    /// What capture does when a task with another retention starts.
    pub(crate) async fn make_stream_of(
        &self,
        task: &TaskId,
        max_age: Duration,
        max_bytes: i64,
    ) -> anyhow::Result<()> {
        let config = stream::Config {
            name: task_stream(task),
            subjects: task_stream_subjects(task),
            max_age,
            max_bytes,
            ..stream::Config::default()
        };
        self.capture.jetstream().create_stream(config).await?;
        Ok(())
    }

    /// Changes as capture writes them: transactions from `numbers`, of two rows each, a minute apart. The transaction
    /// `n` commits at LSN 0/n00 and has the id 700 + n.
    pub(crate) async fn transactions(
        &self,
        task: &TaskId,
        numbers: std::ops::RangeInclusive<u32>,
    ) -> anyhow::Result<()> {
        for number in numbers {
            for ordinal in 1..=2 {
                self.change(task, &change(number, ordinal)).await?;
            }
        }
        Ok(())
    }

    /// What capture does for a change.
    pub(crate) async fn change(&self, task: &TaskId, body: &str) -> anyhow::Result<()> {
        self.change_in(task, Some(0), body).await
    }

    /// As [`Self::change`], in this partition.
    pub(crate) async fn change_in(
        &self,
        task: &TaskId,
        partition: Option<u32>,
        body: &str,
    ) -> anyhow::Result<()> {
        let acked = self
            .capture
            .jetstream()
            .publish(partition_subject(task, partition), body.to_owned().into())
            .await?;
        acked.await?;
        Ok(())
    }

    /// Where the group stands, as the service tells.
    pub(crate) async fn seen(&self, group: &m::Group) -> m::Group {
        self.ask::<GetGroup>(&named(group)).await.unwrap()
    }

    /// Every fact of a kind in the stream, as long as the service has nothing more to send.
    pub(crate) async fn facts<E: Event>(&self) -> anyhow::Result<Vec<E>> {
        eventually("the outbox is empty", LIMIT, async || {
            let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM consumer_group.outbox")
                .fetch_one(&self.pool)
                .await;
            matches!(left, Ok(0))
        })
        .await;
        let stream = self.bus.jetstream().get_stream(EVENTS.name).await?;
        let mut facts = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            if message.subject.as_str() == E::SUBJECT {
                facts.push(serde_json::from_slice(&message.payload)?);
            }
        }
        Ok(facts)
    }

    /// Whether NATS lets this login in.
    pub(crate) async fn lets_in(&self, login: &str, password: &str) -> bool {
        self.lets_in_from([127, 0, 0, 1], login, password).await
    }

    /// As [`Self::lets_in`], from this address.
    pub(crate) async fn lets_in_from(&self, host: [u8; 4], login: &str, password: &str) -> bool {
        let options = ConnectOptions::with_user_and_password(login.to_owned(), password.to_owned())
            .local_address(SocketAddr::from((host, 0)));
        // A server that has closed before all that a client says at first was sent is heard by none: once more.
        let urls: Vec<String> = self.nats.urls().split(',').map(str::to_owned).collect();
        for _ in 0..20 {
            match options.clone().connect(&urls).await {
                Ok(_client) => return true,
                Err(error) if error.kind() == ConnectErrorKind::AuthorizationViolation => {
                    return false;
                }
                Err(error) => assert_eq!(error.kind(), ConnectErrorKind::Io, "{error}"),
            }
        }
        panic!("NATS neither lets {login} in nor refuses it")
    }
}

/// The body of a change; see [`Service::transactions`].
pub(crate) fn change(number: u32, ordinal: u64) -> String {
    format!(
        r#"{{"id":"0/{number:X}00.{ordinal}","op":"insert","database":"shop","schema":"public",
            "table":"orders","lsn":"0/{number:X}00","ordinal":{ordinal},"xid":{},
            "committed_at":"{}","after":{{"id":{number}}}}}"#,
        700 + number,
        committed_at(number)
    )
}

/// When the transaction with this number was committed.
pub(crate) fn committed_at(number: u32) -> String {
    format!(
        "2026-11-23T{:02}:{:02}:00.000000Z",
        number / 60,
        number % 60
    )
}

/// How often a client has connected.
pub(crate) fn connects(client: &Client) -> u64 {
    let statistics = client.statistics();
    statistics
        .connects
        .load(std::sync::atomic::Ordering::Relaxed)
}

/// A member of a group.
pub(crate) struct Member {
    pub(crate) group: m::Group,
    pub(crate) connection: m::GroupConnection,
}

impl Member {
    pub(crate) fn options(&self) -> ConnectOptions {
        ConnectOptions::with_user_and_password(self.connection.login.clone(), PASSWORD.to_owned())
            .custom_inbox_prefix(self.connection.inbox_prefix.clone())
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        Ok(self.options().connect(&self.connection.urls).await?)
    }

    /// Reads so many changes and acknowledges all of them.
    pub(crate) async fn reads(&self, client: &Client, count: usize) -> anyhow::Result<()> {
        let messages = read(&self.consumer(client).await?, count).await?;
        let last = messages.last().context("nothing was read")?;
        last.double_ack()
            .await
            .map_err(|error| anyhow::anyhow!(error))
    }

    /// The group's consumer, as a stock client finds it.
    pub(crate) async fn consumer(&self, client: &Client) -> anyhow::Result<PullConsumer> {
        self.consumer_named(client, &self.connection.consumer).await
    }

    /// One of the group's consumers, as a stock client finds it.
    pub(crate) async fn consumer_named(
        &self,
        client: &Client,
        name: &str,
    ) -> anyhow::Result<PullConsumer> {
        Ok(jetstream::new(client.clone())
            .get_consumer_from_stream(name, &self.connection.stream)
            .await?)
    }
}

/// The next changes, in order.
pub(crate) async fn read(
    consumer: &PullConsumer,
    count: usize,
) -> anyhow::Result<Vec<jetstream::Message>> {
    let mut messages: pull::Batch = consumer
        .batch()
        .max_messages(count)
        .expires(Duration::from_secs(5))
        .messages()
        .await?;
    let mut read = Vec::new();
    while let Some(message) = messages.next().await {
        read.push(message.map_err(|error| anyhow::anyhow!(error))?);
    }
    anyhow::ensure!(
        read.len() == count,
        "{} of {count} changes came",
        read.len()
    );
    Ok(read)
}

pub(crate) fn bodies(messages: &[jetstream::Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| std::str::from_utf8(&message.payload).unwrap())
        .collect()
}

pub(crate) fn named(group: &m::Group) -> m::GroupRequest {
    m::GroupRequest {
        task_id: group.task_id.clone(),
        group_id: group.id.clone(),
        actor: "user:test".to_owned(),
    }
}

pub(crate) fn change_subject(task: &TaskId) -> String {
    partition_subject(task, Some(0))
}

fn partition_subject(task: &TaskId, partition: Option<u32>) -> String {
    let mut subject = String::new();
    let orders = object("public", "orders");
    change_into(&mut subject, task, partition, Some(&orders), Op::Insert);
    subject
}

/// The consumers of a group, in any mode.
pub(crate) fn consumers(connection: &m::GroupConnection) -> Vec<&str> {
    let of_partitions = connection.consumers.iter().map(|of| of.consumer.as_str());
    let one = Some(connection.consumer.as_str()).filter(|consumer| !consumer.is_empty());
    one.into_iter().chain(of_partitions).collect()
}
