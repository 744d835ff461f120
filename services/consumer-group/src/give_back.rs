//! Makes what the last holder of a consumer was sent, and has not acknowledged, come again at once.
//!
//! By itself that takes the consumer's ack wait, 30 s. The server looks at everything in flight anew when the ack wait is
//! changed (nats-server 2.15, `updateConfig` and `checkPending`), so it is made short for a moment. A reset of the
//! consumer (2.14) would do the same, but it begins the count of deliveries anew: a late acknowledgement of the last
//! holder, with a higher number, would then make the server ignore those of the next one.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rowcast_bus::Bus;
use rowcast_bus::async_nats::jetstream;
use rowcast_bus::async_nats::jetstream::consumer::{FromConsumer as _, pull};
use rowcast_bus::async_nats::jetstream::context::ConsumerInfoErrorKind;
use rowcast_service::BoxError;

use crate::consumer;
use crate::reads::Reads;
use crate::store::group::Group;

/// The ack wait for the moment.
const SHORT: Duration = Duration::from_millis(10);

/// The moment. The server looks 100 ms after a change, and then as often as the ack wait says.
const MOMENT: Duration = Duration::from_millis(250);

/// Consumers at a time: so many are done within the time of one decision, and others wait for the next question.
pub(crate) const AT_A_TIME: usize = 64;

/// Of the consumers with these names. Nobody may read them meanwhile: what is sent then comes again too.
pub(crate) async fn at_once(data: &Bus, group: &Group, names: Vec<String>) -> Result<(), BoxError> {
    let stream = data
        .jetstream()
        .get_stream_no_info(Reads::of(group).stream())
        .await?;
    stream::iter(names.into_iter().map(|name| one(&stream, name)))
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

async fn one(stream: &jetstream::stream::Stream<()>, name: String) -> Result<(), BoxError> {
    let info = match stream.consumer_info(name).await {
        Ok(info) => info,
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => {
                return Ok(());
            }
            ConsumerInfoErrorKind::InvalidName
            | ConsumerInfoErrorKind::Offline
            | ConsumerInfoErrorKind::Request
            | ConsumerInfoErrorKind::NoResponders
            | ConsumerInfoErrorKind::JetStream(_)
            | ConsumerInfoErrorKind::TimedOut => return Err(error.into()),
        },
    };
    let is_short = info.config.ack_wait == SHORT;
    // All but the ack wait stays as it is.
    let wanted = pull::Config {
        ack_wait: consumer::ACK_WAIT,
        ..pull::Config::try_from_consumer_config(info.config)?
    };
    if info.num_ack_pending > 0 {
        let short = pull::Config {
            ack_wait: SHORT,
            ..wanted.clone()
        };
        stream.update_consumer(short).await?;
        tokio::time::sleep(MOMENT).await;
    }
    // Also where a copy of this service ended in that moment.
    if info.num_ack_pending > 0 || is_short {
        stream.update_consumer(wanted).await?;
    }
    Ok(())
}
