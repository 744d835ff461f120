//! Logs in, and notes for how long logins are refused.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::credentials::GroupCredentials;
use crate::error::Error;

/// How long the first connection may take; the login is checked by a service behind NATS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long logins may be refused before a subscription ends: the service that checks them may be
/// restarting.
const REFUSED_LIMIT: Duration = Duration::from_secs(60);

/// Since when logins are refused; `None` where the client is connected.
pub(crate) type Refused = watch::Receiver<Option<Instant>>;

/// A connection for the member of this name.
pub(crate) async fn log_in(
    credentials: &GroupCredentials,
    member: &str,
) -> Result<(Client, Refused), Error> {
    let (sender, refused) = watch::channel(None);
    let sender = Arc::new(sender);
    let login = credentials.login.clone();
    let connected =
        ConnectOptions::with_user_and_password(login.clone(), credentials.password.expose().into())
            // The service finds the connection by the member's name.
            .name(format!("rowcast-client {} {member}", credentials.group_id))
            .custom_inbox_prefix(&credentials.inbox_prefix)
            .connection_timeout(CONNECT_TIMEOUT)
            .event_callback(move |event| {
                note(&sender, &event);
                std::future::ready(())
            })
            .connect(credentials.urls.as_slice())
            .await;
    match connected {
        Ok(client) => Ok((client, refused)),
        Err(error) => Err(match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Error::LoginRefused { login }
            }
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => Error::Unreachable(error.into()),
        }),
    }
}

/// A refused reconnection comes as the text of an event only.
fn note(refused: &watch::Sender<Option<Instant>>, event: &Event) {
    tracing::debug!(%event, "NATS connection");
    let is_refusal = |text: &str| {
        [
            ConnectErrorKind::Authentication,
            ConnectErrorKind::AuthorizationViolation,
        ]
        .iter()
        .any(|kind| text.contains(&kind.to_string()))
    };
    if matches!(event, Event::Connected) {
        refused.send_replace(None);
    } else if let Event::ClientError(ClientError::Other(text)) = event
        && is_refusal(text)
    {
        refused.send_modify(|since| {
            since.get_or_insert_with(Instant::now);
        });
    }
}

/// Ends once logins have been refused for too long.
pub(crate) async fn refused_for_good(mut refused: Refused) {
    loop {
        let since = *refused.borrow_and_update();
        let changed = match since {
            Some(since) => {
                let limit = since + REFUSED_LIMIT;
                match tokio::time::timeout_at(limit, refused.changed()).await {
                    Ok(changed) => changed,
                    Err(_elapsed) => return,
                }
            }
            None => refused.changed().await,
        };
        if changed.is_err() {
            // The client is gone, and nothing refuses any more.
            return std::future::pending().await;
        }
    }
}

/// Ends when the client has connected again.
pub(crate) async fn another_connection(connected: &mut Refused) {
    loop {
        if connected.changed().await.is_err() {
            return std::future::pending().await;
        }
        if connected.borrow_and_update().is_none() {
            return;
        }
    }
}
