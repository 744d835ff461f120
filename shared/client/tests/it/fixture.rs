//! A group's stream and consumer, as capture and consumer-group make them.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use data_encoding::{BASE64, HEXLOWER};
use futures::{Stream, StreamExt as _};
use ring::digest;
use rowcast_client::{
    Delivery, Error, GroupCredentials, GroupDelivery, GroupMode, Secret, Subscription,
};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::stream::{group_consumer, task_stream, task_stream_subjects};
use rowcast_proto::subject::group_inbox;
use rowcast_testkit::{Nats, eventually};

const LIMIT: Duration = Duration::from_secs(40);

/// The real login goes through the auth callout of consumer-group, which is not here.
pub(crate) const LOGIN: &str = "consumer-group-data";

/// Bytes of a change in a piece; as base64 they fit in a message of 1 MB.
const PIECE: usize = 750_000;

/// Short, so that a test need not wait long for what comes again.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Group {
    pub(crate) nats: Nats,
    pub(crate) credentials: GroupCredentials,
    pub(crate) capture: jetstream::Context,
    pub(crate) owner: jetstream::Context,
    max_ack_pending: i64,
    published: u64,
}

/// Makes a group's stream, which so many servers keep, and its consumer.
pub(crate) async fn make(
    owner: &jetstream::Context,
    credentials: &GroupCredentials,
    max_ack_pending: i64,
    replicas: usize,
) -> anyhow::Result<()> {
    owner
        .create_stream(stream::Config {
            name: credentials.stream.clone(),
            subjects: task_stream_subjects(&credentials.task_id),
            num_replicas: replicas,
            ..stream::Config::default()
        })
        .await?;
    let config = pull::Config {
        durable_name: Some(credentials.consumer.clone()),
        ack_policy: match credentials.mode {
            GroupMode::Ordered | GroupMode::Keyed => AckPolicy::All,
            GroupMode::Shared => AckPolicy::Explicit,
        },
        ack_wait: ACK_WAIT,
        max_ack_pending,
        ..pull::Config::default()
    };
    owner
        .create_consumer_on_stream(config, credentials.stream.as_str())
        .await?;
    Ok(())
}

/// Those of a group that is not made yet.
pub(crate) fn credentials(url: &str, password: &str, mode: GroupMode) -> GroupCredentials {
    let (task, group) = (TaskId::random(), GroupId::random());
    GroupCredentials {
        delivery: GroupDelivery::Pull,
        format: None,
        urls: vec![url.to_owned()],
        login: LOGIN.to_owned(),
        password: Secret::new(password),
        stream: task_stream(&task),
        mode,
        consumer: group_consumer(&group),
        consumers: Vec::new(),
        inbox_prefix: group_inbox(&group),
        login_patience: Duration::from_mins(1),
        root_certificates: None,
        client_certificate: None,
        group_id: group,
        task_id: task,
    }
}

impl Group {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with_in_flight(1000).await
    }

    /// With a consumer that has at most so many messages in flight.
    pub(crate) async fn with_in_flight(max_ack_pending: i64) -> anyhow::Result<Self> {
        Self::of(GroupMode::Ordered, max_ack_pending).await
    }

    /// A shared group.
    pub(crate) async fn shared() -> anyhow::Result<Self> {
        Self::of(GroupMode::Shared, 1000).await
    }

    async fn of(mode: GroupMode, max_ack_pending: i64) -> anyhow::Result<Self> {
        let nats = Nats::start().await?;
        let capture = jetstream::new(nats.client("capture-data").await?);
        let owner = jetstream::new(nats.client(LOGIN).await?);
        let credentials = credentials(nats.url(), nats.password(LOGIN), mode);
        let made = Self {
            nats,
            credentials,
            capture,
            owner,
            max_ack_pending,
            published: 0,
        };
        made.make().await?;
        Ok(made)
    }

    /// Makes stream and consumer.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        make(&self.owner, &self.credentials, self.max_ack_pending, 1).await
    }

    /// Removes them, as a reset of the task does. Changes are numbered from 1 again.
    pub(crate) async fn remove(&mut self) -> anyhow::Result<()> {
        self.owner.delete_stream(&self.credentials.stream).await?;
        self.published = 0;
        Ok(())
    }

    pub(crate) async fn subscribe(&self) -> Result<Subscription, Error> {
        Subscription::connect(self.credentials.clone()).await
    }

    /// Publishes the next `count` changes, numbered from 1.
    pub(crate) async fn publish(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            let body = self.row();
            self.publish_raw(body).await?;
        }
        Ok(())
    }

    /// The next change.
    pub(crate) fn row(&mut self) -> String {
        self.published += 1;
        let number = self.published;
        format!(
            r#"{{"id":"0/10.{number}","op":"insert","database":"shop","schema":"public",
                "table":"orders","lsn":"0/10","ordinal":{number},
                "committed_at":"2026-11-23T05:33:10.123456Z","after":{{"id":{number}}}}}"#
        )
    }

    /// Number of the last change.
    pub(crate) const fn published(&self) -> u64 {
        self.published
    }

    /// The next change, with a text of so many bytes, in pieces that are to be published.
    pub(crate) fn cut(&mut self, bytes: usize) -> Vec<String> {
        self.published += 1;
        let number = self.published;
        let small = format!(
            r#""database":"shop","schema":"public","table":"orders","lsn":"0/10","ordinal":{number},
                "committed_at":"2026-11-23T05:33:10.123456Z""#
        );
        let text = "x".repeat(bytes);
        let whole = format!(
            r#"{{"id":"0/10.{number}","op":"insert",{small},"after":{{"id":{number},"text":"{text}"}}}}"#
        );
        let sum = HEXLOWER.encode(digest::digest(&digest::SHA256, whole.as_bytes()).as_ref());
        let pieces = whole.as_bytes().chunks(PIECE).zip((0..).step_by(PIECE));
        pieces
            .map(|(piece, offset)| {
                format!(
                    r#"{{"id":"0/10.{number}","op":"part",{small},"part":{{"op":"insert",
                        "offset":{offset},"bytes":{},"sha256":"{sum}","data":"{}"}}}}"#,
                    whole.len(),
                    BASE64.encode(piece)
                )
            })
            .collect()
    }

    /// Waits until the server has sent so many messages that are not acknowledged.
    pub(crate) async fn sent(&self, unacknowledged: usize) {
        eventually("the pieces are sent", LIMIT, async || {
            self.info()
                .await
                .is_ok_and(|info| info.num_ack_pending == unacknowledged)
        })
        .await;
    }

    pub(crate) async fn info(&self) -> anyhow::Result<consumer::Info> {
        let stream = self
            .owner
            .get_stream_no_info(&self.credentials.stream)
            .await?;
        Ok(stream.consumer_info(&self.credentials.consumer).await?)
    }

    pub(crate) async fn publish_raw(&self, body: String) -> anyhow::Result<()> {
        let subject = format!(
            "rowcast.change.{}.000.public.orders.insert",
            self.credentials.task_id
        );
        self.capture.publish(subject, body.into()).await?.await?;
        Ok(())
    }
}

/// The next item; a subscription that is silent fails the test.
pub(crate) async fn next(changes: &mut Subscription) -> Result<Delivery, Error> {
    match tokio::time::timeout(LIMIT, changes.next()).await {
        Ok(Some(item)) => item,
        Ok(None) => panic!("the subscription has ended"),
        Err(_elapsed) => panic!("no change within {LIMIT:?}"),
    }
}

/// As [`next`], of what is made of a subscription; `None` where it has ended.
pub(crate) async fn item(
    changes: &mut (impl Stream<Item = Result<Delivery, Error>> + Unpin),
) -> Option<Result<Delivery, Error>> {
    match tokio::time::timeout(LIMIT, changes.next()).await {
        Ok(item) => item,
        Err(_elapsed) => panic!("no change within {LIMIT:?}"),
    }
}

/// The ordinals of the next `count` changes.
pub(crate) async fn ordinals(changes: &mut Subscription, count: usize) -> Result<Vec<u64>, Error> {
    let mut ordinals = Vec::new();
    for _ in 0..count {
        ordinals.push(next(changes).await?.position.ordinal);
    }
    Ok(ordinals)
}
