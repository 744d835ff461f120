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
    let connected = options(credentials)
        // The service finds the connection by the member's name.
        .name(format!("rowcast-client {} {member}", credentials.group_id))
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

/// How to connect.
fn options(credentials: &GroupCredentials) -> ConnectOptions {
    let login = credentials.login.clone();
    let password = credentials.password.expose().to_owned();
    let mut options = ConnectOptions::with_user_and_password(login, password)
        .custom_inbox_prefix(&credentials.inbox_prefix)
        .connection_timeout(CONNECT_TIMEOUT);
    // Whoever names certificates wants the password to go over TLS or not at all.
    if let Some(file) = &credentials.root_certificates {
        options = options
            .add_root_certificates(file.clone())
            .require_tls(true);
    }
    if let Some(own) = &credentials.client_certificate {
        options = options
            .add_client_certificate(own.certificate.clone(), own.key.clone())
            .require_tls(true);
    }
    options
}

/// A refused reconnection comes as the text of an event only. That a login has expired comes as another one, from the
/// server, before the client logs in again.
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

/// Ends once logins have been refused for longer than `patience`.
pub(crate) async fn refused_for_good(mut refused: Refused, patience: Duration) {
    loop {
        let since = *refused.borrow_and_update();
        // A patience without end has no limit.
        let limit = since.and_then(|since| since.checked_add(patience));
        let changed = match limit {
            Some(limit) => match tokio::time::timeout_at(limit, refused.changed()).await {
                Ok(changed) => changed,
                Err(_elapsed) => return,
            },
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

#[cfg(test)]
mod tests {
    use async_nats::ServerError;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(5);

    fn refusal() -> Event {
        let kind = ConnectErrorKind::AuthorizationViolation;
        Event::ClientError(ClientError::Other(kind.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_end_it_once_they_last_longer_than_the_patience() {
        let (sender, refused) = watch::channel(None);
        let begun = Instant::now();
        note(&sender, &refusal());
        tokio::time::sleep(PATIENCE / 2).await;
        note(&sender, &refusal());
        refused_for_good(refused, PATIENCE).await;
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_login_is_no_refusal_and_a_login_forgets_those_before() {
        let (sender, refused) = watch::channel(None);
        let expired = ServerError::Other("User Authentication Expired".to_owned());
        note(&sender, &Event::ServerError(expired));
        assert!(refused.borrow().is_none());
        note(&sender, &refusal());
        assert!(refused.borrow().is_some());
        note(&sender, &Event::Connected);
        let ended = tokio::time::timeout(2 * PATIENCE, refused_for_good(refused, PATIENCE)).await;
        assert!(ended.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_patience_without_end_waits_on() {
        let (sender, refused) = watch::channel(None);
        note(&sender, &refusal());
        let ended = tokio::time::timeout(PATIENCE, refused_for_good(refused, Duration::MAX)).await;
        assert!(ended.is_err());
    }
}
