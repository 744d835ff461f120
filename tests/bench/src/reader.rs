//! A consumer that reads a task's stream and drops what it reads, as an ordinary client of `JetStream`.

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::{Client, ConnectOptions};
use futures::StreamExt as _;
use rowcast_e2e::{Group, Tracked};
use tokio::sync::watch;

/// Messages asked for at a time, and behind one acknowledgement.
const BATCH: usize = 256;

/// Its connection, its stream, its consumer.
pub(crate) struct Reader {
    pub(crate) client: Client,
    pub(crate) stream: String,
    pub(crate) consumer: String,
}

impl Reader {
    /// The member of a new group.
    pub(crate) async fn of_group(task: &Tracked, name: &str) -> anyhow::Result<Self> {
        Self::of(task.group(name).await?).await
    }

    /// A member of this group.
    pub(crate) async fn of(group: Group) -> anyhow::Result<Self> {
        let connection = group.connection;
        let login = ConnectOptions::with_user_and_password;
        let client = login(connection.login, group.password.to_owned())
            .custom_inbox_prefix(&connection.inbox_prefix)
            .connect(connection.urls)
            .await?;
        Ok(Self {
            client,
            stream: connection.stream,
            consumer: connection.consumer,
        })
    }

    /// Whether its consumer is there, by a client of the lab's.
    pub(crate) async fn is_there(&self, client: &Client) -> bool {
        let jetstream = async_nats::jetstream::new(client.clone());
        let found: Result<PullConsumer, _> = jetstream
            .get_consumer_from_stream(&self.consumer, &self.stream)
            .await;
        found.is_ok()
    }

    /// Reads so many messages.
    pub(crate) async fn read(self, length: u64) -> anyhow::Result<()> {
        self.follow(length, &watch::Sender::new(0)).await
    }

    /// Reads so many messages, and tells how many it has.
    pub(crate) async fn follow(self, length: u64, read: &watch::Sender<u64>) -> anyhow::Result<()> {
        let jetstream = async_nats::jetstream::new(self.client);
        let consumer: PullConsumer = jetstream
            .get_consumer_from_stream(&self.consumer, &self.stream)
            .await?;
        let messages = consumer.stream().max_messages_per_batch(BATCH);
        let mut messages = messages.messages().await?;
        for number in 1..=length {
            let message = messages.next().await;
            let message = message.ok_or_else(|| anyhow::anyhow!("the consumer has ended"))??;
            if number % BATCH as u64 == 0 || number == length {
                message.ack().await.map_err(anyhow::Error::from_boxed)?;
            }
            read.send_replace(number);
        }
        Ok(())
    }
}
