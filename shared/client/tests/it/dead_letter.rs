//! What a group needs for dead letters, as nats-server and consumer-group make it.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{self, AckPolicy, pull};
use async_nats::jetstream::stream;
use async_nats::{HeaderMap, Subscriber};
use futures::StreamExt as _;
use rowcast_client::Delivery;
use rowcast_proto::dead_letter as header;
use rowcast_proto::stream::{DEAD, redrive_consumer};
use rowcast_proto::subject::{DELIVERIES_GIVEN_UP, redriven, redriven_of};
use serde_json::Value;

use crate::fixture::Group;

impl Group {
    /// From now on the server sends a change so often.
    pub(crate) async fn allow_attempts(&self, max_deliver: i64) -> anyhow::Result<()> {
        let stream = self
            .owner
            .get_stream_no_info(&self.credentials.stream)
            .await?;
        let config = consumer::Config {
            max_deliver,
            ..self.info().await?.config
        };
        stream.update_consumer(config).await?;
        Ok(())
    }

    /// What the server tells of changes that were given up.
    pub(crate) async fn given_up(&self) -> anyhow::Result<Subscriber> {
        let client = self.capture.client();
        let told = client.subscribe(DELIVERIES_GIVEN_UP).await?;
        client.flush().await?;
        Ok(told)
    }

    pub(crate) async fn next_advisory(&self, told: &mut Subscriber) -> anyhow::Result<Value> {
        let next = tokio::time::timeout(Duration::from_secs(10), told.next()).await?;
        Ok(serde_json::from_slice(
            &next.context("no advisory")?.payload,
        )?)
    }

    /// What consumer-group does when it redrives a change.
    pub(crate) async fn redrive(&self, change: &Delivery) -> anyhow::Result<()> {
        let group = &self.credentials.group_id;
        let subjects = DEAD.subjects.iter().map(|&subject| subject.to_owned());
        let config = stream::Config {
            name: DEAD.name.to_owned(),
            subjects: subjects.collect(),
            ..stream::Config::default()
        };
        let stream = self.capture.create_stream(config).await?;
        let config = pull::Config {
            durable_name: Some(redrive_consumer(group)),
            filter_subject: redriven_of(group),
            ack_policy: AckPolicy::Explicit,
            ..pull::Config::default()
        };
        stream.create_consumer(config).await?;
        let source = self.capture.get_stream(&self.credentials.stream).await?;
        let stored = source.get_raw_message(change.stream_sequence).await?;
        let mut headers = HeaderMap::new();
        headers.insert(header::SUBJECT, stored.subject.as_str());
        headers.insert(header::SEQUENCE, stored.sequence.to_string().as_str());
        let subject = redriven(group, 1);
        let sent = self
            .capture
            .publish_with_headers(subject, headers, stored.payload);
        sent.await?.await?;
        Ok(())
    }

    pub(crate) async fn redriven_info(&self) -> anyhow::Result<consumer::Info> {
        let stream = self.owner.get_stream_no_info(DEAD.name).await?;
        let name = redrive_consumer(&self.credentials.group_id);
        Ok(stream.consumer_info(name).await?)
    }
}
