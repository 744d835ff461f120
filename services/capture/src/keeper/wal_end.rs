//! Where the WAL of a server ends: asked by one task, known to all that have their source there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rowcast_domain::Lsn;
use tokio::time::Instant;

/// What was found so long ago is still good enough.
const RECENT: Duration = Duration::from_secs(1);

/// Host and port of a server.
pub(crate) type Server = (String, u32);

/// What was found on a server, and when it was asked for.
type Found = Arc<tokio::sync::Mutex<Option<(Instant, Lsn)>>>;

/// What was found on each server.
#[derive(Debug, Default)]
pub(crate) struct WalEnds(Mutex<HashMap<Server, Found>>);

impl WalEnds {
    /// What any task has found just now, or else what `ask` finds, for all of them. It may be older than
    /// what the server would say, never newer.
    pub(crate) async fn recent<E>(
        &self,
        server: &Server,
        ask: impl Future<Output = Result<Lsn, E>>,
    ) -> Result<Lsn, E> {
        let found = self.found(server);
        // Whoever asks at the same moment waits for the first.
        let mut found = found.lock().await;
        let now = Instant::now();
        if let Some((asked_at, lsn)) = *found
            && now.duration_since(asked_at) < RECENT
        {
            return Ok(lsn);
        }
        let lsn = ask.await?;
        *found = Some((now, lsn));
        Ok(lsn)
    }

    fn found(&self, server: &Server) -> Found {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = servers.get(server) {
            return Arc::clone(found);
        }
        // A server that nobody asks any more is forgotten when another one comes.
        servers.retain(|_, found| {
            let is_recent = |(asked_at, _): (Instant, Lsn)| asked_at.elapsed() < 60 * RECENT;
            found
                .try_lock()
                .map_or(true, |found| found.is_some_and(is_recent))
        });
        Arc::clone(servers.entry(server.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_at_once_ask_once_and_a_second_later_again() {
        let ends = WalEnds::default();
        let asked = std::cell::Cell::new(0);
        let ask = async |port| {
            let ask = async {
                asked.set(asked.get() + 1);
                tokio::time::sleep(RECENT / 4).await;
                Ok::<_, ()>(Lsn::new(asked.get()))
            };
            ends.recent(&("db".to_owned(), port), ask)
                .await
                .unwrap()
                .as_u64()
        };
        assert_eq!(tokio::join!(ask(1), ask(1), ask(1)), (1, 1, 1));
        assert_eq!(ask(2).await, 2, "another server");
        tokio::time::advance(RECENT / 4).await;
        assert_eq!(ask(1).await, 1);
        tokio::time::advance(RECENT).await;
        assert_eq!(ask(1).await, 3);
        tokio::time::advance(61 * RECENT).await;
        ask(3).await;
        assert_eq!(ends.0.lock().unwrap().len(), 1, "the others are forgotten");
    }
}
