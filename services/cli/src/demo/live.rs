//! Shows changes as they come.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_client::{Error, GroupCredentials, Subscription};
use rowcast_domain::Backoff;

use crate::change_line::{is_shown, line};
use crate::output;

/// Shows changes until the terminal is closed. Interruptions are told and healed.
pub(super) async fn show(credentials: GroupCredentials) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        let Err(error) = follow(&credentials, &mut backoff).await else {
            continue;
        };
        match error.downcast::<Error>() {
            Ok(error) => output::trouble(format_args!("changes cannot be shown: {error}")),
            Err(other) => return Err(other),
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

async fn follow(credentials: &GroupCredentials, backoff: &mut Backoff) -> anyhow::Result<()> {
    let mut changes = Subscription::connect(credentials.clone()).await?;
    while let Some(delivery) = changes.next().await {
        match delivery {
            Ok(delivery) => {
                if is_shown(delivery.change.op) {
                    output::line(line(&delivery.change))?;
                }
                delivery.ack().await?;
                backoff.reset();
            }
            Err(error @ Error::Malformed(_)) => output::trouble(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
