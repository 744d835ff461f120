//! Answering questions (NATS Services API, ADR-32).

use std::future::Future;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::service::{Service, ServiceExt as _};
use bytes::Bytes;
use futures::StreamExt as _;
use rowcast_proto::message::RpcError;
use rowcast_proto::rpc::{DEADLINE_HEADER, ERROR_HEADER, Rpc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::connect::Bus;
use crate::{BoxError, refuse, trace_context};

/// Questions of one endpoint answered at a time; the others wait in the subscription.
const CONCURRENT: usize = 32;

/// A question without a deadline header gets this long.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// A service on the bus: found by `$SRV.PING`, its endpoints shared among its copies.
#[derive(Debug)]
pub struct Server {
    bus: Bus,
    service: Service,
    endpoints: JoinSet<()>,
    /// Cancelled once every endpoint is there.
    complete: CancellationToken,
    stop: CancellationToken,
}

impl Server {
    /// Announces the service.
    ///
    /// # Errors
    /// Where NATS refuses.
    pub async fn start(
        bus: &Bus,
        name: &str,
        version: &str,
        description: &str,
    ) -> Result<Self, BoxError> {
        let service = bus
            .client()
            .service_builder()
            .description(description)
            .start(name, version)
            .await?;
        let stop = CancellationToken::new();
        Ok(Self {
            bus: bus.clone(),
            service,
            endpoints: JoinSet::new(),
            complete: CancellationToken::new(),
            stop,
        })
    }

    /// Takes one kind of question from now on. The first is answered by [`Self::run`]: whoever has one
    /// answer of a service that starts finds all its endpoints.
    ///
    /// # Errors
    /// Where NATS refuses.
    pub async fn add<R, H, F>(&mut self, handler: H) -> Result<(), BoxError>
    where
        R: Rpc + 'static,
        H: Fn(R::Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<R::Reply, RpcError>> + Send + 'static,
    {
        let endpoint = self
            .service
            .endpoint_builder()
            .name(R::ENDPOINT)
            .add(R::SUBJECT)
            .await?;
        // A question asked from now on must find us.
        self.bus.round_trip().await?;
        let bus = self.bus.clone();
        let questions = endpoint.take_until(self.stop.clone().cancelled_owned());
        let complete = self.complete.clone();
        self.endpoints.spawn(async move {
            complete.cancelled().await;
            questions
                .for_each_concurrent(CONCURRENT, |question| {
                    let (bus, handler) = (bus.clone(), handler.clone());
                    async move { answer::<R, H, F>(&bus, &question, handler).await }
                })
                .await;
        });
        Ok(())
    }

    /// Answers until told to stop, then finishes the questions it has taken.
    ///
    /// # Errors
    /// Where an endpoint ends by itself, as when its handler panics.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), BoxError> {
        self.complete.cancel();
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = self.endpoints.join_next() => {
                ended?;
                return Err("an endpoint of the service has ended".into());
            }
        }
        self.stop.cancel();
        while let Some(ended) = self.endpoints.join_next().await {
            ended?;
        }
        self.service.stop().await
    }
}

async fn answer<R, H, F>(bus: &Bus, question: &async_nats::service::Request, handler: H)
where
    R: Rpc,
    H: Fn(R::Request) -> F,
    F: Future<Output = Result<R::Reply, RpcError>>,
{
    let span = tracing::info_span!(
        "answer",
        otel.name = R::SUBJECT,
        otel.kind = "server",
        messaging.system = "nats",
        messaging.destination.name = R::SUBJECT,
    );
    let headers = question.message.headers.as_ref();
    trace_context::continue_from(&span, &trace_context::read_headers(headers));
    async {
        let answer = match serde_json::from_slice(&question.message.payload) {
            Ok(body) => within_deadline(handler(body), deadline(headers)).await,
            Err(error) => Err(refuse::invalid(
                "malformed_question",
                format!("the question is malformed: {error}"),
            )),
        };
        respond::<R>(bus, question, answer).await;
    }
    .instrument(span)
    .await;
}

fn deadline(headers: Option<&HeaderMap>) -> Duration {
    headers
        .and_then(|headers| headers.get(DEADLINE_HEADER))
        .and_then(|text| text.as_str().parse().ok())
        .map_or(DEFAULT_DEADLINE, Duration::from_millis)
}

/// Nobody waits after the deadline, so the work ends there.
async fn within_deadline<T>(
    work: impl Future<Output = Result<T, RpcError>>,
    deadline: Duration,
) -> Result<T, RpcError> {
    tokio::time::timeout(deadline, work)
        .await
        .unwrap_or_else(|_elapsed| {
            Err(refuse::unavailable(
                "deadline_exceeded",
                "the answer took longer than the asker waits",
            ))
        })
}

async fn respond<R: Rpc>(
    bus: &Bus,
    question: &async_nats::service::Request,
    answer: Result<R::Reply, RpcError>,
) {
    let Some(reply_to) = question.message.reply.clone() else {
        tracing::warn!(subject = R::SUBJECT, "a question without a reply subject");
        return;
    };
    let mut headers = HeaderMap::new();
    let body = match answer {
        Ok(reply) => serde_json::to_vec(&reply),
        Err(error) => {
            tracing::info!(code = error.code, detail = error.detail, "refused");
            headers.insert(ERROR_HEADER, error.code.as_str());
            serde_json::to_vec(&error)
        }
    };
    let sent = match body {
        Ok(body) => bus
            .client()
            .publish_with_headers(reply_to, headers, Bytes::from(body))
            .await
            .map_err(BoxError::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = sent {
        // The asker sees a time-out.
        tracing::error!(%error, subject = R::SUBJECT, "could not answer");
    }
}
