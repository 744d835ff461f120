//! Consuming facts: durable, in order, one at a time; a bad one is parked with its reason.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{AckKind, Message, consumer};
use futures::StreamExt as _;
use rowcast_domain::Backoff;
use rowcast_proto::event::Event;
use rowcast_proto::stream::{EVENTS, PARKED};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::connect::Bus;
use crate::park::Parked;
use crate::{BoxError, provision, trace_context};

/// How a handler failed.
#[derive(Debug)]
pub enum Outcome {
    /// Something that passes: try the same event again; later ones wait.
    Retry(BoxError),
    /// This event can never be taken: park it and go on.
    Park(BoxError),
}

/// Time in which an event must be acknowledged or reported in progress.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Consumes events of one type until told to stop.
///
/// `durable` names the consumer; copies of a service share it. Events come in stream order, one at
/// a time. An event may come twice: the handler does nothing for an id it has taken.
///
/// # Errors
/// None while NATS can come back: interruptions are retried.
pub async fn consume<E, H, F>(
    bus: Bus,
    durable: &'static str,
    stop: CancellationToken,
    handler: H,
) -> Result<(), BoxError>
where
    E: Event + 'static,
    H: Fn(E) -> F + Send + Sync,
    F: Future<Output = Result<(), Outcome>> + Send,
{
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    while !stop.is_cancelled() {
        let consumed = stop
            .run_until_cancelled(until_failure(&bus, durable, &handler))
            .await;
        let Some(Err(error)) = consumed else { break };
        tracing::warn!(durable, %error, "consuming interrupted");
        stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait()))
            .await;
    }
    Ok(())
}

async fn until_failure<E, H, F>(bus: &Bus, durable: &str, handler: &H) -> Result<(), BoxError>
where
    E: Event,
    H: Fn(E) -> F,
    F: Future<Output = Result<(), Outcome>>,
{
    provision::stream(bus, &EVENTS).await?;
    provision::stream(bus, &PARKED).await?;
    let stream = bus.jetstream().get_stream_no_info(EVENTS.name).await?;
    let config = pull::Config {
        durable_name: Some(durable.to_owned()),
        filter_subject: E::SUBJECT.to_owned(),
        ack_policy: consumer::AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        // One at a time: a redelivered event never comes after a later one.
        max_ack_pending: 1,
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(durable, config).await?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        take(bus, durable, &message?, handler).await?;
    }
    Err("the consumer has ended".into())
}

async fn take<E, H, F>(
    bus: &Bus,
    durable: &str,
    message: &Message,
    handler: &H,
) -> Result<(), BoxError>
where
    E: Event,
    H: Fn(E) -> F,
    F: Future<Output = Result<(), Outcome>>,
{
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {}", E::SUBJECT),
        otel.kind = "consumer",
        messaging.system = "nats",
        messaging.destination.name = E::SUBJECT,
        messaging.consumer.group.name = durable,
    );
    trace_context::continue_from(
        &span,
        &trace_context::read_headers(message.headers.as_ref()),
    );
    async {
        let mut backoff = Backoff::new(Duration::from_millis(100), ACK_WAIT / 3);
        loop {
            let event = match serde_json::from_slice::<E>(&message.payload) {
                Ok(event) if event.meta().is_some() => event,
                Ok(_without_meta) => return park(bus, durable, message, "no meta").await,
                Err(error) => return park(bus, durable, message, &error.to_string()).await,
            };
            match handler(event).await {
                Ok(()) => return message.double_ack().await,
                Err(Outcome::Park(error)) => {
                    return park(bus, durable, message, &error.to_string()).await;
                }
                Err(Outcome::Retry(error)) => {
                    tracing::warn!(durable, %error, "event not taken yet");
                    message.ack_with(AckKind::Progress).await?;
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }
    .instrument(span)
    .await
}

/// Stores the message with its reason, then ends its delivery.
async fn park(bus: &Bus, durable: &str, message: &Message, reason: &str) -> Result<(), BoxError> {
    let parked = Parked {
        by: durable,
        group: None,
        from: message.subject.as_str(),
        once: None,
        reason,
        headers: message.headers.clone().unwrap_or_default(),
        payload: message.payload.clone(),
    };
    parked.store(bus).await?;
    message.double_ack().await
}
